"""Redis goes away in every way there is: the chat says so in time, the shop goes on, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from redis import Redis

from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.bystanders import Bystanders, all_is_well, are_refused, fault_environment, until_said
from tests.support.catalogue import fill
from tests.support.chat_clients import Member, history_of, together, within
from tests.support.databases import only_sqlite, run
from tests.support.delaying_proxy import DelayingProxy, delaying_proxy
from tests.support.processes import PATIENCE, Process, services, wait_until
from tests.support.redis_servers import OwnRedis, own_redis

AWAY = "broker cannot be reached"
NO_CHANGES = "broker: Redis takes no changes: it is full, or follows another server"
NOT_READY, NOT_STORED = 503, 50311
TRY_AGAIN_LATER = 1013
CHATS = frozenset({"rooms", "push"})

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.redis, pytest.mark.anyio]


class Scene:
    """A service whose way to Redis leads through a proxy."""

    def __init__(self, server: OwnRedis, proxy: DelayingProxy, service: Process, some: Bystanders) -> None:
        self.server, self.proxy, self.service, self.bystanders = server, proxy, service, some

    async def says(self, line: str) -> None:
        """Wait until the log has it."""
        await asyncio.to_thread(
            wait_until, lambda: line in self.service.said(), PATIENCE, f"the log does not say: {line}"
        )

    @asynccontextmanager
    async def chatter(self) -> AsyncIterator[Member]:
        """Somebody who stays in the chat the whole time, and loses nothing of what was acknowledged."""
        chatter = Member("User1", "tea", [self.service])
        async with together([chatter]):
            assert await chatter.say()
            yield chatter
            await until_said(chatter)
            assert chatter.closed_with == []
        for room, told in ("tea", list(chatter.acks)), ("lobby", self.bystanders.told):
            history = [message["message"] for message in await history_of(self.service, room)]
            assert history == told

    async def enter(self, name: str) -> Member:
        """Somebody who wants to come in once, and is in or was sent away."""
        newcomer = Member(name, "tea", [self.service], comes_back=False)
        await within(PATIENCE, _visit(newcomer))
        return newcomer

    @contextmanager
    def client(self) -> Iterator[Redis]:
        with Redis.from_url(self.server.url) as client:
            yield client


async def _visit(newcomer: Member) -> None:
    life = asyncio.create_task(newcomer.live())
    await newcomer.until(lambda: newcomer.is_in or newcomer.has_ended)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        server = stack.enter_context(own_redis())
        settings = TestingSettings(database_url=database_url)
        goods = run(fill(settings))["TEA-1"]
        proxy = stack.enter_context(delaying_proxy(server.port))
        environment = fault_environment(database_url, f"redis://127.0.0.1:{proxy.port}/0", tmp_path)
        (service,) = stack.enter_context(services(1, environment, tmp_path))
        yield Scene(server, proxy, service, Bystanders(service, Tokens.of(settings), goods))


@contextmanager
def frozen(scene: Scene) -> Iterator[None]:
    """It keeps its connections, takes new ones, and answers nothing."""
    scene.server.freeze()
    yield
    scene.server.thaw()


@contextmanager
def stopped(scene: Scene) -> Iterator[None]:
    """It has forgotten everything when it is back."""
    scene.server.kill()
    yield
    scene.server.start()


@contextmanager
def lost(scene: Scene) -> Iterator[None]:
    """The network swallows everything; when it is back, the connections from before are dead."""
    scene.proxy.swallow()
    yield
    scene.proxy.cut()
    scene.proxy.pass_on()
    scene.proxy.mend()


@contextmanager
def crowded(scene: Scene) -> Iterator[None]:
    """Others have all the connections it takes."""
    with scene.client() as client:
        client.config_set("maxclients", 1)
        scene.proxy.cut()
        scene.proxy.mend()
        yield
        client.config_set("maxclients", 1000)


@contextmanager
def full(scene: Scene) -> Iterator[None]:
    """Its memory is used up, and it may forget nothing."""
    with scene.client() as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def following(scene: Scene) -> Iterator[None]:
    """It became the copy of another server."""
    with scene.client() as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("NO", "ONE")


Fault = Callable[[Scene], AbstractContextManager[None]]


@only_sqlite
@pytest.mark.parametrize("fault", [frozen, stopped, lost, crowded])
async def test_the_chat_is_told_and_the_shop_goes_on(scene: Scene, fault: Fault) -> None:
    async with scene.chatter() as chatter:
        all_is_well(await scene.bystanders.look())
        with fault(scene):
            await asyncio.gather(scene.bystanders.look(), chatter.say())  # before it is noticed: either way, in time
            await scene.says("Redis is away")
            are_refused(await scene.bystanders.look(), CHATS, AWAY)
            assert not await chatter.say()
            assert set(chatter.refusals.values()) == {NOT_STORED}
            newcomer = await scene.enter("User2")
            assert (newcomer.refusals, newcomer.closed_with) == ({"None": NOT_READY}, [TRY_AGAIN_LATER])
        await scene.bystanders.until_ready()
        await until_said(chatter)
        all_is_well(await scene.bystanders.look())
        assert (await scene.enter("User2")).refusals == {}
    assert scene.service.said().count("Redis is away") == 1


@only_sqlite
@pytest.mark.parametrize("fault", [full, following])
async def test_who_is_in_goes_on_while_nobody_can_come_in(scene: Scene, fault: Fault) -> None:
    async with scene.chatter() as chatter:
        all_is_well(await scene.bystanders.look())
        with fault(scene):
            await scene.says("Redis takes no changes")
            are_refused(await scene.bystanders.look(), (), NO_CHANGES)
            assert await chatter.say()
            newcomer = await scene.enter("User2")
            assert (newcomer.refusals, newcomer.closed_with) == ({"None": NOT_READY}, [TRY_AGAIN_LATER])
        await scene.bystanders.until_ready()
        all_is_well(await scene.bystanders.look())
        assert (await scene.enter("User2")).refusals == {}
    assert scene.service.said().count("Redis takes no changes") == 1


@only_sqlite
async def test_a_slow_one_is_waited_for(scene: Scene) -> None:
    async with scene.chatter() as chatter:
        scene.proxy.delay = 0.2
        all_is_well(await scene.bystanders.look())
        assert await chatter.say()
        scene.proxy.delay = 0.0
