"""Both brokers: events in one order for everybody, and who is where; on Redis across workers that die and come back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
from starlette.datastructures import State

from extensions.broker import open_broker
from extensions.broker_memory import MemoryBroker
from extensions.broker_protocol import OwnedByAnother, Reached, Visit
from extensions.broker_redis import RedisBroker
from tests.support.redis_servers import OwnRedis, own_redis, redis_space
from utils.custom_exc import NotReady

pytestmark = pytest.mark.anyio

AnyBroker: TypeAlias = MemoryBroker | RedisBroker

PATIENCE = 10.0


class Listener:
    """Keeps the events of a channel; answers that each reached so many."""

    def __init__(self, reaches: int = 1) -> None:
        self.events: list[bytes] = []
        self._reaches = reaches

    def __call__(self, event: bytes) -> int:
        self.events.append(event)
        return self._reaches


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the broker does by itself."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  (it has no event for it)
            await asyncio.sleep(0.005)


async def settled(broker: AnyBroker) -> None:
    """Until everything that was published before has arrived."""
    listener = Listener()
    await broker.subscribe("settled", listener)
    await broker.publish("settled", b"")
    await until(lambda: bool(listener.events))
    await broker.unsubscribe("settled")


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[AnyBroker]:
    if request.param == "memory":
        yield MemoryBroker()
        return
    with redis_space() as url:
        async with redis_broker(url) as broker:
            yield broker


@asynccontextmanager
async def redis_broker(url: str) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(url)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[RedisBroker, RedisBroker]]:
    """Two workers on one Redis."""
    with redis_space() as url:
        async with redis_broker(url) as one, redis_broker(url) as two:
            yield one, two


def visit(name: str = "User1", place: str = "lobby", owner: str | None = None) -> Visit:
    return Visit(place, name, owner or f"guest {name}")


# -- on both ----------------------------------------------------------------------------------------------------------


async def test_events_arrive_in_their_order(broker: AnyBroker) -> None:
    listener, elsewhere = Listener(), Listener()
    await broker.subscribe("lobby", listener)
    await broker.subscribe("tea", elsewhere)
    events = [b"", b"\n", b"a\nb", b" x\n", "字".encode(), b"\x00\xff"] + [b"%d" % number for number in range(50)]
    for event in events:
        await broker.publish("lobby", event)
    await settled(broker)
    assert (listener.events, elsewhere.events) == (events, [])


async def test_who_has_unsubscribed_gets_nothing(broker: AnyBroker) -> None:
    first, second = Listener(), Listener()
    await broker.subscribe("lobby", first)
    await broker.unsubscribe("lobby")
    await broker.unsubscribe("never subscribed")
    await broker.publish("lobby", b"1")
    await broker.subscribe("lobby", second)
    await broker.publish("lobby", b"2")
    await settled(broker)
    assert (first.events, second.events) == ([], [b"2"])


async def test_who_comes_first_and_who_leaves_last_is_told(broker: AnyBroker) -> None:
    listener = Listener()
    await broker.subscribe("lobby", listener)
    for number in range(3):
        assert await broker.enter(visit(), b"enter %d" % number, claims=False) is False
    await broker.enter(visit("User2"), b"enter User2", claims=False)
    await broker.enter(visit(place="tea"), b"enter tea", claims=False)
    for number in range(3):
        await broker.leave(visit(), b"leave %d" % number)
    await settled(broker)
    assert listener.events == [b"enter 0", b"enter User2", b"leave 2"]
    await broker.enter(visit(), b"again", claims=False)
    await settled(broker)
    assert listener.events[3:] == [b"again"]


async def test_presence_counts_connections(broker: AnyBroker) -> None:
    assert (await broker.members("lobby"), await broker.places()) == ({}, {})
    for one in (visit(), visit(), visit("小明"), visit(place="茶")):
        await broker.enter(one, b"", claims=False)
    assert await broker.members("lobby") == {"User1": 2, "小明": 1}
    assert await broker.places() == {"lobby": 2, "茶": 1}
    await broker.leave(visit(), b"")
    await broker.leave(visit("小明"), b"")
    assert await broker.members("lobby") == {"User1": 1}
    assert await broker.places() == {"lobby": 1, "茶": 1}
    await broker.leave(visit(), b"")
    await broker.leave(visit(place="茶"), b"")
    assert (await broker.members("lobby"), await broker.members("茶"), await broker.places()) == ({}, {}, {})


async def test_a_name_belongs_to_who_has_it(broker: AnyBroker) -> None:
    assert await broker.owner("User1") is None
    await broker.enter(visit(), b"", claims=False)
    await broker.enter(visit(place="tea"), b"", claims=False)
    for place in ("lobby", "coffee"):
        with pytest.raises(OwnedByAnother):
            await broker.enter(visit(place=place, owner="another"), b"", claims=False)
    assert await broker.owner("User1") == "guest User1"
    assert (await broker.places(), await broker.members("lobby")) == ({"lobby": 1, "tea": 1}, {"User1": 1})
    await broker.leave(visit(), b"")
    assert await broker.owner("User1") == "guest User1"
    await broker.leave(visit(place="tea"), b"")
    assert await broker.owner("User1") is None
    assert await broker.enter(visit(owner="another"), b"", claims=False) is False
    assert await broker.owner("User1") == "another"


async def test_who_claims_a_name_gets_it(broker: AnyBroker) -> None:
    listener = Listener()
    await broker.subscribe("lobby", listener)
    await broker.enter(visit(), b"guest", claims=False)
    assert await broker.enter(visit(owner="user"), b"user", claims=True) is True
    assert await broker.owner("User1") == "user"
    assert await broker.enter(visit(owner="user"), b"user again", claims=True) is False
    with pytest.raises(OwnedByAnother):
        await broker.enter(visit(), b"", claims=False)
    await broker.leave(visit(), b"the guest leaves")
    assert (await broker.owner("User1"), await broker.members("lobby")) == ("user", {"User1": 2})
    await broker.leave(visit(owner="user"), b"")
    await broker.leave(visit(owner="user"), b"the user leaves")
    await settled(broker)
    assert listener.events == [b"guest", b"the user leaves"]
    assert (await broker.owner("User1"), await broker.places()) == (None, {})


async def test_ask_answers_how_many_were_reached(broker: AnyBroker) -> None:
    listener = Listener(reaches=3)
    await broker.subscribe("lobby", listener)
    assert await broker.ask("lobby", b"a\nb") == Reached(3, 0)
    assert listener.events == [b"a\nb"]
    assert await broker.ask("nobody is there", b"") == Reached(0, 0)


async def test_it_is_there(broker: AnyBroker) -> None:
    await broker.check()
    assert (broker.connected, broker.shared) == (True, isinstance(broker, RedisBroker))


async def test_the_url_chooses() -> None:
    state = State({"settings": SimpleNamespace(broker_url="memory://")})
    async with open_broker(state) as broker:
        assert isinstance(broker, MemoryBroker)


@pytest.mark.redis
async def test_the_url_chooses_redis() -> None:
    with redis_space() as url:
        async with open_broker(State({"settings": SimpleNamespace(broker_url=url)})) as broker:
            assert isinstance(broker, RedisBroker)
            assert broker.connected
        with redis_space() as other_url:
            async with redis_broker(url) as one, redis_broker(other_url) as other:
                await one.enter(visit(), b"", claims=False)
                assert (await one.places(), await other.places()) == ({"lobby": 1}, {})


# -- two workers ------------------------------------------------------------------------------------------------------


@pytest.mark.redis
async def test_both_workers_see_the_same_order(pair: tuple[RedisBroker, RedisBroker]) -> None:
    one, two = pair
    here, there = Listener(), Listener()
    await one.subscribe("lobby", here)
    await two.subscribe("lobby", there)

    async def publish(broker: RedisBroker, text: str) -> None:
        for number in range(50):
            await broker.publish("lobby", f"{text} {number}".encode())

    await asyncio.gather(publish(one, "one"), publish(two, "two"))
    await settled(one)
    await settled(two)
    assert len(here.events) == 100
    assert here.events == there.events
    assert [event for event in here.events if event.startswith(b"one")] == [b"one %d" % n for n in range(50)]


@pytest.mark.redis
async def test_presence_is_counted_over_all_workers(pair: tuple[RedisBroker, RedisBroker]) -> None:
    one, two = pair
    here, there = Listener(), Listener()
    await one.subscribe("lobby", here)
    await two.subscribe("lobby", there)
    await one.enter(visit(), b"enter", claims=False)
    await two.enter(visit(), b"twice", claims=False)
    await two.enter(visit("User2"), b"enter 2", claims=False)
    for broker in pair:
        assert await broker.members("lobby") == {"User1": 2, "User2": 1}
        assert await broker.places() == {"lobby": 2}
    await one.leave(visit(), b"not last")
    assert await one.members("lobby") == {"User1": 1, "User2": 1}
    await two.leave(visit(), b"leave")
    for broker, listener in ((one, here), (two, there)):
        await settled(broker)
        assert listener.events == [b"enter", b"enter 2", b"leave"]
        assert await broker.owner("User1") is None


@pytest.mark.redis
async def test_a_name_belongs_to_one_owner_on_all_workers(pair: tuple[RedisBroker, RedisBroker]) -> None:
    one, two = pair
    await one.enter(visit(), b"", claims=False)
    with pytest.raises(OwnedByAnother):
        await two.enter(visit(place="tea", owner="another"), b"", claims=False)
    assert await two.owner("User1") == "guest User1"
    assert await two.enter(visit(owner="user"), b"", claims=True) is True
    with pytest.raises(OwnedByAnother):
        await one.enter(visit(), b"", claims=False)


@pytest.mark.redis
async def test_ask_adds_up_what_the_workers_answer(pair: tuple[RedisBroker, RedisBroker]) -> None:
    one, two = pair
    await one.subscribe("lobby", Listener(reaches=2))
    await two.subscribe("lobby", Listener(reaches=5))
    assert await one.ask("lobby", b"") == Reached(2, 5)
    assert await two.ask("lobby", b"") == Reached(5, 2)
    assert await asyncio.gather(*(one.ask("lobby", b"") for _ in range(20))) == [Reached(2, 5)] * 20


@pytest.mark.redis
async def test_a_mistake_of_a_handler_costs_nobody_else(pair: tuple[RedisBroker, RedisBroker]) -> None:
    one, two = pair

    def fail(_: bytes) -> int:
        raise ValueError("a mistake of ours")

    await one.subscribe("lobby", fail)
    listener = Listener(reaches=5)
    await two.subscribe("lobby", listener)
    assert await one.ask("lobby", b"1") == Reached(0, 5)
    assert await two.ask("lobby", b"2") == Reached(5, 0)
    assert listener.events == [b"1", b"2"]


@pytest.mark.redis
async def test_a_worker_that_stops_takes_its_people_along(pair: tuple[RedisBroker, RedisBroker]) -> None:
    """Its sockets leave before it stops; whatever is still counted then is not for ever."""
    one, two = pair
    await one.enter(visit(), b"", claims=False)
    await two.enter(visit(), b"", claims=False)
    await two.enter(visit("User2"), b"", claims=False)
    await two.close()
    assert (await one.members("lobby"), await one.places()) == ({"User1": 1}, {"lobby": 1})
    assert (await one.owner("User1"), await one.owner("User2")) == ("guest User1", None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers beat often, and are given up soon."""
    monkeypatch.setattr("extensions.broker_redis.BEAT_SECONDS", 0.05)
    monkeypatch.setattr("extensions.broker_redis.DEAD_SECONDS", 0.3)
    for module in ("broker_redis", "redis_events"):
        monkeypatch.setattr(f"extensions.{module}.RETRY_SECONDS", 0.05)


