"""One client, however slow or hostile, costs the others nothing."""

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from fastapi import FastAPI
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from api.websocketdemo.chat import read_ref
from api.websocketdemo.errors import (
    FrameInvalid,
    FrameTooLarge,
    TooManyMessages,
    TooManyRoomsOfUser,
    TooManySocketsOfAddress,
    TooManySocketsOfUser,
)
from api.websocketdemo.outlets import Batch, PlainOutlet
from tests.support.databases import only_sqlite
from tests.websocketdemo.conftest import (
    PATIENCE,
    Chatter,
    Service,
    ack,
    direct,
    error,
    join,
    leave,
    message,
    only_frames,
    only_plain,
    recovered,
)

Test = TypeVar("Test", bound=Callable[..., Any])


def limits(**changes: int) -> Callable[[Test], Test]:
    """These settings, on one database: limits have nothing to do with it."""

    def mark(test: Test) -> Test:
        marked: Test = only_sqlite(pytest.mark.parametrize("settings", [changes], indirect=True)(test))
        return marked

    return mark


# -- frames -----------------------------------------------------------------------------------------------------------


@limits(chat_frame_bytes=256)
def test_the_size_of_a_frame(service: Service) -> None:
    """In bytes, not in characters."""
    one = service.enter("User1")
    too_large = "The frame is too large: at most 256 bytes."
    frame = '{"ref": "r", "message": "%s"}'
    for letter in ("x", "字"):
        rest = 256 - len(frame % "")
        text, filling = letter * (rest // len(letter.encode())), "x" * (rest % len(letter.encode()))
        one.peer.send_text(frame % (text + filling))
        assert {one.read()["type"], one.read()["type"]} == {"ack", "message"}
        one.peer.send_text(frame % (text + filling + "x"))
        one.reads(error(FrameTooLarge, too_large, ref="r"))
    one.peer.send_text(frame % ("x" * 900) + "x")
    one.reads(error(FrameTooLarge, too_large))
    one.say("hi")
    one.reads(message(3, "User1", "hi"))


@limits(chat_frame_bytes=256)
@only_frames
def test_a_frame_that_no_client_of_ours_sends_is_not_even_read(service: Service) -> None:
    one, two = service.enter("User1"), service.enter("User2")
    one.reads(join("User2"))
    two.peer.send_text("x" * 1025)
    two.is_closed_with(1009)
    one.reads(leave("User2"))


@limits(chat_frame_bytes=256, chat_messages_per_second=1)
def test_frames_that_are_too_large_count_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    one = service.enter("User1")
    large = json.dumps({"ref": "r", "message": "x" * 256})
    for _ in range(5):
        one.peer.send_text(large)
    too_large = error(FrameTooLarge, "The frame is too large: at most 256 bytes.", ref="r")
    one.reads(*[too_large] * 3, *[error(TooManyMessages, ref="r")] * 2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"ref": "r", "ref": "s", "data": {"ref": "t"}}', "s"),
        (json.dumps({"ref": "r" * 64, "message": 5}), "r" * 64),
        (json.dumps({"ref": "r" * 65}), None),
        ('{"ref": 5}', None),
        ('["ref", "r"]', None),
        ('{"ref": "r"', None),
        ("", None),
        (None, None),
    ],
)
def test_the_ref_of_what_was_refused(text: str | None, found: str | None) -> None:
    assert read_ref(text) == found


