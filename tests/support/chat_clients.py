"""People in a chat who write down all they are told, and what must be true of what they wrote."""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.processes import LOOK_SECONDS, PATIENCE, Process

LARGE = 3_900  # characters
ENTERED, LEFT = "进入聊天", "离开"

Frame = dict[str, Any]


class Member:
    """Somebody with one socket; who may, comes back through the next process when it breaks."""

    path = "/websocketdemo/ws/{room}/{name}"

    def __init__(self, name: str, room: str, processes: Sequence[Process], *, comes_back: bool = True) -> None:
        self.name = name
        self.heard: list[Frame] = []  # messages, of all connections
        self.noticed: list[Frame] = []  # who came and left
        self.acks: dict[str, int] = {}
        self.refusals: dict[str, int] = {}
        self.closed_with: list[int | None] = []
        self.said = 0
        self.comes_back = comes_back
        self.is_in = False
        self.has_ended = False
        self._path = self.path.format(room=room, name=name)
        self._processes = deque(processes)
        self._cookie: dict[str, str] = {}
        self._socket: ClientConnection | None = None
        self._news = asyncio.Event()

    async def live(self) -> None:
        """Connect and listen, until cancelled or not coming back."""
        while True:
            with suppress(OSError, TimeoutError, InvalidHandshake):
                await self._visit()
            if not self.comes_back:
                self.has_ended = True
                self._news.set()
                return
            self._processes.rotate(-1)
            await asyncio.sleep(LOOK_SECONDS)

    async def _visit(self) -> None:
        since = f"?since={self.heard[-1].get('id', 0)}" if self.heard else ""
        url = f"ws://{self._processes[0].address}{self._path}{since}"
        options: Any = {"compression": None, "proxy": None, "max_queue": None, "ping_interval": None}
        async with connect(url, additional_headers=self._cookie, open_timeout=PATIENCE, **options) as socket:
            self._socket = socket
            if socket.response and (cookie := socket.response.headers.get("set-cookie")):
                self._cookie = {"Cookie": cookie.partition(";")[0]}
            with suppress(ConnectionClosed):
                async for text in socket:
                    self._take(json.loads(text))
            self._socket, self.is_in = None, False
            self.closed_with.append(socket.close_code)
            self._news.set()

    def _take(self, frame: Frame) -> None:
        kind = frame.get("type")
        if kind == "ack":
            self.acks[frame["ref"]] = frame["id"]
        elif kind == "error":
            self.refusals[str(frame["ref"])] = frame["code"]
        elif frame.get("message") in (ENTERED, LEFT):
            self.noticed.append(frame)
            self.is_in = self.is_in or frame["user"] == self.name
        elif kind != "recovered":
            self.heard.append(frame)
        self._news.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Look again whenever something was received or the connection ended."""
        while not is_so():
            self._news.clear()
            await self._news.wait()

    async def entered(self) -> None:
        await self.until(lambda: self.is_in)

    async def disconnected(self) -> None:
        await self.until(lambda: not self.is_in)

    async def hears(self, number: int) -> None:
        """So many messages in all."""
        await self.until(lambda: len(self.heard) >= number)

    async def notices(self, leaving: set[str]) -> None:
        """That all of these left."""
        await self.until(lambda: leaving <= left(self).keys())

    async def say(self) -> bool:
        """Say something new; answers whether it was acknowledged: False when refused, or the connection broke."""
        await self.until(lambda: self.is_in or self.has_ended)
        socket, text = self._socket, await self.shout()
        await self.until(lambda: text in self.acks or text in self.refusals or self._socket is not socket)
        return text in self.acks

    async def shout(self, padding: str = "") -> str:
        """Say something new and wait for nothing; answers its ref."""
        self.said += 1
        text = f"{self.name} says {self.said}"
        with suppress(ConnectionClosed):
            if self._socket:
                await self._socket.send(json.dumps({"message": text + padding, "ref": text}, ensure_ascii=False))
        return text

    def vanish(self) -> None:
        """Go without a word."""
        self.comes_back = False
        if self._socket:
            self._socket.transport.abort()


class TutorialMember(Member):
    """Somebody in the tutorial's chat, which has neither rooms nor acks."""

    path = "/ws/{name}"


