"""Kept answers: who waits for whom, what is kept, and what becomes 304."""

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from utils.ready_answers import MAX_QUERY, Answer, Revalidation, answer_and_keep

BODY = b'{"code":200}'


class DictCache:
    """A cache over data that never changes."""

    def __init__(self) -> None:
        self.under_way: dict[Hashable, asyncio.Event] = {}
        self.kept: dict[Hashable, Any] = {}
        self.sizes: dict[Hashable, int] = {}

    def version(self) -> int | None:
        return 1

    def get(self, key: Hashable) -> Any | None:
        return self.kept.get(key)

    def put(self, key: Hashable, value: Any, size: int, version: int | None) -> None:
        self.kept[key], self.sizes[key] = value, size


class Route:
    """An ASGI app that counts its calls and waits until it may answer."""

    def __init__(self, *, open_: bool = True) -> None:
        self.calls = 0
        self.may_answer = asyncio.Event()
        if open_:
            self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": BODY})


class Client:
    """Collects what it is sent; one that does not read stops whoever sends."""

    def __init__(self, *, reads: bool = True) -> None:
        self.messages: list[Message] = []
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


async def no_request() -> Message:
    raise AssertionError("nobody reads the request of a GET")


def scope(query: bytes = b"", *headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "method": "GET", "path": "/a", "query_string": query, "headers": list(headers)}


@pytest.mark.anyio
async def test_a_client_that_does_not_read_keeps_nobody_waiting() -> None:
    cache, route, slow, quick = DictCache(), Route(open_=False), Client(reads=False), Client()
    first = asyncio.create_task(answer_and_keep(cache, scope(), no_request, slow.send, route))
    second = asyncio.create_task(answer_and_keep(cache, scope(), no_request, quick.send, route))
    await asyncio.sleep(0)
    route.may_answer.set()
    await asyncio.wait_for(second, 5)
    assert (quick.body, route.calls, first.done()) == (BODY, 1, False)
    slow.reads.set()
    await first
    assert slow.body == BODY


@pytest.mark.anyio
async def test_those_who_wait_for_a_failure_ask_themselves() -> None:
    cache, client = DictCache(), Client()

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        raise RuntimeError

    first = asyncio.create_task(answer_and_keep(cache, scope(), no_request, client.send, fail))
    await asyncio.sleep(0)
    await asyncio.wait_for(answer_and_keep(cache, scope(), no_request, client.send, Route()), 5)
    with pytest.raises(RuntimeError):
        await first
    assert (client.body, cache.under_way) == (BODY, {})


@pytest.mark.anyio
async def test_the_size_of_a_kept_answer_counts_its_address() -> None:
    cache = DictCache()
    query = b"x" * MAX_QUERY
    await answer_and_keep(cache, scope(query), no_request, Client().send, Route())
    assert cache.sizes["/a", query] > len(BODY) + MAX_QUERY


@pytest.mark.anyio
async def test_long_queries_are_answered_and_not_kept() -> None:
    cache, client = DictCache(), Client()
    await answer_and_keep(cache, scope(b"x" * (MAX_QUERY + 1)), no_request, client.send, Route())
    assert (client.body, cache.kept, cache.under_way) == (BODY, {}, {})


@pytest.mark.anyio
async def test_the_second_is_answered_from_the_first_and_304_when_known() -> None:
    cache, route, client = DictCache(), Route(), Client()
    await answer_and_keep(cache, scope(), no_request, client.send, route)
    kept: Answer = cache.kept["/a", b""]
    known = Client()
    tag = (b"if-none-match", kept.etag.encode())
    await answer_and_keep(cache, scope(b"", tag), no_request, known.send, route)
    assert [message.get("status") for message in known.messages] == [304, None]
    assert known.body == b""


@pytest.mark.anyio
async def test_an_answer_without_an_etag_of_its_own_is_never_304() -> None:
    client = Client()
    await Route()(scope(), no_request, Revalidation(client.send, "*").send)
    assert (client.messages[0]["status"], client.body) == (200, BODY)
