"""Every query of carts; rows become schemas here and never leave."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import count

from sqlalchemy import ColumnElement, bindparam, case, delete, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from api.shopdemo.cart.holder import Holder
from api.shopdemo.cart.schemas import CartLine
from api.shopdemo.database import CartItemRow, CartRow, GoodsRow
from api.shopdemo.goods.errors import GoodsNotFound
from api.shopdemo.orders.schemas import MAX_QUANTITY, OrderItem
from extensions.database import Database, Record
from utils.fields import utc_now

MICROSECOND = timedelta(microseconds=1)

# A guest's cart is found by its id, a user's by the name; an id of a user's cart is nobody's key to it.
HOLDERS_CART = or_(
    CartRow.owner == bindparam("user"), (CartRow.id == bindparam("guest_cart")) & CartRow.owner.is_(None)
)
LINES = (
    select(
        CartItemRow.goods_id,
        CartItemRow.quantity,
        GoodsRow.sku,
        GoodsRow.name,
        GoodsRow.price,
        GoodsRow.stock,
        GoodsRow.on_sale,
        GoodsRow.pictures,
    )
    .join(CartRow, CartRow.id == CartItemRow.cart_id)
    .join(GoodsRow, GoodsRow.id == CartItemRow.goods_id)
    .where(HOLDERS_CART)
    .order_by(CartItemRow.added_at, CartItemRow.goods_id)
)
# Whoever changes what is in a cart locks the cart first, or two of them could wait for each other.
CART_IDS = select(CartRow.id).where(HOLDERS_CART).with_for_update(key_share=True)
GUEST_CART = select(CartRow.id).where(CartRow.id == bindparam("id"), CartRow.owner.is_(None)).with_for_update()
TOUCH_GUEST_CART = (
    update(CartRow)
    .where(CartRow.id == bindparam("guest_cart"), CartRow.owner.is_(None))
    .values(updated_at=bindparam("now"))
    .returning(CartRow.id)
)
REMOVE = delete(CartItemRow).where(
    CartItemRow.cart_id.in_(CART_IDS.scalar_subquery()), CartItemRow.goods_id == bindparam("goods")
)
CLEAR = delete(CartItemRow).where(CartItemRow.cart_id.in_(CART_IDS.scalar_subquery()))
KNOWN_GOODS = select(GoodsRow.id).where(GoodsRow.id.in_(bindparam("wanted", expanding=True)))
COUNT = (
    select(func.count())
    .select_from(CartItemRow)
    .join(GoodsRow, GoodsRow.id == CartItemRow.goods_id)
    .where(CartItemRow.cart_id == bindparam("cart_id"))
)
FORGOTTEN = delete(CartRow).where(CartRow.owner.is_(None), CartRow.updated_at < bindparam("oldest"))
WITHOUT_GOODS = delete(CartItemRow).where(CartItemRow.goods_id.not_in(select(GoodsRow.id)))


class CartStore:
    """Reads carts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(self, holder: Holder) -> list[CartLine]:
        """What is in the holder's cart."""
        return [_line(record) for record in await self._database.fetch_all(LINES, holder._asdict())]


class CartWriter:
    """Changes carts inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        self._add_cart = dialect.insert(CartRow).on_conflict_do_update(
            index_elements=["owner"], set_={"updated_at": bindparam("now")}
        )
        self._item = dialect.insert(CartItemRow)

    async def open(self, holder: Holder) -> int:
        """The id of the holder's cart, made if there is none, and kept from others until the transaction ends."""
        now = utc_now()
        if holder.guest_cart is not None and holder.user is None:
            touched = await self._connection.execute(TOUCH_GUEST_CART, {"guest_cart": holder.guest_cart, "now": now})
            if (cart_id := touched.scalar_one_or_none()) is not None:
                return int(cart_id)
        add = self._add_cart.returning(CartRow.id)
        added = await self._connection.execute(add, {"owner": holder.user, "updated_at": now, "now": now})
        return int(added.scalar_one())

    async def put(self, cart_id: int, items: Sequence[OrderItem]) -> None:
        """Have so many of these goods in the cart; raises GoodsNotFound."""
        if not items:
            return
        wanted = [item.goods_id for item in items]
        if len((await self._connection.execute(KNOWN_GOODS, {"wanted": wanted})).all()) < len(wanted):
            raise GoodsNotFound
        added_at = (utc_now() + number * MICROSECOND for number in count())  # as they were sent
        rows = [
            {"cart_id": cart_id, **item.model_dump(), "added_at": time}
            for item, time in zip(items, added_at, strict=False)
        ]
        put = self._item.on_conflict_do_update(
            index_elements=["cart_id", "goods_id"], set_={"quantity": self._item.excluded.quantity}
        )
        await self._connection.execute(put, rows)

    async def count(self, cart_id: int) -> int:
        """How many kinds of goods are in a cart."""
        return int((await self._connection.execute(COUNT, {"cart_id": cart_id})).scalar_one())

    async def remove(self, holder: Holder, goods_id: int) -> None:
        """Take goods out of the holder's cart."""
        await self._connection.execute(REMOVE, {**holder._asdict(), "goods": goods_id})

    async def clear(self, holder: Holder) -> None:
        """Take everything out of the holder's cart."""
        await self._connection.execute(CLEAR, holder._asdict())

    async def merge(self, guest_cart: int, user: str) -> None:
        """Add a guest's cart to a user's, and delete it; if it is gone already, somebody did that before."""
        if (await self._connection.execute(GUEST_CART, {"id": guest_cart})).scalar_one_or_none() is None:
            return
        cart_id = await self.open(Holder(user=user))
        taken_over = select(literal(cart_id), CartItemRow.goods_id, CartItemRow.quantity, CartItemRow.added_at).where(
            CartItemRow.cart_id == guest_cart
        )
        add = self._item.from_select(["cart_id", "goods_id", "quantity", "added_at"], taken_over)
        both = _at_most(MAX_QUANTITY, CartItemRow.quantity + self._item.excluded.quantity)
        await self._connection.execute(
            add.on_conflict_do_update(index_elements=["cart_id", "goods_id"], set_={"quantity": both})
        )
        await self._connection.execute(delete(CartRow).where(CartRow.id == guest_cart))

    async def forget(self, days: int) -> None:
        """Delete the guests' carts that nobody changed for so many days, and from all what is no longer there."""
        await self._connection.execute(WITHOUT_GOODS)
        await self._connection.execute(FORGOTTEN, {"oldest": utc_now() - timedelta(days=days)})


def _at_most(limit: int, quantity: ColumnElement[int]) -> ColumnElement[int]:
    return case((quantity > limit, limit), else_=quantity)


def _line(record: Record) -> CartLine:
    price: Decimal = record["price"]
    pictures = record["pictures"]
    return CartLine(
        **{name: record[name] for name in ("goods_id", "sku", "name", "price", "quantity", "stock")},
        subtotal=price * record["quantity"],
        thumbnail_url=pictures[0]["thumbnail_url"] if pictures else None,
        available=record["on_sale"] and record["stock"] >= record["quantity"],
    )
