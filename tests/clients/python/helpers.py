"""What the tests share: the real server as a process, and a session as `websockets` has it.

Nothing here sleeps; every wait is for something that the server sends.
"""

import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

WITHIN_S = 30

#: RFC 3339, UTC, with milliseconds.
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


class Server:
    """The program `madang`, on a port and a data folder of its own."""

    def __init__(self, config=""):
        self._folder = Path(tempfile.mkdtemp(prefix="madang-clients-"))
        (self._folder / "madang.toml").write_text(config)
        self.again()

    def again(self, port=0):
        """Starts it, on the data that an earlier one has left, and on a free port or this one."""
        program = os.environ.get("MADANG_BIN")
        assert program, "MADANG_BIN must be the path of the program madang"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "serve", "--listen", f"127.0.0.1:{port}", "--data", self._folder / "data"]
                + ["--config", self._folder / "madang.toml"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        late = threading.Timer(WITHIN_S, self._process.kill)
        late.start()
        try:
            # The lines end when the server does.
            for line in self._process.stdout:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    self._port = int(found[1])
                    return
        finally:
            late.cancel()
        raise AssertionError("the server ended: " + (self._folder / "log").read_text()[-4000:])

    def http(self, at, **query):
        return f"http://127.0.0.1:{self._port}{at}?{urllib.parse.urlencode(query)}"

    def ws(self, at, **query):
        return "ws" + self.http(at, **query).removeprefix("http")

    async def fetch(self, at, *, method="GET", token=None, body=None, **query):
        """A request; gives its status and its JSON."""
        data = body.encode() if isinstance(body, str) else body and json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.http(at, **query), data, headers, method=method)

        def answer():
            try:
                with urllib.request.urlopen(request, timeout=WITHIN_S) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as refusal:
                with refusal:
                    return refusal.code, json.load(refusal)

        return await asyncio.to_thread(answer)

    def admin_token(self):
        return (self._folder / "data" / "admin.token").read_text().strip()

    def end(self, how=signal.SIGTERM):
        """Ends it as an init system does, or with SIGKILL as a power cut; gives its exit code."""
        self._process.send_signal(how)
        code = self._process.wait(WITHIN_S)
        self._process.stdout.close()
        return code

    def remove(self):
        self.end(signal.SIGKILL)
        shutil.rmtree(self._folder)


class Session:
    """One open WebSocket, and everything that came over it."""

    def __init__(self, socket):
        self.socket = socket
        #: Every message, in the order in which they came.
        self.all = []
        self._unread = []
        self._ids = itertools.count(1)

    @property
    def user(self):
        return self.hello["user"]

    async def receive(self):
        """The next message, whatever it is."""
        async with asyncio.timeout(WITHIN_S):
            payload = await self.socket.recv()
        assert isinstance(payload, str), "the server only sends text"
        self.all.append(json.loads(payload))
        return self.all[-1]

    async def take(self, matches):
        """The first message that matches and was not taken yet."""
        for index, message in enumerate(self._unread):
            if matches(message):
                return self._unread.pop(index)
        while True:
            try:
                message = await self.receive()
            except TimeoutError:
                raise AssertionError(f"it did not come; there came {self.all}") from None
            if matches(message):
                return message
            self._unread.append(message)

    async def next(self, kind):
        """The next message of this type."""
        return await self.take(lambda message: message["type"] == kind)

    async def events(self, count):
        """The next messages of a room's log."""
        return [await self.next("message") for _ in range(count)]

    async def send(self, command):
        """Sends JSON, or a string as it is."""
        text = command if isinstance(command, str) else json.dumps(command, ensure_ascii=False)
        await self.socket.send(text)

    async def ask(self, kind, /, id=None, **fields):
        """Sends a command and gives its reply, `ok` or `error`."""
        if id is None:
            id = f"{kind}-{next(self._ids)}"
        await self.send({"type": kind, "id": id, **fields})
        return await self.reply(id)

    async def reply(self, id):
        return await self.take(lambda m: m["type"] in ("ok", "error") and m.get("id") == id)

    async def ok(self, kind, /, **fields):
        """The same, where it has to succeed."""
        reply = await self.ask(kind, **fields)
        assert reply["type"] == "ok", reply
        return reply

    async def refusal(self, kind, /, **fields):
        """The same, where it has to fail."""
        reply = await self.ask(kind, **fields)
        assert reply["type"] == "error" and isinstance(reply["message"], str), reply
        return reply

    async def pong(self):
        """Waits until the server has answered a ping: what it sent before has come."""
        await self.send({"type": "ping"})
        return await self.next("pong")

    async def closed(self):
        """How the server closed it: the code and the reason."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")

    async def leave(self):
        """Closes it as a page does that is left."""
        await self.socket.close()

    def cut(self):
        """Ends it as a network does that is gone."""
        self.socket.transport.abort()

    def of_type(self, kind):
        return [message for message in self.all if message["type"] == kind]


class TestCase(unittest.IsolatedAsyncioTestCase):
    """Tests with one server, whose sessions end with each test."""

    config = ""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.config)
        cls.addClassCleanup(cls.server.remove)

    async def asyncSetUp(self):
        # It would tell of every pause that a busy machine makes.
        asyncio.get_running_loop().set_debug(False)

    async def open(self, at="/ws", *, server=None, headers=None, origin=None, **query):
        """Opens a session, up to the first message, which is `hello`."""
        if not query and not headers:
            query = {"name": "강호동"}
        url = (server or self.server).ws(at, **query)
        options = {"additional_headers": headers, "origin": origin}
        socket = await connect(url, open_timeout=WITHIN_S, ping_interval=None, **options)
        self.addAsyncCleanup(socket.close)
        session = Session(socket)
        session.hello = await session.receive()
        self.assertEqual(session.hello["type"], "hello", "the first message")
        return session

    async def in_room(self, *names, room=None):
        """Sessions that are subscribed to one room, a fresh one unless it is given."""
        room = room or fresh_room()
        sessions = []
        for name in names:
            session = await self.open(name=name)
            await session.ok("subscribe", room=room)
            sessions.append(session)
        return room, *sessions

    async def refused(self, url, **options):
        """How an opening request is refused: its status, its headers and its JSON."""
        with self.assertRaises(InvalidStatus) as refusal:
            await connect(url, open_timeout=WITHIN_S, **options)
        response = refusal.exception.response
        return response.status_code, response.headers, json.loads(response.body)


_rooms = itertools.count(1)


def fresh_room():
    """A room that no other test uses."""
    return f"방-{os.getpid()}-{next(_rooms)}"


def quoted(room):
    return urllib.parse.quote(room, safe="")


def seqs(events):
    return [event["seq"] for event in events]
