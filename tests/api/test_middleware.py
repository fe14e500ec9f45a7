import asyncio
import io
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware import RequestMiddleware
from extensions.logger import close_logging, configure_logging
from settings.testing_config import TestingSettings
from utils.request_context import NO_REQUEST, accept_request_id, request_id

HEADERS = ((b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"default-src 'none'"))


class Log:
    """What was logged, as JSON."""

    def __init__(self, *, access_log: bool = True) -> None:
        self.stream = io.StringIO()
        configure_logging(TestingSettings(log_json=True, access_log=access_log), self.stream)

    def lines(self) -> list[dict[str, Any]]:
        close_logging()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def facts(self) -> list[tuple[Any, ...]]:
        """Method, path, status, bytes and client of each access line."""
        names = ("method", "path", "status", "bytes", "client")
        return [tuple(line[name] for name in names) for line in self.lines() if line["logger"] == "access"]


@pytest.fixture
def log() -> Iterator[Log]:
    yield Log()
    configure_logging(TestingSettings(log_level="ERROR"))


class Server:
    """Plays the server for one connection: hands over what is received and keeps what is sent."""

    def __init__(self, received: Iterable[Message] = ()) -> None:
        self.received = list(received)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return self.received.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def headers(self) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = self.sent[0]["headers"]
        return headers


def http_scope(**changes: Any) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "path": "/goods/手机 7",
        "raw_path": b"/goods/%E6%89%8B%E6%9C%BA%207",
        "query_string": b"",
        "headers": [(b"host", b"test")],
        "client": ("192.0.2.1", 5000),
        **changes,
    }


def answer(status: int = 200, headers: Sequence[tuple[bytes, bytes]] = (), body: Sequence[bytes] = (b"ok",)) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for part in body[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": body[-1]})

    return app


async def call(app: ASGIApp, scope: Scope | None = None, received: Iterable[Message] = (), **options: Any) -> Server:
    server = Server(received)
    middleware = RequestMiddleware(app, HEADERS, **options)
    await middleware(http_scope() if scope is None else scope, server.receive, server.send)
    return server


@pytest.mark.anyio
async def test_access_line(log: Log) -> None:
    server = await call(answer(201, body=(b"abc", "手机".encode())))
    (line,) = log.lines()
    assert line.pop("ms") >= 0
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "message": "GET /goods/%E6%89%8B%E6%9C%BA%207 201",
        "request_id": server.headers()[-1][1].decode(),
        "logger": "access",
        "method": "GET",
        "path": "/goods/%E6%89%8B%E6%9C%BA%207",
        "status": 201,
        "bytes": 9,
        "client": "192.0.2.1",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [b"a", b"My-id_1.2", b"x" * 128])
async def test_a_sane_request_id_is_echoed(log: Log, sent: bytes) -> None:
    server = await call(answer(), http_scope(headers=[(b"host", b"test"), (b"x-request-id", sent)]))
    assert server.headers()[-1] == (b"x-request-id", sent)
    assert log.lines()[0]["request_id"] == sent.decode()


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [b"", b"x" * 129, b"a b", b'a"b', b"a\n", "ü".encode()])
async def test_any_other_request_id_is_replaced(log: Log, sent: bytes) -> None:
    server = await call(answer(), http_scope(headers=[(b"x-request-id", sent)]))
    assert re.fullmatch(rb"[0-9a-f]{24}", server.headers()[-1][1])


def test_new_request_ids_differ() -> None:
    assert len({accept_request_id(None) for _ in range(1000)}) == 1000


@pytest.mark.anyio
async def test_the_request_id_is_known_inside_and_forgotten_after(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["state"]["request_id"] == request_id.get() == "abc"
        assert scope["state"]["shared"] == 1
        logger.info("inside")
        await answer()(scope, receive, send)

    request_id.set(NO_REQUEST)
    await call(app, http_scope(headers=[(b"x-request-id", b"abc")], state={"shared": 1}))
    assert request_id.get() == NO_REQUEST
    assert [(line["request_id"], line["message"].split()[0]) for line in log.lines()] == [
        ("abc", "inside"),
        ("abc", "GET"),
    ]


@pytest.mark.anyio
async def test_security_headers(log: Log) -> None:
    inner = [(b"content-type", b"text/plain")]
    server = await call(answer(headers=inner))
    assert server.headers()[:-1] == [*inner, *HEADERS]
    assert len(inner) == 1


@pytest.mark.anyio
async def test_an_answers_own_header_wins_but_not_its_request_id(log: Log) -> None:
    own = (b"content-security-policy", b"default-src 'self'")
    server = await call(
        answer(headers=[own, (b"x-request-id", b"other")]), http_scope(headers=[(b"x-request-id", b"abc")])
    )
    assert server.headers() == [own, HEADERS[0], (b"x-request-id", b"abc")]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"query_string": b"page=2&token=abc"}, "/goods/%E6%89%8B%E6%9C%BA%207?page=2&token=***"),
        ({"raw_path": None, "path": "/a b\n手"}, "/a%20b%0A%E6%89%8B"),
        ({"raw_path": b"/a\nforged\x85"}, "/a\\nforged\\x85"),
        ({"raw_path": b"/" + b"a" * 2000}, "/" + "a" * 999 + "..."),
        ({"raw_path": b"/", "query_string": b"a=" + b"b" * 2000}, "/?a=" + "b" * 996 + "..."),
    ],
)
async def test_path(log: Log, scope: dict[str, Any], path: str) -> None:
    await call(answer(), http_scope(**scope))
    assert [fact[1] for fact in log.facts()] == [path]


