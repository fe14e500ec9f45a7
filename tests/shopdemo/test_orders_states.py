"""What becomes of orders: paid, shipped, done, cancelled, expired; and what that does to the goods."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import insert
from starlette.testclient import TestClient

from api.shopdemo.database import OrderLineRow, OrderRow
from api.shopdemo.orders.dependencies import expire_orders
from api.shopdemo.orders.errors import IllegalTransition
from api.shopdemo.orders.service import TRANSITIONS
from api.shopdemo.schemas import Goods
from extensions.database import Database
from tests.support.databases import only_postgres, only_sqlite
from tests.support.envelopes import failure, success
from tests.support.shopping import (
    GOODS,
    ORDERS,
    Headers,
    inside,
    items,
    let_expire,
    order_answer,
    pay,
    place,
    stock_of,
)
from utils.custom_exc import Forbidden
from utils.fields import utc_now

Catalogue = dict[str, Goods]

pytestmark = pytest.mark.parametrize("settings", [{"projects": ("shopdemo",)}], indirect=True)

ACTIONS = {"cancel": "cancelled", "ship": "shipped", "complete": "done"}
NEEDS_ADMIN = "This needs the role “admin”."


def refusal(old: str, new: str) -> dict[str, object]:
    text = f"The order is {old} already." if old == new else f"The order is {old}: it cannot become {new}."
    return failure(IllegalTransition, text, {"status": old})


@only_sqlite
def test_from_the_cart_to_the_door(
    app: FastAPI, client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    path = place(client, customer, (tea, 2), (coffee, 1)).headers["Location"]
    inside(app, client, lambda database: pay(database, 1))
    sold = client.get(f"{GOODS}/{tea.id}").json()["data"]
    assert (sold["stock"], sold["sales"]) == (tea.stock - 2, tea.sales + 2)
    refused = client.post(f"{path}/ship", headers=customer)
    assert (refused.status_code, refused.json()) == (403, failure(Forbidden, NEEDS_ADMIN))
    for action, headers, status in (("ship", admin, "shipped"), ("complete", customer, "done")):
        moved = client.post(f"{path}/{action}", headers=headers)
        expected = success(order_answer(1, "bob", (tea, 2), (coffee, 1), status=status))
        assert (moved.status_code, moved.json()) == (200, expected)
        assert client.get(path, headers=customer).json() == moved.json()
    sold = client.get(f"{GOODS}/{tea.id}").json()["data"]
    assert (sold["stock"], sold["sales"]) == (tea.stock - 2, tea.sales + 2)


def test_only_legal_transitions(
    app: FastAPI, client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue
) -> None:
    tea = catalogue["TEA-1"]
    ways: dict[str, list[str]] = {
        "pending": [], "paid": ["pay"], "shipped": ["pay", "ship"], "done": ["pay", "ship", "complete"],
        "cancelled": ["cancel"],
    }  # fmt: skip

    def act(order_id: int, action: str) -> httpx.Response | None:
        if action == "pay":
            inside(app, client, lambda database: pay(database, order_id))
            return None
        answer: httpx.Response = client.post(f"{ORDERS}/{order_id}/{action}", headers=admin)  # type: ignore[assignment]
        return answer

    taken = 0
    for status, way in ways.items():
        for action, new in ACTIONS.items():
            order_id = place(client, customer, (tea, 1)).json()["data"]["id"]
            for step in way:
                act(order_id, step)
            taken += "cancelled" not in (status, new if new in TRANSITIONS[status] else "")  # type: ignore[index]
            answer = act(order_id, action)
            assert answer is not None
            if new in TRANSITIONS[status]:  # type: ignore[index]
                assert answer.json() == success(order_answer(order_id, "bob", (tea, 1), status=new))
            else:
                assert (answer.status_code, answer.json()) == (409, refusal(status, new))
            assert stock_of(client, tea) == tea.stock - taken
        if "paid" not in TRANSITIONS[status]:  # type: ignore[index]
            with pytest.raises(IllegalTransition):
                act(order_id, "pay")


def test_what_is_not_paid_in_time_is_cancelled(
    app: FastAPI, client: TestClient, customer: Headers, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    for wanted in ([(tea, 1)], [(tea, 2), (coffee, 3)], [(tea, 4)], [(tea, 8)], [(tea, 16)]):
        place(client, customer, *wanted)
    inside(app, client, lambda database: pay(database, 3))
    client.post(f"{ORDERS}/4/cancel", headers=customer)
    inside(app, client, lambda database: let_expire(database, 1, 2, 3, 4))
    before = client.get(f"{ORDERS}/2", headers=customer).json()["data"]
    for _ in range(2):
        inside(app, client, expire_orders)
        orders = client.get(ORDERS, headers=customer).json()["data"]["items"]
        assert {order["id"]: order["status"] for order in orders} == {
            1: "cancelled", 2: "cancelled", 3: "paid", 4: "cancelled", 5: "pending",
        }  # fmt: skip
        assert stock_of(client, tea) == tea.stock - 4 - 16
        assert stock_of(client, coffee) == coffee.stock
    after = client.get(f"{ORDERS}/2", headers=customer).json()["data"]
    assert after == {**before, "status": "cancelled", "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    refused = client.post(f"{ORDERS}/1/cancel", headers=customer)
    assert (refused.status_code, refused.json()) == (409, refusal("cancelled", "cancelled"))
    with pytest.raises(IllegalTransition):
        inside(app, client, lambda database: pay(database, 1))


def test_many_expire_at_once(app: FastAPI, client: TestClient, customer: Headers, catalogue: Catalogue) -> None:
    """More than are cancelled in one transaction."""
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]

    async def add_orders(database: Database) -> None:
        now = utc_now()
        times = {"created_at": now, "updated_at": now, "expires_at": now}
        orders = [{"id": n, "owner": "bob", "status": "pending", "total": Decimal(1), **times} for n in range(1, 206)]
        lines = [
            {"order_id": n, "goods_id": goods.id, "sku": goods.sku, "name": "名", "price": Decimal(1), "quantity": n}
            for n in range(1, 206)
            for goods in (tea, coffee)
        ]
        async with database.transaction() as connection:
            await connection.execute(insert(OrderRow), orders)
            await connection.execute(insert(OrderLineRow), lines)

    inside(app, client, add_orders)
    inside(app, client, expire_orders)
    returned = sum(range(1, 206))
    assert (stock_of(client, tea), stock_of(client, coffee)) == (tea.stock + returned, coffee.stock + returned)
    page = client.get(ORDERS, headers=customer, params={"status": "cancelled"}).json()["data"]
    assert page["total"] == 205


@only_postgres
@pytest.mark.anyio
async def test_an_order_that_is_just_paid_does_not_hold_up_the_others(
    app: FastAPI, async_client: httpx.AsyncClient, customer: Headers, catalogue: Catalogue
) -> None:
    database: Database = app.state.database
    for _ in range(2):
        await async_client.post(ORDERS, json=items((1, 1)), headers=customer)
    await let_expire(database, 1, 2)
    async with database.transaction() as connection, asyncio.timeout(5):
        await connection.exec_driver_sql("SELECT id FROM shopdemo_orders WHERE id = 1 FOR UPDATE")
        await expire_orders(database)
    data = (await async_client.get(ORDERS, headers=customer)).json()["data"]["items"]
    assert {order["id"]: order["status"] for order in data} == {1: "pending", 2: "cancelled"}


@pytest.mark.anyio
async def test_of_pay_cancel_and_expire_exactly_one_wins(
    app: FastAPI, async_client: httpx.AsyncClient, customer: Headers, catalogue: Catalogue
) -> None:
    database: Database = app.state.database
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    before = await shelf(async_client, tea, coffee)

    async def paid(order_id: int) -> bool:
        try:
            await pay(database, order_id)
        except IllegalTransition:
            return False
        return True

    async def cancelled(order_id: int) -> bool:
        answer = await async_client.post(f"{ORDERS}/{order_id}/cancel", headers=customer)
        assert answer.status_code in (200, 409)
        return answer.status_code == 200

    async def expired(order_id: int) -> bool:
        await expire_orders(database)
        return False  # nobody tells who it was

    ways: list[Callable[[int], Awaitable[bool]]] = [paid, cancelled, expired]
    sold = 0
    for turn in range(6):
        placed = await async_client.post(ORDERS, json=items((tea, 2), (coffee, 1)), headers=customer)
        order_id = placed.json()["data"]["id"]
        await let_expire(database, order_id)
        in_turn = ways[turn % 3 :] + ways[: turn % 3]
        won = await asyncio.gather(*(way(order_id) for way in in_turn * 2))
        winners = [way for way, has_won in zip(in_turn * 2, won, strict=True) if has_won]
        status = (await async_client.get(f"{ORDERS}/{order_id}", headers=customer)).json()["data"]["status"]
        assert winners in ([], [cancelled], [paid])
        assert status == ("paid" if winners == [paid] else "cancelled")
        sold += status == "paid"
        now = await shelf(async_client, tea, coffee)
        assert now == before + Counter(tea_sales=2 * sold, coffee_sales=sold) - Counter(tea=2 * sold, coffee=sold)


async def shelf(client: httpx.AsyncClient, tea: Goods, coffee: Goods) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, goods in (("tea", tea), ("coffee", coffee)):
        data = (await client.get(f"{GOODS}/{goods.id}")).json()["data"]
        found.update({name: data["stock"], f"{name}_sales": data["sales"]})
    return found
