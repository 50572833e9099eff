"""Calls as a person asks them, with `curl`: one after the other, or all at once.

A barista at a WebSocket makes each order in the time that it says, as many at a time as there are.
"""

import asyncio
import json
import re
import time

from helpers import WITHIN_S, TestCase

#: What is ordered, and the seconds that it takes to make: the first takes longest.
ORDERS = [("coffee", 0.3), ("빵", 0.1), ("smoothie", 0.2)]
BY_READINESS = ["빵", "smoothie", "coffee"]


class Curl(TestCase):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        barista = await self.open(name="바리스타")
        await barista.ok("serve", service="cafe", concurrency=8)
        making = asyncio.create_task(self.make(barista))
        self.addCleanup(making.cancel)

    async def make(self, barista):
        async with asyncio.TaskGroup() as orders:
            while True:
                request = await barista.take(lambda message: message["type"] == "request")
                orders.create_task(self.one(barista, request))

    async def one(self, barista, request):
        call, order = request["call"], request["params"]
        await barista.send({"type": "progress", "call": call, "data": "making"})
        await asyncio.sleep(order["seconds"])
        await barista.send({"type": "respond", "call": call, "result": order["item"]})

    async def curl(self, at, *options):
        """Runs `curl -i`; gives the status, the headers and the body."""
        process = await asyncio.create_subprocess_exec(
            *("curl", "--silent", "--show-error", "--no-buffer", "--include", "--max-time", str(WITHIN_S)),
            *(*options, self.server.http(at).rstrip("?")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        self.assertEqual((process.returncode, errors), (0, b""))
        head, _, body = out.decode().partition("\r\n\r\n")
        headers = dict(re.findall(r"^([\w-]+): (.*?)\r?$", head, re.M))
        return int(head.split(" ")[1]), headers, body

    async def order(self, item, seconds, *options):
        body = json.dumps({"item": item, "seconds": seconds})
        return await self.curl("/api/services/cafe/order?name=kang", *options, "-d", body)

    async def buzzers(self):
        """Orders everything, and gives what each was and where its answer can be had."""
        at = {}
        for item, seconds in ORDERS:
            status, headers, _ = await self.order(item, seconds, "-H", "Prefer: respond-async")
            self.assertEqual((status, headers["preference-applied"]), (202, "respond-async"))
            at[item] = headers["location"]
        return at

    async def test_one_after_the_other_takes_the_sum_of_their_times(self):
        began, served = time.monotonic(), []
        for item, seconds in ORDERS:
            status, _, body = await self.order(item, seconds)
            self.assertEqual(status, 200)
            served.append(json.loads(body)["result"])
        self.assertEqual(served, [item for item, _ in ORDERS])
        self.assertGreaterEqual(time.monotonic() - began, sum(seconds for _, seconds in ORDERS))

    async def test_with_buzzers_whatever_is_ready_first_is_served_first(self):
        # On a busy machine a curl may start later than an order is made; slower orders tell them apart.
        for slower in 1, 4, 16:
            served = []

            async def wait(item, seconds):
                status, headers, _ = await self.order(item, seconds, "-H", "Prefer: respond-async")
                self.assertEqual(status, 202)
                status, _, body = await self.curl(headers["location"], "-H", "Prefer: wait=60")
                self.assertEqual((status, json.loads(body)["result"]), (200, item))
                served.append(item)

            await asyncio.gather(*(wait(item, seconds * slower) for item, seconds in ORDERS))
            if served == BY_READINESS:
                return
        self.fail(f"served {served}")

    async def test_events_are_heard_as_they_come(self):
        for item, at in (await self.buzzers()).items():
            status, headers, body = await self.curl(at, "-H", "Accept: text/event-stream")
            self.assertEqual((status, headers["content-type"]), (200, "text/event-stream"))
            name, data = re.findall(r"^event: (.*)\ndata: (.*)\n\n", body, re.M)[-1]
            self.assertEqual((name, json.loads(data)["result"]), ("done", item))

    async def test_an_order_is_polled_until_it_is_there(self):
        for item, at in (await self.buzzers()).items():
            while (poll := await self.curl(at))[0] == 202:
                self.assertEqual(json.loads(poll[2])["state"], "open")
            self.assertEqual((poll[0], json.loads(poll[2])["result"]), (200, item))

    async def test_an_order_is_cancelled(self):
        _, headers, _ = await self.order("tea", 3600, "-H", "Prefer: respond-async")
        status, _, body = await self.curl(headers["location"], "-X", "DELETE")
        self.assertEqual((status, json.loads(body)["cancelled"]), (200, True))
        status, _, body = await self.curl(headers["location"])
        self.assertEqual((status, json.loads(body)["code"]), (409, "cancelled"))
