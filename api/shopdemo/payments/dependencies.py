"""The wiring of one request, and of the job that finds what got lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import time
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader
from starlette.datastructures import State

from api.shopdemo.orders.dependencies import fulfilment_in
from api.shopdemo.payments.errors import SignatureInvalid
from api.shopdemo.payments.gateway import HttpGateway
from api.shopdemo.payments.service import Ledger, Payments
from api.shopdemo.payments.store import PaymentWriter
from extensions.database import Database
from settings import Settings
from utils.webhooks import SIGNATURE, is_genuine

signature = APIKeyHeader(
    name=SIGNATURE,
    auto_error=False,
    scheme_name="WebhookSignature",
    description="By the Standard Webhooks specification, with webhook-id and webhook-timestamp beside it.",
)


@asynccontextmanager
async def open_ledger(database: Database) -> AsyncIterator[Ledger]:
    """One transaction on orders and their payments."""
    async with database.transaction() as connection:
        yield Ledger(fulfilment_in(connection), PaymentWriter(connection))


def payments_of(state: State) -> Payments:
    """Payments through the gateway that the settings name."""
    settings: Settings = state.settings
    gateway = HttpGateway(state.http_client, settings.payment_url, settings.payment_key, settings.payment_callback_url)
    return Payments(partial(open_ledger, state.database), gateway)


async def get_payments(request: Request) -> Payments:
    return payments_of(request.app.state)


async def check_signature(request: Request, _: Annotated[str | None, Depends(signature)]) -> None:
    """Let the gateway pass; raises SignatureInvalid."""
    settings: Settings = request.app.state.settings
    if not is_genuine(settings.payment_key, request.headers, await request.body(), time()):
        raise SignatureInvalid


async def settle_payments(state: State) -> None:
    """Settle payments whose answer or webhook got lost, and return money that is to be returned; raises NotReady."""
    await payments_of(state).settle_left()


PaymentsDep = Annotated[Payments, Depends(get_payments)]
AsGateway = Depends(check_signature)