class Clock:
    """Stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("api.websocketdemo.sessions.monotonic", lambda: self.now)


@limits(chat_messages_per_second=2)
def test_the_rate_of_a_socket(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    one, two = service.enter("User1"), service.enter("User2")
    one.reads(join("User2"))
    for id_ in range(1, 5):
        one.say("hi")
        one.reads(message(id_, "User1", "hi"))
    one.say("psst", send_user="User1", ref="d")
    one.reads(direct("User1", "User1", "psst"), ack("d", None))
    one.peer.send_text("counted")
    assert one.read()["code"] == FrameInvalid.code
    one.say("too much", ref="r")
    one.peer.send_bytes(b"too much")
    one.reads(error(TooManyMessages, ref="r"), error(TooManyMessages))
    two.say("others may")
    one.reads(message(5, "User2", "others may"))
    clock.now += 0.5
    one.say("one more")
    one.say("too much", send_user="User2")
    one.reads_in_any_order(message(6, "User1", "one more"), error(TooManyMessages))
    clock.now += 3600
    for _ in range(7):
        one.say("at most three seconds are saved up", ref="r")
    assert sorted(one.read()["type"] for _ in range(13)) == ["ack"] * 6 + ["error"] + ["message"] * 6


# -- sockets and rooms ------------------------------------------------------------------------------------------------


def refused(chatter: Chatter, expected: dict[str, Any]) -> None:
    chatter.reads(expected)
    chatter.is_closed_with(1008)


@limits(chat_sockets_per_user=2)
@only_plain
def test_sockets_of_a_user(service: Service) -> None:
    one = service.enter("User1")
    two = service.enter("User1", "tea", one.guest_cookie)
    refused(service.open("User1", one.guest_cookie), error(TooManySocketsOfUser))
    refused(service.open("tea/User1", one.guest_cookie), error(TooManySocketsOfUser))
    service.enter("User2")
    two.close()
    service.enter("User1", "tea", one.guest_cookie)
    refused(service.open("User1", one.guest_cookie), error(TooManySocketsOfUser))


@limits(chat_sockets_per_address=2)
def test_sockets_of_an_address(service: Service) -> None:
    one = service.enter("User1")
    service.enter("User2", "tea")
    refused(service.open("User3"), error(TooManySocketsOfAddress))
    refused(service.open("User1", one.guest_cookie), error(TooManySocketsOfAddress))
    one.close()
    service.enter("User3")


@limits(chat_rooms_per_user=2)
@only_plain
def test_rooms_of_a_user(service: Service) -> None:
    one = service.enter("User1")
    two = service.enter("User1", "tea", one.guest_cookie)
    again = service.open("tea/User1", one.guest_cookie)
    again.reads(join("User1", "tea"))
    refused(service.open("coffee/User1", one.guest_cookie), error(TooManyRoomsOfUser))
    two.close()
    refused(service.open("coffee/User1", one.guest_cookie), error(TooManyRoomsOfUser))
    again.close()
    service.enter("User1", "coffee", one.guest_cookie)


@limits(chat_sockets_per_user=1)
@only_plain
def test_what_was_refused_leaves_nothing_behind(service: Service, app: FastAPI) -> None:
    one = service.enter("User1")
    for path in ("User1", "tea/User1", "User2?since=x", "no%20name", "no%20room/User2", "User2?token=x"):
        chatter = service.open(path, one.guest_cookie)
        assert chatter.read()["type"] == "error"
        chatter.is_closed_with(1008)
    one.close()
    hub = app.state.hub
    assert (dict(hub._by_name), dict(hub._addresses)) == ({}, {})
    assert service.http.get("/websocketdemo/rooms").json()["data"] == []


# -- slow clients -----------------------------------------------------------------------------------------------------


class FakeSocket:
    """A client that reads when it is told to."""

    def __init__(self) -> None:
        self.sent: list[str | int] = []
        self.reads = asyncio.Event()
        self.failure: Exception | None = None

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        if self.failure:
            raise self.failure
        self.sent.append(text)

    async def close(self, code: int) -> None:
        await self.reads.wait()
        self.sent.append(code)


async def turns() -> None:
    """Let the loop do what can be done."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def slow() -> FakeSocket:
    return FakeSocket()


def outlet(socket: Any, max_waiting: int = 10) -> PlainOutlet:
    return PlainOutlet(socket, max_waiting)


