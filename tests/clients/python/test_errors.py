"""What is wrong is named, and ends no session; what is no message of the protocol does."""

import json

from helpers import TestCase, fresh_room


class AMistake(TestCase):
    async def test_in_json_is_named(self):
        session = await self.open()
        for text in [
            "",
            "{",
            "hello",
            "[]",
            '"send"',
            "1",
            "null",
            '{"type":"ping"} {}',
            "{'type':'ping'}",
            '{"type":"ping",}',
        ]:
            with self.subTest(text):
                await session.send(text)
                error = await session.next("error")
                self.assertEqual((error["code"], "id" in error), ("bad_json", False))
                self.assertIsInstance(error["message"], str)
        await session.pong()

    async def test_in_the_type_is_named(self):
        session = await self.open()
        for kind in "dance", "Send", "":
            self.assertEqual((await session.refusal(kind))["code"], "unknown_type")
        for command in {"id": 1}, {"type": 1, "id": 1}, {"type": None, "id": 1}:
            with self.subTest(command):
                await session.send(command)
                error = await session.reply(1)
                self.assertEqual((error["code"], error["field"]), ("bad_field", "type"))
        await session.pong()

    async def test_in_a_field_is_named_with_the_field(self):
        room, session = await self.in_room("강호동")
        here = {"room": room}
        for kind, fields, field in [
            ("subscribe", {}, "room"),
            ("send", {"text": "a"}, "room"),
            ("send", here, "text"),
            ("send", {**here, "text": 1}, "text"),
            ("send", {**here, "text": ""}, "text"),
            ("send", {**here, "text": "a", "key": ""}, "key"),
            ("send", {**here, "text": "a", "key": 1}, "key"),
            ("send", {**here, "text": "a", "reply_to": "b"}, "reply_to"),
            ("subscribe", {"room": "a b"}, "room"),
            ("subscribe", {"room": "a/b"}, "room"),
            ("subscribe", {"room": "🙂"}, "room"),
            ("subscribe", {"room": ""}, "room"),
            ("subscribe", {"room": 1}, "room"),
            ("subscribe", {**here, "since": -1}, "since"),
            ("subscribe", {**here, "since": "1"}, "since"),
            ("subscribe", {**here, "since": 1.5}, "since"),
            ("subscribe", {**here, "last": -1}, "last"),
            ("history", {**here, "before": "a"}, "before"),
            ("history", {**here, "limit": 0}, "limit"),
            ("history", {**here, "limit": 10**9}, "limit"),
        ]:
            with self.subTest(kind=kind, **fields):
                error = await session.refusal(kind, **fields)
                self.assertEqual((error["code"], error["field"]), ("bad_field", field))
        for id in 1.5, True, {}, "":
            with self.subTest(id=id):
                await session.send({"type": "who", "room": room, "id": id})
                error = await session.next("error")
                self.assertEqual((error["code"], error["field"]), ("bad_field", "id"))
                self.assertNotIn("id", error)
        self.assertEqual((await session.ok("history", room=room))["events"], [])

    async def test_in_a_length_is_named_with_the_limit(self):
        room, session = await self.in_room("강호동", room="방" * 64)
        await session.ok("send", room=room, text="a", key="키" * 64)
        for kind, fields, field in [
            ("subscribe", {"room": "방" * 65}, "room"),
            ("send", {"room": room, "text": "a", "key": "k" * 65}, "key"),
        ]:
            error = await session.refusal(kind, **fields)
            self.assertEqual((error["code"], error["field"], error["limit"]), ("too_long", field, 64))
        await session.send({"type": "who", "room": room, "id": "x" * 65})
        error = await session.next("error")
        self.assertEqual((error["code"], error["field"], error["limit"]), ("too_long", "id", 64))
        self.assertEqual(len((await session.ok("history", room=room))["events"]), 1)

    async def test_is_not_a_field_that_nobody_knows(self):
        session = await self.open()
        room = fresh_room()
        await session.ok("subscribe", room=room, colour="blue", since=None)
        await session.ok("send", room=room, text="a", type2=[])
        self.assertNotIn("type2", await session.next("message"))


class WhatIsNoMessageOfTheProtocol(TestCase):
    async def test_ends_its_own_session_and_no_other_with_the_code_that_says_why(self):
        other = await self.open()
        for code, payload, text in [
            (1003, b'{"type":"ping"}', False),
            (1007, b'"\xed\xa0\x80"', True),
            (1009, "x" * 65_537, True),
            (1009, ["x" * 40_000, "x" * 40_000], True),
        ]:
            with self.subTest(code):
                session = await self.open()
                await session.socket.send(payload, text=text)
                self.assertEqual((await session.closed())[0], code)
        await other.pong()

    async def test_is_not_one_of_the_largest_size_nor_one_in_pieces(self):
        room, session = await self.in_room("강호동")

        def command(text):
            command = {"type": "send", "room": room, "text": text}
            return json.dumps(command, ensure_ascii=False).encode()

        text = "가" * ((65_536 - len(command(""))) // 3)
        await session.socket.send(command(text).ljust(65_536), text=True)
        self.assertEqual((await session.next("message"))["text"], text)

        # A message may be cut anywhere, within a character too.
        pieces = [bytes([byte]) for byte in command("조각난 말 🙂")]
        await session.socket.send(pieces, text=True)
        self.assertEqual((await session.next("message"))["text"], "조각난 말 🙂")

    async def test_ends_a_session_that_is_closed_by_its_client_with_the_same_code(self):
        for code in 1000, 1001, 3000, 4999:
            with self.subTest(code):
                session = await self.open()
                await session.socket.close(code, "안녕")
                self.assertEqual((await session.closed())[0], code)
