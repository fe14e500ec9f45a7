"""The wiring of one request: whose cart it is, and the cookie of guests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import Cookie, Depends, Request, Response

from api.shopdemo.cart.holder import Holder
from api.shopdemo.cart.service import CartService
from api.shopdemo.cart.store import CartStore, CartWriter
from extensions.database import Database
from extensions.security import OptionalUserDep, Tokens

COOKIE = "shop_cart"
PURPOSE = "guest cart"
SECONDS_OF_A_DAY = 24 * 3600

GuestCookie = Annotated[
    str | None,
    Cookie(alias=COOKIE, max_length=1000, description="A guest's cart, signed; set when something is put into it."),
]


async def get_cart(
    request: Request, response: Response, user: OptionalUserDep, cookie: GuestCookie = None
) -> CartService:
    """The cart of the user or guest. What was put into it before the login is taken over, and the cookie deleted."""
    state = request.app.state
    tokens: Tokens = state.tokens
    sealed = tokens.unseal(PURPOSE, cookie) if cookie else None
    guest_cart = int(sealed) if sealed else None
    holder = Holder(user.name) if user else Holder(guest_cart=guest_cart)
    cart = CartService(
        CartStore(state.database), partial(open_writer, state.database), holder, partial(_keep, request, response)
    )
    if user and guest_cart is not None:
        await cart.take_over(guest_cart)
        response.delete_cookie(COOKIE, _path(request))
    return cart


@asynccontextmanager
async def open_writer(database: Database) -> AsyncIterator[CartWriter]:
    """One transaction on carts."""
    async with database.transaction() as connection:
        yield CartWriter(connection)


async def forget_carts(database: Database, days: int) -> None:
    """Delete the guests' carts that nobody changed for so many days."""
    async with open_writer(database) as writer:
        await writer.forget(days)


def _keep(request: Request, response: Response, guest_cart: int) -> None:
    state = request.app.state
    days: int = state.settings.cart_days
    response.set_cookie(
        COOKIE,
        state.tokens.seal(PURPOSE, str(guest_cart), days),
        max_age=days * SECONDS_OF_A_DAY,
        path=_path(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def _path(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/shopdemo"


CartDep = Annotated[CartService, Depends(get_cart)]
