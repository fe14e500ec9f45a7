"""What is refused, and what never takes anybody's place."""

import asyncio
import json
from time import monotonic
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from tests.support.envelopes import failure
from utils import overload
from utils.custom_exc import Overloaded
from utils.overload import ALWAYS_ADMITTED, INTERVAL_SECONDS, Load, OverloadMiddleware, waiting_for_another
from utils.request_context import INTERNAL, RECEIVED

pytestmark = pytest.mark.anyio


class Request:
    """One request, and what came of it."""

    def __init__(self, path: str = "/", state: dict[str, Any] | None = None) -> None:
        self.scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": [], "state": state or {}}
        self.sent: list[Message] = []
        self.body_arrives = asyncio.Event()

    async def receive(self) -> Message:
        await self.body_arrives.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None


class Service:
    """An application that answers when it is told to."""

    def __init__(self, max_under_way: int = 2, *, reads: bool = False, streams: bool = False) -> None:
        self.may_answer = asyncio.Event()
        self.may_end = asyncio.Event()
        self._reads = reads
        self._streams = streams
        self.load = Load(max_under_way, max_wait=5.0)
        self.middleware = OverloadMiddleware(self, load=self.load, exempt=frozenset({"/healthz"}))
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._reads:
            await receive()
        await self.may_answer.wait()
        if self._streams:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await self.may_end.wait()
            await send({"type": "http.response.body", "body": b""})
        else:
            await PlainTextResponse("done")(scope, receive, send)

    async def get(self, *requests: Request) -> tuple[Request, ...]:
        """Hand them over and let them come as far as they can."""
        for request in requests:
            work = self.middleware(request.scope, request.receive, request.send)
            self._tasks.append(asyncio.create_task(work))
        await asyncio.sleep(0.001)
        return requests

    async def answer(self) -> None:
        self.may_answer.set()
        self.may_end.set()
        await asyncio.gather(*self._tasks)


async def test_more_than_may_be_under_way_are_refused_until_one_is_answered() -> None:
    service = Service(max_under_way=2)
    first, second, third = await service.get(Request(), Request(), Request())
    assert [first.status, second.status, third.status] == [None, None, 503]
    assert json.loads(third.sent[1]["body"]) == failure(Overloaded)
    assert (b"retry-after", b"1") in third.sent[0]["headers"]
    await service.answer()
    (fourth,) = await service.get(Request())
    assert [first.status, second.status, fourth.status] == [200, 200, 200]
    assert service.load.under_way == 0


async def test_who_watches_and_what_another_request_waits_for_are_never_refused() -> None:
    service = Service(max_under_way=1)
    _, health, inner, outer = await service.get(
        Request(), Request("/healthz"), Request(state={INTERNAL: True}), Request()
    )
    assert [health.status, inner.status, outer.status] == [None, None, 503]
    await service.answer()
    assert [health.status, inner.status] == [200, 200]


async def test_who_sends_slowly_takes_nobodys_place() -> None:
    service = Service(max_under_way=1, reads=True)
    slow, quick = await service.get(Request(), Request())
    assert service.load.under_way == 0
    quick.body_arrives.set()
    await asyncio.sleep(0.001)
    assert service.load.under_way == 1
    slow.body_arrives.set()
    await service.answer()
    assert [slow.status, quick.status, service.load.under_way] == [200, 200, 0]


async def test_who_reads_slowly_takes_nobodys_place() -> None:
    service = Service(max_under_way=1, streams=True)
    service.may_answer.set()
    first, second = await service.get(Request(), Request())
    assert [first.status, second.status, service.load.under_way] == [200, 200, 0]
    await service.answer()


async def test_a_request_that_waited_too_long_for_its_turn_is_refused() -> None:
    service = Service()
    service.may_answer.set()
    late, early = await service.get(Request(state={RECEIVED: monotonic() - 6}), Request(state={RECEIVED: monotonic()}))
    assert [late.status, early.status] == [503, 200]


async def test_a_crash_frees_the_place() -> None:
    async def crash(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("crashed")

    load = Load(max_under_way=1, max_wait=5.0)
    middleware = OverloadMiddleware(crash, load=load, exempt=frozenset())
    request = Request()
    with pytest.raises(RuntimeError, match="crashed"):
        await middleware(request.scope, request.receive, request.send)
    assert load.under_way == 0


async def test_sockets_pass() -> None:
    service = Service(max_under_way=1)
    await service.get(Request())
    socket = Request()
    socket.scope["type"] = "websocket"
    await service.get(socket)
    await service.answer()
    assert socket.status == 200


async def test_who_waits_for_another_service_takes_nobodys_place() -> None:
    answers, seen = asyncio.Event(), []
    load = Load(max_under_way=1, max_wait=5.0)

    async def call_another(scope: Scope, receive: Receive, send: Send) -> None:
        with waiting_for_another():
            await answers.wait()
        seen.append(load.under_way)
        await PlainTextResponse("done")(scope, receive, send)

    middleware = OverloadMiddleware(call_another, load=load, exempt=frozenset())
    requests = [Request() for _ in range(3)]
    tasks = [asyncio.create_task(middleware(each.scope, each.receive, each.send)) for each in requests]
    await asyncio.sleep(0.001)
    assert load.under_way == 0
    answers.set()
    await asyncio.gather(*tasks)
    assert ([each.status for each in requests], seen, load.under_way) == ([200, 200, 200], [1, 1, 1], 0)


async def test_outside_of_a_request_one_waits_too() -> None:
    with waiting_for_another():
        await asyncio.sleep(0)


class Clock:
    """What `monotonic` says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(overload, "monotonic", clock)
    return clock


def admit(load: Load, number: int) -> int:
    """How many of so many are admitted."""
    admitted = 0
    for _ in range(number):
        if load.admits_one(None):
            load.under_way += 1
            admitted += 1
    return admitted


def answer(load: Load, number: int) -> None:
    load.under_way -= number
    load.answered += number


def test_a_burst_is_admitted_before_anything_is_known(clock: Clock) -> None:
    assert admit(Load(1000, max_wait=1.0), 2000) == 1000


def test_no_more_than_can_be_answered_in_time(clock: Clock) -> None:
    load = Load(1000, max_wait=4.0)
    assert admit(load, 300) == 300
    clock.now += INTERVAL_SECONDS
    answer(load, 25)  # 100 a second: 200 in two seconds
    assert admit(load, 50) == 0
    answer(load, 80)
    assert admit(load, 50) == 5
    clock.now += INTERVAL_SECONDS
    answer(load, 45)  # 125 in the interval, 500 a second
    assert admit(load, 2000) == 1000 - 155


def test_while_a_burst_comes_in_nothing_is_known(clock: Clock) -> None:
    load = Load(1000, max_wait=4.0)
    admit(load, 300)
    clock.now += 1.9
    assert admit(load, 300) == 300
    clock.now += 0.1
    assert admit(load, 300) == 0  # nothing was answered in half of the time


def test_whoever_is_idle_admits_all_again(clock: Clock) -> None:
    load = Load(1000, max_wait=1.0)
    admit(load, 300)
    clock.now += 0.5
    assert admit(load, 300) == 0
    answer(load, 300)
    assert admit(load, 2000) == 1000


@pytest.mark.parametrize("answered", [0, 1])
def test_a_few_are_always_admitted(clock: Clock, answered: int) -> None:
    load = Load(1000, max_wait=1.0)
    admit(load, ALWAYS_ADMITTED)
    clock.now += 60
    answer(load, answered)
    assert load.under_way == ALWAYS_ADMITTED - answered
    assert admit(load, 1) == 1
