"""Rooms and their logs: what is said reaches everyone once, in one order, and stays."""

import asyncio
import unicodedata

from helpers import TIME, TestCase, fresh_room, quoted, seqs


class ARoom(TestCase):
    async def test_tells_who_subscribes_where_its_log_is_and_who_is_there(self):
        room, hodong = await self.in_room("강호동")
        await hodong.ok("send", room=room, text="하나")
        dongyup = await self.open(name="신동엽")
        ok = await dongyup.ok("subscribe", room=room, id=7)
        presence = ok.pop("presence")
        self.assertIsInstance(ok.pop("epoch"), str)
        expected = {"type": "ok", "id": 7, "room": room, "head": 1, "next": 2, "role": "member"}
        self.assertEqual(ok, expected)
        self.assertEqual(presence["count"], 2)
        self.assertCountEqual(presence["users"], [hodong.user, dongyup.user])

    async def test_delivers_a_message_to_everyone_in_it_the_sender_too(self):
        room, hodong, dongyup = await self.in_room("강호동", "신동엽")
        text = '밥 먹었니? 👨‍👩‍👧 \u0001 "\\" </script>'
        ok = await hodong.ok("send", room=room, text=text, id="k")
        at = ok.pop("at")
        self.assertEqual(ok, {"type": "ok", "id": "k", "room": room, "seq": 1})
        self.assertRegex(at, TIME)
        event = {"type": "message", "room": room, "seq": 1, "at": at, "from": hodong.user, "text": text}
        self.assertEqual(await hodong.next("message"), event)
        self.assertEqual(await dongyup.next("message"), event)

    async def test_carries_any_json_beside_or_without_a_text_and_what_a_message_answers(self):
        room, hodong = await self.in_room("강호동")
        data = {"좌표": [1.5, -2e-3, 2**63], "nested": [[[{}]]], "none": None, "flag": False, "": ""}
        await hodong.ok("send", room=room, data=data)
        await hodong.ok("send", room=room, data=[1], text="답", reply_to=1)
        first, second = await hodong.events(2)
        self.assertEqual((first["data"], "text" in first), (data, False))
        self.assertEqual((second["data"], second["text"], second["reply_to"]), ([1], "답", 1))

    async def test_takes_a_command_without_an_id_and_answers_it_only_with_an_error(self):
        room, hodong = await self.in_room("강호동")
        await hodong.send({"type": "send", "room": room, "text": "조용히"})
        await hodong.send({"type": "send", "room": room})
        self.assertEqual((await hodong.next("message"))["text"], "조용히")
        error = await hodong.next("error")
        self.assertEqual((error["code"], "id" in error), ("bad_field", False))
        await hodong.pong()
        self.assertEqual(len(hodong.of_type("ok")), 1, "that of subscribing")

    async def test_echoes_an_id_as_it_is_a_number_or_a_text(self):
        room, hodong = await self.in_room("강호동")
        for id in 0, -1, 2**53 - 1, "0", "한글 id 🙂", "x" * 64:
            self.assertEqual((await hodong.ok("who", room=room, id=id))["id"], id)

    async def test_stores_a_message_with_one_key_once(self):
        room, hodong, dongyup = await self.in_room("강호동", "신동엽")
        message = {"room": room, "key": "k-17", "text": "안녕"}
        first = await hodong.ok("send", **message)
        self.assertNotIn("duplicate", first)
        second = await hodong.ok("send", **message)
        self.assertEqual((second["seq"], second["duplicate"]), (first["seq"], True))
        back = await self.open(token=hodong.hello["token"])
        self.assertIs((await back.ok("send", **message))["duplicate"], True)
        other = await back.refusal("send", **{**message, "text": "다른 말"})
        self.assertEqual(other["code"], "conflict")
        elsewhere = fresh_room()
        await back.ok("subscribe", room=elsewhere)
        other = await back.refusal("send", **{**message, "room": elsewhere})
        self.assertEqual(other["code"], "conflict")
        # A key is unique per user.
        self.assertEqual((await dongyup.ok("send", **message))["seq"], 2)
        events = await hodong.events(2)
        self.assertEqual([event["from"] for event in events], [hodong.user, dongyup.user])
        self.assertEqual((await hodong.ok("history", room=room))["events"], events)

    async def test_gives_who_comes_back_what_was_missed_without_a_hole_and_goes_on_live(self):
        room, hodong, dongyup = await self.in_room("강호동", "신동엽")
        for number in range(1, 4):
            await hodong.ok("send", room=room, text=f"{number}")
        seq = (await dongyup.events(2))[1]["seq"]
        dongyup.cut()
        missed = 300  # More than a room keeps in memory.
        for number in range(4, 4 + missed):
            await hodong.ok("send", room=room, text=f"{number}")
        back = await self.open(token=dongyup.hello["token"])
        ok = await back.ok("subscribe", room=room, since=seq)
        self.assertEqual((ok["head"], ok["next"]), (3 + missed, seq + 1))
        self.assertFalse({"gap", "reset"} & ok.keys())
        await hodong.ok("send", room=room, text="마지막")
        last = 4 + missed
        self.assertEqual(seqs(await back.events(last - seq)), list(range(seq + 1, last + 1)))
        await back.pong()
        self.assertEqual(len(back.of_type("message")), last - seq)

    async def test_keeps_everything_for_who_does_not_read_for_a_while(self):
        room, hodong, dongyup = await self.in_room("강호동", "신동엽")
        # More than the buffers of both sides hold; `websockets` stops reading by itself.
        count, text = 2000, "말" * 2000
        for first in range(0, count, 25):
            for id in range(first, first + 25):
                await hodong.send({"type": "send", "id": id, "room": room, "text": text})
            for id in range(first, first + 25):
                self.assertEqual((await hodong.reply(id))["type"], "ok")
        self.assertEqual(seqs(await dongyup.events(count)), list(range(1, count + 1)))

    async def test_gives_the_last_events_and_tells_who_knows_another_log_that_it_is_another(self):
        room, hodong = await self.in_room("강호동")
        for number in range(1, 6):
            await hodong.ok("send", room=room, text=f"{number}")
        session = await self.open()
        last = await session.ok("subscribe", room=room, last=2)
        self.assertEqual(last["next"], 4)
        self.assertEqual(seqs(await session.events(2)), [4, 5])
        # Subscribing again moves the place.
        all = await session.ok("subscribe", room=room, since=0, epoch=last["epoch"])
        self.assertEqual((all["next"], "reset" in all), (1, False))
        self.assertEqual(seqs(await session.events(5)), [1, 2, 3, 4, 5])
        for other in {"since": 3, "epoch": "another"}, {"since": 6}:
            reply = await session.ok("subscribe", room=room, **other)
            self.assertEqual((reply["reset"], reply["head"], reply["next"]), (True, 5, 6))
        await session.pong()
        self.assertEqual(len(session.of_type("message")), 2 + 5)
        refusal = await session.refusal("subscribe", room=room, since=1, last=1)
        self.assertEqual(refusal["code"], "bad_field")

    async def test_has_one_order_for_all(self):
        room, *sessions = await self.in_room("강호동", "신동엽", "유재석")
        each = range(30)

        async def talk(session):
            for number in each:
                await session.send({"type": "send", "id": number, "room": room, "text": f"{number}"})
            return [await session.reply(number) for number in each]

        stored = await asyncio.gather(*map(talk, sessions))
        count = len(sessions) * len(each)
        logs = [await session.events(count) for session in sessions]
        self.assertEqual(seqs(logs[0]), list(range(1, count + 1)))
        self.assertEqual(logs[1], logs[0])
        self.assertEqual(logs[2], logs[0])
        # The commands of one session take effect in the order in which they were sent.
        for own in map(seqs, stored):
            self.assertEqual(own, sorted(own))

    async def test_answers_each_of_too_many_commands_once_with_ok_or_busy(self):
        room, hodong = await self.in_room("강호동")
        ids = range(300)
        for id in ids:
            await hodong.send({"type": "send", "id": id, "room": room, "text": f"{id}"})
        replies = [await hodong.reply(id) for id in ids]
        stored = [reply for reply in replies if reply["type"] == "ok"]
        self.assertLessEqual({reply.get("code") for reply in replies}, {None, "busy"})
        self.assertGreaterEqual(len(stored), 32)
        await hodong.pong()
        answered = [message["id"] for message in hodong.all if isinstance(message.get("id"), int)]
        self.assertEqual(sorted(answered), list(ids))
        self.assertEqual((await hodong.ok("subscribe", room=room))["head"], len(stored))

    async def test_can_be_left(self):
        room, hodong, dongyup = await self.in_room("강호동", "신동엽")
        await dongyup.ok("unsubscribe", room=room)
        await hodong.ok("send", room=room, text="아직 있니?")
        await dongyup.pong()
        self.assertEqual(dongyup.of_type("message"), [])
        refusal = await dongyup.refusal("unsubscribe", room=room)
        self.assertEqual(refusal["code"], "not_subscribed")

    async def test_is_written_to_and_read_without_a_subscription(self):
        room, hodong = await self.in_room("강호동")
        outside = await self.open(name="신동엽")
        self.assertEqual((await outside.ok("send", room=room, text="밖에서"))["seq"], 1)
        event = await hodong.next("message")
        self.assertEqual(event["from"], outside.user)
        self.assertEqual((await outside.ok("history", room=room))["events"], [event])
        self.assertEqual(outside.of_type("message"), [])

    async def test_that_is_not_there_is_told_by_name(self):
        session = await self.open()
        for kind, fields in ("send", {"text": "a"}), ("history", {}), ("who", {}):
            refusal = await session.refusal(kind, room=fresh_room(), **fields)
            self.assertEqual(refusal["code"], "no_such_room", kind)

    async def test_is_read_by_pages_oldest_first(self):
        room, hodong = await self.in_room("강호동")
        for number in range(1, 61):
            await hodong.ok("send", room=room, text=f"{number}")
        events = await hodong.events(60)
        for fields, first, last, more in [
            ({}, 11, 60, True),
            ({"limit": 3}, 58, 60, True),
            ({"before": 58, "limit": 3}, 55, 57, True),
            ({"before": 3, "limit": 10}, 1, 2, False),
            ({"before": 1}, 1, 0, False),
            ({"after": 0, "limit": 2}, 1, 2, True),
            ({"after": 58, "limit": 10}, 59, 60, False),
            ({"after": 60}, 1, 0, False),
        ]:
            with self.subTest(fields):
                page = await hodong.ok("history", room=room, **fields)
                self.assertEqual((page["events"], page["more"]), (events[first - 1 : last], more))

    async def test_is_the_same_however_its_name_is_composed(self):
        composed = fresh_room() + "-각"
        decomposed = unicodedata.normalize("NFD", composed)
        self.assertNotEqual(decomposed, composed)
        hodong = await self.open(f"/ws/{quoted(decomposed)}")
        self.assertEqual((await hodong.next("subscribed"))["room"], composed)
        dongyup = await self.open()
        self.assertEqual((await dongyup.ok("subscribe", room=decomposed))["room"], composed)
        await dongyup.ok("send", room=composed, text=decomposed)
        event = await hodong.next("message")
        self.assertEqual(event["room"], composed)
        self.assertEqual(event["text"], decomposed, "a text stays as it was typed")


class AServerWithFewRooms(TestCase):
    config = "[limits]\nrooms_per_session = 2\n"

    async def test_names_the_limit(self):
        session = await self.open()
        self.assertEqual(session.hello["limits"]["rooms"], 2)
        for room in "a", "b", "a":
            await session.ok("subscribe", room=room)
        refusal = await session.refusal("subscribe", room="c")
        self.assertEqual((refusal["code"], refusal["limit"]), ("too_long", 2))
        await session.ok("unsubscribe", room="a")
        await session.ok("subscribe", room="c")
