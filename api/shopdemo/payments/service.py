"""The rules of payments; knows neither the web framework nor the database.

An attempt to pay is stored before the gateway is asked, and what the gateway says is stored after it: no transaction is
open meanwhile. Whatever gets lost in between is found again under the attempt's key, so nothing is charged twice.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from loguru import logger

from api.shopdemo.orders.errors import OrderNotFound
from api.shopdemo.orders.schemas import Order, Status
from api.shopdemo.orders.service import Viewer, check_transition
from api.shopdemo.payments.errors import (
    AmountDiffers,
    AnswerUnclear,
    GatewayAway,
    PaymentDeclined,
    PaymentReturned,
    PaymentUnknown,
)
from api.shopdemo.payments.gateway import Gateway
from api.shopdemo.payments.schemas import ChargeStatus, GatewayCharge, Payment, PaymentStatus
from utils.fields import utc_now

UNSETTLED_SECONDS = 60.0  # after so long an answer or a webhook counts as lost
THE_SHOP = Viewer("", is_admin=True)


class OrderMoves(Protocol):
    """What payments need of orders, inside one transaction."""

    async def find(self, order_id: int, viewer: Viewer) -> Order: ...

    async def move(self, order: Order, status: Status) -> Order: ...


class PaymentRecords(Protocol):
    """What payments need of their store, inside the same transaction."""

    async def newest(self, order_id: int) -> Payment | None: ...

    async def by_key(self, key: str) -> Payment | None: ...

    async def add(self, order_id: int, attempt: int) -> Payment: ...

    async def save(self, payment: Payment) -> Payment: ...

    async def claim(self, before: datetime) -> list[Payment]: ...


class Ledger(NamedTuple):
    """Orders and payments in one transaction; the order is locked first."""

    orders: OrderMoves
    payments: PaymentRecords


class Settled(NamedTuple):
    """An order and its payment after the gateway has spoken."""

    order: Order
    payment: Payment


class Payments:
    """Pays orders through the gateway."""

    def __init__(self, open_ledger: Callable[[], AbstractAsyncContextManager[Ledger]], gateway: Gateway) -> None:
        self._open_ledger = open_ledger
        self._gateway = gateway

    async def pay(self, order_id: int, owner: str, method: str) -> Order:
        """The order, paid; or pending as long as its payment is, with the gateway.

        Raises OrderNotFound, IllegalTransition, MethodUnknown, PaymentDeclined, PaymentReturned or GatewayAway.
        """
        order, begun = await self._begin(order_id, owner)
        charge = await self._gateway.charge(begun.key, order.total, method)
        order, payment = await self.settle(charge)
        if payment.status == "declined":
            raise PaymentDeclined
        if payment.status in ("refund_due", "refunded") and order.status in ("pending", "cancelled"):
            raise PaymentReturned
        return order

    async def settle(self, charge: GatewayCharge) -> Settled:
        """Store what the gateway says of a payment, late, twice or out of order as it may be; return what is too late.

        Raises PaymentUnknown or AmountDiffers.
        """
        settled = await self._record(charge)
        if settled.payment.status != "refund_due":
            return settled
        try:
            return await self._refund(settled.payment)
        except GatewayAway:
            logger.warning("Payment {} is to be returned; the gateway does not answer just now", charge.reference)
            return settled

    async def _record(self, charge: GatewayCharge) -> Settled:
        async with self._open_ledger() as ledger:
            order, payment = await _find(ledger, charge.reference)
            if charge.amount != order.total:
                logger.error("Order {}: {} was charged for a total of {}", order.id, charge.amount, order.total)
                raise AmountDiffers
            status = outcome(payment.status, charge.status, order.status)
            if status == "succeeded" and payment.status != "succeeded":
                order = await ledger.orders.move(order, "paid")
            if (status, charge.id) != (payment.status, payment.charge_id):
                payment = await ledger.payments.save(
                    payment.model_copy(update={"status": status, "charge_id": charge.id})
                )
        return Settled(order, payment)

    async def hear(self, charge: GatewayCharge) -> None:
        """Settle what a webhook says. Of what is not ours it would never become ours: that is told to the log only."""
        try:
            await self.settle(charge)
        except (PaymentUnknown, OrderNotFound):
            logger.warning("A webhook speaks of the payment {}, which is unknown here", charge.reference)

    async def settle_left(self) -> None:
        """Ask the gateway about attempts without an answer, and return money that is still to be returned.

        Whichever worker claims a payment has it for UNSETTLED_SECONDS. Raises GatewayAway, for then the others have to
        wait too; one that cannot be settled is logged and does not stand in their way.
        """
        async with self._open_ledger() as ledger:
            claimed = await ledger.payments.claim(utc_now() - timedelta(seconds=UNSETTLED_SECONDS))
        for payment in claimed:
            try:
                await self._settle_one(payment)
            except (AmountDiffers, AnswerUnclear, PaymentUnknown) as error:
                logger.error("Payment {} cannot be settled: {}", payment.key, error.message)

    async def _begin(self, order_id: int, owner: str) -> Settled:
        """Take up the attempt that has no answer yet, or begin the next one."""
        async with self._open_ledger() as ledger:
            order = await ledger.orders.find(order_id, Viewer(owner, is_admin=False))
            check_transition(order.status, "paid")
            newest = await ledger.payments.newest(order_id)
            if newest is None or newest.status != "started":
                return Settled(order, await ledger.payments.add(order_id, newest.attempt + 1 if newest else 1))
            return Settled(order, await ledger.payments.save(newest))

    async def _settle_one(self, payment: Payment) -> None:
        if payment.status == "refund_due":
            await self._refund(payment)
        elif charge := await self._gateway.find(payment.key):
            await self.settle(charge)
        else:
            await self._give_up(payment)

    async def _give_up(self, claimed: Payment) -> None:
        """The gateway was never asked: the attempt has ended, unless the customer has just taken it up again."""
        async with self._open_ledger() as ledger:
            _, payment = await _find(ledger, claimed.key)
            if payment == claimed:
                await ledger.payments.save(payment.model_copy(update={"status": "declined"}))

    async def _refund(self, payment: Payment) -> Settled:
        """Return the money; raises GatewayAway, then `settle_left` tries again."""
        if payment.charge_id is None:
            raise PaymentUnknown
        return await self._record(await self._gateway.refund(payment.charge_id))


def outcome(payment: PaymentStatus, charge: ChargeStatus, order: Status) -> PaymentStatus:
    """What becomes of a payment when the gateway says this of its charge. Nothing that has happened is taken back.

    Money that comes late, even for an attempt that was given up, pays the order if it waits, and goes back if not.
    """
    if charge == "refunded":
        return "refunded"
    if charge == "succeeded" and payment in ("started", "declined"):
        return "succeeded" if order == "pending" else "refund_due"
    if charge == "declined" and payment == "started":
        return "declined"
    return payment


async def _find(ledger: Ledger, key: str) -> Settled:
    """The payment with this key as it is now, and its order, kept from others until the transaction ends."""
    payment = await ledger.payments.by_key(key)
    if payment is None:
        raise PaymentUnknown
    order = await ledger.orders.find(payment.order_id, THE_SHOP)
    return Settled(order, await ledger.payments.by_key(key) or payment)
