"""Sockets into a running chat, by both ways on which frames leave it, and the frames as tests compare them: whole."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, Self
from urllib.parse import quote, unquote

import httpx2
import pytest
import uvicorn
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from api import create_app
from api.websocketdemo.identity import GUEST_COOKIE
from extensions.server import server_options
from settings.testing_config import TestingSettings
from tests.support.envelopes import A_TIME
from tests.support.redis_servers import redis_space
from utils.custom_exc import ServiceError

PATIENCE = 10.0  # seconds until a frame that does not come counts as missing
SOCKETS = "/websocketdemo/ws"

Frame = dict[str, Any]

only_plain = pytest.mark.parametrize("way", ["plain"], indirect=True)
only_frames = pytest.mark.parametrize("way", ["frames"], indirect=True)


# -- frames -----------------------------------------------------------------------------------------------------------


def join(user: str, room: str = "lobby") -> Frame:
    return {"user": user, "message": "进入聊天", "room": room, "time": A_TIME, "type": "join"}


def leave(user: str, room: str = "lobby") -> Frame:
    return {"user": user, "message": "离开", "room": room, "time": A_TIME, "type": "leave"}


def message(id_: int, user: str, text: str, room: str = "lobby", data: Any = None) -> Frame:
    said = {"user": user, "message": text, "room": room, "time": A_TIME}
    return {**said, "type": "message", "id": id_, "data": data}


def direct(user: str, to: str, text: str, room: str = "lobby", data: Any = None) -> Frame:
    said = {"user": user, "message": text, "room": room, "time": A_TIME}
    return {**said, "type": "direct", "send_user": to, "data": data}


def ack(ref: str, id_: int | None) -> Frame:
    return {"type": "ack", "ref": ref, "id": id_}


def recovered(since: int, last_id: int, room: str = "lobby", *, whole: bool = True) -> Frame:
    return {"type": "recovered", "room": room, "recovered": whole, "since": since, "last_id": last_id}


def error(kind: type[ServiceError], text: str | None = None, ref: str | None = None, data: Any = None) -> Frame:
    return {"type": "error", "code": kind.code, "message": text or kind.message, "ref": ref, "data": data}


# -- sockets ----------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """The handshake was answered with something else than a socket."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body