@pytest.mark.anyio
async def test_odd_clients(log: Log) -> None:
    await call(answer(), http_scope(client=None))
    await call(answer(), http_scope(client=("a\nforged", 0)))
    assert [fact[4] for fact in log.facts()] == ["-", "a\\nforged"]


@pytest.mark.anyio
async def test_head_has_no_bytes(log: Log) -> None:
    await call(answer(), http_scope(method="HEAD", raw_path=b"/"))
    assert log.facts() == [("HEAD", "/", 200, 0, "192.0.2.1")]


@pytest.mark.anyio
async def test_an_escaping_exception_is_500_and_goes_on(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await call(app, http_scope(raw_path=b"/"))
    assert log.facts() == [("GET", "/", 500, 0, "192.0.2.1")]


@pytest.mark.anyio
async def test_a_server_that_logs_the_exception_knows_the_request_id(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    async def serve() -> None:
        try:
            await call(app, http_scope(headers=[(b"x-request-id", b"abc")]))
        except LookupError:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")

    await asyncio.create_task(serve())
    assert [(line["logger"], line["request_id"]) for line in log.lines()] == [
        ("access", "abc"),
        ("uvicorn.error", "abc"),
    ]


@pytest.mark.anyio
async def test_an_exception_amid_the_answer_keeps_its_status(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError

    with pytest.raises(LookupError):
        await call(app, http_scope(raw_path=b"/"))
    assert log.facts() == [("GET", "/", 200, 4, "192.0.2.1")]


@pytest.mark.anyio
async def test_no_answer_is_500(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    await call(app, http_scope(raw_path=b"/"))
    assert log.facts() == [("GET", "/", 500, 0, "192.0.2.1")]


@pytest.mark.anyio
async def test_the_line_does_not_wait_for_background_tasks_and_comes_once(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer()(scope, receive, send)
        logger.info("background")
        raise LookupError

    with pytest.raises(LookupError):
        await call(app)
    assert [line["message"].split()[0] for line in log.lines()] == ["GET", "background"]


@pytest.mark.anyio
async def test_a_client_that_leaves_before_the_answer_is_499(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await answer(400)(scope, receive, send)

    await call(app, http_scope(raw_path=b"/"), [{"type": "http.request"}, {"type": "http.disconnect"}])
    assert [fact[2] for fact in log.facts()] == [499]


@pytest.mark.anyio
async def test_a_client_that_leaves_amid_the_answer_keeps_the_status(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 206})
        await receive()

    await call(app, received=[{"type": "http.disconnect"}])
    assert [fact[2] for fact in log.facts()] == [206]


@pytest.mark.anyio
async def test_a_cancelled_request_is_499(log: Log) -> None:
    started = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(app))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [fact[2] for fact in log.facts()] == [499]


@pytest.mark.anyio
@pytest.mark.usefixtures("log")
async def test_the_access_log_can_be_off() -> None:
    log = Log(access_log=False)
    server = await call(answer())
    assert len(server.headers()) == 3
    assert log.facts() == []


@pytest.mark.anyio
async def test_lifespan_passes_through(log: Log) -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope, receive, send))

    server, scope = Server(), {"type": "lifespan"}
    await RequestMiddleware(app)(scope, server.receive, server.send)
    assert seen == [scope, server.receive, server.send]
    assert scope == {"type": "lifespan"}


def socket_scope() -> Scope:
    scope = http_scope(type="websocket", raw_path=b"/ws", query_string=b"token=abc", headers=[(b"x-request-id", b"r")])
    del scope["method"]
    return scope


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", **{key: message[key] for key in ("text", "bytes") if key in message}})


PATH = "/ws?token=***"


@pytest.mark.anyio
async def test_a_socket_has_a_line_when_it_opens_and_one_when_it_ends(log: Log) -> None:
    received: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "手"},
        {"type": "websocket.receive", "bytes": b"ab"},
        {"type": "websocket.disconnect", "code": 1001},
    ]
    server = await call(echo, socket_scope(), received)
    assert server.sent[0] == {"type": "websocket.accept", "headers": [(b"x-request-id", b"r")]}
    assert log.facts() == [("WS", PATH, 101, 0, "192.0.2.1"), ("WS", PATH, 1001, 5, "192.0.2.1")]


def socket_app(*messages: Message, error: BaseException | None = None) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


ACCEPT = {"type": "websocket.accept"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("app", "codes"),
    [
        (socket_app(ACCEPT, {"type": "websocket.close"}), [101, 1000]),
        (socket_app(ACCEPT, {"type": "websocket.close", "code": 1013}), [101, 1013]),
        (socket_app({"type": "websocket.close", "code": 1008}), [403]),
    ],
)
async def test_sockets_closed_by_us(log: Log, app: ASGIApp, codes: list[int]) -> None:
    await call(app, socket_scope())
    assert [fact[2] for fact in log.facts()] == codes


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("messages", "error", "codes"),
    [
        ([ACCEPT], LookupError(), [101, 1011]),
        ([ACCEPT], asyncio.CancelledError(), [101, 1006]),
        ([], LookupError(), [500]),
    ],
)
async def test_sockets_that_break(log: Log, messages: list[Message], error: BaseException, codes: list[int]) -> None:
    with pytest.raises(type(error)):
        await call(socket_app(*messages, error=error), socket_scope())
    assert [fact[2] for fact in log.facts()] == codes


@pytest.mark.anyio
async def test_a_refused_socket_is_an_http_answer(log: Log) -> None:
    start = {"type": "websocket.http.response.start", "status": 401, "headers": []}
    server = await call(socket_app(start, {"type": "websocket.http.response.body", "body": b""}), socket_scope())
    assert server.headers() == [*HEADERS, (b"x-request-id", b"r")]
    assert [fact[2] for fact in log.facts()] == [401]