def tell_gone(broker: RedisBroker) -> None:
    broker.gone = lambda place, name: f"gone: {place} {name}".encode()


def die(broker: RedisBroker) -> None:
    """Stop doing anything, as a process that was killed."""
    for task in broker._tasks:
        task.cancel()


@pytest.mark.redis
@pytest.mark.usefixtures("impatient")
async def test_the_people_of_a_worker_that_died_have_gone(pair: tuple[RedisBroker, RedisBroker]) -> None:
    one, two = pair
    listener = Listener()
    await one.subscribe("lobby", listener)
    tell_gone(one)
    await one.enter(visit(), b"enter", claims=False)
    await two.enter(visit(), b"", claims=False)
    await two.enter(visit("User2"), b"enter 2", claims=False)
    await two.enter(visit("User2", "tea"), b"", claims=False)
    die(two)
    await until(lambda: len(listener.events) == 3)
    await settled(one)
    assert listener.events == [b"enter", b"enter 2", b"gone: lobby User2"], "once, and not who is still here"
    assert (await one.members("lobby"), await one.places()) == ({"User1": 1}, {"lobby": 1})
    assert (await one.owner("User1"), await one.owner("User2")) == ("guest User1", None)


@pytest.mark.redis
@pytest.mark.usefixtures("impatient")
async def test_a_worker_that_was_given_up_too_early_comes_back(pair: tuple[RedisBroker, RedisBroker]) -> None:
    """Its loop was held up: the others were told that its people have gone, and are told that they are here."""
    one, two = pair
    listener = Listener()
    await two.subscribe("lobby", listener)
    one.came = lambda place, name: f"came: {place} {name}".encode()
    await until(lambda: bool(one._life))
    await one.enter(visit(), b"", claims=False)
    await one.enter(visit(), b"", claims=False)
    await two.enter(visit("User2"), b"", claims=False)
    await two._reap(args=[two._prefix, one.worker])
    members: list[Any] = []

    async def watch() -> None:
        while {"User1": 2, "User2": 1} not in members:
            members.append(await two.members("lobby"))

    await asyncio.wait_for(watch(), PATIENCE)
    assert members[0] in ({"User2": 1}, {"User1": 2, "User2": 1})
    assert await two.owner("User1") == "guest User1"
    await until(lambda: bool(listener.events[2:]))
    assert listener.events == [b"", b"", b"came: lobby User1"]


