"""What a server's end means for its clients, and what is still there afterwards."""

import asyncio
import json
import signal

from helpers import Server, TestCase, fresh_room, quoted


class AServerThatIsEnded(TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.remove)

    @classmethod
    def setUpClass(cls):
        """Each test has its own."""

    async def end(self, how=signal.SIGTERM):
        return await asyncio.to_thread(self.server.end, how)

    async def test_tells_every_session_when_to_come_back_and_ends_well(self):
        in_room = await self.open(f"/ws/{quoted(fresh_room())}")
        bare = await self.open()
        self.assertEqual(await self.end(), 0)
        for session in in_room, bare:
            code, reason = await session.closed()
            self.assertEqual(code, 1012)
            self.assertGreater(json.loads(reason)["retry_after_ms"], 0)

    async def test_has_lost_nothing_that_it_had_said_ok_to(self):
        for how in signal.SIGTERM, signal.SIGKILL:
            with self.subTest(how.name):
                await self.check_nothing_is_lost(how)

    async def check_nothing_is_lost(self, how):
        room, hodong = await self.in_room("강호동")
        epoch = (await hodong.ok("subscribe", room=room))["epoch"]
        message = {"room": room, "text": "남을 말", "key": f"k-{how.name}"}
        for number in range(1, 21):
            await hodong.ok("send", room=room, text=f"{number}")
        self.assertEqual((await hodong.ok("send", **message))["seq"], 21)
        admin_token = self.server.admin_token()
        await self.end(how)
        await hodong.closed()

        await asyncio.to_thread(self.server.again)
        back = await self.open(token=hodong.hello["token"])
        self.assertEqual(back.user, hodong.user)
        ok = await back.ok("subscribe", room=room, since=15, epoch=epoch)
        self.assertEqual((ok["head"], ok["next"]), (21, 16))
        self.assertFalse({"gap", "reset"} & ok.keys())
        self.assertEqual(await back.events(6), hodong.of_type("message")[15:])
        again = await back.ok("send", **message)
        self.assertEqual((again["seq"], again["duplicate"]), (21, True))
        self.assertEqual((await back.ok("send", room=room, text="다음"))["seq"], 22)
        self.assertEqual((await back.ok("who", room=room))["count"], 1)

        self.assertEqual(self.server.admin_token(), admin_token)
        _, body = await self.server.fetch("/api/sessions", token=admin_token)
        states = {one["session"]: one["state"] for one in body["sessions"]}
        self.assertEqual(states[hodong.hello["session"]], "closed")
        self.assertEqual(states[back.hello["session"]], "open")
