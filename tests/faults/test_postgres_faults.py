"""PostgreSQL goes away in every way there is: everybody is told so in time, nobody hangs, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from extensions.database import connect
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.bystanders import (
    READS,
    WRITES,
    Bystanders,
    all_is_well,
    are_refused,
    fault_environment,
    until_said,
)
from tests.support.catalogue import fill
from tests.support.chat_clients import Member, history_of, together
from tests.support.databases import PostgresTemplate, execute, run
from tests.support.delaying_proxy import DelayingProxy, delaying_proxy
from tests.support.postgres_servers import OwnPostgres
from tests.support.processes import PATIENCE, Process, services, wait_until
from tests.support.stocktaking import orders_by_key, take_stock

AWAY = "database cannot be reached"
NO_CHANGES = "database: PostgreSQL takes no changes: it is read-only, or follows another server"
NOT_STORED = 50311
NOBODY: frozenset[str] = frozenset()

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.postgres, pytest.mark.anyio]


class Scene:
    """A service whose way to PostgreSQL leads through a proxy."""

    def __init__(self, server: OwnPostgres, url: URL, proxy: DelayingProxy, service: Process, some: Bystanders) -> None:
        self.server, self.url, self.proxy, self.service, self.bystanders = server, url, proxy, service, some

    def says(self, line: str) -> None:
        """Wait until the log has it."""
        wait_until(lambda: line in self.service.said(), PATIENCE, f"the log does not say: {line}")

    async def everything_is_right(self) -> None:
        """Each order is there once with what it reserved, and all that was told is in the history, once."""
        await self.bystanders.order_again()
        database = await connect(TestingSettings(database_url=text(self.url)))
        try:
            placed = await orders_by_key(database)
            stock = await take_stock(database)
        finally:
            await database.close()
        assert {key: [id_ for id_, _ in orders] for key, orders in placed.items()} == {
            key: [id_] for key, id_ in self.bystanders.ordered.items()
        }
        assert stock[1] == (120 - len(placed), len(placed))
        history = [message["message"] for message in await history_of(self.service, "lobby")]
        assert [history.count(message) for message in self.bystanders.told] == [1] * len(self.bystanders.told)


@pytest.fixture
def scene(postgres_server: OwnPostgres, own_template: PostgresTemplate, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        url = make_url(stack.enter_context(own_template.copy(tmp_path)))
        settings = TestingSettings(database_url=text(url))
        goods = run(fill(settings))["TEA-1"]
        proxy = stack.enter_context(delaying_proxy(postgres_server.port))
        through = text(url.set(host="127.0.0.1", port=proxy.port))
        environment = fault_environment(through, "memory://", tmp_path)
        (service,) = stack.enter_context(services(1, environment, tmp_path))
        yield Scene(postgres_server, url, proxy, service, Bystanders(service, Tokens.of(settings), goods))


Fault = Callable[[Scene], AbstractAsyncContextManager[None]]


def text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@contextmanager
def frozen(scene: Scene) -> Iterator[None]:
    """It keeps its connections, takes new ones, and answers nothing."""
    scene.server.freeze()
    try:
        yield
    finally:
        scene.server.thaw()


@contextmanager
def stopped(scene: Scene) -> Iterator[None]:
    """As by a power failure, then started again."""
    scene.server.stop()
    try:
        yield
    finally:
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
def read_only(scene: Scene) -> Iterator[None]:
    """As one that follows another server is."""
    change = "ALTER SYSTEM SET default_transaction_read_only = {}"
    run(execute(scene.server.url, change.format("on"), "SELECT pg_reload_conf()"))
    try:
        yield
    finally:
        run(execute(scene.server.url, change.format("off"), "SELECT pg_reload_conf()"))


@asynccontextmanager
async def full(scene: Scene) -> AsyncIterator[None]:
    """It has as many connections as it takes, and none for us."""
    taken: list[asyncpg.Connection[Any]] = []
    scene.proxy.cut()
    with suppress(asyncpg.TooManyConnectionsError):
        while True:
            taken.append(await asyncpg.connect(text(scene.server.url.set(drivername="postgresql"))))
    scene.proxy.mend()
    yield
    for connection in taken:
        await connection.close()


@asynccontextmanager
async def locked(scene: Scene) -> AsyncIterator[None]:
    """Somebody else holds the tables and forgets them."""
    other = await asyncpg.connect(text(scene.url.set(drivername="postgresql")))
    await other.execute("BEGIN")
    await other.execute("LOCK TABLE shopdemo_goods, websocketdemo_rooms IN ACCESS EXCLUSIVE MODE")
    yield
    await other.close()


def plainly(fault: Callable[[Scene], AbstractContextManager[None]]) -> Fault:
    @asynccontextmanager
    async def with_fault(scene: Scene) -> AsyncIterator[None]:
        with fault(scene):
            yield

    return with_fault


@pytest.mark.parametrize(
    ("fault", "without", "refused", "problem"),
    [
        pytest.param(plainly(frozen), NOBODY, READS | WRITES, AWAY, id="frozen"),
        pytest.param(plainly(stopped), NOBODY, READS | WRITES, AWAY, id="stopped"),
        pytest.param(plainly(lost), frozenset({"cart"}), READS | WRITES, AWAY, id="network lost"),
        pytest.param(full, NOBODY, READS | WRITES, AWAY, id="too many connections"),
        pytest.param(plainly(read_only), NOBODY, WRITES, NO_CHANGES, id="read-only"),
        pytest.param(locked, NOBODY, READS | WRITES, None, id="tables locked"),
    ],
)
async def test_everybody_is_told_and_nothing_is_lost(
    scene: Scene, fault: Fault, without: frozenset[str], refused: frozenset[str], problem: str | None
) -> None:
    """By requests, and by somebody who stays in the chat the whole time."""
    chatter = Member("User1", "tea", [scene.service])
    async with together([chatter]):
        all_is_well(await scene.bystanders.look())
        assert await chatter.say()
        async with fault(scene):
            got, said = await asyncio.gather(scene.bystanders.look(without), chatter.say())
            are_refused(got, refused - without, problem)
            assert (said, chatter.refusals) == (False, {"User1 says 2": NOT_STORED})
        await scene.bystanders.until_ready()
        all_is_well(await scene.bystanders.look())
        await until_said(chatter)
        assert chatter.closed_with == []
    await scene.everything_is_right()
    ids = {message["message"]: message["id"] for message in await history_of(scene.service, "tea")}
    assert {ref: ids.get(ref) for ref in chatter.acks} == chatter.acks


async def test_a_restart_that_nobody_noticed(scene: Scene) -> None:
    """The connections that lie ready are dead, and nobody has to learn it by a refusal."""
    all_is_well(await scene.bystanders.look())
    with stopped(scene):
        pass
    all_is_well(await scene.bystanders.look())
    await scene.everything_is_right()


async def test_a_slow_one_is_waited_for(scene: Scene) -> None:
    """A fifth of a second for each piece there and each piece back: slow, and right."""
    scene.proxy.delay = 0.1
    all_is_well(await scene.bystanders.look())
    scene.proxy.delay = 0.0
    await scene.everything_is_right()


async def test_the_log_tells_it_once(scene: Scene) -> None:
    """However long it takes, and however many ask."""
    all_is_well(await scene.bystanders.look())
    with stopped(scene):
        await asyncio.to_thread(scene.says, "The database is away")
        for _ in range(5):
            await scene.bystanders.look()
    await scene.bystanders.until_ready()
    await asyncio.to_thread(scene.says, "The database is back")
    assert len([line for line in scene.service.said().splitlines() if "The database" in line]) == 2