@pytest.mark.parametrize("broker", [pytest.param("redis", marks=pytest.mark.redis)], indirect=True)
async def test_presence_holds_while_it_is_put_right(broker: AnyBroker) -> None:
    """Whoever comes or goes in that moment counts as they should, and nobody is told anything untrue."""
    assert isinstance(broker, RedisBroker)
    tell_gone(broker)
    listener = Listener()
    await broker.subscribe("lobby", listener)
    await broker.enter(visit("stays"), b"stays", claims=False)
    orders = list(permutations(("put right", "enter", "leave")))
    for order in orders:
        await broker.enter(visit("leaves"), b"enters", claims=False)
        work = {
            "put right": broker._put_right(was_taken_for_dead=False),
            "enter": broker.enter(visit("comes"), b"comes", claims=False),
            "leave": broker.leave(visit("leaves"), b"leaves"),
        }
        await asyncio.gather(*(work[name] for name in order))
        assert await broker.members("lobby") == {"stays": 1, "comes": 1}, order
        await broker.leave(visit("comes"), b"goes")
    await settled(broker)
    assert Counter(listener.events) == {b"stays": 1} | dict.fromkeys(
        (b"enters", b"comes", b"leaves", b"goes"), len(orders)
    )


# -- a Redis that goes away -------------------------------------------------------------------------------------------


