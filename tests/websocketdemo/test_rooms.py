"""A room hands on each message once, in order, without a gap, whatever the broker and the database do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.websocketdemo import room_keeper
from api.websocketdemo.adding import Said
from api.websocketdemo.frames import Message
from api.websocketdemo.outlets import Batch
from api.websocketdemo.recorder import room_event
from api.websocketdemo.room_keeper import RoomKeeper
from api.websocketdemo.rooms import RECENT, Room
from api.websocketdemo.store import Span
from extensions.broker_memory import MemoryBroker
from utils.background import Background
from utils.fields import MAX_ID, utc_now

pytestmark = pytest.mark.anyio


class FakeOutlet:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.ids: list[int] = []

    def deliver(self, batch: Batch) -> None:
        self.told += batch.payloads
        if batch.first_id:
            self.ids += range(batch.first_id, batch.first_id + len(batch.payloads))

    def close(self, code: int) -> None:
        raise AssertionError(f"closed with {code}")

    def waiting(self) -> int:
        return 0

    async def drained(self) -> None:
        """Always."""


def payloads(first: int, last: int) -> list[bytes]:
    return [b"%d" % id_ for id_ in range(first, last + 1)]


async def turn() -> None:
    """Let the loop do what was put off."""
    await asyncio.sleep(0)


def find_nothing(_: Room) -> None:
    """Nobody looks for what is missing: it comes by itself."""


# -- one room ---------------------------------------------------------------------------------------------------------

LAST = 3 * RECENT
ids = st.integers(1, LAST)
batches = st.tuples(ids, st.integers(1, RECENT + 10))
joins = st.one_of(st.just("live"), st.integers(0, RECENT))  # how far back, as far as the room remembers
steps = st.lists(st.one_of(batches, joins, st.just("turn")), max_size=60)


@given(steps)
def test_each_message_once_in_order_without_a_gap(steps: Sequence[Any]) -> None:
    """Batches in any order, twice, overlapping, with gaps that are filled at the end; outlets join in between."""

    async def work() -> None:
        room = Room("tea", find_nothing)
        outlets: list[tuple[int, FakeOutlet]] = []
        for step in steps:
            if isinstance(step, tuple):
                first, length = step
                room.messages(first, payloads(first, min(first + length, LAST)))
            elif step == "turn":
                await turn()
            else:
                seen = None if step == "live" else max(room.last_id - step, 0)
                assert seen is None or room.reaches_back_to(seen)
                outlets.append((room.last_id if seen is None else seen, FakeOutlet()))
                room.add(outlets[-1][1], seen, b"")
        for id_ in range(room.last_id + 1, LAST + 1):
            room.messages(id_, payloads(id_, id_))
        await turn()
        assert (room.last_id, room.awaits_more) == (LAST, False)
        for seen, outlet in outlets:
            assert outlet.ids == list(range(seen + 1, LAST + 1))
            assert outlet.told == payloads(seen + 1, LAST)

    asyncio.run(work())


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 4)), max_size=20))
def test_what_waits_is_told_as_soon_as_it_can_be(came_in_order: list[tuple[int, int]]) -> None:
    async def work() -> None:
        asked: list[int] = []
        room, outlet = Room("tea", lambda room: asked.append(room.last_id)), FakeOutlet()
        room.add(outlet, None, b"")
        came: set[int] = set()
        for first, length in came_in_order:
            room.messages(first, payloads(first, first + length - 1))
            came |= set(range(first, first + length))
            await turn()
            ready = next(id_ for id_ in range(1, 20) if id_ not in came) - 1
            assert outlet.ids == list(range(1, ready + 1))
            assert room.awaits_more == any(id_ > ready for id_ in came)
            assert not room.awaits_more or asked[-1] == ready

    asyncio.run(work())


@pytest.mark.parametrize("last_id", [4, 5, 7])
async def test_what_waits_is_not_lost_when_the_room_begins_before_it(last_id: int) -> None:
    room, outlet = Room("tea", find_nothing), FakeOutlet()
    room.add(outlet, None, b"")
    room.messages(5, payloads(5, 6))
    room.skip_to(last_id)
    room.messages(7, payloads(7, 8))
    await turn()
    assert outlet.ids == list(range(last_id + 1, 9))


async def test_what_is_missing_is_given_up() -> None:
    room, outlet = Room("tea", find_nothing), FakeOutlet()
    room.add(outlet, None, b"")
    room.messages(1, payloads(1, 2))
    room.messages(9, payloads(9, 9))
    room.messages(5, payloads(5, 6))
    room.skip_missing()
    await turn()
    assert (outlet.ids, room.awaits_more) == ([1, 2, 5, 6], True)
    assert not room.reaches_back_to(2)
    assert room.reaches_back_to(4)
    room.skip_missing()
    await turn()
    assert (outlet.ids, room.awaits_more) == ([1, 2, 5, 6, 9], False)


async def test_messages_and_notices_keep_their_order() -> None:
    room, outlet = Room("tea", find_nothing), FakeOutlet()
    room.add(outlet, None, b"")
    for event in (
        room_event([b"A joins"]),
        room_event(payloads(1, 2), 1),
        room_event(payloads(3, 3), 3),
        room_event([b"A leaves"]),
        room_event([b"B joins"]),
        room_event(payloads(4, 4), 4),
    ):
        assert room.receive(event) == 1
    assert outlet.told == [b"A joins", b"1", b"2", b"3", b"A leaves", b"B joins"], "the last ones wait for their turn"
    await turn()
    assert outlet.told == [b"A joins", b"1", b"2", b"3", b"A leaves", b"B joins", b"4"]
    assert outlet.ids == [1, 2, 3, 4]


@pytest.mark.parametrize("arrives", ["before", "in the same turn", "after", "never"])
async def test_ones_own_join_comes_once_and_first(arrives: str) -> None:
    room, other, own = Room("tea", find_nothing), FakeOutlet(), FakeOutlet()
    room.add(other, None, b"")
    room.messages(1, payloads(1, 2))
    room.expect_join(b"own joins", own)
    if arrives in ("before", "in the same turn"):
        room.receive(room_event([b"own joins"]))
    if arrives == "before":
        await turn()
    room.add(own, 0, b"own joins")
    if arrives == "after":
        room.receive(room_event([b"own joins"]))
    room.messages(3, payloads(3, 3))
    await turn()
    assert own.told == [b"1", b"2", b"own joins", b"3"]
    joined = [] if arrives == "never" else [b"own joins"]
    assert other.told == [b"1", b"2", *joined, b"3"]


async def test_who_left_is_told_nothing() -> None:
    room, outlet = Room("tea", find_nothing), FakeOutlet()
    room.expect_join(b"own joins", outlet)
    room.add(outlet, None, b"own joins")
    room.remove(outlet, b"own joins")
    assert room.receive(room_event(payloads(1, 1), 1)) == 0
    assert room.receive(room_event([b"own joins"])) == 0
    await turn()
    assert outlet.told == [b"own joins"]


# -- a room and the database ------------------------------------------------------------------------------------------


class FakeStore:
    """The messages of one room; `pause` is called in the middle of each query, after it was answered."""

    def __init__(self, first_id: int = 1, last_id: int = 0) -> None:
        self.messages: dict[int, Message] = {}
        self.last_id = first_id - 1
        self.pause: Callable[[], Awaitable[None]] = turn
        while self.last_id < last_id:
            self.say()

    def say(self) -> bytes:
        """Store the next message; answers its frame."""
        self.last_id += 1
        said = Said("tea", "User1", f"{self.last_id}", None, utc_now()).with_id(self.last_id)
        self.messages[self.last_id] = said
        return said.model_dump_json().encode()

    async def span(self, _: str) -> Span:
        found = Span(min(self.messages, default=0), self.last_id)
        await self.pause()
        return found

    async def after(self, _: str, after: int, limit: int, *, before: int = MAX_ID) -> list[Message]:
        found = [self.messages[id_] for id_ in sorted(self.messages) if after < id_ < before][:limit]
        await self.pause()
        return found

    async def last_ids(self, rooms: Sequence[str]) -> dict[str, int]:
        found = {"tea": self.last_id} if "tea" in rooms and self.last_id else {}
        await self.pause()
        return found


class Worker:
    """The rooms of a worker over a store."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.broker = MemoryBroker()
        self.background = Background()
        self.rooms = RoomKeeper(store, self.broker, self.background)

    async def say(self) -> None:
        """Store a message and tell of it."""
        frame = self.store.say()
        await self.broker.publish("tea", room_event([frame], self.store.last_id))

    def say_once(self, *, in_next: str) -> None:
        """Say something right after the next query of this kind was answered."""
        query = getattr(self.store, in_next)

        async def answer(*arguments: Any, **keys: Any) -> Any:
            setattr(self.store, in_next, query)
            found = await query(*arguments, **keys)
            await self.say()
            return found

        setattr(self.store, in_next, answer)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the service does by itself, not longer than ten seconds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  (the service has no event for it)
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("last_id", [0, 3])
@pytest.mark.parametrize("since", [None, 0])
async def test_a_message_while_the_room_is_opened(last_id: int, since: int | None) -> None:
    worker, outlet = Worker(FakeStore(last_id=last_id)), FakeOutlet()
    worker.say_once(in_next="span")
    async with worker.rooms.listen("tea", outlet, since):
        await worker.say()
        await turn()
        first = 1 if since == 0 else last_id + 2
        assert outlet.ids == list(range(first, last_id + 3))