@asynccontextmanager
async def together(members: Iterable[Member]) -> AsyncIterator[None]:
    """All of them are in, and stay until the block ends."""
    members = list(members)
    lives = [asyncio.create_task(member.live()) for member in members]
    try:
        await within(PATIENCE, *(member.entered() for member in members))
        yield
    finally:
        for life in lives:
            life.cancel()
        results = await asyncio.gather(*lives, return_exceptions=True)
    assert [one for one in results if isinstance(one, Exception)] == []


async def within(seconds: float, *waiting: Any) -> None:
    """All of these happen, at once."""
    async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
        for one in waiting:
            group.create_task(one)


# -- what must be true ------------------------------------------------------------------------------------------------


async def everybody_hears(members: Sequence[Member], number: int, seconds: float = PATIENCE) -> None:
    """So many messages reach every member."""
    try:
        await within(seconds, *(one.hears(number) for one in members))
    except TimeoutError:
        reached = sum(len(one.heard) >= number for one in members)
        raise AssertionError(f"{reached} of {len(members)} heard all of {number} messages") from None


async def everybody_notices(members: Sequence[Member], leaving: set[str], seconds: float = PATIENCE) -> None:
    """Every member is told of all who left."""
    try:
        await within(seconds, *(one.notices(leaving) for one in members))
    except TimeoutError:
        told = sum(leaving <= left(one).keys() for one in members)
        raise AssertionError(f"{told} of {len(members)} noticed that all of {len(leaving)} left") from None


async def nobody_waits(speaker: Member, members: Sequence[Member], number: int, seconds: float) -> None:
    """Each of so many large messages is heard by every member before the next one is said."""
    for heard in range(1, number + 1):
        await speaker.shout("话" * LARGE)
        await everybody_hears(members, heard, seconds)


def left(member: Member) -> Counter[str]:
    """Of whom the member was told that they left, and how often."""
    return Counter(frame["user"] for frame in member.noticed if frame["message"] == LEFT)


def everybody_has(history: Sequence[Frame], members: Sequence[Member]) -> None:
    """The history has no gap, and each member heard exactly it: in its order, nothing twice, nothing left out."""
    assert [frame["id"] for frame in history] == list(range(1, len(history) + 1))
    assert [one.name for one in members if one.heard != history] == []


def nothing_acknowledged_is_lost(history: Sequence[Frame], members: Sequence[Member]) -> None:
    """What was acknowledged is in the history under its id, and nothing is in it twice."""
    ids = {frame["message"]: frame["id"] for frame in history}
    assert len(ids) == len(history)
    for one in members:
        assert {text: ids.get(text) for text in one.acks} == one.acks
        assert not one.refusals.keys() & ids.keys()


# -- what the service says by HTTP ------------------------------------------------------------------------------------


async def ask(process: Process, path: str) -> Any:
    async with httpx2.AsyncClient(base_url=f"http://{process.address}/websocketdemo", trust_env=False) as http:
        answer = await http.get(path, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


async def history_of(process: Process, room: str) -> list[Frame]:
    """All of it."""
    messages: list[Frame] = []
    while True:
        page = await ask(process, f"/rooms/{room}/messages?after={len(messages)}&limit=200")
        if not page["items"]:
            assert len(messages) == page["last_id"]
            return messages
        messages += page["items"]


async def members_of(process: Process, room: str) -> dict[str, int]:
    """Who is in the room, with the number of sockets."""
    return {one["name"]: one["sockets"] for one in await ask(process, f"/rooms/{room}/users")}


async def members_become(process: Process, room: str, expected: dict[str, int]) -> None:
    """Presence is exactly this, if not at once then soon."""
    found: dict[str, int] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await members_of(process, room)
                if found == expected:
                    return
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        assert found == expected