class Peer(Protocol):
    """One end of an open socket; reading waits, but not for ever."""

    headers: dict[str, str]
    """Of the answer to the handshake."""
    subprotocol: str | None

    def read_text(self) -> str | int:
        """The next frame, or the code with which the socket was closed."""

    def send_text(self, text: str) -> None: ...

    def send_bytes(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Chatter:
    """Somebody with a socket."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def say(self, text: Any, **keys: Any) -> None:
        self.peer.send_text(json.dumps({"message": text, **keys}, ensure_ascii=False))

    def read(self) -> Frame:
        text = self.peer.read_text()
        assert isinstance(text, str), f"the socket was closed with {text}"
        frame: Frame = json.loads(text)
        return frame

    def reads(self, *frames: Frame) -> None:
        """Exactly these come next."""
        assert [self.read() for _ in frames] == list(frames)

    def reads_in_any_order(self, *frames: Frame) -> None:
        def order(frame: Frame) -> str:
            return str(frame["type"])

        assert sorted([self.read() for _ in frames], key=order) == sorted(frames, key=order)

    def is_closed_with(self, code: int) -> None:
        """Nothing else comes before the end."""
        assert self.peer.read_text() == code

    @property
    def guest_cookie(self) -> dict[str, str]:
        """The header by which the same browser comes again."""
        cookie = self.peer.headers["set-cookie"].partition(";")[0]
        assert cookie.startswith(f"{GUEST_COOKIE}=")
        return {"Cookie": cookie}

    def close(self) -> None:
        self.peer.close()


class PlainPeer:
    """A socket by ASGI, as any server but ours has it."""

    def __init__(self, client: TestClient, path: str, headers: dict[str, str], subprotocols: list[str]) -> None:
        assert client.portal
        self._portal: BlockingPortal = client.portal
        self._to_app: asyncio.Queue[Any] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()
        scope = _scope(path, headers, subprotocols)
        self._app = self._portal.start_task_soon(client.app, scope, self._to_app.get, self._from_app.put)
        self._put({"type": "websocket.connect"})
        answer = self._get()
        if answer["type"] == "websocket.http.response.start":
            body = self._get()["body"]
            self._app.result(PATIENCE)
            raise Refused(answer["status"], json.loads(body))
        assert answer["type"] == "websocket.accept"
        self.subprotocol: str | None = answer["subprotocol"]
        self.headers = {name.decode(): value.decode() for name, value in answer["headers"]}

    def read_text(self) -> str | int:
        told = self._get()
        if told["type"] == "websocket.close":
            code: int = told["code"]
            self._put({"type": "websocket.disconnect", "code": code})
            return code
        text: str = told["text"]
        return text

    def send_text(self, text: str) -> None:
        self._put({"type": "websocket.receive", "text": text})

    def send_bytes(self, data: bytes) -> None:
        self._put({"type": "websocket.receive", "bytes": data})

    def close(self) -> None:
        self._portal.call(self.vanish)
        self._app.result(PATIENCE)

    def vanish(self) -> None:
        """Disconnect, in the loop of the service, and do not wait until it has noticed."""
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})

    def _put(self, told: dict[str, Any]) -> None:
        self._portal.call(self._to_app.put, told)

    def _get(self) -> Any:
        return self._portal.call(asyncio.wait_for, self._from_app.get(), PATIENCE)


class FramePeer:
    """A socket over the network to our own server."""

    def __init__(self, url: str, headers: dict[str, str], subprotocols: list[str]) -> None:
        self._stack = ExitStack()
        try:
            opening = connect(
                url,
                additional_headers=headers,
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                compression=None,
                proxy=None,
                open_timeout=PATIENCE,
                max_queue=None,
            )
        except InvalidStatus as refused:
            answer = refused.response
            raise Refused(answer.status_code, json.loads(answer.body or b"null")) from refused
        self.connection: ClientConnection = self._stack.enter_context(opening)
        assert self.connection.response
        self.headers = {name.lower(): value for name, value in self.connection.response.headers.raw_items()}
        self.subprotocol: str | None = self.connection.subprotocol

    def read_text(self) -> str | int:
        try:
            text = self.connection.recv(PATIENCE)
        except ConnectionClosed:
            code = self.connection.close_code
            assert code is not None
            return code
        assert isinstance(text, str)
        return text

    def send_text(self, text: str) -> None:
        self.connection.send(text)

    def send_bytes(self, data: bytes) -> None:
        self.connection.send(data)

    def close(self) -> None:
        self._stack.close()


def _scope(path: str, headers: dict[str, str], subprotocols: list[str]) -> dict[str, Any]:
    raw_path, _, query = path.partition("?")
    sent = {"host": "testserver", **{name.lower(): value for name, value in headers.items()}}
    return {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("testclient", 50000),
        "server": ("testserver", 80),
        "subprotocols": subprotocols,
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


# -- services ---------------------------------------------------------------------------------------------------------


class Service:
    """A running service, with everybody who is connected to it."""

    def __init__(
        self,
        http: httpx2.Client,
        open_peer: Callable[[str, dict[str, str], list[str]], Peer],
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.http = http
        self.stop = stop
        self._open_peer = open_peer
        self._peers: list[Peer] = []

    def open(self, path: str, headers: dict[str, str] | None = None, subprotocols: list[str] | None = None) -> Chatter:
        """A socket at a path below the chat's; raises Refused."""
        peer = self._open_peer(f"{SOCKETS}/{quote(path, safe='/?=&%')}", headers or {}, subprotocols or [])
        self._peers.append(peer)
        return Chatter(peer)

    def enter(self, user: str, room: str = "lobby", headers: dict[str, str] | None = None) -> Chatter:
        """A socket of somebody who has read their own join."""
        chatter = self.open(f"{room}/{user}", headers)
        chatter.reads(join(user, room))
        return chatter

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for peer in self._peers:
                stack.callback(peer.close)


@contextmanager
def plain_service(app: FastAPI) -> Iterator[Service]:
    """Frames leave by ASGI."""
    with TestClient(app) as client, Service(client, lambda *wanted: PlainPeer(client, *wanted)) as service:
        yield service


@contextmanager
def frame_service(app: FastAPI, **options: Any) -> Iterator[Service]:
    """Frames leave as bytes, from uvicorn in a thread as `serve` starts it, but for these options."""
    server = uvicorn.Server(uvicorn.Config(app, **{**server_options(app.state.settings), **options}))
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listener.getsockname()[1]}"

    def run() -> None:
        with listener:  # closed when this fails, so that nobody waits for an answer
            server.run(sockets=[listener])

    def stop() -> None:
        server.should_exit = True
        thread.join()

    thread = threading.Thread(target=run)
    thread.start()
    with ExitStack() as stack:
        stack.callback(stop)
        http = stack.enter_context(httpx2.Client(base_url=f"http://{address}", trust_env=False, timeout=PATIENCE))
        service = Service(http, lambda path, *wanted: FramePeer(f"ws://{address}{path}", *wanted), stop)
        yield stack.enter_context(service)


@pytest.fixture(params=["plain", "frames"])
def way(request: pytest.FixtureRequest) -> str:
    """How frames leave; `only_plain` and `only_frames` choose one."""
    name: str = request.param
    return name


@pytest.fixture
def service(way: str, app: FastAPI) -> Iterator[Service]:
    """The running service."""
    with plain_service(app) if way == "plain" else frame_service(app) as running:
        yield running


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A part of Redis that only this test uses."""
    with redis_space() as url:
        yield url


@pytest.fixture
def apps(settings: TestingSettings, redis_url: str) -> list[FastAPI]:
    """Two services on one database and one Redis."""
    shared = settings.model_copy(update={"broker_url": redis_url})
    return [create_app(shared), create_app(shared)]


@pytest.fixture
def workers(apps: list[FastAPI]) -> Iterator[list[Service]]:
    """Both of them running."""
    with plain_service(apps[0]) as one, plain_service(apps[1]) as two:
        yield [one, two]
