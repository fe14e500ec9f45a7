"""The routes of payments."""

from fastapi import APIRouter, Response

from api.shopdemo.orders.dependencies import OrderId
from api.shopdemo.orders.errors import IllegalTransition, OrderNotFound
from api.shopdemo.orders.schemas import Order
from api.shopdemo.payments.dependencies import AsGateway, PaymentsDep
from api.shopdemo.payments.errors import (
    AmountDiffers,
    AnswerUnclear,
    GatewayAway,
    MethodUnknown,
    PaymentDeclined,
    PaymentReturned,
    SignatureInvalid,
)
from api.shopdemo.payments.schemas import ChargeEvent, Pay
from extensions.security import UserDep
from utils.custom_exc import NotAuthenticated, NotReady, errors
from utils.response_code import Envelope
from utils.routing import EnvelopeRoute

router = APIRouter(tags=["payments"], route_class=EnvelopeRoute)

AT_THE_GATEWAY = "The payment is under way at the gateway: read the order again until it is no longer pending."
BY_TEST_CARD = Pay()


@router.post(
    "/orders/{order_id}/pay",
    responses={
        202: {"model": Envelope[Order], "description": AT_THE_GATEWAY},
        **errors(
            NotAuthenticated,
            PaymentDeclined,
            OrderNotFound,
            IllegalTransition,
            PaymentReturned,
            MethodUnknown,
            NotReady,
            GatewayAway,
            AnswerUnclear,
        ),
    },
)
async def pay_order(
    order_id: OrderId, payments: PaymentsDep, user: UserDep, response: Response, pay: Pay = BY_TEST_CARD
) -> Order:
    """Pay an order of yours. If no answer came, pay again: nothing is charged twice.

    200 with the paid order; 202 with the order still pending when the payment takes longer. When a card is declined,
    the order waits for another one until it expires.
    """
    order = await payments.pay(order_id, user.name, pay.method)
    if order.status == "pending":
        response.status_code = 202
    return order


@router.post(
    "/payments/webhook",
    status_code=204,
    response_class=Response,
    dependencies=[AsGateway],
    responses=errors(SignatureInvalid, AmountDiffers, NotReady),
)
async def receive_event(event: ChargeEvent, payments: PaymentsDep) -> None:
    """What the gateway tells of a payment; the same again, or in another order, changes nothing."""
    await payments.hear(event.data)
