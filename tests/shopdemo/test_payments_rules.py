"""What becomes of payments when answers are late, lost, doubled or out of order; the gateway does as it is told."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from api.shopdemo.database import GoodsRow, OrderRow, PaymentRow
from api.shopdemo.orders.dependencies import fulfilment_in
from api.shopdemo.orders.errors import IllegalTransition, OrderNotFound
from api.shopdemo.orders.schemas import Order, OrderItem, Status
from api.shopdemo.orders.service import Orders
from api.shopdemo.orders.store import OrderStore
from api.shopdemo.payments.dependencies import open_ledger
from api.shopdemo.payments.errors import (
    AmountDiffers,
    AnswerUnclear,
    GatewayAway,
    PaymentDeclined,
    PaymentReturned,
    PaymentUnknown,
)
from api.shopdemo.payments.schemas import ChargeStatus, GatewayCharge, PaymentStatus
from api.shopdemo.payments.service import Payments, outcome
from api.shopdemo.schemas import Goods
from extensions.database import Database, connect
from settings.testing_config import TestingSettings
from tests.support.gateways import FakeGateway, let_answers_be_late
from tests.support.shopping import ADMINISTRATOR, pay

pytestmark = pytest.mark.anyio

CARD = "test-card"
ATTEMPTS = select(PaymentRow.attempt, PaymentRow.status, PaymentRow.charge_id).order_by(
    PaymentRow.order_id, PaymentRow.attempt
)


class Shop:
    """A shop with one pending order of two packets of tea by bob."""

    def __init__(self, database: Database, order: Order) -> None:
        self.database = database
        self.order = order
        self.gateway = FakeGateway()
        self.payments = Payments(partial(open_ledger, database), self.gateway)

    async def pay(self) -> Order:
        return await self.payments.pay(self.order.id, "bob", CARD)

    async def attempts(self) -> list[tuple[int, str, str | None]]:
        """Number, status and charge of each attempt."""
        return [tuple(record.values()) for record in await self.database.fetch_all(ATTEMPTS)]

    async def state(self) -> tuple[str, int, int]:
        """The status of the order, and what of the tea is in stock and counts as sold."""
        orders = await self.database.fetch_all(select(OrderRow.status))
        goods = select(GoodsRow.stock, GoodsRow.sales).where(GoodsRow.id == self.order.items[0].goods_id)
        tea = await self.database.fetch_one(goods)
        assert tea
        return orders[0]["status"], tea["stock"], tea["sales"]

    async def cancel(self) -> None:
        async with self.database.transaction() as connection:
            await fulfilment_in(connection).cancel(self.order.id, ADMINISTRATOR)


WAITS, PAID, CANCELLED = ("pending", 118, 30), ("paid", 118, 32), ("cancelled", 120, 30)


@pytest.fixture
async def shop(settings: TestingSettings, catalogue: dict[str, Goods]) -> AsyncIterator[Shop]:
    database = await connect(settings)
    item = OrderItem(goods_id=catalogue["TEA-1"].id, quantity=2)
    yield Shop(database, await Orders(OrderStore(database), 30).place("bob", [item], None))
    await database.close()


async def test_it_is_paid(shop: Shop) -> None:
    paid = await shop.pay()
    assert paid == shop.order.model_copy(update={"status": "paid", "updated_at": paid.updated_at})
    assert (await shop.attempts(), await shop.state()) == ([(1, "succeeded", "ch_1")], PAID)
    assert (shop.gateway.only().amount, shop.gateway.only().status) == (Decimal("398.00"), "succeeded")
    with pytest.raises(IllegalTransition):
        await shop.pay()


async def test_nobody_pays_anothers_order(shop: Shop) -> None:
    for order_id, name in ((shop.order.id, "mallory"), (shop.order.id, "alice"), (10**9, "bob")):
        with pytest.raises(OrderNotFound):
            await shop.payments.pay(order_id, name, CARD)
    assert (await shop.attempts(), await shop.state(), shop.gateway.charges) == ([], WAITS, {})


async def test_a_declined_card_may_be_followed_by_another(shop: Shop) -> None:
    shop.gateway.outcome = "declined"
    for _ in range(2):
        with pytest.raises(PaymentDeclined):
            await shop.pay()
    assert await shop.state() == WAITS
    shop.gateway.outcome = "succeeded"
    assert (await shop.pay()).status == "paid"
    assert await shop.attempts() == [(1, "declined", "ch_1"), (2, "declined", "ch_2"), (3, "succeeded", "ch_3")]


async def test_a_gateway_that_is_away_costs_nothing(shop: Shop) -> None:
    shop.gateway.is_away = True
    with pytest.raises(GatewayAway):
        await shop.pay()
    assert (await shop.attempts(), await shop.state()) == ([(1, "started", None)], WAITS)
    shop.gateway.is_away = False
    assert (await shop.pay()).status == "paid"
    assert (await shop.attempts(), await shop.state()) == ([(1, "succeeded", "ch_1")], PAID)


async def test_a_lost_answer_is_not_charged_twice(shop: Shop) -> None:
    shop.gateway.loses_answers = True
    with pytest.raises(GatewayAway):
        await shop.pay()
    assert await shop.state() == WAITS
    shop.gateway.loses_answers = False
    assert (await shop.pay()).status == "paid"
    assert (await shop.attempts(), shop.gateway.only().status) == ([(1, "succeeded", "ch_1")], "succeeded")


async def test_twenty_at_once_are_one_charge(shop: Shop) -> None:
    results = await asyncio.gather(*(shop.pay() for _ in range(20)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, IllegalTransition)]
    paid = [result for result in results if isinstance(result, Order)]
    assert len(paid) + len(refused) == 20
    assert {order.status for order in paid} == {"paid"}
    assert (await shop.attempts(), await shop.state()) == ([(1, "succeeded", "ch_1")], PAID)
    assert len(shop.gateway.charges) == 1


async def test_twenty_declined_at_once_share_their_charges(shop: Shop) -> None:
    shop.gateway.outcome = "declined"
    results = await asyncio.gather(*(shop.pay() for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {PaymentDeclined}
    attempts = await shop.attempts()
    assert {status for _, status, _ in attempts} == {"declined"}
    assert len(attempts) == len(shop.gateway.charges)
    assert await shop.state() == WAITS


async def test_a_slow_payment_is_paid_when_the_gateway_says_so(shop: Shop) -> None:
    shop.gateway.outcome = "pending"
    assert (await shop.pay()).status == "pending"
    assert (await shop.attempts(), await shop.state()) == ([(1, "started", "ch_1")], WAITS)
    assert (await shop.pay()).status == "pending"  # the same attempt
    charge = shop.gateway.decide(shop.gateway.only(), "succeeded")
    for _ in range(20):
        await shop.payments.hear(charge)
    assert (await shop.attempts(), await shop.state()) == ([(1, "succeeded", "ch_1")], PAID)


async def test_twenty_webhooks_at_once_count_once(shop: Shop) -> None:
    shop.gateway.outcome = "pending"
    await shop.pay()
    charge = shop.gateway.decide(shop.gateway.only(), "succeeded")
    await asyncio.gather(*(shop.payments.hear(charge) for _ in range(20)))
    assert (await shop.attempts(), await shop.state()) == ([(1, "succeeded", "ch_1")], PAID)


async def test_money_for_a_cancelled_order_goes_back(shop: Shop) -> None:
    shop.gateway.outcome = "pending"
    await shop.pay()
    await shop.cancel()
    charge = shop.gateway.decide(shop.gateway.only(), "succeeded")
    for _ in range(2):
        await shop.payments.hear(charge)
    assert (await shop.attempts(), await shop.state()) == ([(1, "refunded", "ch_1")], CANCELLED)
    assert (shop.gateway.only().status, shop.gateway.refunds) == ("refunded", 1)


async def test_the_customer_is_told_that_the_order_was_cancelled_meanwhile(shop: Shop) -> None:
    charge = shop.gateway.charge

    async def cancel_and_charge(*arguments: Any) -> GatewayCharge:
        await shop.cancel()
        return await charge(*arguments)

    shop.gateway.charge = cancel_and_charge  # type: ignore[assignment, method-assign]
    with pytest.raises(PaymentReturned):
        await shop.pay()
    assert (await shop.attempts(), await shop.state()) == ([(1, "refunded", "ch_1")], CANCELLED)
    assert shop.gateway.refunds == 1


async def test_money_that_cannot_go_back_now_goes_later(shop: Shop) -> None:
    shop.gateway.outcome = "pending"
    await shop.pay()
    await shop.cancel()
    charge = shop.gateway.decide(shop.gateway.only(), "succeeded")
    shop.gateway.is_away = True
    await shop.payments.hear(charge)
    assert await shop.attempts() == [(1, "refund_due", "ch_1")]
    await shop.payments.settle_left()  # not yet: it has just been tried
    await let_answers_be_late(shop.database)
    with pytest.raises(GatewayAway):
        await shop.payments.settle_left()
    shop.gateway.is_away = False
    await let_answers_be_late(shop.database)
    await asyncio.gather(*(shop.payments.settle_left() for _ in range(8)))
    assert (await shop.attempts(), await shop.state()) == ([(1, "refunded", "ch_1")], CANCELLED)
    assert shop.gateway.refunds == 1


async def test_a_refund_whose_answer_is_lost_is_done_once(shop: Shop) -> None:
    shop.gateway.outcome = "pending"
    await shop.pay()
    await shop.cancel()
    charge = shop.gateway.decide(shop.gateway.only(), "succeeded")
    shop.gateway.loses_answers = True
    await shop.payments.hear(charge)
    assert await shop.attempts() == [(1, "refund_due", "ch_1")]
    shop.gateway.loses_answers = False
    await let_answers_be_late(shop.database)
    await shop.payments.settle_left()
    assert (await shop.attempts(), shop.gateway.refunds) == ([(1, "refunded", "ch_1")], 1)


async def test_an_answer_that_was_lost_is_asked_for_after_a_minute(shop: Shop) -> None:
    shop.gateway.loses_answers = True
    with pytest.raises(GatewayAway):
        await shop.pay()
    await shop.payments.settle_left()
    assert await shop.attempts() == [(1, "started", None)]
    await let_answers_be_late(shop.database)
    await asyncio.gather(*(shop.payments.settle_left() for _ in range(8)))
    assert (await shop.attempts(), await shop.state()) == ([(1, "succeeded", "ch_1")], PAID)


async def test_an_attempt_that_the_gateway_does_not_know_has_ended(shop: Shop) -> None:
    shop.gateway.is_away = True
    with pytest.raises(GatewayAway):
        await shop.pay()
    shop.gateway.is_away = False
    await let_answers_be_late(shop.database)
    await shop.payments.settle_left()
    assert (await shop.attempts(), await shop.state()) == ([(1, "declined", None)], WAITS)
    assert (await shop.pay()).status == "paid"
    assert await shop.attempts() == [(1, "declined", None), (2, "succeeded", "ch_1")]


async def test_an_attempt_is_not_ended_while_the_customer_takes_it_up_again(shop: Shop) -> None:
    shop.gateway.is_away = True
    with pytest.raises(GatewayAway):
        await shop.pay()
    shop.gateway.is_away = False
    find = shop.gateway.find

    async def find_too_early(key: str) -> GatewayCharge | None:
        found = await find(key)
        shop.gateway.outcome = "pending"
        assert (await shop.pay()).status == "pending"
        return found

    shop.gateway.find = find_too_early  # type: ignore[method-assign]
    await let_answers_be_late(shop.database)
    await shop.payments.settle_left()
    assert await shop.attempts() == [(1, "started", "ch_1")]


async def test_money_that_comes_for_an_attempt_that_was_ended_counts(shop: Shop) -> None:
    shop.gateway.is_away = True
    with pytest.raises(GatewayAway):
        await shop.pay()
    shop.gateway.is_away = False
    await let_answers_be_late(shop.database)
    await shop.payments.settle_left()
    assert await shop.attempts() == [(1, "declined", None)]
    async with open_ledger(shop.database) as ledger:
        ended = await ledger.payments.newest(shop.order.id)
    assert ended
    late = await shop.gateway.charge(ended.key, shop.order.total, CARD)
    await shop.payments.hear(late)
    assert (await shop.attempts(), await shop.state()) == ([(1, "succeeded", "ch_1")], PAID)


async def test_of_two_payments_of_one_order_the_later_goes_back(shop: Shop) -> None:
    shop.gateway.outcome = "declined"
    with pytest.raises(PaymentDeclined):
        await shop.pay()
    first = shop.gateway.only()
    shop.gateway.outcome = "succeeded"
    await shop.pay()
    await shop.payments.hear(shop.gateway.decide(first, "succeeded"))
    assert (await shop.attempts(), await shop.state()) == ([(1, "refunded", "ch_1"), (2, "succeeded", "ch_2")], PAID)
    assert shop.gateway.refunds == 1


async def test_events_out_of_order_do_no_harm(shop: Shop) -> None:
    shop.gateway.outcome = "pending"
    await shop.pay()
    succeeded = shop.gateway.decide(shop.gateway.only(), "succeeded")
    await shop.payments.hear(shop.gateway.decide(succeeded, "refunded"))
    await shop.payments.hear(succeeded)
    assert (await shop.attempts(), await shop.state()) == ([(1, "refunded", "ch_1")], WAITS)
    assert shop.gateway.refunds == 0
    shop.gateway.outcome = "succeeded"
    assert (await shop.pay()).status == "paid"


async def test_another_amount_is_refused(shop: Shop) -> None:
    shop.gateway.outcome = "pending"
    await shop.pay()
    charge = shop.gateway.decide(shop.gateway.only(), "succeeded")
    for amount in ("397.99", "3.98", "0"):
        with pytest.raises(AmountDiffers):
            await shop.payments.hear(charge.model_copy(update={"amount": Decimal(amount)}))
    assert (await shop.attempts(), await shop.state()) == ([(1, "started", "ch_1")], WAITS)


async def test_a_refund_that_is_refused_does_not_stop_the_others(shop: Shop) -> None:
    shop.gateway.outcome = "pending"
    await shop.pay()
    await shop.cancel()
    second = await Orders(OrderStore(shop.database), 30).place("bob", [OrderItem(goods_id=3, quantity=1)], None)
    assert (await shop.payments.pay(second.id, "bob", CARD)).status == "pending"
    first, other = shop.gateway.charges.values()
    shop.gateway.decide(other, "succeeded")

    async def refuse(_: str) -> GatewayCharge:
        raise AnswerUnclear

    shop.gateway.refund = refuse  # type: ignore[assignment, method-assign]
    await shop.payments.hear(shop.gateway.decide(first, "succeeded"))
    await let_answers_be_late(shop.database)
    await shop.payments.settle_left()
    assert await shop.attempts() == [(1, "refund_due", "ch_1"), (1, "succeeded", "ch_2")]


async def test_one_payment_that_cannot_be_settled_does_not_stop_the_others(shop: Shop) -> None:
    shop.gateway.loses_answers = True
    with pytest.raises(GatewayAway):
        await shop.pay()
    first = shop.gateway.only()
    shop.gateway.charges[first.reference] = first.model_copy(update={"amount": Decimal("1.00")})
    second = await Orders(OrderStore(shop.database), 30).place("bob", [OrderItem(goods_id=3, quantity=1)], None)
    with pytest.raises(GatewayAway):
        await shop.payments.pay(second.id, "bob", CARD)
    await let_answers_be_late(shop.database)
    await shop.payments.settle_left()
    assert await shop.attempts() == [(1, "started", None), (1, "succeeded", "ch_2")]


@pytest.mark.parametrize(
    "reference",
    [
        "", "order-1-1", "order-1-1-20200101T000000.000000Z", "order-9999999999999999999-1-2020", "order-0-1-2020",
        "order-1-1-", "ORDER-1-1-2020", "order-1-9999999999-2020", "order-١-1-2020", "订单", "order--1-1-2020",
    ],
)  # fmt: skip
async def test_a_payment_that_is_not_ours_is_passed_over(shop: Shop, reference: str) -> None:
    shop.gateway.outcome = "pending"
    await shop.pay()
    charge = GatewayCharge(id="ch_9", reference=reference, amount=shop.order.total, status="succeeded")
    with pytest.raises(PaymentUnknown):
        await shop.payments.settle(charge)
    await shop.payments.hear(charge)
    assert await shop.state() == WAITS


async def test_an_order_that_was_paid_otherwise_is_not_charged(shop: Shop) -> None:
    await pay(shop.database, shop.order.id)
    with pytest.raises(IllegalTransition):
        await shop.pay()
    assert shop.gateway.charges == {}


# -- the rule alone ---------------------------------------------------------------------------------------------------

payments = st.sampled_from(get_args(PaymentStatus))
charges = st.sampled_from(get_args(ChargeStatus))
orders = st.sampled_from(get_args(Status))
FORWARD: dict[PaymentStatus, set[PaymentStatus]] = {
    "started": {"succeeded", "declined", "refund_due", "refunded"},
    "declined": {"succeeded", "refund_due", "refunded"},
    "succeeded": {"refunded"},
    "refund_due": {"refunded"},
    "refunded": set(),
}


@given(payments, charges, orders)
def test_a_payment_only_goes_forward(payment: PaymentStatus, charge: ChargeStatus, order: Status) -> None:
    then = outcome(payment, charge, order)
    assert then == payment or then in FORWARD[payment]
    assert outcome(then, charge, "paid" if then == "succeeded" else order) == then, "the same again changes nothing"
    if then == "succeeded" != payment:
        assert (charge, order) == ("succeeded", "pending")
    if charge == "pending":
        assert then == payment


@given(st.permutations(["pending", "succeeded", "refunded"]), st.booleans())
def test_in_whatever_order_events_come_a_refunded_charge_ends_refunded(
    events: list[ChargeStatus], is_cancelled: bool
) -> None:
    payment: PaymentStatus = "started"
    order: Status = "cancelled" if is_cancelled else "pending"
    for charge in events:
        payment = outcome(payment, charge, order)
        order = "paid" if payment == "succeeded" else order
    assert payment == "refunded"
