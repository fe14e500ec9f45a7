"""The routes of the cart."""

from typing import Any

from fastapi import APIRouter, Response

from api.shopdemo.cart.dependencies import CartDep
from api.shopdemo.cart.errors import CartFull
from api.shopdemo.cart.schemas import Cart, CartContent, CartQuantity
from api.shopdemo.goods.dependencies import GoodsId
from api.shopdemo.goods.errors import GoodsNotFound
from api.shopdemo.orders.schemas import OrderItem
from utils.custom_exc import NotAuthenticated, NotReady, errors
from utils.response_code import document_headers
from utils.routing import EnvelopeRoute

TOKEN_OPTIONAL: dict[str, Any] = {"security": [{}]}  # beside the ways to send one
SHOWN, DONE = document_headers(200, "Set-Cookie"), document_headers(204, "Set-Cookie")

router = APIRouter(
    prefix="/cart", tags=["cart"], route_class=EnvelopeRoute, responses=errors(NotReady, NotAuthenticated)
)


@router.get("", openapi_extra=TOKEN_OPTIONAL, responses=SHOWN)
async def show_cart(cart: CartDep) -> Cart:
    """Your cart, or a guest's, with the prices and the stock of now.

    After a login the guest's cart is added to the user's with the first request that has both token and cookie.
    """
    return await cart.show()


@router.put("", openapi_extra=TOKEN_OPTIONAL, responses={**SHOWN, **errors(GoodsNotFound)})
async def replace_cart(content: CartContent, cart: CartDep) -> Cart:
    """Have exactly these goods in the cart."""
    return await cart.replace(content.items)


@router.delete("", openapi_extra=TOKEN_OPTIONAL, status_code=204, response_class=Response, responses=DONE)
async def delete_cart(cart: CartDep) -> None:
    """Take everything out of the cart."""
    await cart.clear()


@router.put("/items/{goods_id}", openapi_extra=TOKEN_OPTIONAL, responses={**SHOWN, **errors(GoodsNotFound, CartFull)})
async def replace_cart_item(goods_id: GoodsId, wanted: CartQuantity, cart: CartDep) -> Cart:
    """Have so many of these goods in the cart; more than there are is possible, and shown as not available."""
    return await cart.put(OrderItem(goods_id=goods_id, quantity=wanted.quantity))


@router.delete(
    "/items/{goods_id}", openapi_extra=TOKEN_OPTIONAL, status_code=204, response_class=Response, responses=DONE
)
async def delete_cart_item(goods_id: GoodsId, cart: CartDep) -> None:
    """Take goods out of the cart."""
    await cart.remove(goods_id)
