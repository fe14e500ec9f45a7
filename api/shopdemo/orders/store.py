"""Every query of orders but the placing of them; rows become schemas here and never leave."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache, partial
from itertools import groupby
from typing import Any

from sqlalchemy import Select, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.shopdemo.database import GoodsRow, OrderLineRow, OrderRow
from api.shopdemo.orders.placing import (
    PLACE_IN_POSTGRES,
    NewOrder,
    Placed,
    place_in_sqlite,
    placed_in_postgres,
    postgres_arguments,
)
from api.shopdemo.orders.schemas import Order, OrderLine, Status
from extensions.database import Database, Record
from utils.fields import utc_now

EXPIRED_AT_ONCE = 100

AnySelect = Select[*tuple[Any, ...]]

ORDER_COLUMNS = (
    OrderRow.id,
    OrderRow.owner,
    OrderRow.status,
    OrderRow.total,
    OrderRow.created_at,
    OrderRow.updated_at,
    OrderRow.expires_at,
    OrderRow.request_hash,
)
LINE_COLUMNS = (
    OrderLineRow.goods_id, OrderLineRow.sku, OrderLineRow.name, OrderLineRow.price, OrderLineRow.quantity,
)  # fmt: skip
ORDERS = select(*ORDER_COLUMNS, *LINE_COLUMNS).join(OrderLineRow, OrderLineRow.order_id == OrderRow.id)
ORDER_BY_ID = ORDERS.where(OrderRow.id == bindparam("id")).order_by(OrderLineRow.goods_id)
ORDER_BY_KEY = ORDERS.where(
    OrderRow.owner == bindparam("owner"), OrderRow.idempotency_key == bindparam("key")
).order_by(OrderLineRow.goods_id)
SET_STATUS = (
    update(OrderRow)
    .where(OrderRow.id == bindparam("order_id"))
    .values(status=bindparam("new_status"), updated_at=bindparam("now"))
)
RETURN_STOCK = (
    update(GoodsRow)
    .where(GoodsRow.id == bindparam("goods_id"))
    .values(stock=GoodsRow.stock + bindparam("quantity"))
)  # fmt: skip
COUNT_SALES = (
    update(GoodsRow)
    .where(GoodsRow.id == bindparam("goods_id"))
    .values(sales=GoodsRow.sales + bindparam("quantity"))
)  # fmt: skip
EXPIRED = (
    select(OrderRow.id)
    .where(OrderRow.status == "pending", OrderRow.expires_at <= bindparam("now"))
    .order_by(OrderRow.expires_at)
    .limit(EXPIRED_AT_ONCE)
    .with_for_update(skip_locked=True)
)
RESERVED = (
    select(OrderLineRow.goods_id, func.sum(OrderLineRow.quantity).label("quantity"))
    .where(OrderLineRow.order_id.in_(bindparam("order_ids", expanding=True)))
    .group_by(OrderLineRow.goods_id)
    .order_by(OrderLineRow.goods_id)
)


class OrderStore:
    """Places and reads orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(self, order: NewOrder) -> Placed:
        """Reserve what is ordered and store the order, or nothing."""
        if self._database.dialect == "sqlite":
            return await self._database.write_sqlite(partial(place_in_sqlite, order), short=True)
        return placed_in_postgres(await self._database.write_postgres(PLACE_IN_POSTGRES, *postgres_arguments(order)))

    async def get(self, order_id: int) -> Order | None:
        """One by id."""
        found = orders_of(await self._database.fetch_all(ORDER_BY_ID, {"id": order_id}))
        return found[0] if found else None

    async def by_key(self, owner: str, key: str) -> tuple[Order, str] | None:
        """The order that the owner placed with an Idempotency-Key, and the fingerprint of what was ordered."""
        records = await self._database.fetch_all(ORDER_BY_KEY, {"owner": owner, "key": key})
        return (orders_of(records)[0], records[0]["request_hash"]) if records else None

    async def page(self, owner: str | None, status: Status | None, limit: int, offset: int) -> list[Order]:
        """Orders of one owner or of all, the newest first."""
        statement = _page_statement(owner is not None, status is not None)
        values = _values(owner, status) | {"limit": limit, "offset": offset}
        return orders_of(await self._database.fetch_all(statement, values))

    async def count(self, owner: str | None, status: Status | None, limit: int) -> int:
        """How many there are, counted up to `limit`."""
        statement = _count_statement(owner is not None, status is not None)
        record = await self._database.fetch_one(statement, _values(owner, status) | {"limit": limit})
        return record["total"] if record else 0


