"""Where one request ends and the next begins, and what is refused behind what is under way, on real sockets."""

import asyncio
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from api.middleware import RequestMiddleware
from extensions import http_server
from extensions.logger import close_logging, configure_logging
from settings.testing_config import TestingSettings
from tests.support.envelopes import failure
from tests.support.raw_http import GET, echo_length, envelope, serving, statuses, until
from utils.custom_exc import BadRequest, HeadersTooLarge, NotReady
from utils.exception_handlers import FailureMiddleware

pytestmark = pytest.mark.anyio

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
H2C = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"


async def echo_headers(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, then answer with the headers."""
    while (await receive()).get("more_body"):
        pass
    body = json.dumps([[name.decode(), value.decode()] for name, value in scope["headers"]]).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Gate:
    """An application that answers the first request when it is told to, and counts the requests."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.seen = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen += 1
        await self.opened.wait()
        await echo_length(scope, receive, send)


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("at", [0, 20, len(H2C) + 10])
async def test_who_asks_for_another_protocol_is_answered_in_this_one(body: bytes, at: int) -> None:
    """Java's HttpClient and `curl --http2` ask so at each request."""
    async with serving() as server:
        client = await server.connect()
        request = H2C + body
        client.say(request[:at])
        await asyncio.sleep(0.05)
        client.say(request[at:] + H2C + body + GET)
        answers = [await client.answer() for _ in range(3)]
    assert [answer.rpartition(b"\r\n")[2] for answer in answers] == [b"3", b"3", b"0"]


async def test_many_who_ask_for_another_protocol_at_once() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say((H2C + b"\r\n") * 2_000)
        assert [statuses(await client.answer()) for _ in range(2_000)] == [[200]] * 2_000


async def test_the_head_stays_what_it_was() -> None:
    async with serving(echo_headers) as server:
        client = await server.connect()
        client.say(H2C + b"Content-Length: 0\r\nX-Name: \xc3\xa9\r\n\r\n")
        _, _, told = (await client.answer()).partition(b"\r\n\r\n")
    assert json.loads(told) == [
        ["host", "a"],
        ["connection", "Upgrade, HTTP2-Settings"],
        ["http2-settings", "AA"],
        ["content-length", "0"],
        ["x-name", "é"],
    ]


async def test_no_tunnel_is_opened() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        answer = await client.rest()
    assert envelope(answer) == failure(BadRequest, "This is not a valid HTTP request.")


async def test_trailers_are_no_headers() -> None:
    async with serving(echo_headers) as server:
        client = await server.connect()
        client.say(CHUNKED + b"3\r\nabc\r\n0\r\nX-Request-ID: mine\r\nAuthorization: x\r\n\r\n" + GET)
        told = [json.loads((await client.answer()).partition(b"\r\n\r\n")[2]) for _ in range(2)]
    assert told == [[["host", "a"], ["transfer-encoding", "chunked"]], [["host", "a"]]]


@pytest.mark.parametrize("trailers", [b"X: " + b"a" * 10_000_000, b"X: a\r\n" * 1_000_000], ids=["long", "many"])
async def test_trailers_are_not_read_for_ever(trailers: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(CHUNKED + b"3\r\nabc\r\n0\r\n" + trailers)
        with suppress(ConnectionResetError):  # what comes after the bound is not read
            assert envelope(await client.rest()) == failure(HeadersTooLarge)
        await until(lambda: not server.connections)


async def test_the_begin_of_a_head_behind_a_long_body() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000) + GET[:10])
        assert (await client.answer()).endswith(b"\r\n\r\n200000")
        client.say(GET[10:])
        assert statuses(await client.answer()) == [200]


async def test_empty_lines_keep_no_connection_open() -> None:
    """Old clients end a body with one (RFC 9112, section 2.2)."""
    async with serving(timeout_keep_alive=1) as server:
        client = await server.connect()
        client.say(GET)
        await client.answer()
        client.say(b"\r\n")
        assert await client.rest() == b""


async def test_a_websocket_is_not_opened_with_a_body() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    for body in (b"Content-Length: 3\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        async with serving() as server:
            client = await server.connect()
            client.say(head + body)
            answer = await client.rest()
        assert envelope(answer) == failure(BadRequest, "A request to open a WebSocket has no body.")


async def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "UNREAD_SECONDS", 0.1)
    monkeypatch.setattr(http_server, "CHECK_SECONDS", 0.02)

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while server.connections:
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})

    async with serving(endless) as server:
        client = await server.connect()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.say(GET)
        await until(lambda: not server.connections)


