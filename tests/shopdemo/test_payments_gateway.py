"""What the shop makes of a gateway's answers: charges, or one sentence that says to come back."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

from api.shopdemo.payments.errors import AnswerUnclear, GatewayAway, MethodUnknown
from api.shopdemo.payments.gateway import NO_GATEWAY, HttpGateway
from api.shopdemo.payments.schemas import GatewayCharge
from extensions.http_client import RETRY_ANY
from utils.request_context import request_id

pytestmark = pytest.mark.anyio

KEY = "order-7-1-20261125T080000.000000Z"
CHARGE = {"id": "ch_1", "reference": KEY, "amount": "199.00", "status": "succeeded", "reason": None}
EXPECTED = GatewayCharge(id="ch_1", reference=KEY, amount=Decimal("199.00"), status="succeeded")


def success(data: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"code": 200, "message": "Success", "data": data})


def failure(status: int, data: Any = None) -> httpx.Response:
    return httpx.Response(status, json={"code": status, "message": "No.", "data": data})


def misfit(*loc: str) -> httpx.Response:
    return failure(422, {"errors": [{"loc": list(loc), "message": "is wrong", "type": "wrong"}]})


class Scripted:
    """Answers in turn, and keeps the requests; an exception is raised instead."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def gateway_of(answers: Scripted) -> AsyncIterator[HttpGateway]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as client:
        yield HttpGateway(client, "http://pay.test/v1/", "the key", "http://shop.test/webhook")


def charge(gateway: HttpGateway) -> Any:
    return gateway.charge(KEY, Decimal("199.00"), "test-card")


Ask = Callable[[HttpGateway], Any]

CALLS: dict[str, Ask] = {
    "charge": charge,
    "find": lambda gateway: gateway.find(KEY),
    "refund": lambda gateway: gateway.refund("ch_1"),
}
each_call = pytest.mark.parametrize("ask", CALLS.values(), ids=CALLS)


async def test_a_charge_is_asked_for(request: pytest.FixtureRequest) -> None:
    token = request_id.set("the-request")
    request.addfinalizer(lambda: request_id.set("-"))
    answers = Scripted(success(CHARGE, 201))
    async with gateway_of(answers) as gateway:
        assert await charge(gateway) == EXPECTED
    request_id.reset(token)
    (sent,) = answers.requests
    assert (sent.method, str(sent.url)) == ("POST", "http://pay.test/v1/charges")
    assert json.loads(sent.content) == {
        "reference": KEY,
        "amount": "199.00",
        "method": "test-card",
        "callback_url": "http://shop.test/webhook",
    }
    assert (sent.headers["Authorization"], sent.headers["Idempotency-Key"]) == ("Bearer the key", KEY)
    assert sent.headers["X-Request-ID"] == "the-request"
    assert sent.extensions["retry"] is RETRY_ANY


async def test_a_charge_is_found_by_its_key() -> None:
    answers = Scripted(success([CHARGE]), success([]))
    async with gateway_of(answers) as gateway:
        assert [await gateway.find(KEY) for _ in range(2)] == [EXPECTED, None]
    assert [str(sent.url) for sent in answers.requests] == [f"http://pay.test/v1/charges?key={KEY}"] * 2


async def test_a_charge_is_refunded() -> None:
    answers = Scripted(success({**CHARGE, "status": "refunded"}))
    async with gateway_of(answers) as gateway:
        assert await gateway.refund("ch_1") == EXPECTED.model_copy(update={"status": "refunded"})
    assert [str(sent.url) for sent in answers.requests] == ["http://pay.test/v1/charges/ch_1/refund"]


async def test_a_charge_that_was_made_by_another_card_is_the_charge() -> None:
    async with gateway_of(Scripted(failure(409), success([CHARGE]))) as gateway:
        assert await charge(gateway) == EXPECTED
    async with gateway_of(Scripted(failure(409), success([]))) as gateway:
        with pytest.raises(AnswerUnclear):
            await charge(gateway)


async def test_a_method_that_the_gateway_does_not_know() -> None:
    async with gateway_of(Scripted(misfit("body", "method"))) as gateway:
        with pytest.raises(MethodUnknown):
            await charge(gateway)


NONSENSE = {
    "not authenticated": failure(401),
    "our mistake": misfit("body", "amount"),
    "a refusal without reasons": failure(422),
    "a refusal that is a list": failure(422, {"errors": ["no"]}),
    "a refusal that is no JSON": httpx.Response(422, text="<html>"),
    "elsewhere": httpx.Response(302, headers={"Location": "http://evil.test/"}),
    "a page": httpx.Response(200, text="<html>"),
    "nothing": httpx.Response(204),
    "no data": success(None),
    "another shape": success({"id": 7}),
    "another status": success({**CHARGE, "status": "perhaps"}),
    "no amount": success({**CHARGE, "amount": "much"}),
    "text that no database stores": success({**CHARGE, "id": "a\x00"}),
}
AWAY = {
    "too many": failure(429),
    "broken": failure(500),
    "away": failure(503),
    "no connection": httpx.ConnectError("refused"),
    "no answer": httpx.ReadTimeout("slow"),
    "half an answer": httpx.RemoteProtocolError("cut"),
    "no pool": httpx.PoolTimeout("busy"),
}


@each_call
@pytest.mark.parametrize(
    ("error", "answer"),
    [
        *(pytest.param(AnswerUnclear, answer, id=name) for name, answer in NONSENSE.items()),
        *(pytest.param(GatewayAway, answer, id=name) for name, answer in AWAY.items()),
    ],
)
async def test_whatever_else_is_answered_is_to_come_back_later(
    ask: Ask, error: type[GatewayAway], answer: httpx.Response | Exception
) -> None:
    async with gateway_of(Scripted(answer)) as gateway:
        with pytest.raises(GatewayAway) as caught:
            await ask(gateway)
    assert (type(caught.value), caught.value.message) == (error, error.message)
    assert dict(caught.value.headers) == {"Retry-After": "2"}


@pytest.mark.parametrize("change", [{"reference": "order-8"}, {"amount": "1.00"}])
async def test_another_charge_than_the_one_that_was_asked_for(change: dict[str, str]) -> None:
    other = {**CHARGE, **change}
    for answers in ([success(other, 201)], [failure(409), success([other])]):
        async with gateway_of(Scripted(*answers)) as gateway:
            with pytest.raises(AnswerUnclear):
                await charge(gateway)


@pytest.mark.parametrize("ask", [CALLS["charge"], CALLS["find"]])
async def test_where_there_is_no_gateway_the_setting_is_named(ask: Ask) -> None:
    async with gateway_of(Scripted(failure(404))) as gateway:
        with pytest.raises(GatewayAway, match="APP_PAYMENT_URL") as caught:
            await ask(gateway)
    assert caught.value.message == NO_GATEWAY


async def test_a_charge_that_the_gateway_does_not_know_cannot_be_refunded() -> None:
    async with gateway_of(Scripted(failure(404))) as gateway:
        with pytest.raises(AnswerUnclear):
            await gateway.refund("ch_1")
