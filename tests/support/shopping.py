"""What buyers send to the shop, what they get, and what the database must say then."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from fastapi import FastAPI
from sqlalchemy import bindparam, update
from starlette.testclient import TestClient

from api.shopdemo.database import GoodsRow, OrderRow
from api.shopdemo.orders.dependencies import fulfilment_in
from api.shopdemo.orders.schemas import Order
from api.shopdemo.orders.service import Viewer
from api.shopdemo.schemas import Goods
from extensions.database import Database
from extensions.security import Tokens
from tests.support.envelopes import A_TIME
from utils.fields import utc_now

T = TypeVar("T")

Headers = dict[str, str]
Body = dict[str, Any]

GOODS = "/shopdemo/goods"
ORDERS = "/shopdemo/orders"
CART = "/shopdemo/cart"

ADMINISTRATOR = Viewer("alice", is_admin=True)


def buyer(tokens: Tokens, name: str, *roles: str) -> Headers:
    """The headers of a user."""
    return {"Authorization": f"Bearer {tokens.sign(name, frozenset(roles), 60)}"}


def items(*wanted: tuple[Goods | int, int]) -> Body:
    """The body of an order, and of a whole cart."""
    return {
        "items": [
            {"goods_id": goods if isinstance(goods, int) else goods.id, "quantity": quantity}
            for goods, quantity in wanted
        ]
    }


def place(client: TestClient, headers: Headers, *wanted: tuple[Goods | int, int], key: str | None = None) -> Any:
    """Order goods, with an Idempotency-Key or without."""
    sent = headers if key is None else {**headers, "Idempotency-Key": key}
    return client.post(ORDERS, json=items(*wanted), headers=sent)


def stock_of(client: TestClient, goods: Goods) -> int:
    stock: int = client.get(f"{GOODS}/{goods.id}").json()["data"]["stock"]
    return stock


def order_answer(order_id: int, owner: str, *lines: tuple[Goods, int], status: str = "pending") -> Body:
    """An order as the service shows it."""
    return {
        "id": order_id,
        "owner": owner,
        "status": status,
        "items": [
            {
                "goods_id": goods.id,
                "sku": goods.sku,
                "name": goods.name,
                "price": f"{goods.price:.2f}",
                "quantity": quantity,
                "subtotal": f"{goods.price * quantity:.2f}",
            }
            for goods, quantity in lines
        ],
        "total": f"{sum((goods.price * quantity for goods, quantity in lines), Decimal(0)):.2f}",
        "created_at": A_TIME,
        "updated_at": A_TIME,
        "expires_at": A_TIME,
    }


def cart_answer(*lines: tuple[Goods, int]) -> Body:
    """A cart as the service shows it, while the goods are what they were."""
    return {
        "items": [
            {
                "goods_id": goods.id,
                "sku": goods.sku,
                "name": goods.name,
                "thumbnail_url": None,
                "price": f"{goods.price:.2f}",
                "quantity": quantity,
                "subtotal": f"{goods.price * quantity:.2f}",
                "stock": goods.stock,
                "available": goods.on_sale and goods.stock >= quantity,
            }
            for goods, quantity in lines
        ],
        "total": f"{sum((goods.price * quantity for goods, quantity in lines), Decimal(0)):.2f}",
    }


def inside(app: FastAPI, client: TestClient, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with the database of the running service, where the service itself does."""
    assert client.portal
    return client.portal.call(work, app.state.database)


async def pay(database: Database, order_id: int) -> Order:
    """What the payments do once the money is there."""
    async with database.transaction() as connection:
        fulfilment = fulfilment_in(connection)
        return await fulfilment.move(await fulfilment.find(order_id, ADMINISTRATOR), "paid")


async def let_expire(database: Database, *order_ids: int) -> None:
    """Let the time to pay these orders be over."""
    over = update(OrderRow).where(OrderRow.id == bindparam("order_id")).values(expires_at=bindparam("time"))
    time = utc_now() - timedelta(seconds=1)
    async with database.transaction() as connection:
        await connection.execute(over, [{"order_id": order_id, "time": time} for order_id in order_ids])


async def set_stock(database: Database, goods: Goods, stock: int) -> None:
    async with database.transaction() as connection:
        await connection.execute(update(GoodsRow).where(GoodsRow.id == goods.id).values(stock=stock))
