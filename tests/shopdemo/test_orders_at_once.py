"""Many buyers at once, on real workers: one process on SQLite, two on PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import column, text

from api.shopdemo.orders.errors import StockTooLow
from api.shopdemo.schemas import Goods
from extensions.database import Database, connect
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.databases import only_postgres
from tests.support.envelopes import failure
from tests.support.processes import PATIENCE, Process, environment_of, services
from tests.support.shopping import CART, GOODS, ORDERS, Headers, buyer, items, set_stock
from tests.support.stocktaking import Stock, take_stock

Catalogue = dict[str, Goods]

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def workers(backend: str, database_url: str, tmp_path: Path) -> Iterator[list[Process]]:
    environment = environment_of("shopdemo", database_url, APP_PICTURES_DIR=str(tmp_path / "pictures"))
    with services(1 if backend == "sqlite" else 2, environment, tmp_path) as processes:
        yield processes


@pytest.fixture
async def database(settings: TestingSettings) -> AsyncIterator[Database]:
    """Connections of somebody who looks at what the workers leave behind."""
    database = await connect(settings)
    yield database
    await database.close()


async def at_once(workers: Sequence[Process], requests: Sequence[dict[str, Any]]) -> list[httpx.Response]:
    """Send all requests in the same moment, to the workers in turn."""
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=PATIENCE) as client:
        urls = [f"http://{workers[number % len(workers)].address}{one['path']}" for number, one in enumerate(requests)]
        work: list[Coroutine[Any, Any, httpx.Response]] = [
            client.request(one.get("method", "POST"), url, **one["options"])
            for url, one in zip(urls, requests, strict=True)
        ]
        return await asyncio.gather(*work)


def order(headers: Headers, *wanted: tuple[Goods, int], key: str | None = None) -> dict[str, Any]:
    sent = headers if key is None else {**headers, "Idempotency-Key": key}
    return {"path": ORDERS, "options": {"json": items(*wanted), "headers": sent}}


async def test_sixty_buyers_for_seven_pieces(
    workers: list[Process], database: Database, tokens: Tokens, catalogue: Catalogue
) -> None:
    """And then twenty times the same order at once, which is one."""
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    await set_stock(database, tea, 7)
    buyers = [buyer(tokens, f"buyer {number}") for number in range(60)]
    answers = await at_once(workers, [order(headers, (tea, 1)) for headers in buyers])
    assert Counter(answer.status_code for answer in answers) == {201: 7, 409: 53}
    sold_out = failure(StockTooLow, data={"items": [{"goods_id": tea.id, "quantity": 1, "stock": 0}]})
    assert [one.json() for one in answers if one.status_code == 409] == [sold_out] * 53
    assert len({one.json()["data"]["id"] for one in answers if one.status_code == 201}) == 7
    assert (await take_stock(database))[tea.id] == Stock(0, 7)
    again = await at_once(workers, [order(buyers[0], (coffee, 2), key="the-same")] * 20)
    assert [(one.status_code, one.json()) for one in again] == [(201, again[0].json())] * 20
    assert (await take_stock(database))[coffee.id] == Stock(coffee.stock - 2, 2)


RECORD_IMPORTS = (
    "CREATE TABLE stock_changes (goods_id bigint, change integer)",
    """CREATE FUNCTION record_import() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO stock_changes VALUES (new.id, new.stock - old.stock);
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER record_import AFTER UPDATE OF version ON shopdemo_goods
        FOR EACH ROW EXECUTE FUNCTION record_import()""",
)


CHANGES = text("SELECT goods_id, sum(change)::integer AS change FROM stock_changes GROUP BY goods_id").columns(
    column("goods_id"), column("change")
)


def imports_of(goods: Sequence[Goods], admin: Headers, number: int) -> list[dict[str, Any]]:
    """Files that give these goods other stocks; every second one has them in opposite order."""
    requests = []
    for turn in range(number):
        lines = [f"{one.sku},名,,pots,1.00,{200 + turn * 10 + place}" for place, one in enumerate(goods)]
        file = "\n".join(["sku,name,description,category,price,stock", *(lines, lines[::-1])[turn % 2]]).encode()
        options = {"files": {"file": ("a.csv", file)}, "headers": admin, "params": {"on_conflict": "update"}}
        requests.append({"path": f"{GOODS}/import", "options": options})
    return requests


@only_postgres
async def test_nobody_waits_for_each_other_in_a_circle(
    workers: list[Process], database: Database, tokens: Tokens, admin: Headers, catalogue: Catalogue
) -> None:
    """Buyers of the same goods in opposite order, who cancel, while imports give these goods other stocks."""
    async with database.transaction() as connection:
        for sql in RECORD_IMPORTS:
            await connection.execute(text(sql))
    goods = [catalogue[sku] for sku in ("COF-1", "COF-2", "SHI-1", "TEA-1")]
    for one in goods:
        await set_stock(database, one, 100)
    forth = [(one, 1) for one in goods]
    buyers = [buyer(tokens, f"buyer {number}") for number in range(8)]
    orders = [order(buyers[number % 8], *(forth, forth[::-1])[number // 2 % 2]) for number in range(40)]
    placed = await at_once(workers, orders)
    cancels = [
        {"path": f"{one.headers['Location']}/cancel", "options": {"headers": buyers[number % 8]}}
        for number, one in enumerate(placed[:20])
    ]
    imports = imports_of(goods, admin, 6)
    mixed = [one for number in range(40) for one in (orders[number], *cancels[number::40], *imports[number::40])]
    answers = [*placed, *await at_once(workers, mixed)]
    assert Counter(answer.status_code for answer in answers) == {201: 40 + 40, 200: 20 + 6}
    imported = {record["goods_id"]: record["change"] for record in await database.fetch_all(CHANGES)}
    stock = await take_stock(database)
    for one in goods:
        assert stock[one.id] == Stock(100 + imported[one.id] - 60, 60)


@pytest.mark.faults
@only_postgres
async def test_orders_and_carts_of_the_same_goods(
    app: FastAPI, async_client: httpx.AsyncClient, tokens: Tokens, catalogue: Catalogue
) -> None:
    """A rare deadlock: with a foreign key from carts to goods, 3 of 2,500 such requests ended in one."""
    goods = [one for one in catalogue.values() if one.on_sale]
    for one in goods:
        await set_stock(app.state.database, one, 100_000)
    chance, users = Random(1), [buyer(tokens, f"buyer {number}") for number in range(2)]
    requests = []
    for number in range(900):
        some, headers = items(*((one, 1) for one in chance.sample(goods, 6))), users[number % 2]
        method, path = ("POST", ORDERS) if chance.random() < 0.5 else ("PUT", CART)
        requests.append(async_client.request(method, path, json=some, headers=headers))
    answers = await asyncio.gather(*requests)
    assert {(answer.request.method, answer.status_code) for answer in answers} == {("POST", 201), ("PUT", 200)}
