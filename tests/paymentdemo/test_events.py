"""Webhooks: signed, delivered once to a receiver that answers, and again and again to one that does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from api.paymentdemo.charges.dependencies import settle_slow
from api.paymentdemo.charges.service import Processor
from api.paymentdemo.charges.store import ChargeWriter
from api.paymentdemo.database import EventRow
from api.paymentdemo.events.service import DELIVERY_SECONDS, LEASE_SECONDS, MAX_ATTEMPTS, Courier, wait_after
from api.paymentdemo.events.store import EventStore
from api.paymentdemo.schemas import Charge, ChargeCreate
from extensions.database import Database, connect
from settings.testing_config import TestingSettings
from tests.support.envelopes import A_TIME
from utils.fields import utc_now
from utils.webhooks import is_genuine

pytestmark = pytest.mark.anyio

SECRET = "a secret of the tests"
URL = "http://shop.test/webhook"
EVENTS = select(EventRow.attempts, EventRow.due_at, EventRow.delivered_at).order_by(EventRow.created_at)


@pytest.fixture
async def database(settings: TestingSettings) -> AsyncIterator[Database]:
    database = await connect(settings)
    yield database
    await database.close()


class Receiver:
    """A shop that answers with these statuses in turn, then with the last one; an exception is raised instead."""

    def __init__(self, *answers: int | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, headers={"Location": "http://elsewhere.test/"})


@asynccontextmanager
async def courier_to(database: Database, receiver: Any) -> AsyncIterator[Courier]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(receiver)) as client:
        yield Courier(EventStore(database), client, SECRET)


async def charge(database: Database, method: str = "test-card", key: str = "key-1", url: str | None = URL) -> Charge:
    wanted = ChargeCreate.model_validate(
        {"reference": "订单 7", "amount": "199.00", "method": method, "callback_url": url}
    )
    async with database.transaction() as connection:
        return await Processor(ChargeWriter(connection)).create(wanted, key)


async def refund(database: Database, charge_id: str) -> Charge:
    async with database.transaction() as connection:
        return await Processor(ChargeWriter(connection)).refund(charge_id)


async def test_a_receiver_is_told_what_happened(database: Database) -> None:
    made = await charge(database)
    receiver = Receiver(204)
    async with courier_to(database, receiver) as courier:
        assert [await courier.deliver_due(utc_now()) for _ in range(2)] == [1, 0]
    (request,) = receiver.requests
    assert (request.method, str(request.url), request.headers["Content-Type"]) == ("POST", URL, "application/json")
    assert is_genuine(SECRET, request.headers, request.content, utc_now().timestamp())
    assert json.loads(request.content) == {
        "type": "charge.succeeded",
        "timestamp": A_TIME,
        "data": {
            "id": made.id,
            "reference": "订单 7",
            "amount": "199.00",
            "status": "succeeded",
            "reason": None,
            "created_at": A_TIME,
        },
    }


async def test_each_thing_that_happens_is_an_event(database: Database) -> None:
    first = await charge(database)
    await charge(database)  # the same again: nothing happens
    await charge(database, "test-card-declined", "key-2")
    slow = await charge(database, "test-card-slow", "key-3")
    await charge(database, "test-card", "key-4", url=None)
    await refund(database, first.id)
    await refund(database, first.id)
    receiver = Receiver(200)
    async with courier_to(database, receiver) as courier:
        await courier.deliver_due(utc_now())
        await settle_slow(database, utc_now() + timedelta(seconds=60))
        await courier.deliver_due(utc_now())
    told = [json.loads(request.content) for request in receiver.requests]
    assert sorted(event["type"] for event in told[:3]) == ["charge.declined", "charge.refunded", "charge.succeeded"]
    assert [(event["type"], event["data"]["id"]) for event in told[3:]] == [("charge.succeeded", slow.id)]
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 4


@pytest.mark.parametrize(
    "failure", [500, 404, 301, httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), TimeoutError(), ]
)  # fmt: skip
async def test_what_does_not_arrive_is_sent_again_later(database: Database, failure: int | Exception) -> None:
    await charge(database)
    receiver = Receiver(failure, 200)
    async with courier_to(database, receiver) as courier:
        now = utc_now()
        assert await courier.deliver_due(now) == 1
        assert await courier.deliver_due(now + timedelta(seconds=4)) == 0
        assert await courier.deliver_due(now + timedelta(seconds=10)) == 1
        assert await courier.deliver_due(now + timedelta(days=1)) == 0
    first, second = receiver.requests
    assert (first.headers["webhook-id"], first.content) == (second.headers["webhook-id"], second.content)
    assert all(str(request.url) == URL for request in receiver.requests)


async def test_a_receiver_that_never_answers_is_given_up(database: Database) -> None:
    await charge(database)
    receiver = Receiver(503)
    async with courier_to(database, receiver) as courier:
        for day in range(MAX_ATTEMPTS + 3):
            await courier.deliver_due(utc_now() + timedelta(days=day))
    assert len(receiver.requests) == MAX_ATTEMPTS
    assert await database.fetch_all(EVENTS) == [{"attempts": MAX_ATTEMPTS, "due_at": None, "delivered_at": None}]


def test_it_is_tried_for_some_hours() -> None:
    waits = [wait_after(attempts) for attempts in range(1, MAX_ATTEMPTS + 1)]
    assert waits[0] == timedelta(seconds=5)
    assert waits[-1] is None
    known = [wait for wait in waits if wait]
    assert known == sorted(known)
    assert max(known) == timedelta(hours=1)
    assert timedelta(hours=6) < sum(known, timedelta()) < timedelta(hours=8)


async def test_many_couriers_never_deliver_one_event_at_the_same_time(database: Database) -> None:
    for number in range(30):
        await charge(database, key=str(number))
    receiver = Receiver(200)
    async with courier_to(database, receiver) as courier:
        delivered = await asyncio.gather(*(courier.deliver_due(utc_now()) for _ in range(8)))
        while more := await courier.deliver_due(utc_now()):
            delivered.append(more)
    assert (sum(delivered), len(receiver.requests)) == (30, 30)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 30


async def test_the_event_of_a_worker_that_died_is_taken_over_after_its_lease(database: Database) -> None:
    await charge(database)
    now = utc_now()
    (claimed,) = await EventStore(database).claim(now, now + timedelta(seconds=LEASE_SECONDS))
    receiver = Receiver(200)
    async with courier_to(database, receiver) as courier:
        assert await courier.deliver_due(now + timedelta(seconds=LEASE_SECONDS - 1)) == 0
        assert await courier.deliver_due(now + timedelta(seconds=LEASE_SECONDS + 1)) == 1
        await EventStore(database).finish(claimed, None, now)  # it was only slow, and comes back: too late
        assert await courier.deliver_due(now + timedelta(days=1)) == 0
    assert len(receiver.requests) == 1


async def test_one_receiver_that_hangs_does_not_keep_the_others_waiting(database: Database) -> None:
    hanging, others = asyncio.Event(), []

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "hanging.test":
            await hanging.wait()
        else:
            others.append(request)
            if len(others) == 3:
                hanging.set()
        return httpx.Response(200)

    await charge(database, key="0", url="http://hanging.test/")
    for number in range(1, 4):
        await charge(database, key=str(number))
    async with courier_to(database, answer) as courier, asyncio.timeout(10):
        assert await courier.deliver_due(utc_now()) == 4


async def test_an_event_stands_and_falls_with_what_it_tells(database: Database) -> None:
    wanted = ChargeCreate.model_validate(
        {"reference": "7", "amount": "1.00", "method": "test-card", "callback_url": URL}
    )
    with suppress(RuntimeError):
        async with database.transaction() as connection:
            await Processor(ChargeWriter(connection)).create(wanted, "key-1")
            raise RuntimeError
    assert await database.fetch_all(EVENTS) == []


def test_a_lease_is_longer_than_an_attempt() -> None:
    assert DELIVERY_SECONDS < LEASE_SECONDS