class OrderWriter:
    """Changes orders inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get_for_update(self, order_id: int) -> Order | None:
        """One by id, kept from others until the transaction ends."""
        rows = await self._connection.execute(ORDER_BY_ID.with_for_update(of=OrderRow), {"id": order_id})
        found = orders_of([dict(row) for row in rows.mappings()])
        return found[0] if found else None

    async def set_status(self, order: Order, status: Status) -> Order:
        """Give an order another state."""
        now = utc_now()
        await self._connection.execute(SET_STATUS, {"order_id": order.id, "new_status": status, "now": now})
        return order.model_copy(update={"status": status, "updated_at": now})

    async def return_stock(self, order: Order) -> None:
        """Put what was reserved back on the shelf."""
        await self._connection.execute(RETURN_STOCK, _quantities(order.items))

    async def count_sales(self, order: Order) -> None:
        """Count what was sold."""
        await self._connection.execute(COUNT_SALES, _quantities(order.items))

    async def expire(self, now: datetime) -> int:
        """Cancel some of the orders that were not paid until `now`, and return their stock; answers how many.

        Those that somebody is working on are passed over.
        """
        ids = list((await self._connection.execute(EXPIRED, {"now": now})).scalars())
        if ids:
            reserved = await self._connection.execute(RESERVED, {"order_ids": ids})
            await self._connection.execute(RETURN_STOCK, [dict(row) for row in reserved.mappings()])
            changed = [{"order_id": order_id, "new_status": "cancelled", "now": now} for order_id in ids]
            await self._connection.execute(SET_STATUS, changed)
        return len(ids)


def orders_of(records: Iterable[Record]) -> list[Order]:
    """Orders from rows that have one line each, the lines of an order next to each other."""
    return [_order(list(rows)) for _, rows in groupby(records, key=lambda record: record["id"])]


def _order(rows: Sequence[Record]) -> Order:
    lines = [
        OrderLine.model_construct(
            **{name: row[name] for name in ("goods_id", "sku", "name", "price", "quantity")},
            subtotal=row["price"] * row["quantity"],
        )
        for row in rows
    ]
    return Order.model_construct(**{name: rows[0][name] for name in Order.model_fields if name != "items"}, items=lines)


def _quantities(lines: Sequence[OrderLine]) -> list[Record]:
    """What goods are changed by, in the order in which everybody locks them."""
    return [{"goods_id": line.goods_id, "quantity": line.quantity} for line in lines]


def _values(owner: str | None, status: Status | None) -> Record:
    return {name: value for name, value in (("owner", owner), ("status", status)) if value is not None}


def _wanted(statement: AnySelect, by_owner: bool, by_status: bool) -> AnySelect:
    if by_owner:
        statement = statement.where(OrderRow.owner == bindparam("owner"))
    if by_status:
        statement = statement.where(OrderRow.status == bindparam("status"))
    return statement


@cache
def _page_statement(by_owner: bool, by_status: bool) -> AnySelect:
    page = _wanted(select(*ORDER_COLUMNS), by_owner, by_status).order_by(OrderRow.id.desc())
    of_page = page.limit(bindparam("limit")).offset(bindparam("offset")).subquery()
    lines = select(of_page, *LINE_COLUMNS).join(OrderLineRow, OrderLineRow.order_id == of_page.c.id)
    return lines.order_by(of_page.c.id.desc(), OrderLineRow.goods_id)


@cache
def _count_statement(by_owner: bool, by_status: bool) -> AnySelect:
    some = _wanted(select(OrderRow.id), by_owner, by_status).limit(bindparam("limit")).subquery()
    return select(func.count().label("total")).select_from(some)