@pytest.fixture
def own() -> Any:
    with own_redis() as redis:
        yield redis


@pytest.mark.redis
@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_goes_away_and_comes_back(own: OwnRedis) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(redis_broker(own.url)) for _ in range(2)]
        missed: list[str] = []
        one.missed = lambda: missed.append("one")
        tell_gone(one)
        listener, late = Listener(), Listener()
        await one.subscribe("lobby", listener)
        await one.enter(visit(), b"enter", claims=False)
        await one.enter(visit(), b"", claims=False)
        await one.enter(visit("leaves"), b"enters", claims=False)
        await two.enter(visit("User2"), b"enter 2", claims=False)
        await settled(one)
        assert listener.events == [b"enter", b"enters", b"enter 2"]

        own.kill()
        await until(lambda: not one.connected and not two.connected)
        for work in (
            one.publish("lobby", b""),
            one.ask("lobby", b""),
            one.enter(visit("User3"), b"", claims=False),
            one.subscribe("tea", late),
            one.owner("User1"),
            one.members("lobby"),
            one.places(),
            one.check(),
        ):
            with pytest.raises(NotReady):
                await asyncio.wait_for(work, PATIENCE)
        await one.unsubscribe("never subscribed")
        await one.leave(visit(), b"")
        await one.leave(visit("leaves"), b"told later")
        assert missed == []

        own.start()
        await until(lambda: one.connected and two.connected)
        assert missed == ["one"]
        await until(lambda: b"gone: lobby leaves" in listener.events)
        await one.publish("tea", b"subscribed while it was away")
        await until(lambda: bool(late.events))
        await until_members(one, {"User1": 1, "User2": 1})
        assert await one.places() == {"lobby": 2}
        assert await one.owner("User1") == "guest User1"
        assert await one.ask("lobby", b"goes on") == Reached(1, 0)
        assert listener.events[3:] == [b"gone: lobby leaves", b"goes on"]
        await one.leave(visit(), b"leave")
        await two.leave(visit("User2"), b"leave 2")
        await settled(one)
        assert listener.events[5:] == [b"leave", b"leave 2"]
        assert await one.places() == {}


async def until_members(broker: RedisBroker, expected: dict[str, int]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await broker.members("lobby") != expected:  # noqa: ASYNC110  (it has no event for it)
            await asyncio.sleep(0.005)


@pytest.mark.redis
@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_is_away_at_the_start(own: OwnRedis) -> None:
    own.kill()
    async with asyncio.timeout(PATIENCE), redis_broker(own.url) as broker:
        listener = Listener()
        assert not broker.connected
        with pytest.raises(NotReady):
            await broker.subscribe("lobby", listener)
        own.start()
        await until(lambda: broker.connected)
        await broker.enter(visit(), b"enter", claims=False)
        await until(lambda: listener.events == [b"enter"])
        await until_members(broker, {"User1": 1})


@pytest.mark.redis
@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_answers_nothing_any_more(own: OwnRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its machine has lost the network, or stands still."""
    monkeypatch.setattr("extensions.broker_redis.COMMAND_SECONDS", 0.3)
    monkeypatch.setattr("extensions.redis_events.SILENCE_SECONDS", 0.3)
    async with redis_broker(own.url) as broker:
        await broker.enter(visit(), b"", claims=False)
        own.freeze()
        await until(lambda: not broker.connected)
        with pytest.raises(NotReady):
            await broker.members("lobby")
        own.kill()
        own.start()
        await until(lambda: broker.connected)
        await until_members(broker, {"User1": 1})
