"""uvicorn with our HTTP protocol on a real socket, and clients that write bytes."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from extensions.http_server import HttpProtocol
from extensions.websocket_server import FrameProtocol
from tests.support.processes import LOOK_SECONDS

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
STATUS = re.compile(rb"HTTP/1.1 (\d{3})")


async def echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the number of bytes of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message["more_body"]
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Client:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> bytes:
        """Head and body of one answer that has a Content-Length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        return head + (await self.reader.readexactly(int(length[1])) if length else b"")

    async def rest(self) -> bytes:
        """All until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 10)

    def leave(self) -> None:
        self._writer.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(LOOK_SECONDS)


class Server:
    """uvicorn in this loop."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        config = uvicorn.Config(
            app, http=HttpProtocol, ws=FrameProtocol, lifespan="off", log_config=None, access_log=False, **options
        )
        self.uvicorn = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._task = asyncio.create_task(self.uvicorn.serve([self._listener]))
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection(*self._listener.getsockname()))
        self._clients.append(client)
        return client

    @property
    def connections(self) -> set[HttpProtocol]:
        return self.uvicorn.server_state.connections  # type: ignore[return-value]

    def stop(self) -> None:
        self.uvicorn.should_exit = True

    async def stopping(self) -> None:
        """Wait until it told its connections."""
        self.stop()
        await until(lambda: all(connection._stopping for connection in self.connections))

    async def end(self) -> None:
        self.stop()
        await self._task
        for client in self._clients:
            client.leave()


@asynccontextmanager
async def serving(app: ASGIApp = echo_length, **options: Any) -> AsyncIterator[Server]:
    """Serve; options are those of `uvicorn.Config`."""
    server = Server(app, **options)
    await until(lambda: server.uvicorn.started)
    try:
        yield server
    finally:
        await server.end()


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in STATUS.findall(answers)]


def envelope(answer: bytes) -> object:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert b"x-request-id: " in head
    return json.loads(body)