async def test_what_was_carried_out_is_told_although_more_came_than_was_announced() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcde")
        answer = await client.rest()
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\n3")


@pytest.mark.parametrize(
    "broken",
    [b"HELLO\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", CHUNKED + b"no length\r\n", GET + CHUNKED + b"no length\r\n"],
    ids=["no HTTP", "no host", "a broken body", "a broken body behind another"],
)
async def test_what_is_under_way_is_answered_before_a_broken_request_ends_the_connection(broken: bytes) -> None:
    gate = Gate()
    async with serving(gate) as server:
        client = await server.connect()
        client.say(GET + broken + GET)
        await until(lambda: gate.seen == 1)
        await asyncio.sleep(0.05)
        gate.opened.set()
        answer = await client.rest()
    sound = 1 + broken.startswith(GET)
    assert statuses(answer) == [200] * sound
    assert gate.seen == sound


async def test_a_broken_body_is_refused_in_place_of_the_application() -> None:
    async with serving() as server:
        client = await server.connect()
        client.say(CHUNKED + b"no length\r\n")
        answer = await client.rest()
    assert statuses(answer) == [400]
    assert envelope(answer) == failure(BadRequest, "This is not a valid HTTP request.")


class Wire(asyncio.Transport):
    """Notes what is written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.seen.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.seen.append(b"+".join(list_of_data))

    def close(self) -> None:
        self.seen.append(b"closed")


async def test_head_and_body_leave_together() -> None:
    wire = Wire()
    writer = http_server.AnswerWriter(wire, asyncio.get_running_loop())
    writer.write(b"HTTP/1.1 200 OK...")
    assert wire.seen == []
    writer.write(b"body")
    writer.write(b"more")
    assert wire.seen == [b"HTTP/1.1 200 OK...+body", b"more"]
    await asyncio.sleep(0)
    assert wire.seen == [b"HTTP/1.1 200 OK...+body", b"more"]


async def test_a_head_does_not_wait_for_its_body() -> None:
    wire = Wire()
    writer = http_server.AnswerWriter(wire, asyncio.get_running_loop())
    writer.write(b"HTTP/1.1 200 OK...")
    await asyncio.sleep(0)
    writer.write(b"HTTP/1.1 304 ...")
    writer.close()
    assert wire.seen == [b"HTTP/1.1 200 OK...", b"HTTP/1.1 304 ...", b"closed"]


class Log:
    """Access lines."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        configure_logging(TestingSettings(log_json=True, access_log=True), self._stream)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def lines(self) -> list[tuple[Any, ...]]:
        """Method, target, status and id of each request."""
        close_logging()
        lines = map(json.loads, self.text.splitlines())
        names = ("method", "path", "status", "request_id")
        return [tuple(line[name] for name in names) for line in lines if line["logger"] == "access"]


@pytest.fixture
def log() -> Iterator[Log]:
    yield Log()
    configure_logging(TestingSettings(log_level="ERROR"))


def id_of(answer: bytes) -> str:
    (id_,) = (line[14:] for line in answer.split(b"\r\n") if line.startswith(b"x-request-id: "))
    return id_.decode()


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (b"HELLO\r\n\r\n", ("-", "-", 400)),
        (b"GET /a?token=secret HTTP/1.1\r\n\r\n", ("GET", "/a?token=***", 400)),
        (b"PUT /%0a HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Request-ID: mine\r\n\r\n", ("PUT", "/%0a", 400)),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", ("-", "-", 400)),
        (CHUNKED + b"no length\r\n", ("POST", "/", 400)),
    ],
)
async def test_what_the_application_does_not_see_is_logged_too(
    log: Log, request_: bytes, told: tuple[str, str, int]
) -> None:
    async with serving(RequestMiddleware(echo_length)) as server:
        client = await server.connect()
        client.say(request_)
        answer = await client.rest()
    assert log.lines() == [(*told, id_of(answer))]
    assert (b"X-Request-ID: mine" in request_) == (id_of(answer) == "mine")


async def test_what_is_cut_off_at_the_end_is_told_so(log: Log) -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    app = RequestMiddleware(FailureMiddleware(endless))
    async with serving(app, timeout_graceful_shutdown=1) as server:
        client = await server.connect()
        client.say(GET)
        await until(lambda: bool(server.uvicorn.server_state.tasks))
        server.stop()
        answer = await client.rest()
    assert statuses(answer) == [503]
    assert b"retry-after: 2" in answer
    assert envelope(answer) == failure(NotReady, "The service stops; whether this was done is not known.")
    assert log.lines() == [("GET", "/", 503, id_of(answer))]
    assert "Traceback" not in log.text
