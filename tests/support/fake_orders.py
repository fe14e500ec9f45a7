"""A store of orders in memory, for the rules alone."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from api.shopdemo.orders.placing import Line, NewOrder, Placed, total_of
from api.shopdemo.orders.schemas import Order, OrderLine, Status


class FakeOrders:
    """Goods by id with their stock and price in cents, and the orders that were placed."""

    def __init__(self, stock: Mapping[int, int], cents: Mapping[int, int]) -> None:
        self.stock = Counter(stock)
        self.sales: Counter[int] = Counter()
        self.orders: dict[int, Order] = {}
        self._cents = cents
        self._keys: dict[tuple[str, str], tuple[int, str]] = {}

    async def place(self, order: NewOrder) -> Placed:
        found = [self._line(item.goods_id, item.quantity) for item in order.items if item.goods_id in self._cents]
        is_known = order.idempotency_key is not None and (order.owner, order.idempotency_key) in self._keys
        if len(found) < len(order.items) or any(line.stock < line.quantity for line in found) or is_known:
            return Placed(None, found)
        self.stock.subtract({line.goods_id: line.quantity for line in found})
        order_id = len(self.orders) + 1
        self.orders[order_id] = _order(order_id, order, found)
        if order.idempotency_key is not None:
            self._keys[order.owner, order.idempotency_key] = (order_id, order.request_hash)
        return Placed(order_id, found)

    async def get(self, order_id: int) -> Order | None:
        return self.orders.get(order_id)

    async def get_for_update(self, order_id: int) -> Order | None:
        return self.orders.get(order_id)

    async def by_key(self, owner: str, key: str) -> tuple[Order, str] | None:
        order_id, request_hash = self._keys.get((owner, key), (0, ""))
        return (self.orders[order_id], request_hash) if order_id else None

    async def page(self, owner: str | None, status: Status | None, limit: int, offset: int) -> list[Order]:
        return self._wanted(owner, status)[offset : offset + limit]

    async def count(self, owner: str | None, status: Status | None, limit: int) -> int:
        return min(limit, len(self._wanted(owner, status)))

    async def set_status(self, order: Order, status: Status) -> Order:
        self.orders[order.id] = order.model_copy(update={"status": status})
        return self.orders[order.id]

    async def return_stock(self, order: Order) -> None:
        self.stock.update({line.goods_id: line.quantity for line in order.items})

    async def count_sales(self, order: Order) -> None:
        self.sales.update({line.goods_id: line.quantity for line in order.items})

    def _line(self, goods_id: int, quantity: int) -> Line:
        price = Decimal(self._cents[goods_id]).scaleb(-2)
        return Line(goods_id, f"SKU-{goods_id}", f"商品 {goods_id}", price, self.stock[goods_id], True, quantity)

    def _wanted(self, owner: str | None, status: Status | None) -> list[Order]:
        return [
            order
            for _, order in sorted(self.orders.items(), reverse=True)
            if owner in (None, order.owner) and status in (None, order.status)
        ]


def _order(order_id: int, order: NewOrder, lines: list[Line]) -> Order:
    return Order(
        id=order_id,
        owner=order.owner,
        status="pending",
        items=[
            OrderLine(
                goods_id=line.goods_id,
                sku=line.sku,
                name=line.name,
                price=line.price,
                quantity=line.quantity,
                subtotal=line.price * line.quantity,
            )
            for line in lines
        ],
        total=total_of(lines),
        created_at=order.created_at,
        updated_at=order.created_at,
        expires_at=order.expires_at,
    )
