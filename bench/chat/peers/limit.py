"""The least that a chat in Python can do: no framework, frames written once to each socket in each turn of the loop.

`python -m bench.chat.peers.limit PORT`. It believes whatever it is sent, and keeps nothing.
"""

import asyncio
import base64
import hashlib
import sys
from collections import defaultdict
from typing import cast

import uvloop

KEY = b"Sec-WebSocket-Key: "
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE = 1, 8
ENTERED = '"message":"进入聊天"}'.encode()


class Room:
    """Its sockets, and the frames that came in this turn."""

    def __init__(self) -> None:
        self.transports: set[asyncio.Transport] = set()
        self.frames: list[bytes] = []

    def tell(self, user: bytes, rest: bytes) -> None:
        if not self.frames:
            asyncio.get_running_loop().call_soon(self.flush)
        payload = b'{"user":"%b",%b' % (user, rest)
        self.frames.append(b"\x81%c%b" % (len(payload), payload))  # short ones only

    def flush(self) -> None:
        frames = b"".join(self.frames)
        self.frames.clear()
        for transport in self.transports:
            transport.write(frames)


class Socket(asyncio.Protocol):
    """One connection: the handshake, then masked frames of fewer than 126 bytes."""

    def __init__(self, rooms: defaultdict[bytes, Room]) -> None:
        self.rooms = rooms
        self.room: Room | None = None
        self.user = b""
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.room:
            self.read_frames(self.room)
        elif b"\r\n\r\n" in self.data:
            self.enter()

    def enter(self) -> None:
        request, _, self.data = self.data.partition(b"\r\n\r\n")
        key = request.partition(KEY)[2].split(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + MAGIC, usedforsecurity=False).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.transport.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        _, _, room, self.user = request.split(b" ")[1].split(b"/")
        self.room = self.rooms[room]
        self.room.transports.add(self.transport)
        self.room.tell(self.user, ENTERED)

    def read_frames(self, room: Room) -> None:
        data, at = self.data, 0
        while len(data) - at >= 6 and len(data) - at >= (size := 6 + (data[at + 1] & 0x7F)):
            opcode, payload = data[at] & 0x0F, unmasked(data[at + 2 : at + 6], data[at + 6 : at + size])
            at += size
            if opcode == TEXT:
                room.tell(self.user, payload[1:])
            elif opcode == CLOSE:
                self.transport.write(b"\x88%c%b" % (len(payload), payload))
                self.transport.close()
        self.data = data[at:]

    def connection_lost(self, _error: Exception | None) -> None:
        if self.room:
            self.room.transports.discard(self.transport)


def unmasked(mask: bytes, payload: bytes) -> bytes:
    """All bytes at once, as one large number each."""
    size = len(payload)
    whole = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")


async def serve(port: int) -> None:
    rooms: defaultdict[bytes, Room] = defaultdict(Room)
    server = await asyncio.get_running_loop().create_server(lambda: Socket(rooms), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
