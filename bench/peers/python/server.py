"""Rooms by websockets: its `broadcast`, as in its documentation under "Broadcasting"."""

import asyncio
import logging

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

BACKLOG = 4096
rooms: dict[str, set[ServerConnection]] = {}


async def handler(connection: ServerConnection) -> None:
    path = connection.request.path
    try:
        if path == "/echo":
            async for message in connection:
                await connection.send(message)
        else:
            await talk(connection, rooms.setdefault(path, set()))
    except ConnectionClosed:
        pass


async def talk(connection: ServerConnection, room: set[ServerConnection]) -> None:
    room.add(connection)
    try:
        async for message in connection:
            broadcast(room, message)
    finally:
        room.remove(connection)


async def main() -> None:
    # Nothing of a client's end is told to anyone, as with the other servers.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    # What others do not offer is not agreed on: a client that asks for no compression gets none.
    async with serve(handler, "127.0.0.1", 0, backlog=BACKLOG) as server:
        host, port = server.sockets[0].getsockname()
        print(f"{host}:{port}", flush=True)
        await server.serve_forever()


asyncio.run(main())
