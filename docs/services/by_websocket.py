import asyncio, json, os
from websockets import ConnectionClosed, connect

URL = os.environ.get("MADANG", "ws://127.0.0.1:8080/ws?name=kitchen")

async def answer(socket, call):
    say = lambda **fields: socket.send(json.dumps({"call": call["call"], **fields}))
    await say(type="progress", data="grinding")
    if call["params"]["item"] == "cake":
        return await say(type="respond", error={"code": "sold_out", "message": "There is no cake left."})
    await say(type="respond", result={"item": call["params"]["item"], "for": call["from"]["name"]})

async def serve():
    async for socket in connect(URL):  # again, whenever it is closed
        try:
            async with asyncio.TaskGroup() as at_work:
                await socket.send(json.dumps({"type": "serve", "service": "cafe", "concurrency": 4}))
                async for text in socket:
                    message = json.loads(text)
                    if message["type"] == "request":
                        at_work.create_task(answer(socket, message))
        except* ConnectionClosed:
            pass

asyncio.run(serve())
