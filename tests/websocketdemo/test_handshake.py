"""What is no handshake, or one for what is no socket, is answered like every other request that fails."""

import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI, WebSocket
from starlette.testclient import TestClient, WebSocketDenialResponse

from api.websocketdemo.errors import OriginNotAllowed
from extensions.http_server import NO_BODY
from extensions.websocket_server import BAD_HEADER, NO_HANDSHAKE
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from tests.websocketdemo.conftest import PATIENCE, Service, frame_service
from utils.custom_exc import (
    BadRequest,
    Forbidden,
    HeadersTooLarge,
    InternalError,
    MethodNotAllowed,
    NotFound,
    ServiceError,
)
from utils.exception_handlers import NO_SOCKET, REFUSED_SOCKET
from utils.hosts import ANOTHER_HOST

pytestmark = only_sqlite

LOBBY = "/websocketdemo/ws/User1"
HANDSHAKE = {
    "Host": "shop.test",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
ID = "an-id-of-the-client"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


class Raw:
    """Sends heads as they are written."""

    def __init__(self, service: Service) -> None:
        url = service.http.base_url
        assert url.port
        self._address = (url.host, url.port)

    def ask(self, *more: str, method: str = "GET", path: str = LOBBY, **changes: str) -> Answer:
        """All that is answered until the server closes; `changes` name headers of the handshake, "" takes one out."""
        headers = HANDSHAKE | {name.replace("_", "-"): value for name, value in changes.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value), *more]
        with socket.create_connection(self._address, PATIENCE) as connection:
            connection.sendall("\r\n".join((*lines, "", "")).encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.decode().partition("\r\n\r\n")
        first, *rest = head.split("\r\n")
        told = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        assert told["content-length"] == str(len(body.encode()))
        assert told["content-type"] == "application/json"
        return Answer(int(first.split()[1]), told, json.loads(body))


@pytest.fixture
def raw(app: FastAPI) -> Iterator[Raw]:
    with frame_service(app) as service:
        yield Raw(service)


def bad(header: str) -> dict[str, Any]:
    return failure(BadRequest, BAD_HEADER.format(header))


def test_what_is_no_handshake(raw: Raw) -> None:
    key, version, protocol = "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol"
    origins = ("Origin: http://shop.test", "Origin: http://evil.test")
    tried: list[tuple[Answer, int, Any]] = [
        (raw.ask(Sec_WebSocket_Key=""), 400, bad(key)),
        (raw.ask(Sec_WebSocket_Key="x"), 400, bad(key)),
        (raw.ask(f"{key}: {HANDSHAKE[key]}"), 400, bad(key)),
        (raw.ask(Sec_WebSocket_Version=""), 400, bad(version)),
        (raw.ask(Sec_WebSocket_Version="12"), 400, bad(version)),
        (raw.ask(*origins), 400, bad("Origin")),
        (raw.ask(Sec_WebSocket_Protocol='bearer, "a.secret.token'), 400, bad(protocol)),
        (raw.ask(method="POST"), 405, failure(MethodNotAllowed)),
        (raw.ask("Upgrade: websocket"), 426, {**bad("Upgrade"), "code": 426}),
        (raw.ask("Content-Length: 3"), 400, failure(BadRequest, NO_BODY)),
        (raw.ask(Cookie="x" * 9000), 431, failure(HeadersTooLarge)),
        (raw.ask(path=f"{LOBBY}?token={'x' * 9000}"), 431, failure(HeadersTooLarge)),
    ]
    assert [(answer.status, answer.body) for answer, _, _ in tried] == [(status, body) for _, status, body in tried]
    assert len({answer.headers["x-request-id"] for answer, _, _ in tried}) == len(tried)
    assert raw.ask(method="POST").headers["allow"] == "GET"
    assert raw.ask("Upgrade: websocket").headers["upgrade"] == "websocket"
    assert raw.ask(Sec_WebSocket_Version="12").headers["sec-websocket-version"] == "13"
    assert raw.ask(Sec_WebSocket_Key="x", X_Request_ID=ID).headers["x-request-id"] == ID


def test_what_another_http_side_lets_through(app: FastAPI) -> None:
    with frame_service(app, http="httptools") as service:
        answer = Raw(service).ask("Content-Length: 3")
        assert (answer.status, answer.body) == (400, failure(BadRequest, NO_HANDSHAKE))


def test_what_is_no_socket(raw: Raw) -> None:
    for path in ("/", "/nothing", "/healthz", f"{LOBBY}/", "/static/favicon.svg", "/websocketdemo/rooms"):
        answer = raw.ask(path=path, X_Request_ID=ID)
        assert (answer.status, answer.body) == (404, failure(NotFound, NO_SOCKET)), path
        assert (answer.headers["x-request-id"], answer.headers["cache-control"]) == (ID, "no-store")


def test_headers_that_cannot_be_read(raw: Raw) -> None:
    for origin in ("http://[", "http://a[b]", "http://a:x", "é"):
        answer = raw.ask(Origin=origin)
        assert (answer.status, answer.body) == (403, failure(OriginNotAllowed)), origin


# -- whatever the server ----------------------------------------------------------------------------------------------


def refusal(client: TestClient, path: str = LOBBY, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect(path, headers=headers or {}):
        pass
    return caught.value.status_code, caught.value.json()


@pytest.mark.parametrize("settings", [{"allowed_hosts": ("shop.test",)}], indirect=True)
def test_a_socket_of_another_host(client: TestClient) -> None:
    for host in ("evil.test", "["):
        assert refusal(client, headers={"Host": host}) == (400, failure(BadRequest, ANOTHER_HOST))


def test_a_socket_that_its_own_code_refuses_or_fails_to_open(app: FastAPI, client: TestClient) -> None:
    @app.websocket("/refused")
    async def refuse(socket: WebSocket) -> None:
        await socket.close(1008)

    @app.websocket("/denied")
    async def deny(_: WebSocket) -> None:
        raise Forbidden

    @app.websocket("/crashed")
    async def crash(_: WebSocket) -> None:
        raise RuntimeError("nobody may see this")

    def answer(error: type[ServiceError], message: str | None = None) -> tuple[int, Any]:
        return error.status_code, failure(error, message)

    assert refusal(client, "/refused") == answer(Forbidden, REFUSED_SOCKET)
    assert refusal(client, "/denied") == answer(Forbidden)
    assert refusal(client, "/crashed") == answer(InternalError)


@pytest.mark.anyio
async def test_a_server_that_cannot_answer_instead_of_a_socket(app: FastAPI) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/nothing", "headers": [], "query_string": b"", "root_path": ""}
    await app(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000, "reason": ""}]
