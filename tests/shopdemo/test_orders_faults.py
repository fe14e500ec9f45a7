"""What orders promise, kept while the workers that place them are killed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from api.shopdemo.schemas import Goods
from extensions.database import Database, connect
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.databases import only_postgres, only_sqlite
from tests.support.processes import PATIENCE, Process, environment_of, services
from tests.support.shopping import ORDERS, Headers, buyer, items, set_stock
from tests.support.stocktaking import orders_by_key, take_stock

Catalogue = dict[str, Goods]
Wanted = Sequence[tuple[Goods, int]]

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.anyio]

NUMBER = 200
AT_ONCE = 20
KILLED_AFTER = 40  # answers


@pytest.fixture
async def database(settings: TestingSettings) -> AsyncIterator[Database]:
    """Connections of somebody who looks at what the workers leave behind."""
    database = await connect(settings)
    yield database
    await database.close()


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of("shopdemo", database_url, APP_PICTURES_DIR=str(tmp_path / "pictures"))


# So that a worker is inside a transaction nearly all the time, and is killed there.
SLOW_ORDERS = (
    """CREATE VIEW slow AS
        WITH RECURSIVE step (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM step WHERE n < 20000) SELECT n FROM step""",
    "CREATE TRIGGER slow_stock AFTER UPDATE OF stock ON shopdemo_goods BEGIN SELECT max(n) FROM slow; END",
    "CREATE TRIGGER slow_line AFTER INSERT ON shopdemo_order_lines BEGIN SELECT max(n) FROM slow; END",
)


class Rush:
    """Two hundred orders, each with a key of its own, of which some are under way at any time."""

    def __init__(self, tokens: Tokens, catalogue: Catalogue) -> None:
        tea, coffee, drip = (catalogue[sku] for sku in ("TEA-1", "COF-1", "COF-2"))
        kinds: list[Wanted] = [[(tea, 1)], [(coffee, 2), (tea, 1)], [(tea, 3), (drip, 1), (coffee, 1)]]
        self.goods = (tea, coffee, drip)
        self.wanted = {f"key-{number}": kinds[number % 3] for number in range(NUMBER)}
        self.answered: dict[str, int] = {}  # the id of what was answered with 201
        self.lost: set[str] = set()
        self._buyers: list[Headers] = [buyer(tokens, f"buyer {number}") for number in range(10)]
        self._killed = asyncio.Event()

    async def order_all(self, workers: Sequence[Process], victim: Process | None = None) -> None:
        """Order everything once; kill a worker in the middle of it."""
        gate = asyncio.Semaphore(AT_ONCE)
        async with httpx.AsyncClient(timeout=PATIENCE) as client, asyncio.TaskGroup() as group:
            for number, key in enumerate(self.wanted):
                group.create_task(self._order(client, gate, workers[number % len(workers)], number, key, victim))

    async def _order(
        self, client: httpx.AsyncClient, gate: asyncio.Semaphore, worker: Process, number: int, key: str,
        victim: Process | None,
    ) -> None:  # fmt: skip
        headers = {**self._buyers[number % len(self._buyers)], "Idempotency-Key": key}
        async with gate:
            try:
                answer = await client.post(
                    f"http://{worker.address}{ORDERS}", json=items(*self.wanted[key]), headers=headers
                )
            except httpx.TransportError:
                self.lost.add(key)
                return
        assert answer.status_code == 201, answer.text
        order_id = answer.json()["data"]["id"]
        assert self.answered.setdefault(key, order_id) == order_id
        if victim and len(self.answered) == KILLED_AFTER:
            victim.popen.kill()


async def everything_is_right(database: Database, rush: Rush, before: dict[int, int]) -> dict[str, int]:
    """No order without its lines and its reservation, none twice, and none lost that was answered; the ids by key."""
    placed = await orders_by_key(database)
    assert {key: len(orders) for key, orders in placed.items()} == dict.fromkeys(placed, 1)
    for key, ((_, lines),) in placed.items():
        assert lines == {goods.id: quantity for goods, quantity in rush.wanted[key]}
    ids = {key: order_id for key, ((order_id, _),) in placed.items()}
    assert {key: ids.get(key) for key in rush.answered} == rush.answered
    assert {goods_id: sum(stock) for goods_id, stock in (await take_stock(database)).items()} == before
    return ids


async def rush_of(tokens: Tokens, catalogue: Catalogue, database: Database) -> tuple[Rush, dict[int, int]]:
    rush = Rush(tokens, catalogue)
    for goods in rush.goods:
        await set_stock(database, goods, 1000)
    return rush, {goods_id: stock.on_shelf for goods_id, stock in (await take_stock(database)).items()}


@only_postgres
async def test_kill_9_of_one_of_two_workers(
    database: Database, environment: dict[str, str], tmp_path: Path, tokens: Tokens, catalogue: Catalogue
) -> None:
    rush, before = await rush_of(tokens, catalogue, database)
    with services(2, environment, tmp_path) as workers:
        await rush.order_all(workers, victim=workers[1])
        assert 0 < len(rush.lost) < NUMBER
        await everything_is_right(database, rush, before)
        await rush.order_all(workers[:1])
    assert set(await everything_is_right(database, rush, before)) == set(rush.wanted)


@only_sqlite
async def test_kill_9_of_the_only_worker(
    database: Database, environment: dict[str, str], tmp_path: Path, tokens: Tokens, catalogue: Catalogue
) -> None:
    rush, before = await rush_of(tokens, catalogue, database)
    async with database.transaction() as connection:
        for sql in SLOW_ORDERS:
            await connection.execute(text(sql))
    with services(1, environment, tmp_path) as workers:
        await rush.order_all(workers, victim=workers[0])
        workers[0].popen.wait()
    assert 0 < len(rush.lost) < NUMBER
    await everything_is_right(database, rush, before)
    with services(1, environment, tmp_path) as again:
        await rush.order_all(again)
    assert set(await everything_is_right(database, rush, before)) == set(rush.wanted)
