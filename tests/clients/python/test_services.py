"""The backends of docs/services.md in Python, as they stand there."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from helpers import WITHIN_S, Server, TestCase

DOCS = Path(__file__).parents[3] / "docs"
SECRET = "열려라 참깨"


class Backend:
    """One of the programs, with these environment variables."""

    def __init__(self, name, **environment):
        self._command = [sys.executable, "-W", "error", DOCS / "services" / name]
        self._environment = {**os.environ, **environment}
        self.again()

    def again(self):
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self):
        self._process.kill()
        self._process.wait(WITHIN_S)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Services(TestCase):
    async def answer(self, session, item, id):
        """What the café answers, with the progress before it. It may still have to start."""
        params = {"item": item}
        call = {"type": "call", "id": id, "service": "cafe", "method": "order", "params": params}
        async with asyncio.timeout(WITHIN_S):
            while True:
                await session.send(call)
                told = []
                while not told or told[-1]["type"] not in ("ok", "error"):
                    told.append(await session.take(lambda message: message.get("id") == id))
                if told[-1].get("code") != "no_such_service":
                    return told
                await asyncio.sleep(0.05)

    async def both(self, session):
        told = await self.answer(session, "커피", 1)
        result = {"item": "커피", "for": "강호동"}
        self.assertEqual((told[0]["type"], told[-1]["result"]), ("ticket", result), told)
        sold_out = (await self.answer(session, "cake", 2))[-1]
        self.assertEqual(
            (sold_out["code"], sold_out["message"]), ("sold_out", "There is no cake left.")
        )
        return told


class AnHttpAddress(Services):
    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.config = f"""
            [services.cafe]
            url = "http://127.0.0.1:{cls.port}/cafe"
            secret = "{SECRET}"
        """
        super().setUpClass()

    def backend(self, secret=SECRET):
        backend = Backend("by_http.py", PORT=str(self.port), SECRET=secret)
        self.addCleanup(backend.kill)
        return backend

    async def test_answers_and_comes_back(self):
        backend = self.backend()
        session = await self.open()
        await self.both(session)
        backend.kill()
        params = {"item": "tea"}
        call = {"type": "call", "id": 3, "service": "cafe", "method": "order", "params": params}
        await session.send(call)
        await session.next("ticket")
        backend.again()
        reply = await session.reply(3)
        self.assertEqual(reply["result"], {"item": "tea", "for": "강호동"})

    async def test_knows_whose_a_request_is(self):
        backend = self.backend(secret="another")
        session = await self.open()
        refused = (await self.answer(session, "tea", 1))[-1]
        self.assertEqual(refused["code"], "unauthorized")
        body = json.dumps({"params": {"item": "tea"}, "from": {"name": "x"}}).encode()
        for header in {}, {"Madang-Signature": "t=1,v1=00"}, {"Madang-Signature": "é,"}:
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/cafe", body, header)
            with self.assertRaises(urllib.error.HTTPError) as refusal:
                await asyncio.to_thread(urllib.request.urlopen, request, timeout=WITHIN_S)
            with refusal.exception as answer:
                self.assertEqual(answer.code, 401)
        backend.kill()


class ASession(Services):
    async def test_answers_tells_how_far_it_is_and_comes_back(self):
        server = Server()
        self.addCleanup(server.remove)
        port = free_port()
        # The backend is to find the server again, so it needs a port that stays.
        server.end()
        server.again(port)
        hasty = {"WEBSOCKETS_BACKOFF_INITIAL_DELAY": "0.1", "WEBSOCKETS_BACKOFF_MIN_DELAY": "0.1"}
        url = server.ws("/ws", name="kitchen")
        backend = Backend("by_websocket.py", MADANG=url, **hasty)
        self.addCleanup(backend.kill)
        session = await self.open(server=server)
        told = await self.both(session)
        self.assertIn({"type": "progress", "id": 1, "data": "grinding"}, told)
        server.end()
        server.again(port)
        await self.both(await self.open(server=server))


class ThePage(unittest.TestCase):
    def test_shows_the_programs_as_they_are(self):
        page = (DOCS / "services.md").read_text()
        programs = sorted((DOCS / "services").iterdir())
        self.assertEqual(len(programs), 6)
        for program in programs:
            with self.subTest(program.name):
                self.assertIn(f"\n{program.read_text()}```\n", page)

    def test_leads_to_what_is_there(self):
        for link in re.findall(r"\]\(([^)#]+)", (DOCS / "services.md").read_text()):
            with self.subTest(link):
                self.assertTrue((DOCS / link).exists())


if __name__ == "__main__":
    unittest.main()
