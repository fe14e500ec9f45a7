"""The routes of orders."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.shopdemo.orders.dependencies import FulfilmentDep, IdempotencyKey, OrderId, OrdersDep, ViewerDep
from api.shopdemo.orders.errors import (
    GoodsNotForSale,
    IdempotencyKeyReused,
    IllegalTransition,
    OrderNotFound,
    StockTooLow,
)
from api.shopdemo.orders.schemas import Order, OrderCreate, OrderPage, OrderQuery
from extensions.security import require_role
from utils.custom_exc import Forbidden, NotAuthenticated, NotReady, errors
from utils.response_code import document_headers
from utils.routing import EnvelopeRoute

router = APIRouter(prefix="/orders", tags=["orders"], route_class=EnvelopeRoute)

USER_ERRORS = (NotAuthenticated, NotReady)
MOVE_ERRORS = (*USER_ERRORS, OrderNotFound, IllegalTransition)


@router.post(
    "",
    status_code=201,
    responses={
        **document_headers(201, "Location"),
        **errors(*USER_ERRORS, StockTooLow, IdempotencyKeyReused, GoodsNotForSale),
    },
)
async def place_order(
    order: OrderCreate,
    orders: OrdersDep,
    viewer: ViewerDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Order:
    """Order goods: their stock is reserved at once, all of it or none, and what was ordered leaves your cart.

    Prices are those of now and stay. The order waits for its payment until `expires_at`.
    """
    placed = await orders.place(viewer.name, order.items, idempotency_key)
    response.headers["Location"] = f"/shopdemo/orders/{placed.id}"
    return placed


@router.get("", responses=errors(*USER_ERRORS, Forbidden))
async def list_orders(query: Annotated[OrderQuery, Query()], orders: OrdersDep, viewer: ViewerDep) -> OrderPage:
    """Your orders, the newest first; administrators may ask for everyone's."""
    return await orders.list(query, viewer)


@router.get("/{order_id}", responses=errors(*USER_ERRORS, OrderNotFound))
async def get_order(order_id: OrderId, orders: OrdersDep, viewer: ViewerDep) -> Order:
    """One of your orders; administrators see all."""
    return await orders.get(order_id, viewer)


@router.post("/{order_id}/cancel", responses=errors(*MOVE_ERRORS))
async def cancel_order(order_id: OrderId, fulfilment: FulfilmentDep, viewer: ViewerDep) -> Order:
    """Give up an order that is not paid; its stock is returned."""
    return await fulfilment.cancel(order_id, viewer)


@router.post(
    "/{order_id}/ship", dependencies=[Depends(require_role("admin"))], responses=errors(*MOVE_ERRORS, Forbidden)
)
async def ship_order(order_id: OrderId, fulfilment: FulfilmentDep, viewer: ViewerDep) -> Order:
    """Say that the parcel of a paid order is on its way."""
    return await fulfilment.ship(order_id, viewer)


@router.post("/{order_id}/complete", responses=errors(*MOVE_ERRORS))
async def complete_order(order_id: OrderId, fulfilment: FulfilmentDep, viewer: ViewerDep) -> Order:
    """Say that the parcel came."""
    return await fulfilment.complete(order_id, viewer)