@pytest.mark.parametrize("kept", [(1, 0), (1, 3), (4, 3), (4, 9)])
async def test_a_message_while_somebody_recovers(kept: tuple[int, int]) -> None:
    first, last = kept
    worker = Worker(FakeStore(*kept))
    async with worker.rooms.open("tea") as room:
        outlet = FakeOutlet()
        worker.say_once(in_next="span")
        seen = await worker.rooms.recover(room, outlet, first - 1)
        room.add(outlet, seen, b"")
        await worker.say()
        await turn()
        assert b'"recovered":true' in outlet.told[0]
        assert outlet.ids == list(range(first, last + 3))


async def test_messages_between_the_pages_of_who_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_keeper, "PAGE", 7)
    worker, outlet = Worker(FakeStore(last_id=RECENT + 20)), FakeOutlet()
    worker.store.pause = worker.say
    async with worker.rooms.listen("tea", outlet, 3):
        worker.store.pause = turn
        await worker.say()
        await turn()
        assert outlet.ids == list(range(4, worker.store.last_id + 1))


async def test_an_event_that_got_lost_is_found_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_keeper, "LATE_SECONDS", 0)
    worker, outlet = Worker(FakeStore(last_id=2)), FakeOutlet()
    async with worker.rooms.listen("tea", outlet, None):
        worker.store.say()
        worker.store.say()
        await worker.say()
        await until(lambda: outlet.ids == [3, 4, 5])
    await worker.background.close()


