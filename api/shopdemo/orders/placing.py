"""Placing an order: stock, order and lines in one transaction near the driver, because everybody does it at once.

All texts of SQL are by hand here. Both ways answer the lines with what was found of the goods, and the id of the order
if there is one: there is none when something is missing, or when the Idempotency-Key is taken.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from api.shopdemo.orders.schemas import OrderItem


class Line(NamedTuple):
    """One line: what was wanted of the goods, and what there was of them."""

    goods_id: int
    sku: str
    name: str
    price: Decimal
    stock: int
    on_sale: bool
    quantity: int


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order before it has an id; the items are in the order of their goods' ids."""

    owner: str
    items: Sequence[OrderItem]
    idempotency_key: str | None
    request_hash: str
    created_at: datetime
    expires_at: datetime


class Placed(NamedTuple):
    """What became of a new order."""

    order_id: int | None
    lines: list[Line]


# The goods are locked in the order of their ids, or two orders could wait for each other; and the cart before what is
# in it, as carts do. `taken` and `added` get their rows from `placed`: nothing is taken for an order that is not there.
PLACE_IN_POSTGRES = """WITH found AS (
        SELECT goods.id, sku, name, price, stock, on_sale, quantity
        FROM unnest($1::bigint[], $2::integer[]) AS wanted (goods_id, quantity)
        JOIN shopdemo_goods AS goods ON goods.id = wanted.goods_id
        ORDER BY goods.id FOR NO KEY UPDATE OF goods
    ), placed AS (
        INSERT INTO shopdemo_orders
            (owner, status, total, idempotency_key, request_hash, created_at, updated_at, expires_at)
        SELECT $3, 'pending', sum(price * quantity)::bigint, $4, $5, $6, $6, $7 FROM found
        HAVING count(*) = cardinality($1) AND bool_and(on_sale AND stock >= quantity)
        ON CONFLICT (owner, idempotency_key) DO NOTHING
        RETURNING id
    ), taken AS (
        UPDATE shopdemo_goods AS goods SET stock = goods.stock - found.quantity
        FROM found, placed WHERE goods.id = found.id
    ), added AS (
        INSERT INTO shopdemo_order_lines (order_id, goods_id, sku, name, price, quantity)
        SELECT placed.id, found.id, sku, name, price, quantity FROM placed, found
    ), cart AS (
        SELECT cart.id FROM placed, shopdemo_carts AS cart WHERE cart.owner = $3 FOR NO KEY UPDATE OF cart
    ), emptied AS (
        DELETE FROM shopdemo_cart_items AS item USING found, cart
        WHERE item.cart_id = cart.id AND item.goods_id = found.id
    )
    SELECT placed.id AS order_id, found.* FROM found LEFT JOIN placed ON true ORDER BY found.id"""

FIND_IN_SQLITE = "SELECT id, sku, name, price, stock, on_sale FROM shopdemo_goods WHERE id = ?"
KEY_IN_SQLITE = "SELECT 1 FROM shopdemo_orders WHERE owner = ? AND idempotency_key = ?"
PLACE_IN_SQLITE = """INSERT INTO shopdemo_orders
    (owner, status, total, idempotency_key, request_hash, created_at, updated_at, expires_at)
    VALUES (?, 'pending', ?, ?, ?, ?, ?, ?) RETURNING id"""
TAKE_IN_SQLITE = "UPDATE shopdemo_goods SET stock = stock - ? WHERE id = ?"
ADD_IN_SQLITE = """INSERT INTO shopdemo_order_lines (order_id, goods_id, sku, name, price, quantity)
    VALUES (?, ?, ?, ?, ?, ?)"""
EMPTY_IN_SQLITE = """DELETE FROM shopdemo_cart_items
    WHERE cart_id = (SELECT id FROM shopdemo_carts WHERE owner = ?) AND goods_id = ?"""


def postgres_arguments(order: NewOrder) -> tuple[Any, ...]:
    """The arguments of PLACE_IN_POSTGRES."""
    return (
        [item.goods_id for item in order.items],
        [item.quantity for item in order.items],
        order.owner,
        order.idempotency_key,
        order.request_hash,
        order.created_at,
        order.expires_at,
    )


def placed_in_postgres(rows: Sequence[Any]) -> Placed:
    """Read what PLACE_IN_POSTGRES answers."""
    return Placed(rows[0]["order_id"] if rows else None, [_line(row[1:]) for row in map(tuple, rows)])


def place_in_sqlite(order: NewOrder, connection: sqlite3.Connection) -> Placed:
    """Place within the connection's transaction."""
    found = [
        _line((*row, item.quantity))
        for item in order.items
        if (row := connection.execute(FIND_IN_SQLITE, (item.goods_id,)).fetchone())
    ]
    if len(found) < len(order.items) or not all(line.on_sale and line.stock >= line.quantity for line in found):
        return Placed(None, found)
    key = (order.owner, order.idempotency_key)
    if order.idempotency_key is not None and connection.execute(KEY_IN_SQLITE, key).fetchone():
        return Placed(None, found)
    created_at, expires_at = (_text(time) for time in (order.created_at, order.expires_at))
    total = int(total_of(found).scaleb(2))
    values = (order.owner, total, order.idempotency_key, order.request_hash, created_at, created_at, expires_at)
    order_id: int = connection.execute(PLACE_IN_SQLITE, values).fetchone()[0]
    connection.executemany(TAKE_IN_SQLITE, [(line.quantity, line.goods_id) for line in found])
    connection.executemany(ADD_IN_SQLITE, [_row(order_id, line) for line in found])
    connection.executemany(EMPTY_IN_SQLITE, [(order.owner, line.goods_id) for line in found])
    return Placed(order_id, found)


def total_of(lines: Iterable[Line]) -> Decimal:
    """What all lines cost together."""
    return sum((line.price * line.quantity for line in lines), Decimal("0.00"))


def _line(row: Sequence[Any]) -> Line:
    goods_id, sku, name, cents, stock, on_sale, quantity = row
    return Line(goods_id, sku, name, Decimal(cents).scaleb(-2), stock, bool(on_sale), quantity)


def _row(order_id: int, line: Line) -> tuple[Any, ...]:
    return (order_id, line.goods_id, line.sku, line.name, int(line.price.scaleb(2)), line.quantity)


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")
