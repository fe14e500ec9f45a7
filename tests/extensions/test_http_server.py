"""The HTTP protocol on real sockets: what it bounds, and how it ends."""

import asyncio
import json
import time
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from extensions import http_server
from extensions.metrics import traffic
from tests.support.envelopes import failure
from tests.support.raw_http import GET, UPGRADE, echo_length, envelope, serving, statuses, until
from utils.custom_exc import BadRequest, HeadersTooLarge, NotReady, Overloaded, RequestTimeout
from utils.overload import Load, OverloadMiddleware

pytestmark = pytest.mark.anyio


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(http_server, "CHECK_SECONDS", 0.02)


async def test_connections_are_kept_and_pipelined() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(GET)
        assert statuses(await client.answer()) == [200]
        client.say(GET + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert (await client.answer()).endswith(b"\r\n\r\n0")
        assert (await client.answer()).endswith(b"\r\n\r\n3")


async def test_what_is_no_http_is_refused_in_the_envelope() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"HELLO\r\n\r\n")
        answer = await client.rest()
    assert statuses(answer) == [400]
    assert envelope(answer) == failure(BadRequest, "This is not a valid HTTP request.")


async def test_headers_have_a_bound() -> None:
    head = b"".join(b"X-%d: a\r\n" % number for number in range(http_server.MAX_HEADERS))
    async with serving() as server:
        client = await server.connect()
        client.say(b"GET / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
        answer = await client.rest()
    assert statuses(answer) == [431]
    assert envelope(answer) == failure(HeadersTooLarge)


@pytest.mark.parametrize(
    "head", [b"X: " + b"a" * 10_000_000, b"X: a\r\n" * 1_000_000, b"/" * 10_000_000], ids=["long", "many", "no end"]
)
async def test_a_head_is_not_read_for_ever(head: bytes) -> None:
    """What comes after the bound is not read, so the client may see a reset in place of the answer."""
    async with serving() as server:
        client = await server.connect()
        client.say(b"GET / HTTP/1.1\r\nHost: a\r\n" + head)
        with suppress(ConnectionResetError):
            assert statuses(await client.rest()) == [431]
        await until(lambda: not server.connections)


async def test_as_many_headers_as_are_allowed() -> None:
    head = b"".join(b"X-%d: a\r\n" % number for number in range(http_server.MAX_HEADERS - 1))
    async with serving() as server:
        client = await server.connect()
        client.say(b"GET / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
        assert statuses(await client.answer()) == [200]


async def test_a_body_that_comes_with_its_head_is_no_head() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000))
        assert (await client.answer()).endswith(b"\r\n\r\n200000")
        client.say(GET)
        assert statuses(await client.answer()) == [200]


@pytest.mark.parametrize(
    ("hosts", "version", "status"),
    [(b"", b"1.1", 400), (b"Host: a\r\nhost: b\r\n", b"1.1", 400), (b"", b"1.0", 200), (b"Host:\r\n", b"1.1", 200)],
)
async def test_there_is_one_host(hosts: bytes, version: bytes, status: int) -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"GET / HTTP/" + version + b"\r\n" + hosts + b"Connection: close\r\n\r\n")
        answer = await client.rest()
    assert statuses(answer) == [status]
    if status == 400:
        assert envelope(answer) == failure(BadRequest, "A request has exactly one Host header.")


@pytest.mark.usefixtures("impatient")
async def test_a_head_that_does_not_end_is_refused() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"GET / HTTP/1.1\r\nHost: a\r\n")
        answer = await client.rest()
    assert statuses(answer) == [408]
    assert envelope(answer) == failure(RequestTimeout)


@pytest.mark.usefixtures("impatient")
async def test_a_head_that_does_not_end_is_refused_on_a_kept_connection_too() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(GET)
        await client.answer()
        client.say(b"G")
        assert statuses(await client.rest()) == [408]


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_does_not_end_is_refused() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
        answer = await client.rest()
    assert envelope(answer) == failure(RequestTimeout)


@pytest.mark.usefixtures("impatient")
async def test_who_never_says_anything_is_let_go_without_an_answer() -> None:
    async with serving() as server:
        client = await server.connect()
        assert await client.rest() == b""


@pytest.mark.usefixtures("impatient")
async def test_an_answer_may_take_its_time() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.5)
        await echo_length(scope, receive, send)

    async with serving(slow) as server:
        client = await server.connect()
        client.say(GET)
        assert statuses(await client.answer()) == [200]


async def test_a_request_on_a_kept_connection_is_answered_while_the_server_stops() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(GET)
        await client.answer()
        await server.stopping()
        client.say(GET)
        answer = await client.rest()
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


async def test_what_is_under_way_is_answered_while_the_server_stops() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
        await asyncio.sleep(0.05)
        await server.stopping()
        client.say(b"bc")
        answer = await client.rest()
    assert answer.endswith(b"\r\n\r\n3")
    assert b"connection: close" in answer


async def test_a_first_request_is_answered_while_the_server_stops() -> None:
    async with serving() as server:
        client = await server.connect()
        await until(lambda: bool(server.connections))
        await server.stopping()
        client.say(GET)
        assert statuses(await client.rest()) == [200]


async def test_an_idle_connection_does_not_hold_the_end_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LINGER_SECONDS", 0.05)
    async with serving() as server:
        client = await server.connect()
        client.say(GET)
        await client.answer()
        server.stop()
        assert await client.rest() == b""


async def test_no_socket_is_opened_while_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []
    monkeypatch.setattr(traffic, "answered", lambda *told: counted.append(told[-1]))
    async with serving() as server:
        client = await server.connect()
        client.say(GET)
        await client.answer()
        await server.stopping()
        client.say(UPGRADE)
        answer = await client.rest()
    assert envelope(answer) == failure(NotReady, "This worker stops; connect again.")
    assert b"retry-after: 2" in answer
    assert counted == [0.0]


async def test_who_waited_too_long_behind_another_is_refused() -> None:
    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        time.sleep(0.2)  # noqa: ASYNC251  # a processor that is busy is what this is about
        await echo_length(scope, receive, send)

    middleware = OverloadMiddleware(busy, load=Load(100, max_wait=0.2), exempt=frozenset())
    async with serving(middleware) as server:
        clients = [await server.connect() for _ in range(3)]
        await until(lambda: len(server.connections) == len(clients))
        for client in clients:
            client.say(GET)
        answers = [await client.answer() for client in clients]
    assert sorted(code for answer in answers for code in statuses(answer)) == [200, 503, 503]
    refused = next(answer for answer in answers if b" 503 " in answer)
    assert json.loads(refused.partition(b"\r\n\r\n")[2]) == failure(Overloaded)
