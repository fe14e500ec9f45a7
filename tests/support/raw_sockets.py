"""WebSocket clients without a library: so small that thousands may come, or so rude that they never read."""

import asyncio
import socket

from tests.support.processes import PATIENCE, Process

CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # masked with zeros: 1000
OWN_JOIN = b'"type":"join"'
CHUNK = 65536


def handshake(process: Process, path: str) -> bytes:
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {process.address}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    return "\r\n".join((*lines, "", "")).encode()


async def come_and_go(process: Process, path: str, *, politely: bool) -> None:
    """Connect, be told of the own join, and leave; with a close frame or without."""
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    try:
        writer.write(handshake(process, path))
        await reader.readuntil(OWN_JOIN)
        if politely:
            writer.write(CLOSE)
            await reader.read()
    finally:
        writer.transport.abort()


class Deaf:
    """Somebody who comes in and reads nothing, with as little room for it as can be had."""

    def __init__(self, process: Process, path: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(("127.0.0.1", process.port))
        self._socket.sendall(handshake(process, path))

    def wake_up(self) -> bytes:
        """Whatever has waited, up to the end of the connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
        read = b""
        while chunk := self._socket.recv(CHUNK):
            read += chunk
        return read

    def close(self) -> None:
        self._socket.close()
