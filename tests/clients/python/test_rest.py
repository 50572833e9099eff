"""The same rooms over HTTP, and the register of sessions."""

import unicodedata

from helpers import TIME, TestCase, fresh_room, quoted


class OverHttp(TestCase):
    async def room(self):
        room, session = await self.in_room("강호동")
        return room, session, f"/api/rooms/{quoted(room)}"

    async def test_rooms_are_listed(self):
        room, session, _ = await self.room()
        await session.ok("send", room=room, text="a")
        status, body = await self.server.fetch("/api/rooms")
        self.assertEqual(status, 200)
        listed = {one["room"]: one for one in body["rooms"]}
        self.assertEqual(listed[room]["head"], 1)

    async def test_a_message_is_said_stored_and_delivered(self):
        room, session, at = await self.room()
        messages, token = f"{at}/messages", session.hello["token"]
        message = {"text": "공지 📢", "data": {"n": 1}, "key": "post-1"}

        async def post(message, **how):
            return await self.server.fetch(messages, method="POST", body=message, **how)

        status, said = await post(message, token=token)
        self.assertEqual((status, said["room"], said["seq"]), (201, room, 1))
        self.assertRegex(said["at"], TIME)
        expected = {"type": "message", "from": session.user, **said, **message}
        self.assertEqual(await session.next("message"), expected)

        status, again = await post(message, token=token)
        self.assertEqual((status, again["seq"], again["duplicate"]), (200, 1, True))
        status, other = await post({**message, "text": "다른"}, token=token)
        self.assertEqual((status, other["code"]), (409, "conflict"))

        for body, query in ({"text": "손님"}, {"name": "손님"}), ({"text": "손님", "name": "손님"}, {}):
            status, _ = await post(body, **query)
            self.assertEqual(status, 201)
            by = (await session.next("message"))["from"]
            self.assertEqual((by["name"], by["guest"]), ("손님", True))

    async def test_messages_are_read_by_pages_as_they_were_delivered(self):
        room, session, at = await self.room()
        for text in "하나", "둘", "셋", "넷":
            await session.ok("send", room=room, text=text)
        events = await session.events(4)
        for query, expected in [
            ({}, events),
            ({"before": 4, "limit": 2}, events[1:3]),
            ({"after": 2}, events[2:]),
        ]:
            status, body = await self.server.fetch(f"{at}/messages", **query)
            self.assertEqual((status, body["events"]), (200, expected))

    async def test_a_room_is_found_by_its_name_in_either_form(self):
        room, session, _ = await self.room()
        await session.ok("send", room=room, text="a")
        decomposed = quoted(unicodedata.normalize("NFD", room))
        status, body = await self.server.fetch(f"/api/rooms/{decomposed}/messages")
        self.assertEqual((status, len(body["events"])), (200, 1))

    async def test_presence_is_told(self):
        _, session, at = await self.room()
        status, body = await self.server.fetch(f"{at}/presence")
        self.assertEqual((status, body["count"]), (200, 1))
        [user] = body["users"]
        self.assertRegex(user.pop("since"), TIME)
        self.assertEqual(user, {**session.user, "sessions": 1})

    async def test_sessions_are_told_to_who_has_the_admin_token_alone(self):
        room, session, _ = await self.room()
        for token in None, "wrong", session.hello["token"]:
            status, body = await self.server.fetch("/api/sessions", token=token)
            self.assertEqual((status, body["type"], body["code"]), (401, "error", "unauthorized"))

        async def row():
            token = self.server.admin_token()
            status, body = await self.server.fetch("/api/sessions", token=token, limit=1000)
            self.assertEqual(status, 200)
            return {one["session"]: one for one in body["sessions"]}[session.hello["session"]]

        open = await row()
        self.assertEqual((open["state"], open["user"], open["rooms"]), ("open", session.user, [room]))
        self.assertEqual(open["address"], "127.0.0.1")
        self.assertRegex(open["connected_at"], TIME)

        await session.leave()
        # Presence ends only when the session's end is stored.
        witness = await self.open()
        while (await witness.ok("who", room=room))["count"]:
            pass
        closed = await row()
        self.assertEqual((closed["state"], closed["close_code"]), ("closed", 1000))
        self.assertRegex(closed["closed_at"], TIME)

    async def test_a_mistake_is_told_in_json(self):
        _, session, at = await self.room()
        messages, token, nowhere = f"{at}/messages", session.hello["token"], quoted(fresh_room())
        post = {"method": "POST", "token": token}
        said = {"method": "POST", "body": {"text": "a"}}
        for status, code, at, request in [
            (404, "no_such_room", f"/api/rooms/{nowhere}/messages", {}),
            (404, "no_such_room", f"/api/rooms/{nowhere}/presence", {}),
            (404, "no_such_room", f"/api/rooms/{nowhere}/messages", {**said, "token": token}),
            (400, "bad_field", "/api/rooms/a%20b/messages", {}),
            (400, "bad_field", messages, {"limit": 0}),
            (400, "bad_field", messages, {"before": "a"}),
            (400, "bad_json", messages, {**post, "body": "{"}),
            (400, "bad_field", messages, {**post, "body": "{}"}),
            (401, "unauthorized", messages, said),
            (401, "unauthorized", messages, {**said, "token": "wrong"}),
            (413, "too_long", messages, {**post, "body": {"text": "a" * 65_536}}),
            (404, None, "/api/nothing", {}),
            (405, None, messages, {"method": "DELETE"}),
        ]:
            with self.subTest(status=status, at=at, code=code):
                answered, body = await self.server.fetch(at, **request)
                self.assertEqual((answered, body["type"]), (status, "error"))
                self.assertIn(code, (body["code"], None))
                self.assertIsInstance(body["message"], str)

    async def test_all_of_this_is_described(self):
        status, document = await self.server.fetch("/api/openapi.json")
        self.assertEqual(status, 200)
        self.assertRegex(document["openapi"], r"^3\.")
        described = {(at, method) for at, item in document["paths"].items() for method in item}
        expected = {
            ("/api/rooms", "get"),
            ("/api/rooms/{room}/messages", "get"),
            ("/api/rooms/{room}/messages", "post"),
            ("/api/rooms/{room}/presence", "get"),
            ("/api/sessions", "get"),
        }
        self.assertLessEqual(expected, described)
