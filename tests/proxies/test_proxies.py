"""The configurations of `deploy`, each with the real proxy and the real server."""

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest
import urllib.parse
from pathlib import Path

from helpers import WITHIN_S, Server, Session
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

DEPLOY = Path(__file__).parents[2] / "deploy"
HOST = "chat.example.com"

#: An address of this machine that is not the proxy's own, as a client's is not.
CLIENT = "127.0.0.2"

CONFIG = """
[proxy]
trusted = ["127.0.0.1"]
"""


class Proxy:
    """A proxy with a configuration of `deploy`, moved to free ports and a certificate for tests."""

    def __init__(self, server):
        self.folder = Path(tempfile.mkdtemp(prefix="madang-proxies-"))
        # Debian's workers of nginx are not root.
        self.folder.chmod(0o755)
        self.port = free_port()
        make_certificate(self.folder)
        upstream = urllib.parse.urlsplit(server.http("/")).port
        text = (DEPLOY / self.file).read_text()
        for old, new in {
            "127.0.0.1:8080": f"127.0.0.1:{upstream}",
            **self.replacements(),
        }.items():
            assert old in text, f"{self.file} has no {old!r}"
            text = text.replace(old, new)
        config = self.folder / self.file
        config.write_text(self.prefix() + text + self.suffix())
        self.log = self.folder / "log"
        environment = {**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(config), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def prefix(self):
        return ""

    def suffix(self):
        return ""

    async def ready(self):
        """Waits until it listens."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                assert self.process.poll() is None, self.log.read_text()[-4000:]
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return await writer.wait_closed()

    def connect(self, path, **options):
        tls = ssl.create_default_context(cafile=self.folder / "site.crt")
        return connect(
            f"wss://{HOST}:{self.port}{path}",
            host="127.0.0.1",
            port=self.port,
            ssl=tls,
            local_addr=(CLIENT, 0),
            proxy=None,
            open_timeout=WITHIN_S,
            **options,
        )

    async def get(self, path):
        """The status line and the rest of an answer."""
        tls = ssl.create_default_context(cafile=self.folder / "site.crt")
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, server_hostname=HOST
        )
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(WITHIN_S):
            answer = await reader.read()
        writer.close()
        status, _, rest = answer.partition(b"\r\n")
        return status.decode(), rest

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(WITHIN_S)
        finally:
            self.process.kill()
            shutil.rmtree(self.folder)


class Nginx(Proxy):
    file = "nginx.conf"

    def replacements(self):
        return {
            "listen 443": f"listen 127.0.0.1:{self.port}",
            f"/etc/ssl/{HOST}": str(self.folder / "site"),
        }

    def prefix(self):
        # What Debian's own nginx.conf has around the files of conf.d.
        temporary = "".join(
            f"{kind}_temp_path {self.folder};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return (
            f"daemon off; pid {self.folder}/pid; error_log stderr;"
            f"events {{}} http {{ access_log off; {temporary}\n"
        )

    def suffix(self):
        return "}\n"

    def command(self, config):
        return [program("nginx"), "-c", config, "-p", self.folder]


class HAProxy(Proxy):
    file = "haproxy.cfg"

    def replacements(self):
        return {
            "bind :443": f"bind 127.0.0.1:{self.port}",
            f"/etc/ssl/{HOST}": str(self.folder / "site"),
            # As many as there are descriptors for.
            "maxconn 100000": "maxconn 1000",
        }

    def command(self, config):
        return [program("haproxy"), "-f", config, "-db"]


class Caddy(Proxy):
    file = "Caddyfile"

    def replacements(self):
        certificate = f"tls {self.folder}/site.pem {self.folder}/site.key"
        return {f"{HOST} {{": f"https://{HOST}:{self.port} {{\nbind 127.0.0.1\n{certificate}"}

    def prefix(self):
        return "{\nadmin off\nauto_https disable_redirects\n}\n"

    def command(self, config):
        return [program("caddy"), "run", "--config", config, "--adapter", "caddyfile"]


def program(name):
    # Debian keeps servers where not everyone's PATH leads.
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_certificate(folder):
    """`site.key`, `site.crt` and, with both of them, `site.pem`."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-nodes", "-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
        + ["-keyout", folder / "site.key", "-out", folder / "site.crt"],
        check=True,
        capture_output=True,
    )
    certificate, key = ((folder / f"site.{kind}").read_text() for kind in ("crt", "key"))
    (folder / "site.pem").write_text(certificate + key)
    (folder / "site.key").chmod(0o644)