@pytest.mark.anyio
async def test_a_slow_client_gets_all_that_may_wait(slow: FakeSocket) -> None:
    out = outlet(slow)
    out.deliver(Batch([b"12345", b"6789"]))
    out.deliver(Batch([b"0"]))
    await turns()
    assert slow.sent == []
    slow.reads.set()
    async with asyncio.timeout(PATIENCE):
        await out.drained()
    assert slow.sent == ["12345", "6789", "0"]
    out.deliver(Batch([b"1234567890"]))
    await turns()
    out.deliver(Batch([b"1234567890"]))
    await turns()
    assert slow.sent == ["12345", "6789", "0", "1234567890", "1234567890"]


@pytest.mark.anyio
async def test_a_client_that_is_too_slow_is_closed_with_1013(slow: FakeSocket) -> None:
    out = outlet(slow)
    out.deliver(Batch([b"being sent"]))
    await turns()
    out.deliver(Batch([b"too much"]))
    for _ in range(1000):
        out.deliver(Batch([b"later ones count for nothing"]))
    assert len(out._queue) == 1
    slow.reads.set()
    await turns()
    assert slow.sent == ["being sent", 1013]
    out.deliver(Batch([b"later"]))
    out.close(1008)
    await turns()
    assert slow.sent == ["being sent", 1013]


@pytest.mark.anyio
async def test_what_waits_is_sent_before_the_close(slow: FakeSocket) -> None:
    out = outlet(slow)
    out.deliver(Batch([b"error"]))
    out.close(1008)
    out.deliver(Batch([b"x" * 100]))
    out.close(1013)
    slow.reads.set()
    await turns()
    assert slow.sent == ["error", 1008]


@pytest.mark.anyio
@pytest.mark.parametrize("failure", [WebSocketDisconnect(1006), RuntimeError("it was closed")])
async def test_a_dead_client_troubles_nobody(slow: FakeSocket, failure: Exception) -> None:
    slow.failure = failure
    slow.reads.set()
    out = outlet(slow)
    for _ in range(3):
        out.deliver(Batch([b"12345"]))
        await turns()
    async with asyncio.timeout(PATIENCE):
        await out.drained()
    assert [item for item in slow.sent if isinstance(item, str)] == []


@limits(chat_outbound_bytes=64 * 1024, chat_messages_per_second=10_000, chat_frame_bytes=64 * 1024)
@only_frames
def test_a_client_that_does_not_read_is_closed_and_comes_back(service: Service) -> None:
    """The others go on; whoever was closed has all up to the close and can get the rest."""
    address, port = service.http.base_url.host, service.http.base_url.port
    assert port
    with socket.socket() as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect((address, port))
        path = f"ws://{address}:{port}/websocketdemo/ws/Slow"
        with connect(path, sock=small, compression=None, proxy=None, max_queue=1) as slow:
            one, two = service.enter("User1"), service.enter("User2")
            one.reads(join("User2"))
            text, said, gone = "字" * 4000, 0, False
            while not gone:
                said += 1
                assert said < 5000, "it was never closed"
                one.say(text)
                frames = [one.read()]
                if frames[0] == leave("Slow"):
                    gone = True
                    frames = [one.read()]
                assert frames == [message(said, "User1", text)]
            told = [two.read() for _ in range(said + 1)]
            assert [frame["id"] for frame in told if frame["type"] == "message"] == list(range(1, said + 1))
            ids: list[int] = []
            with suppress(ConnectionClosed):
                while True:
                    frame = json.loads(slow.recv(PATIENCE))
                    ids += [frame["id"]] if frame["type"] == "message" else []
            assert slow.close_code == 1013
    assert ids == list(range(1, len(ids) + 1))
    back = service.open(f"Slow?since={len(ids)}")
    back.reads(recovered(len(ids), said))
    back.reads(*(message(id_, "User1", text) for id_ in range(len(ids) + 1, said + 1)), join("Slow"))
