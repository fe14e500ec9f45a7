"""A room as Server-Sent Events: the same frames as sockets get, with ids from which a browser comes back."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.websocketdemo.errors import GuestsNotAllowed
from api.websocketdemo.event_stream import EventStream
from api.websocketdemo.outlets import Batch
from tests.support.chat_processes import chats
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, invalid, success
from tests.websocketdemo.conftest import (
    PATIENCE,
    Frame,
    Service,
    error,
    join,
    leave,
    message,
    only_frames,
    recovered,
)
from utils.custom_exc import NotAuthenticated

EVENTS = "/websocketdemo/rooms/lobby/events"

Headers = dict[str, str]


class Listener:
    """A stream that is read event by event."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = _lines(answer)

    def read(self) -> tuple[str | None, Frame]:
        """The id and the frame of the next event."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                assert name not in fields
                fields[name] = value
            elif fields:
                break
        assert fields.keys() <= {"id", "data"}
        return fields.get("id"), json.loads(fields["data"])

    def reads(self, *frames: Frame) -> None:
        """Exactly these come next, messages with their ids."""
        expected = [(str(frame["id"]) if frame["type"] == "message" else None, frame) for frame in frames]
        assert [self.read() for _ in frames] == expected

    def ends(self) -> None:
        """Nothing else comes before the end."""
        assert [line for line in self._lines if line] == []


def _lines(answer: httpx2.Response) -> Iterator[str]:
    """As a browser sees them: httpx ends lines at more characters."""
    rest = ""
    for text in answer.iter_text():
        *lines, rest = (rest + text).split("\n")
        yield from lines


@contextmanager
def listen(service: Service, headers: Headers | None = None, path: str = EVENTS, **query: Any) -> Iterator[Listener]:
    with service.http.stream("GET", path, params=query or None, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        yield Listener(answer)


@only_frames
@only_sqlite
def test_what_sockets_get(service: Service) -> None:
    with listen(service) as listener, listen(service, path="/websocketdemo/rooms/tea/events") as elsewhere:
        one, two = service.enter("User1"), service.enter("User2", "tea")
        one.say("hi\r\n\u2028字", data={"a": "\n"})
        said = message(1, "User1", "hi\r\n\u2028字", data={"a": "\n"})
        one.reads(said)
        one.say("psst", send_user="User2")
        one.say("nobody", send_user="nobody")
        assert one.read()["type"] == "direct"
        assert one.read()["type"] == "error"
        one.close()
        listener.reads(join("User1"), said, leave("User1"))
        two.close()
        elsewhere.reads(join("User2", "tea"), leave("User2", "tea"))
        rooms = service.http.get("/websocketdemo/rooms").json()
        assert rooms == success([{"name": "lobby", "online": 0, "last_id": 1}]), "who only listens is not there"


@only_frames
@only_sqlite
def test_who_comes_back_gets_what_was_missed(service: Service) -> None:
    one = service.enter("User1")
    for id_ in range(1, 6):
        one.say(f"{id_}")
    said = [message(id_, "User1", f"{id_}") for id_ in range(1, 6)]
    one.reads(*said)
    with (
        listen(service, {"Last-Event-ID": "3"}) as by_header,
        listen(service, since=4) as by_query,
        listen(service, {"Last-Event-ID": "5"}, since=0) as by_both,
        listen(service, since=9) as of_another_history,
    ):
        one.say("6")
        last = message(6, "User1", "6")
        by_header.reads(recovered(3, 5), *said[3:], last)
        by_query.reads(recovered(4, 5), *said[4:], last)
        by_both.reads(recovered(5, 5), last)
        of_another_history.reads(recovered(9, 5, whole=False), *said, last)


@only_frames
@only_sqlite
def test_more_was_missed_than_the_room_remembers(service: Service) -> None:
    one = service.enter("User1")
    for id_ in range(1, 301):
        one.say(f"{id_}")
    said = [one.read() for _ in range(300)]
    with listen(service, since=0) as listener:
        listener.reads(recovered(0, 300), *said)
        one.say("301")
        listener.reads(message(301, "User1", "301"))


@only_frames
@only_sqlite
@pytest.mark.parametrize("settings", [{"chat_outbound_bytes": 64 * 1024}], indirect=True)
def test_more_was_missed_than_may_wait(service: Service) -> None:
    """The stream ends, and the client comes back for the rest."""
    one = service.enter("User1")
    for _ in range(60):
        one.say("x" * 4000)
    said = [one.read() for _ in range(60)]
    told: list[Frame] = []
    while len(told) < 60:
        with listen(service, since=len(told)) as listener:
            listener.reads(recovered(len(told), 60))
            with suppress(KeyError):
                while len(told) < 60:
                    told.append(listener.read()[1])
    assert told == said


@only_frames
@only_sqlite
def test_what_does_not_fit(service: Service) -> None:
    no_number = "Input should be a valid integer, unable to parse string as an integer"
    answer = service.http.get(EVENTS, headers={"Last-Event-ID": "x"})
    assert (answer.status_code, answer.json()) == (
        422,
        invalid((("header", "last-event-id"), no_number, "int_parsing")),
    )
    answer = service.http.get(EVENTS, params={"since": "x"})
    assert (answer.status_code, answer.json()) == (422, invalid((("query", "since"), no_number, "int_parsing")))
    answer = service.http.get("/websocketdemo/rooms/a%20b/events")
    assert answer.status_code == 422
    assert answer.json()["data"]["errors"][0]["loc"] == ["path", "room"]


@only_frames
@only_sqlite
@pytest.mark.parametrize("settings", [{"guests": False}], indirect=True)
def test_where_guests_may_not_come_in(service: Service, customer: Headers) -> None:
    answer = service.http.get(EVENTS)
    assert (answer.status_code, answer.json()) == (401, failure(GuestsNotAllowed))
    answer = service.http.get(EVENTS, headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()) == (401, failure(NotAuthenticated, "The access token is not valid."))
    refused = service.open("User1")
    refused.reads(error(GuestsNotAllowed))
    token = customer["Authorization"].split()[1]
    with listen(service, customer) as one, listen(service, {"Cookie": f"access_token={token}"}) as two:
        service.enter("bob", headers=customer)
        one.reads(join("bob"))
        two.reads(join("bob"))


@only_frames
@only_sqlite
def test_who_has_gone_is_forgotten(service: Service, app: Any) -> None:
    with listen(service) as listener:
        service.enter("User1")
        listener.reads(join("User1"))
        room = app.state.hub.rooms.find("lobby")
        assert len(room.outlets) == 2
    one = service.enter("User2")
    while len(room.outlets) > 2:
        one.say("hi")
        assert one.read()["id"] < 10_000
    assert room.visitors == 2


# -- a client that is slow --------------------------------------------------------------------------------------------


@only_sqlite
@pytest.mark.slow
def test_a_stream_does_not_hold_up_the_end_of_the_service(database_url: str, tmp_path: Path) -> None:
    """A browser comes back by itself, with the id of what it saw last."""
    with chats(1, database_url, "memory://", tmp_path) as (server,), httpx2.Client(trust_env=False) as client:
        with client.stream("GET", f"http://{server.address}{EVENTS}") as answer:
            assert answer.status_code == 200
            server.terminate()
            assert answer.read() == b""
        assert server.wait() == 0


@pytest.mark.anyio
async def test_a_stream_ends_when_too_much_waits() -> None:
    """The client comes back for the rest."""
    stream = EventStream(max_waiting=10)
    stream.deliver(Batch([b"12345"], 7))
    stream.deliver(Batch([b"67890"], 8))
    stream.deliver(Batch([b"notice"]))
    for _ in range(1000):
        stream.deliver(Batch([b"later ones count for nothing"], 9))
    async with asyncio.timeout(PATIENCE):
        await stream.drained()
        told = [(event.id, event.raw_data) async for event in stream]
    assert told == [("7", "12345"), ("8", "67890"), (None, "notice")]


@pytest.mark.anyio
async def test_a_stream_ends_while_the_client_takes_an_event() -> None:
    stream = EventStream(max_waiting=10)
    async with asyncio.timeout(PATIENCE):
        stream.deliver(Batch([b"1"], 1))
        reading = aiter(stream)
        assert (await anext(reading)).id == "1"
        stream.deliver(Batch([b"too much to wait"], 2))
        stream.deliver(Batch([b"3"], 3))
        assert [event.id async for event in reading] == ["2"]


@pytest.mark.anyio
async def test_who_sends_waits_until_what_was_sent_is_taken() -> None:
    stream = EventStream(max_waiting=100)
    async with asyncio.timeout(PATIENCE):
        stream.deliver(Batch([b"1", b"2"], 1))
        await stream.drained()  # nobody reads yet
        reading = aiter(stream)
        assert (await anext(reading)).id == "1"
        waiting = asyncio.create_task(stream.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert (await anext(reading)).id == "2"
        third = asyncio.ensure_future(anext(reading))
        await waiting
        stream.deliver(Batch([b"3"], 3))
        assert (await third).id == "3"
        waiting = asyncio.create_task(stream.drained())
        stream.close()
        await waiting
        assert [event async for event in reading] == []
