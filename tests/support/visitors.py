"""Clients that keep a connection for as long as the server lets them, and write down what became of each request."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.processes import PATIENCE, Process, wait_until
from tests.support.shopping import GOODS, ORDERS, Headers, items

LISTING = Path("/proc/net/tcp")
CONNECTED = "01"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Visitor:
    """A buyer who trusts the connection: only what the server announced to close, or broke, is opened anew."""

    def __init__(self, name: str, server: Process, headers: Headers) -> None:
        self.name = name
        self.answered: dict[str, int] = {}  # statuses by request id
        self.connections: dict[str, int] = {}  # our ports by request id
        self.broken: dict[str, int] = {}  # ports of requests without an answer
        self.keys: list[str] = []  # of the orders
        self.leaves = False
        self._server = server
        self._headers = headers
        self._numbers = count()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def shop(self, goods_id: int) -> None:
        """Look at goods, order them, look at the order; until told to leave."""
        while not self.leaves:
            await self.ask("GET", f"{GOODS}/{goods_id}")
            self.keys.append(f"{self.name}-{len(self.keys)}")
            order = items((goods_id, 1))
            while (placed := await self.ask("POST", ORDERS, order, {"Idempotency-Key": self.keys[-1]})) is None:
                pass
            await self.ask("GET", placed.headers["location"])
        self.hang_up()

    async def ask(self, method: str, path: str, body: Any = None, headers: Headers | None = None) -> Answer | None:
        """The answer, or None where the connection broke."""
        id_ = f"{self.name}-{next(self._numbers)}"
        content = b"" if body is None else json.dumps(body).encode()
        sent = {
            "Host": self._server.address,
            "X-Request-ID": id_,
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            **self._headers,
            **(headers or {}),
        }
        lines = (f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", "")
        try:
            answer = await self._exchange(id_, "\r\n".join(lines).encode() + content)
        except (OSError, EOFError):
            self.broken[id_] = self.connections.get(id_, 0)  # 0: there was not even a connection
            self.hang_up()
            return None
        self.answered[id_] = answer.status
        return answer

    def hang_up(self) -> None:
        if self._stream:
            self._stream[1].transport.abort()
            self._stream = None

    async def _exchange(self, id_: str, request: bytes) -> Answer:
        if self._stream is None:
            self._stream = await asyncio.open_connection("127.0.0.1", self._server.port)
        reader, writer = self._stream
        self.connections[id_] = writer.get_extra_info("sockname")[1]
        writer.write(request)
        head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.hang_up()
        return Answer(int(head.split()[1]), headers, body)


@asynccontextmanager
async def shopping(visitors: Sequence[Visitor], goods_id: int) -> AsyncIterator[None]:
    """All of them shop until the block ends, and then finish what they are at."""
    async with asyncio.TaskGroup() as group:
        for visitor in visitors:
            group.create_task(visitor.shop(goods_id))
        try:
            yield
        finally:
            for visitor in visitors:
                visitor.leaves = True


async def many_answers(visitors: Sequence[Visitor], number: int = 20) -> None:
    """Wait until each has so many more."""
    least = {visitor: len(visitor.answered) + number for visitor in visitors}

    def all_have_them() -> bool:
        return all(len(visitor.answered) >= wanted for visitor, wanted in least.items())

    await asyncio.to_thread(wait_until, all_have_them, 2 * PATIENCE, "requests are not answered")


def client_ports(pid: int, port: int) -> set[int]:
    """Ports of the clients whose connections this process holds, on its listening port."""
    held = {str(file.readlink()) for file in (Path("/proc") / str(pid) / "fd").iterdir()}
    found = set()
    for line in LISTING.read_text().splitlines()[1:]:
        _, local, remote, state, *rest = line.split()
        if state == CONNECTED and int(local.split(":")[1], 16) == port and f"socket:[{rest[5]}]" in held:
            found.add(int(remote.split(":")[1], 16))
    return found