async def test_an_event_that_got_lost_is_found_when_asked_for() -> None:
    worker, outlet = Worker(FakeStore(last_id=2)), FakeOutlet()
    async with worker.rooms.listen("tea", outlet, None):
        worker.store.say()
        worker.store.say()
        await worker.rooms.catch_up_all()
        await turn()
        assert outlet.ids == [3, 4]


async def test_what_was_missed_and_is_no_longer_kept_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_keeper, "LATE_SECONDS", 0)
    worker, outlet = Worker(FakeStore(last_id=2)), FakeOutlet()
    async with worker.rooms.listen("tea", outlet, None):
        worker.store.say()
        worker.store.say()
        del worker.store.messages[3]
        await worker.say()
        await until(lambda: outlet.ids == [4, 5])
    await worker.background.close()


async def test_a_room_is_closed_when_nobody_is_in_it() -> None:
    worker, outlet = Worker(FakeStore(last_id=2)), FakeOutlet()
    async with worker.rooms.listen("tea", outlet, None):
        await worker.rooms.close_empty()
        await worker.say()
        await turn()
        assert outlet.ids == [3]
    room = worker.rooms.find("tea")
    await worker.rooms.close_empty()
    assert worker.rooms.find("tea") is None
    await worker.say()
    async with worker.rooms.listen("tea", outlet, 3):
        assert worker.rooms.find("tea") is not room
        await worker.say()
        await turn()
        assert outlet.ids == [3, 4, 5]


async def test_who_comes_while_the_room_is_closed_keeps_it_open() -> None:
    worker, outlet = Worker(FakeStore()), FakeOutlet()
    async with worker.rooms.open("tea"):
        pass
    slow = asyncio.Event()

    async def unsubscribe(channel: str) -> None:
        await slow.wait()
        await MemoryBroker.unsubscribe(worker.broker, channel)

    worker.broker.unsubscribe = unsubscribe  # type: ignore[method-assign]
    closing = asyncio.create_task(worker.rooms.close_empty())
    await turn()
    done = asyncio.Event()

    async def come() -> None:
        async with worker.rooms.listen("tea", outlet, None):
            await worker.say()
            await turn()
            done.set()

    coming = asyncio.create_task(come())
    await turn()
    slow.set()
    async with asyncio.timeout(10):
        await asyncio.gather(closing, coming, done.wait())
    assert outlet.ids == [1]


async def test_a_room_that_could_not_be_opened_is_opened_by_the_next() -> None:
    worker, outlet = Worker(FakeStore(last_id=2)), FakeOutlet()

    async def fail() -> None:
        raise ConnectionError

    worker.store.pause = fail
    with pytest.raises(ConnectionError):
        async with worker.rooms.listen("tea", outlet, None):
            raise AssertionError("it was opened")
    worker.store.pause = turn
    async with worker.rooms.listen("tea", outlet, 0):
        await worker.say()
        await turn()
        assert outlet.ids == [1, 2, 3]
