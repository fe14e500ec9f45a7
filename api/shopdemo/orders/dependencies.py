"""The wiring of one request."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Path, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from api.shopdemo.orders.service import Fulfilment, Orders, Viewer
from api.shopdemo.orders.store import OrderStore, OrderWriter
from extensions.database import Database
from extensions.security import UserDep
from utils.fields import MAX_ID, utc_now

OrderId = Annotated[int, Path(ge=1, le=MAX_ID, description="The id of the order.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Yours for this order, such as a UUID: send it again with the same request if the answer got lost.",
    ),
]


async def get_orders(request: Request) -> Orders:
    state = request.app.state
    return Orders(OrderStore(state.database), state.settings.order_minutes)


def fulfilment_in(connection: AsyncConnection) -> Fulfilment:
    """The fulfilment inside somebody's transaction."""
    return Fulfilment(OrderWriter(connection))


async def get_fulfilment(request: Request) -> AsyncIterator[Fulfilment]:
    """One transaction for the request; with scope="function" it is committed before the answer leaves."""
    async with request.app.state.database.transaction() as connection:
        yield fulfilment_in(connection)


async def get_viewer(user: UserDep) -> Viewer:
    return Viewer(user.name, is_admin="admin" in user.roles)


async def expire_orders(database: Database) -> None:
    """Cancel all orders that were not paid in time."""
    now = utc_now()
    while True:
        async with database.transaction() as connection:
            if not await OrderWriter(connection).expire(now):
                return


OrdersDep = Annotated[Orders, Depends(get_orders)]
FulfilmentDep = Annotated[Fulfilment, Depends(get_fulfilment, scope="function")]
ViewerDep = Annotated[Viewer, Depends(get_viewer)]
