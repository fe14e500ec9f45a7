"""Paying through the gateway of this very process, and its webhooks; every answer whole."""

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from api.paymentdemo.charges.dependencies import settle_slow
from api.paymentdemo.database import ChargeRow
from api.paymentdemo.events.dependencies import courier_of
from api.shopdemo.database import PaymentRow
from api.shopdemo.orders.errors import IllegalTransition, OrderNotFound
from api.shopdemo.payments.dependencies import settle_payments
from api.shopdemo.payments.errors import AmountDiffers, GatewayAway, MethodUnknown, PaymentDeclined, SignatureInvalid
from api.shopdemo.payments.gateway import NO_GATEWAY
from api.shopdemo.schemas import Goods
from extensions.database import Database
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, success
from tests.support.gateways import let_answers_be_late
from tests.support.shopping import ORDERS, Headers, buyer, inside, items, order_answer, place
from utils.custom_exc import NotAuthenticated
from utils.fields import utc_now
from utils.webhooks import signed_headers

Catalogue = dict[str, Goods]

WEBHOOK = "/shopdemo/payments/webhook"
PAYMENTS = select(PaymentRow.order_id, PaymentRow.attempt, PaymentRow.status)


def pay(client: TestClient, headers: Headers, order_id: int = 1, **body: Any) -> Any:
    return client.post(f"{ORDERS}/{order_id}/pay", json=body, headers=headers)


async def charges(database: Database) -> list[Any]:
    return await database.fetch_all(select(ChargeRow.id, ChargeRow.reference, ChargeRow.amount, ChargeRow.status))


def test_an_order_is_paid(client: TestClient, app: FastAPI, customer: Headers, catalogue: Catalogue) -> None:
    tea = catalogue["TEA-1"]
    place(client, customer, (tea, 2))
    paid = pay(client, customer, method="test-card")
    expected = success(order_answer(1, "bob", (tea, 2), status="paid"))
    assert (paid.status_code, paid.json()) == (200, expected)
    assert client.get(f"{ORDERS}/1", headers=customer).json() == paid.json()
    assert client.get(f"/shopdemo/goods/{tea.id}").json()["data"]["sales"] == tea.sales + 2
    again = pay(client, customer)
    assert (again.status_code, again.json()["code"]) == (409, IllegalTransition.code)
    assert len(inside(app, client, charges)) == 1


def test_the_body_may_be_left_out(client: TestClient, customer: Headers, catalogue: Catalogue) -> None:
    place(client, customer, (catalogue["TEA-1"], 1))
    assert client.post(f"{ORDERS}/1/pay", headers=customer).json()["data"]["status"] == "paid"


def test_a_declined_card(client: TestClient, customer: Headers, catalogue: Catalogue) -> None:
    place(client, customer, (catalogue["TEA-1"], 1))
    declined = pay(client, customer, method="test-card-declined")
    assert (declined.status_code, declined.json()) == (402, failure(PaymentDeclined))
    assert client.get(f"{ORDERS}/1", headers=customer).json()["data"]["status"] == "pending"
    assert pay(client, customer).status_code == 200


def test_another_method_is_refused_and_may_be_replaced(
    client: TestClient, customer: Headers, catalogue: Catalogue
) -> None:
    place(client, customer, (catalogue["TEA-1"], 1))
    refused = pay(client, customer, method="支付宝")
    assert (refused.status_code, refused.json()) == (422, failure(MethodUnknown))
    assert pay(client, customer).status_code == 200


def test_who_may_pay(client: TestClient, tokens: Tokens, customer: Headers, catalogue: Catalogue) -> None:
    place(client, customer, (catalogue["TEA-1"], 1))
    nobody = pay(client, {})
    assert (nobody.status_code, nobody.json()) == (401, failure(NotAuthenticated))
    for other in (buyer(tokens, "mallory"), buyer(tokens, "alice", "admin")):
        answer = pay(client, other)
        assert (answer.status_code, answer.json()) == (404, failure(OrderNotFound))


