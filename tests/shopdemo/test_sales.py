"""What a sale does to goods that somebody is looking at, or changing, and to what other workers remember of them."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient

from api import create_app
from api.shopdemo.schemas import Goods
from extensions.database_readers import CHANGES_CHANNEL
from settings.testing_config import TestingSettings
from tests.support.databases import only_postgres, only_sqlite
from tests.support.envelopes import failure
from tests.support.processes import PATIENCE, wait_until
from tests.support.shopping import GOODS, Headers, inside, pay, place, stock_of
from utils.custom_exc import PreconditionFailed

Catalogue = dict[str, Goods]

pytestmark = pytest.mark.parametrize("settings", [{"projects": ("shopdemo",)}], indirect=True)


@only_sqlite
def test_every_sale_makes_another_etag(
    app: FastAPI, client: TestClient, customer: Headers, catalogue: Catalogue
) -> None:
    path = f"{GOODS}/{catalogue['TEA-1'].id}"
    etags = [client.get(path).headers["ETag"]]
    for change in (
        lambda: place(client, customer, (catalogue["TEA-1"], 1)),
        lambda: inside(app, client, lambda database: pay(database, 1)),
        lambda: place(client, customer, (catalogue["TEA-1"], 1)),
    ):
        change()
        answer = client.get(path, headers={"If-None-Match": etags[-1]})
        assert answer.status_code == 200
        etags.append(answer.headers["ETag"])
    assert len(set(etags)) == 4
    client.post("/shopdemo/orders/2/cancel", headers=customer)
    assert client.get(path).headers["ETag"] == etags[2]  # it is what it was


def test_only_who_sets_the_stock_must_know_of_sales(
    client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue
) -> None:
    tea = catalogue["TEA-1"]
    path = f"{GOODS}/{tea.id}"
    headers = {**admin, "If-Match": client.get(path).headers["ETag"]}
    place(client, customer, (tea, 2))
    stale = client.patch(path, json={"stock": 500}, headers=headers)
    assert (stale.status_code, stale.json()) == (412, failure(PreconditionFailed))
    body = {name: client.get(path).json()["data"][name] for name in ("sku", "name", "description", "category", "price")}
    assert client.put(path, json={**body, "stock": 500}, headers=headers).status_code == 412
    changed = client.patch(path, json={"name": "新名 New name"}, headers=headers)
    data = changed.json()["data"]
    assert (changed.status_code, data["name"], data["stock"]) == (200, "新名 New name", tea.stock - 2)
    again = client.patch(path, json={"name": "x"}, headers=headers)
    assert (again.status_code, again.json()) == (412, failure(PreconditionFailed))
    headers["If-Match"] = changed.headers["ETag"]
    place(client, customer, (tea, 1))
    assert client.delete(path, headers=headers).status_code == 204


def test_another_worker_sees_the_sale(
    app: FastAPI, client: TestClient, settings: TestingSettings, customer: Headers, catalogue: Catalogue
) -> None:
    tea = catalogue["TEA-1"]
    there = create_app(settings)
    with TestClient(there) as other:
        wait_until(lambda: there.state.cache.version() is not None, PATIENCE, "nothing is remembered")
        assert stock_of(other, tea) == tea.stock
        place(client, customer, (tea, 2))
        assert stock_of(client, tea) == tea.stock - 2
        if app.state.database.dialect == "sqlite":
            assert stock_of(other, tea) == tea.stock - 2
        wait_until(lambda: stock_of(other, tea) == tea.stock - 2, PATIENCE, "the sale is not seen")
        in_list = other.get(GOODS, params={"sort": "created_at"}).json()["data"]["items"][0]
        assert in_list["stock"] == tea.stock - 2


@only_postgres
def test_nobody_is_notified_of_sales(
    app: FastAPI, client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue, database_url: str
) -> None:
    """A NOTIFY takes a lock that all transactions wait for; so a sale sends none, and a change of goods does."""
    tea = catalogue["TEA-1"]
    dsn = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)

    async def hear(work: Callable[[], object]) -> int:
        """How many notices come while somebody works."""
        listener, heard = await asyncpg.connect(dsn), asyncio.Queue[str]()
        try:
            await listener.add_listener(CHANGES_CHANNEL, lambda *notice: heard.put_nowait(notice[-1]))
            await asyncio.to_thread(work)
            await listener.execute(f"NOTIFY {CHANGES_CHANNEL}, 'the end'")  # comes behind all that was committed
            notices = 0
            async with asyncio.timeout(10):
                while await heard.get() != "the end":
                    notices += 1
            return notices
        finally:
            await listener.close()

    def sell() -> None:
        for order_id in range(1, 4):
            place(client, customer, (tea, 1), key=str(order_id))
        inside(app, client, lambda database: pay(database, 1))
        client.post("/shopdemo/orders/2/cancel", headers=customer)

    def change() -> None:
        client.patch(f"{GOODS}/{tea.id}", json={"price": "1.00"}, headers={**admin, "If-Match": "*"})

    assert asyncio.run(hear(sell)) == 0
    assert asyncio.run(hear(change)) == 1
