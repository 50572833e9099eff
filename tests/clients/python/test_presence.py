"""Who is there: asked for, and told."""

from helpers import TIME, TestCase, fresh_room


class PresenceCase(TestCase):
    async def enter(self, room, **query):
        session = await self.open(**query)
        await session.ok("subscribe", room=room)
        return session

    @staticmethod
    async def told(session, how, user):
        """The next change in which a user `joined` or `left`."""
        return await session.take(
            lambda m: m["type"] == "presence" and user["id"] in [one["id"] for one in m[how]]
        )


class Presence(PresenceCase):
    async def test_counts_a_user_once_however_many_sessions_they_have(self):
        room, hodong = await self.in_room("강호동")
        await self.enter(room, token=hodong.hello["token"])
        dongyup = await self.enter(room, name="신동엽")
        who = await dongyup.ok("who", room=room)
        self.assertEqual(who["count"], 2)
        for user in who["users"]:
            self.assertRegex(user.pop("since"), TIME)
        expected = [{**hodong.user, "sessions": 2}, {**dongyup.user, "sessions": 1}]
        self.assertCountEqual(who["users"], expected)

    async def test_is_told_when_someone_comes_and_leaves_to_those_in_the_room_alone(self):
        room, hodong = await self.in_room("강호동")
        _, outside = await self.in_room("유재석")
        dongyup = await self.enter(room, name="신동엽")
        joined = await self.told(hodong, "joined", dongyup.user)
        self.assertEqual((joined["room"], joined["count"], joined["left"]), (room, 2, []))
        self.assertIn(dongyup.user, joined["joined"])

        await dongyup.ok("unsubscribe", room=room)
        left = {"type": "presence", "room": room, "joined": [], "left": [dongyup.user], "count": 1}
        self.assertEqual(await self.told(hodong, "left", dongyup.user), left)

        back = await self.enter(room, token=dongyup.hello["token"])
        await self.told(hodong, "joined", dongyup.user)
        await back.leave()
        self.assertEqual((await self.told(hodong, "left", dongyup.user))["count"], 1)
        await outside.pong()
        self.assertNotIn(room, [change["room"] for change in outside.of_type("presence")])

    async def test_stays_as_it_is_when_one_of_two_sessions_leaves_or_a_broken_one_comes_back(self):
        room, hodong = await self.in_room("강호동")
        dongyup = await self.enter(room, name="신동엽")
        await self.told(hodong, "joined", dongyup.user)
        second = await self.enter(room, token=dongyup.hello["token"])
        await second.leave()
        dongyup.cut()
        back = await self.enter(room, token=dongyup.hello["token"])
        # Whatever was told of it would come before this.
        jaeseok = await self.enter(room, name="유재석")
        await self.told(hodong, "joined", jaeseok.user)
        self.assertEqual([change["left"] for change in hodong.of_type("presence") if change["left"]], [])
        self.assertEqual((await back.ok("who", room=room))["count"], 3)


class AShortGrace(PresenceCase):
    config = "[times]\npresence_grace_ms = 300\n"

    async def test_ends_presence_after_a_connection_broke(self):
        room, hodong, dongyup = await self.in_room("강호동", "신동엽")
        await self.told(hodong, "joined", dongyup.user)
        dongyup.cut()
        self.assertEqual((await self.told(hodong, "left", dongyup.user))["count"], 1)
        self.assertEqual((await hodong.ok("who", room=room))["count"], 1)


class ALongGrace(PresenceCase):
    config = "[times]\npresence_grace_ms = 600000\n"

    async def test_does_not_delay_what_is_told_of_others(self):
        room, hodong, dongyup = await self.in_room("강호동", "신동엽")
        await self.told(hodong, "joined", dongyup.user)
        dongyup.cut()
        here = 1
        while here:
            users = (await hodong.ok("who", room=room))["users"]
            here = sum(user["sessions"] for user in users if user["id"] == dongyup.user["id"])
        jaeseok = await self.enter(room, name="유재석")
        self.assertEqual((await self.told(hodong, "joined", jaeseok.user))["count"], 3)
        await jaeseok.leave()
        self.assertEqual((await self.told(hodong, "left", jaeseok.user))["count"], 2)
