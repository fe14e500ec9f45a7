"""What the gateway does by itself: it settles slow charges and delivers events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import State

from api.paymentdemo.charges.dependencies import settle_slow
from api.paymentdemo.events.dependencies import courier_of
from utils.background import Background
from utils.fields import utc_now

LOOK_SECONDS = 1.0  # between two looks at what is due


@asynccontextmanager
async def open_gateway_jobs(state: State) -> AsyncIterator[Background]:
    """Look after charges and events for as long as the service runs; the database decides which worker does what."""
    background, courier = Background(), courier_of(state)

    async def settle() -> None:
        while await settle_slow(state.database, utc_now()):
            pass

    async def deliver() -> None:
        while await courier.deliver_due(utc_now()):
            pass

    background.every(LOOK_SECONDS, settle)
    background.every(LOOK_SECONDS, deliver)
    try:
        yield background
    finally:
        await background.close()
