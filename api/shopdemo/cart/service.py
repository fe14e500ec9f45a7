"""The rules of carts; knows neither the web framework nor the database."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Protocol

from api.shopdemo.cart.errors import CartFull
from api.shopdemo.cart.holder import Holder
from api.shopdemo.cart.schemas import Cart, CartLine
from api.shopdemo.orders.schemas import MAX_LINES, OrderItem


class Reads(Protocol):
    """What a cart needs of a store."""

    async def lines(self, holder: Holder) -> list[CartLine]: ...


class Writes(Protocol):
    """What a cart needs of a store, inside one transaction."""

    async def open(self, holder: Holder) -> int: ...

    async def put(self, cart_id: int, items: Sequence[OrderItem]) -> None: ...

    async def count(self, cart_id: int) -> int: ...

    async def remove(self, holder: Holder, goods_id: int) -> None: ...

    async def clear(self, holder: Holder) -> None: ...

    async def merge(self, guest_cart: int, user: str) -> None: ...


OpenWriter = Callable[[], AbstractAsyncContextManager[Writes]]
Keep = Callable[[int], None]


class CartService:
    """One holder's cart. `keep` gets the id of a guest's cart when it was written, for the cookie."""

    def __init__(self, store: Reads, open_writer: OpenWriter, holder: Holder, keep: Keep) -> None:
        self._store = store
        self._open_writer = open_writer
        self._holder = holder
        self._keep = keep

    async def show(self) -> Cart:
        """What is in the cart, with prices and stock of now."""
        lines = await self._store.lines(self._holder)
        return Cart(items=lines, total=sum((line.subtotal for line in lines), Decimal("0.00")))

    async def put(self, item: OrderItem) -> Cart:
        """Have so many of some goods in the cart; raises GoodsNotFound or CartFull."""
        async with self._open_writer() as writer:
            cart_id = await writer.open(self._holder)
            before = await writer.count(cart_id)
            await writer.put(cart_id, [item])
            if before < await writer.count(cart_id) > MAX_LINES:  # two carts that became one may hold more
                raise CartFull
        return await self._show_written(cart_id)

    async def replace(self, items: Sequence[OrderItem]) -> Cart:
        """Have exactly these in the cart; raises GoodsNotFound."""
        async with self._open_writer() as writer:
            cart_id = await writer.open(self._holder)
            await writer.clear(self._holder._replace(guest_cart=cart_id))
            await writer.put(cart_id, items)
        return await self._show_written(cart_id)

    async def remove(self, goods_id: int) -> None:
        """Take goods out of the cart, if they are in it."""
        async with self._open_writer() as writer:
            await writer.remove(self._holder, goods_id)

    async def clear(self) -> None:
        """Take everything out of the cart."""
        async with self._open_writer() as writer:
            await writer.clear(self._holder)

    async def take_over(self, guest_cart: int) -> None:
        """Add what was put into a guest's cart before its user logged in; the guest's cart is gone then."""
        if self._holder.user is not None:
            async with self._open_writer() as writer:
                await writer.merge(guest_cart, self._holder.user)

    async def _show_written(self, cart_id: int) -> Cart:
        if self._holder.user is None:
            self._holder = Holder(guest_cart=cart_id)
            self._keep(cart_id)
        return await self.show()