@only_sqlite
@pytest.mark.parametrize("method", ["", "x" * 65, "a\x00", 7, None])
def test_what_is_no_method(client: TestClient, customer: Headers, catalogue: Catalogue, method: Any) -> None:
    answer = pay(client, customer, method=method)
    assert (answer.status_code, answer.json()["data"]["errors"][0]["loc"]) == (422, ["body", "method"])


def test_a_slow_card_is_paid_when_the_webhook_comes(
    client: TestClient, app: FastAPI, customer: Headers, catalogue: Catalogue
) -> None:
    tea = catalogue["TEA-1"]
    place(client, customer, (tea, 1))
    waiting = pay(client, customer, method="test-card-slow")
    assert (waiting.status_code, waiting.json()) == (202, success(order_answer(1, "bob", (tea, 1))))

    async def come_true(database: Database) -> None:
        later = utc_now() + timedelta(minutes=1)
        await settle_slow(database, later)
        while await courier_of(app.state).deliver_due(later):
            pass

    inside(app, client, come_true)
    paid = success(order_answer(1, "bob", (tea, 1), status="paid"))
    assert client.get(f"{ORDERS}/1", headers=customer).json() == paid


@pytest.mark.anyio
async def test_twenty_at_once_pay_once(
    async_client: httpx.AsyncClient, app: FastAPI, customer: Headers, catalogue: Catalogue
) -> None:
    tea = catalogue["TEA-1"]
    await async_client.post(ORDERS, json=items((tea, 2)), headers=customer)
    answers = await asyncio.gather(*(async_client.post(f"{ORDERS}/1/pay", headers=customer) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {answer.json()["data"]["status"] for answer in answers} == {"paid"}
    assert len(await charges(app.state.database)) == 1
    read = await async_client.get(f"/shopdemo/goods/{tea.id}")
    assert read.json()["data"]["sales"] == tea.sales + 2


# -- webhooks ---------------------------------------------------------------------------------------------------------


def event(app: FastAPI, client: TestClient, **changes: Any) -> bytes:
    """What the gateway tells of the only charge, which succeeded."""
    (charge,) = inside(app, client, charges)
    data = {**charge, "amount": f"{charge['amount']:.2f}", "status": "succeeded", **changes}
    return json.dumps({"type": "charge.succeeded", "timestamp": "2026-01-01T00:00:00Z", "data": data}).encode()


def send(
    client: TestClient, settings: TestingSettings, body: bytes, *, age: int = 0, changed: Headers | None = None
) -> Any:
    signed = signed_headers(settings.payment_key, "evt_1", int(time.time()) - age, body)
    headers = {"Content-Type": "application/json", **signed, **(changed or {})}
    return client.post(WEBHOOK, content=body, headers=headers)


@pytest.fixture
def waiting(client: TestClient, customer: Headers, catalogue: Catalogue) -> Headers:
    """Somebody whose order waits for a slow card."""
    place(client, customer, (catalogue["TEA-1"], 2))
    assert pay(client, customer, method="test-card-slow").status_code == 202
    return customer


def status(client: TestClient, headers: Headers) -> str:
    found: str = client.get(f"{ORDERS}/1", headers=headers).json()["data"]["status"]
    return found


def test_the_same_event_twenty_times(
    client: TestClient, app: FastAPI, settings: TestingSettings, waiting: Headers, catalogue: Catalogue
) -> None:
    body = event(app, client)
    for _ in range(20):
        answer = send(client, settings, body)
        assert (answer.status_code, answer.content) == (204, b"")
    assert status(client, waiting) == "paid"
    tea = catalogue["TEA-1"]
    assert client.get(f"/shopdemo/goods/{tea.id}").json()["data"]["sales"] == tea.sales + 2


def test_what_the_gateway_has_not_signed_is_refused(
    client: TestClient, app: FastAPI, settings: TestingSettings, waiting: Headers
) -> None:
    body = event(app, client)
    answers = [
        client.post(WEBHOOK, content=body, headers={"Content-Type": "application/json"}),
        send(client, settings, body, changed={"webhook-signature": "v1,AAAA"}),
        send(client, settings, body, changed={"webhook-id": "evt_2"}),
        send(client, settings, body, age=301),
        send(client, settings, body, age=-310),
        send(client, settings.model_copy(update={"payment_secret": settings.secret_key}), body),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()) == (401, failure(SignatureInvalid))
    assert status(client, waiting) == "pending"


def test_an_event_of_an_unknown_payment_is_not_sent_again(
    client: TestClient, app: FastAPI, settings: TestingSettings, waiting: Headers
) -> None:
    for reference in ("order-1-1-20200101T000000.000000Z", "order-99-1-20200101T000000.000000Z", "别的"):
        assert send(client, settings, event(app, client, reference=reference)).status_code == 204
    assert status(client, waiting) == "pending"


def test_an_event_of_another_amount_is_refused(
    client: TestClient, app: FastAPI, settings: TestingSettings, waiting: Headers
) -> None:
    answer = send(client, settings, event(app, client, amount="0.01"))
    assert (answer.status_code, answer.json()) == (409, failure(AmountDiffers))
    assert status(client, waiting) == "pending"


def test_an_event_that_is_no_event(client: TestClient, settings: TestingSettings) -> None:
    for body, code in ((b"{}", 422), (b"[]", 422), (b"{", 422), (b"\xff", 400)):
        assert send(client, settings, body).status_code == code
    assert send(client, settings, b"x" * (1024 * 1024 + 1)).status_code == 413


def test_a_refund_that_overtakes_the_payment(
    client: TestClient, app: FastAPI, settings: TestingSettings, waiting: Headers
) -> None:
    for state in ("refunded", "succeeded"):
        assert send(client, settings, event(app, client, status=state)).status_code == 204
    assert status(client, waiting) == "pending"


# -- where the gateway is not -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"projects": ("shopdemo",)}], indirect=True)
def test_the_shop_alone_has_no_gateway(
    client: TestClient, app: FastAPI, customer: Headers, catalogue: Catalogue
) -> None:
    place(client, customer, (catalogue["TEA-1"], 1))
    for _ in range(2):
        answer = pay(client, customer)
        assert (answer.status_code, answer.json()) == (503, failure(GatewayAway, NO_GATEWAY))
        assert answer.headers["Retry-After"] == "2"

    async def attempts(database: Database) -> list[Any]:
        return await database.fetch_all(PAYMENTS)

    assert inside(app, client, attempts) == [{"order_id": 1, "attempt": 1, "status": "started"}]


@only_sqlite
def test_a_gateway_that_is_elsewhere(client: TestClient, app: FastAPI, customer: Headers, catalogue: Catalogue) -> None:
    place(client, customer, (catalogue["TEA-1"], 1))
    right = app.state.settings
    app.state.settings = right.model_copy(update={"payment_url": "http://self/paymentdemo/no/such"})
    assert pay(client, customer).json() == failure(GatewayAway, NO_GATEWAY)
    app.state.settings = right
    assert pay(client, customer).status_code == 200


@pytest.mark.anyio
async def test_the_job_settles_what_the_webhook_did_not(
    async_client: httpx.AsyncClient,
    app: FastAPI,
    customer: Headers,
    catalogue: Catalogue,
) -> None:
    await async_client.post(ORDERS, json=items((catalogue["TEA-1"], 2)), headers=customer)
    waiting = await async_client.post(f"{ORDERS}/1/pay", json={"method": "test-card-slow"}, headers=customer)
    assert waiting.status_code == 202
    await let_answers_be_late(app.state.database)
    await settle_payments(app.state)
    assert (await async_client.get(f"{ORDERS}/1", headers=customer)).json() == waiting.json()
    await settle_slow(app.state.database, utc_now() + timedelta(minutes=1))
    await let_answers_be_late(app.state.database)
    await settle_payments(app.state)
    assert (await async_client.get(f"{ORDERS}/1", headers=customer)).json()["data"]["status"] == "paid"
