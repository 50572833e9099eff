"""Opening a session: who it is, what it is told first, and who is refused."""

from datetime import datetime, timedelta

from helpers import TestCase, fresh_room, quoted


class ASession(TestCase):
    async def test_is_greeted_before_anything_else(self):
        hello = (await self.open(name="강호동 🎤")).hello
        self.assertEqual(hello["protocol"], 1)
        self.assertRegex(hello["session"], r"^[0-9A-Z]{26}$")
        self.assertRegex(hello["user"]["id"], r"^u_")
        self.assertEqual({**hello["user"], "id": ""}, {"id": "", "name": "강호동 🎤", "guest": True})
        self.assertIsInstance(hello["token"], str)
        self.assertEqual(hello["heartbeat_ms"], 25_000)
        self.assertEqual(hello["limits"], {"message_bytes": 65_536, "rooms": 256, "in_flight": 32})

    async def test_of_a_token_is_that_of_the_same_user_whichever_way_the_token_comes(self):
        first = await self.open()
        token = first.hello["token"]
        by_query = await self.open(token=token)
        by_header = await self.open("/ws", headers={"Authorization": f"Bearer {token}"})
        for again in by_query, by_header:
            self.assertEqual(again.user, first.user)
            self.assertNotEqual(again.hello["session"], first.hello["session"])
            self.assertNotIn("token", again.hello, "it is told once")

    async def test_of_the_same_name_is_that_of_another_guest(self):
        one, other = await self.open(), await self.open()
        self.assertNotEqual(one.user["id"], other.user["id"])

    async def test_of_the_admin_token_is_that_of_no_guest(self):
        session = await self.open(token=self.server.admin_token(), name="관리자")
        self.assertEqual(session.user, {"id": "u_admin", "name": "관리자"})

    async def test_answers_a_ping_of_the_protocol_and_of_websocket(self):
        session = await self.open()
        self.assertEqual(await session.pong(), {"type": "pong"})
        await session.send({"type": "ping", "id": 7})
        self.assertEqual(await session.next("pong"), {"type": "pong", "id": 7})
        await (await session.socket.ping("안녕"))

    async def test_opened_at_a_room_is_subscribed_to_it_and_its_commands_mean_that_room(self):
        room = fresh_room()
        at = f"/ws/{quoted(room)}"
        session = await self.open(at)
        subscribed = await session.receive()
        self.assertEqual(subscribed.pop("presence"), {"count": 1, "users": [session.user]})
        epoch = subscribed.pop("epoch")
        expected = {"type": "subscribed", "room": room, "head": 0, "next": 1, "role": "member"}
        self.assertEqual(subscribed, expected)
        for text in "하나", "둘":
            await session.ok("send", text=text)
        events = await session.events(2)
        self.assertEqual([(e["seq"], e["text"]) for e in events], [(1, "하나"), (2, "둘")])
        self.assertEqual(len((await session.ok("history"))["events"]), 2)

        later = await self.open(at, name="신동엽", since=1)
        place = await later.next("subscribed")
        self.assertEqual((place["head"], place["next"], place["epoch"]), (2, 2, epoch))
        self.assertEqual(await later.events(1), events[1:])
        other = await self.open(at, name="유재석", last=5, epoch="another")
        anew = await other.next("subscribed")
        self.assertEqual((anew["next"], anew["reset"]), (1, True))
        self.assertEqual(await other.events(2), events)

    async def test_is_refused_without_a_credential_and_with_a_wrong_one(self):
        wrong = {"Authorization": "Bearer wrong"}
        for query, headers in [
            ({}, None),
            ({"token": "wrong"}, None),
            ({}, wrong),
            ({"token": "wrong", "name": "a"}, None),
        ]:
            url = self.server.ws("/ws", **query)
            status, answered, body = await self.refused(url, additional_headers=headers)
            self.assertEqual(status, 401)
            self.assertRegex(answered["Content-Type"], "^application/json")
            self.assertEqual((body["type"], body["code"]), ("error", "unauthorized"))
            self.assertIsInstance(body["message"], str)

    async def test_needs_a_websocket_handshake(self):
        for at in "/ws", "/ws/a":
            status, body = await self.server.fetch(at, name="a")
            self.assertIn(status, (400, 426))
            self.assertEqual(body["type"], "error")

    async def test_is_refused_under_a_name_or_at_a_room_that_cannot_be(self):
        for at, name, field in [
            ("/ws", "가" * 41, "name"),
            ("/ws", "", "name"),
            ("/ws", "a\u0007b", "name"),
            ("/ws/a%20b", "a", "room"),
            ("/ws/" + "a" * 65, "a", "room"),
        ]:
            with self.subTest(at=at, name=name):
                status, _, body = await self.refused(self.server.ws(at, name=name))
                self.assertEqual((status, body["type"], body["field"]), (400, "error", field))
                self.assertIn(body["code"], ("bad_field", "too_long"))

    async def test_of_a_foreign_page_is_refused_when_it_comes_with_a_cookie(self):
        foreign = "https://elsewhere.example"
        url = self.server.ws("/ws", name="a")
        status, _, body = await self.refused(
            url, origin=foreign, additional_headers={"Cookie": "a=b"}
        )
        self.assertEqual((status, body["code"]), (403, "forbidden"))
        await self.open("/ws", origin=foreign)


class AServerThatIsFull(TestCase):
    config = "[limits]\nsessions = 1\n"

    async def test_refuses_one_more_session_and_harms_none_that_is_there(self):
        session = await self.open()
        status, headers, body = await self.refused(self.server.ws("/ws", name="a"))
        self.assertEqual((status, body["code"]), (503, "unavailable"))
        self.assertRegex(headers["Retry-After"], r"^[1-9]\d*$")
        await session.pong()


class AHeartbeat(TestCase):
    config = "[times]\nheartbeat_ms = 1000\n"

    async def test_keeps_who_does_nothing_but_answer_it(self):
        quiet, clock = await self.open(), await self.open()
        self.assertEqual(quiet.hello["heartbeat_ms"], 1000)
        room = fresh_room()
        await clock.ok("subscribe", room=room)
        # The server itself tells that five heartbeats have passed.
        times = []
        while not times or times[-1] - times[0] < timedelta(seconds=5):
            at = (await clock.ok("send", room=room, text="똑딱"))["at"]
            times.append(datetime.fromisoformat(at))
        await quiet.pong()
