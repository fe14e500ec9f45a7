"""The delivery of events; knows neither the web framework nor the database."""

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

import httpx
from loguru import logger

from api.paymentdemo.events.due import DueEvent
from utils.fields import utc_now
from utils.webhooks import signed_headers

DELIVERY_SECONDS = 10.0  # for one attempt, whatever the receiver does
LEASE_SECONDS = 30.0  # nobody else tries for so long: more than an attempt takes
FIRST_WAIT_SECONDS = 5.0  # four times as long after each further attempt …
LONGEST_WAIT_SECONDS = 3600.0  # … up to this
MAX_ATTEMPTS = 12  # about six and a half hours


class Outbox(Protocol):
    """What the delivery needs of a store."""

    async def claim(self, now: datetime, until: datetime) -> list[DueEvent]: ...

    async def finish(self, event: DueEvent, delivered_at: datetime | None, due_at: datetime | None) -> None: ...


class Courier:
    """Delivers events until they are answered with 2xx, or have been tried for hours."""

    def __init__(self, outbox: Outbox, client: httpx.AsyncClient, secret: str) -> None:
        self._outbox = outbox
        self._client = client
        self._secret = secret

    async def deliver_due(self, now: datetime) -> int:
        """Try whatever is due and not claimed by another worker, all at once; answers how many."""
        due = await self._outbox.claim(now, now + timedelta(seconds=LEASE_SECONDS))
        await asyncio.gather(*(self._deliver(event) for event in due))
        return len(due)

    async def _deliver(self, event: DueEvent) -> None:
        failure = await self._post(event)
        now = utc_now()
        if failure is None:
            await self._outbox.finish(event, delivered_at=now, due_at=None)
            return
        wait = wait_after(event.attempts)
        logger.warning("Webhook {}: attempt {} failed: {}", event.id, event.attempts, failure)
        await self._outbox.finish(event, delivered_at=None, due_at=now + wait if wait else None)

    async def _post(self, event: DueEvent) -> str | None:
        """Send it once; answers why it did not arrive. Redirects are not followed, and what is answered is not read."""
        body = event.body.encode()
        headers = signed_headers(self._secret, event.id, int(utc_now().timestamp()), body)
        headers["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(DELIVERY_SECONDS),
                self._client.stream("POST", event.url, content=body, headers=headers) as answer,
            ):
                return None if answer.is_success else f"the answer was {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return repr(error)


def wait_after(attempts: int) -> timedelta | None:
    """How long to wait after so many attempts; None when it was the last one."""
    if attempts >= MAX_ATTEMPTS:
        return None
    return timedelta(seconds=min(FIRST_WAIT_SECONDS * 4 ** (attempts - 1), LONGEST_WAIT_SECONDS))
