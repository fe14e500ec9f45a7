"""Charges and refunds, every answer whole."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.paymentdemo.charges.dependencies import settle_slow
from api.paymentdemo.charges.errors import ChargeNotFound, KeyInvalid, KeyReused, NothingToRefund
from api.paymentdemo.charges.service import SLOW_SECONDS
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.envelopes import A_TIME, failure, success
from utils.fields import utc_now

Headers = dict[str, str]

CHARGES = "/paymentdemo/charges"
DECLINED = "The bank declined the card."


def charge_body(**changes: Any) -> dict[str, Any]:
    return {"reference": "订单 7", "amount": "199.00", "method": "test-card", **changes}


def charge_answer(charge_id: str, status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    return {
        "id": charge_id,
        "reference": "订单 7",
        "amount": "199.00",
        "status": status,
        "reason": None,
        "created_at": A_TIME,
        **changes,
    }


@pytest.fixture
def shop(settings: TestingSettings) -> Headers:
    """The headers of a shop that charges something."""
    return {"Authorization": f"Bearer {settings.payment_key}", "Idempotency-Key": "key-1"}


def charge(client: TestClient, shop: Headers, key: str = "key-1", **changes: Any) -> str:
    """Charge something; answers the id."""
    answer = client.post(CHARGES, json=charge_body(**changes), headers={**shop, "Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    charge_id: str = answer.json()["data"]["id"]
    return charge_id


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("test-card", "succeeded", None),
        ("test-card-declined", "declined", DECLINED),
        ("test-card-slow", "pending", None),
    ],
)
def test_a_card_decides(client: TestClient, shop: Headers, method: str, status: str, reason: str | None) -> None:
    made = client.post(CHARGES, json=charge_body(method=method), headers=shop)
    charge_id = made.json()["data"]["id"]
    expected = success(charge_answer(charge_id, status, reason=reason))
    assert (made.status_code, made.json(), made.headers["Location"]) == (201, expected, f"{CHARGES}/{charge_id}")
    read = client.get(made.headers["Location"], headers=shop)
    assert (read.status_code, read.json()) == (200, made.json())
    assert client.get(CHARGES, params={"key": "key-1"}, headers=shop).json() == success([made.json()["data"]])


def test_what_nobody_has_charged(client: TestClient, shop: Headers) -> None:
    assert client.get(CHARGES, params={"key": "key-1"}, headers=shop).json() == success([])
    for method, path in (("GET", f"{CHARGES}/ch_0"), ("POST", f"{CHARGES}/ch_0/refund")):
        answer = client.request(method, path, headers=shop)
        assert (answer.status_code, answer.json()) == (404, failure(ChargeNotFound))


def test_the_same_key_is_the_same_charge(client: TestClient, shop: Headers) -> None:
    first = client.post(CHARGES, json=charge_body(), headers=shop)
    again = client.post(CHARGES, json=charge_body(), headers=shop)
    assert (again.status_code, again.json(), again.headers["Location"]) == (
        201,
        first.json(),
        first.headers["Location"],
    )
    for change in (
        {"amount": "199.01"},
        {"reference": "8"},
        {"method": "test-card-slow"},
        {"callback_url": "http://a"},
    ):
        other = client.post(CHARGES, json=charge_body(**change), headers=shop)
        assert (other.status_code, other.json()) == (409, failure(KeyReused))
    assert charge(client, shop, "key-2") != first.json()["data"]["id"]


@pytest.mark.anyio
async def test_of_twenty_at_once_with_one_key_one_is_made(async_client: httpx.AsyncClient, shop: Headers) -> None:
    body = charge_body()
    answers = await asyncio.gather(*(async_client.post(CHARGES, json=body, headers=shop) for _ in range(20)))
    assert [answer.status_code for answer in answers] == [201] * 20
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1


@pytest.mark.anyio
async def test_of_twenty_others_at_once_with_one_key_one_is_made(
    async_client: httpx.AsyncClient, shop: Headers
) -> None:
    bodies = [charge_body(amount=f"{number}.00") for number in range(20)]
    answers = await asyncio.gather(*(async_client.post(CHARGES, json=body, headers=shop) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 19]


def test_refund(client: TestClient, shop: Headers) -> None:
    charge_id = charge(client, shop)
    for _ in range(2):
        answer = client.post(f"{CHARGES}/{charge_id}/refund", headers=shop)
        assert (answer.status_code, answer.json()) == (200, success(charge_answer(charge_id, "refunded")))
    assert client.get(f"{CHARGES}/{charge_id}", headers=shop).json() == success(charge_answer(charge_id, "refunded"))
    again = client.post(CHARGES, json=charge_body(), headers=shop)
    assert (again.status_code, again.json()) == (201, success(charge_answer(charge_id, "refunded")))


@pytest.mark.parametrize(("method", "status"), [("test-card-declined", "declined"), ("test-card-slow", "pending")])
def test_there_is_nothing_to_refund(client: TestClient, shop: Headers, method: str, status: str) -> None:
    answer = client.post(f"{CHARGES}/{charge(client, shop, method=method)}/refund", headers=shop)
    message = f"The charge is {status}: only one that succeeded can be refunded."
    assert (answer.status_code, answer.json()) == (409, failure(NothingToRefund, message))


@pytest.mark.anyio
async def test_a_slow_card_succeeds_once_whoever_looks_after_it(
    async_client: httpx.AsyncClient, app: FastAPI, shop: Headers
) -> None:
    body = charge_body(method="test-card-slow", callback_url="http://127.0.0.1:9/")
    made = [
        await async_client.post(CHARGES, json=body, headers={**shop, "Idempotency-Key": str(number)})
        for number in range(5)
    ]
    database = app.state.database
    due = utc_now() + timedelta(seconds=SLOW_SECONDS)
    settled = await asyncio.gather(*(settle_slow(database, due) for _ in range(8)))
    assert sum(settled) == 5
    for answer in made:
        read = await async_client.get(answer.headers["Location"], headers=shop)
        assert read.json()["data"] == {**answer.json()["data"], "status": "succeeded"}


@pytest.mark.parametrize("key", [None, "", "wrong", "пароль"])
@only_sqlite
def test_only_who_has_the_key_may_charge(client: TestClient, shop: Headers, key: str | None) -> None:
    headers: dict[str, Any] = {} if key is None else {"Authorization": f"Bearer {key}".encode()}
    for method, path in (
        ("POST", CHARGES), ("GET", f"{CHARGES}?key=a"), ("GET", f"{CHARGES}/ch_0"), ("POST", f"{CHARGES}/ch_0/refund"),
    ):  # fmt: skip
        body = charge_body() if path == CHARGES else None
        answer = client.request(method, path, json=body, headers=headers | {"Idempotency-Key": "key-1"})
        assert (answer.status_code, answer.json()) == (401, failure(KeyInvalid))
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@only_sqlite
def test_a_user_is_no_shop(client: TestClient, admin: Headers) -> None:
    assert client.get(CHARGES, params={"key": "a"}, headers=admin).json() == failure(KeyInvalid)


@only_sqlite
@pytest.mark.parametrize("settings", [{"payment_secret": "another secret"}], indirect=True)
def test_the_key_is_the_one_of_the_settings(client: TestClient) -> None:
    assert client.get(CHARGES, params={"key": "a"}, headers={"Authorization": "Bearer another secret"}).is_success


MISFITS: list[tuple[str, Any]] = [
    ("reference", ""), ("reference", "x" * 256), ("reference", "a\x00"), ("reference", 7), ("reference", None),
    ("amount", 199), ("amount", "199"), ("amount", "1.5"), ("amount", "-1.00"), ("amount", "1" * 17 + ".00"),
    ("amount", "1.00\n"), ("amount", "١.00"), ("amount", None), ("amount", ""), ("amount", "1e2"),
    ("method", "cash"), ("method", None), ("method", ""),
    ("callback_url", "ftp://a/"), ("callback_url", "file:///etc/passwd"), ("callback_url", "http://"),
    ("callback_url", "http://user:password@a/"), ("callback_url", "gopher://a:70/"), ("callback_url", "//a"),
    ("callback_url", f"http://a/{'x' * 2000}"), ("callback_url", "http://a/ b"), ("callback_url", "http://a/\n"),
    ("status", "succeeded"), ("id", "ch_1"),
]  # fmt: skip


@only_sqlite
def test_what_does_not_fit(client: TestClient, shop: Headers) -> None:
    for field, value in MISFITS:
        answer = client.post(CHARGES, json=charge_body(**{field: value}), headers=shop)
        assert answer.status_code == 422, (field, value, answer.text)
        assert answer.json()["data"]["errors"][0]["loc"] == ["body", field]


@only_sqlite
@pytest.mark.parametrize("key", [None, "", "a b", "ä", "x" * 256])
def test_a_key_is_required(client: TestClient, shop: Headers, key: str | None) -> None:
    headers: dict[str, Any] = {"Authorization": shop["Authorization"]}
    if key is not None:
        headers["Idempotency-Key"] = key.encode()
    answer = client.post(CHARGES, json=charge_body(), headers=headers)
    assert answer.status_code == 422
    assert answer.json()["data"]["errors"][0]["loc"] == ["header", "idempotency-key"]


@pytest.mark.parametrize("amount", ["0.00", "0.01", "9999999999999999.99"])
def test_amounts_are_exact(client: TestClient, shop: Headers, amount: str) -> None:
    charge_id = charge(client, shop, amount=amount)
    assert client.get(f"{CHARGES}/{charge_id}", headers=shop).json()["data"]["amount"] == amount