class Behind:
    """What holds behind every proxy."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(CONFIG)
        cls.addClassCleanup(cls.server.remove)
        cls.proxy = cls.Proxy(cls.server)
        cls.addClassCleanup(cls.proxy.end)

    async def asyncSetUp(self):
        await self.proxy.ready()

    async def open(self, path="/ws?name=%EA%B0%95%ED%98%B8%EB%8F%99", **options):
        socket = await self.proxy.connect(path, **options)
        self.addAsyncCleanup(socket.close)
        session = Session(socket)
        session.hello = await session.next("hello")
        return session

    async def test_the_page_is_served(self):
        status, rest = await self.proxy.get("/")
        self.assertIn(" 200 ", status)
        self.assertIn(b"<!doctype html>", rest.lower())

    async def test_messages_go_through_both_ways_great_ones_too(self):
        session = await self.open()
        await session.ok("subscribe", room="proxies")
        for text in "안녕 🎉", "가" * 20_000:
            await session.ok("send", room="proxies", text=text)
            self.assertEqual((await session.next("message"))["text"], text)

    async def test_compression_is_agreed_on_with_the_server(self):
        session = await self.open()
        self.assertEqual(
            [extension.name for extension in session.socket.protocol.extensions],
            ["permessage-deflate"],
        )

    async def test_the_client_is_whom_the_proxy_names_and_not_whom_it_claims_to_be(self):
        claims = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
        session = await self.open(additional_headers=claims)
        status, answer = await self.server.fetch(
            "/api/sessions", token=self.server.admin_token(), limit=100
        )
        self.assertEqual(status, 200)
        addresses = {s["session"]: s["address"] for s in answer["sessions"]}
        self.assertEqual(addresses[session.hello["session"]], CLIENT)

    async def test_with_a_cookie_only_the_sites_own_pages_come_in(self):
        cookie = {"Cookie": "a=b"}
        await self.open(origin=f"https://{HOST}:{self.proxy.port}", additional_headers=cookie)
        with self.assertRaises(InvalidStatus) as refused:
            await self.open(origin="https://example.org", additional_headers=cookie)
        self.assertEqual(refused.exception.response.status_code, 403)

    async def test_the_code_and_reason_of_a_close_come_through(self):
        session = await self.open()
        await session.socket.send(b"binary")
        code, reason = await session.closed()
        self.assertEqual((code, reason), (1003, "commands are JSON in text messages"))

    async def test_a_client_that_leaves_is_gone_for_the_server(self):
        session = await self.open()
        await session.leave()
        token = self.server.admin_token()
        async with asyncio.timeout(WITHIN_S):
            while True:
                _, answer = await self.server.fetch("/api/sessions", token=token, limit=100)
                rows = {s["session"]: s for s in answer["sessions"]}
                row = rows[session.hello["session"]]
                if row["state"] == "closed":
                    return self.assertEqual(row["close_code"], 1000)
                await asyncio.sleep(0.05)

    def test_the_proxy_waits_longer_than_two_heartbeats(self):
        text = (DEPLOY / self.Proxy.file).read_text()
        timeouts = re.findall(r"(?:proxy_(?:read|send)_timeout|timeout tunnel) +(\d+)s", text)
        for timeout in timeouts:
            self.assertGreater(int(timeout), 2 * 25)


class BehindNginx(Behind, unittest.IsolatedAsyncioTestCase):
    Proxy = Nginx


class BehindHAProxy(Behind, unittest.IsolatedAsyncioTestCase):
    Proxy = HAProxy


class BehindCaddy(Behind, unittest.IsolatedAsyncioTestCase):
    Proxy = Caddy


if __name__ == "__main__":
    unittest.main()
