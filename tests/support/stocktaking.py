"""What the database says of goods and orders, asked by somebody who is not the service."""

from collections import defaultdict
from typing import NamedTuple

from sqlalchemy import Integer, cast, func, select

from api.shopdemo.database import GoodsRow, OrderLineRow, OrderRow
from extensions.database import Database

RESERVED = (
    select(OrderLineRow.goods_id, func.sum(OrderLineRow.quantity).label("quantity"))
    .join(OrderRow, OrderRow.id == OrderLineRow.order_id)
    .where(OrderRow.status != "cancelled")
    .group_by(OrderLineRow.goods_id)
    .subquery()
)
STOCK = select(
    GoodsRow.id, GoodsRow.stock, cast(func.coalesce(RESERVED.c.quantity, 0), Integer).label("reserved")
).join_from(GoodsRow, RESERVED, RESERVED.c.goods_id == GoodsRow.id, isouter=True)
LINES = select(
    OrderRow.id, OrderRow.owner, OrderRow.idempotency_key, OrderLineRow.goods_id, OrderLineRow.quantity
).join_from(OrderRow, OrderLineRow, OrderLineRow.order_id == OrderRow.id, isouter=True)


class Stock(NamedTuple):
    """Pieces of one kind of goods: on the shelf, and in orders that were not cancelled."""

    on_shelf: int
    reserved: int


async def take_stock(database: Database) -> dict[int, Stock]:
    """The pieces of all goods, all of one moment."""
    return {record["id"]: Stock(record["stock"], record["reserved"]) for record in await database.fetch_all(STOCK)}


async def orders_by_key(database: Database) -> dict[str, list[tuple[int, dict[int, int]]]]:
    """The orders with each Idempotency-Key: their ids, and how many of which goods."""
    lines: defaultdict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    for record in await database.fetch_all(LINES):
        lines[record["idempotency_key"], record["id"]][record["goods_id"]] = record["quantity"]
    found: defaultdict[str, list[tuple[int, dict[int, int]]]] = defaultdict(list)
    for (key, order_id), ordered in lines.items():
        found[key].append((order_id, ordered))
    return dict(found)
