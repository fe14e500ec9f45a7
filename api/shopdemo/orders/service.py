"""The rules of orders; knows neither the web framework nor the database."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

from api.shopdemo.orders.errors import (
    GoodsNotForSale,
    IdempotencyKeyReused,
    IllegalTransition,
    OrderNotFound,
    StockTooLow,
)
from api.shopdemo.orders.placing import Line, NewOrder, Placed, total_of
from api.shopdemo.orders.schemas import Order, OrderItem, OrderLine, OrderPage, OrderQuery, Status
from utils.custom_exc import Forbidden
from utils.fields import utc_now

COUNT_LIMIT = 10_000  # counting further costs more than anybody gains from the number

# Whoever has paid waits for the parcel: only what is not paid can be cancelled.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    "pending": frozenset({"paid", "cancelled"}),
    "paid": frozenset({"shipped"}),
    "shipped": frozenset({"done"}),
    "done": frozenset(),
    "cancelled": frozenset(),
}


class Viewer(NamedTuple):
    """Who asks for orders."""

    name: str
    is_admin: bool


class Reads(Protocol):
    """What orders need of a store; placing one is a transaction of its own."""

    async def place(self, order: NewOrder) -> Placed: ...

    async def get(self, order_id: int) -> Order | None: ...

    async def by_key(self, owner: str, key: str) -> tuple[Order, str] | None: ...

    async def page(self, owner: str | None, status: Status | None, limit: int, offset: int) -> list[Order]: ...

    async def count(self, owner: str | None, status: Status | None, limit: int) -> int: ...


class Writes(Protocol):
    """What the fulfilment needs of a store, inside one transaction."""

    async def get_for_update(self, order_id: int) -> Order | None: ...

    async def set_status(self, order: Order, status: Status) -> Order: ...

    async def return_stock(self, order: Order) -> None: ...

    async def count_sales(self, order: Order) -> None: ...


class Orders:
    """Placing and reading orders."""

    def __init__(self, store: Reads, minutes: int) -> None:
        self._store = store
        self._lifetime = timedelta(minutes=minutes)

    async def place(self, owner: str, items: Sequence[OrderItem], key: str | None) -> Order:
        """Reserve the stock of all items, or of none. The same key with the same items gives the same order again.

        Raises StockTooLow, GoodsNotForSale or IdempotencyKeyReused.
        """
        now = utc_now()
        wanted = sorted(items, key=lambda item: item.goods_id)
        order = NewOrder(owner, wanted, key, fingerprint(wanted), now, now + self._lifetime)
        order_id, lines = await self._store.place(order)
        if order_id is not None:
            return _new(order_id, order, lines)
        # Even what is sold out by now was sold to whoever sends this key again.
        if key is not None and (known := await self._store.by_key(owner, key)):
            return _again(*known, order.request_hash)
        raise _refusal(items, lines)

    async def get(self, order_id: int, viewer: Viewer) -> Order:
        """One order; raises OrderNotFound, for somebody else's too."""
        return _shown_to(viewer, await self._store.get(order_id))

    async def list(self, query: OrderQuery, viewer: Viewer) -> OrderPage:
        """A page of the viewer's orders or, for administrators, of everyone's; raises Forbidden."""
        if query.everyone and not viewer.is_admin:
            raise Forbidden("Only administrators see everyone's orders; leave out `everyone`.")
        owner = None if query.everyone else viewer.name
        items = await self._store.page(owner, query.status, query.size, (query.page - 1) * query.size)
        total = await self._store.count(owner, query.status, COUNT_LIMIT)
        return OrderPage(items=items, total=total, page=query.page, size=query.size)


class Fulfilment:
    """Moves orders from state to state, inside one transaction."""

    def __init__(self, store: Writes) -> None:
        self._store = store

    async def cancel(self, order_id: int, viewer: Viewer) -> Order:
        """Give up an order that is not paid; raises OrderNotFound or IllegalTransition."""
        return await self.move(await self.find(order_id, viewer), "cancelled")

    async def ship(self, order_id: int, viewer: Viewer) -> Order:
        """Say that the parcel is on its way; raises OrderNotFound or IllegalTransition."""
        return await self.move(await self.find(order_id, viewer), "shipped")

    async def complete(self, order_id: int, viewer: Viewer) -> Order:
        """Say that the parcel came; raises OrderNotFound or IllegalTransition."""
        return await self.move(await self.find(order_id, viewer), "done")

    async def find(self, order_id: int, viewer: Viewer) -> Order:
        """The order, kept from others until the transaction ends; raises OrderNotFound, for somebody else's too."""
        return _shown_to(viewer, await self._store.get_for_update(order_id))

    async def move(self, order: Order, status: Status) -> Order:
        """Bring an order that was found here to another state, with what follows from it; raises IllegalTransition."""
        check_transition(order.status, status)
        if status == "cancelled":
            await self._store.return_stock(order)
        elif status == "paid":
            await self._store.count_sales(order)
        return await self._store.set_status(order, status)


def check_transition(old: Status, new: Status) -> None:
    """Raise IllegalTransition unless an order may go from one state to the other."""
    if new not in TRANSITIONS[old]:
        text = f"The order is {old} already." if old == new else f"The order is {old}: it cannot become {new}."
        raise IllegalTransition(text, data={"status": old})


def fingerprint(items: Sequence[OrderItem]) -> str:
    """What two requests for the same items have in common."""
    text = ",".join(f"{item.goods_id}:{item.quantity}" for item in items)
    return hashlib.sha256(text.encode()).hexdigest()


def _shown_to(viewer: Viewer, order: Order | None) -> Order:
    if order is None or not (viewer.is_admin or order.owner == viewer.name):
        raise OrderNotFound
    return order


def _new(order_id: int, order: NewOrder, lines: Sequence[Line]) -> Order:
    items = [
        OrderLine.model_construct(
            goods_id=line.goods_id,
            sku=line.sku,
            name=line.name,
            price=line.price,
            quantity=line.quantity,
            subtotal=line.price * line.quantity,
        )
        for line in lines
    ]
    return Order.model_construct(
        id=order_id,
        owner=order.owner,
        status="pending",
        items=items,
        total=total_of(lines),
        created_at=order.created_at,
        updated_at=order.created_at,
        expires_at=order.expires_at,
    )


def _again(order: Order, request_hash: str, wanted_hash: str) -> Order:
    """The answer that was given when the order was placed, whatever became of it since."""
    if request_hash != wanted_hash:
        raise IdempotencyKeyReused
    return order.model_copy(update={"status": "pending", "updated_at": order.created_at})


def _refusal(items: Sequence[OrderItem], lines: Sequence[Line]) -> GoodsNotForSale | StockTooLow:
    found = {line.goods_id: line for line in lines}
    errors = [
        {
            "loc": ["body", "items", number, "goods_id"],
            "message": "There are no goods with this id on sale.",
            "type": "not_for_sale",
        }
        for number, item in enumerate(items)
        if item.goods_id not in found or not found[item.goods_id].on_sale
    ]
    if errors:
        return GoodsNotForSale(data={"errors": errors})
    short = [
        {"goods_id": line.goods_id, "quantity": line.quantity, "stock": line.stock}
        for line in lines
        if line.stock < line.quantity
    ]
    return StockTooLow(data={"items": short})
