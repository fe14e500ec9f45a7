"""The wiring of one request, and of the settling that nobody asks for."""

from collections.abc import AsyncIterator
from datetime import datetime
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.paymentdemo.charges.errors import KeyInvalid
from api.paymentdemo.charges.service import Charges, Processor
from api.paymentdemo.charges.store import ChargeStore, ChargeWriter
from api.paymentdemo.schemas import KEY_PATTERN
from extensions.database import Database
from settings import Settings

api_key = HTTPBearer(auto_error=False, scheme_name="PaymentKey", description="The secret that shop and gateway share.")

ChargeId = Annotated[str, Path(pattern=r"^[a-z0-9_]{1,64}$", description="The id of the charge.")]
KEY = {"min_length": 1, "max_length": 255, "pattern": KEY_PATTERN}
IdempotencyKey = Annotated[
    str,
    Header(**KEY, description="Yours for this charge: send it again with the same body if the answer got lost."),
]
KnownKey = Annotated[str, Query(**KEY, description="The Idempotency-Key that a charge was made with.")]


async def check_key(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(api_key)]
) -> None:
    """Let the shop pass; raises KeyInvalid."""
    settings: Settings = request.app.state.settings
    given = credentials.credentials if credentials else ""
    if not compare_digest(given.encode(), settings.payment_key.encode()):
        raise KeyInvalid


async def get_charges(request: Request) -> Charges:
    return Charges(ChargeStore(request.app.state.database))


async def get_processor(request: Request) -> AsyncIterator[Processor]:
    """One transaction for the request; with scope="function" it is committed before the answer leaves."""
    async with request.app.state.database.transaction() as connection:
        yield Processor(ChargeWriter(connection))


async def settle_slow(database: Database, now: datetime) -> int:
    """Let the slow charges succeed that are due, each once however many workers do this; answers how many."""
    if not await ChargeStore(database).has_slow(now):
        return 0
    async with database.transaction() as connection:
        return await Processor(ChargeWriter(connection)).settle_slow(now)


AsShop = Depends(check_key)
ChargesDep = Annotated[Charges, Depends(get_charges)]
ProcessorDep = Annotated[Processor, Depends(get_processor, scope="function")]
