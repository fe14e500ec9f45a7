"""The wiring of one request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from api.accounts.throttle.service import Throttle
from api.accounts.throttle.store import ThrottleStore
from extensions.database import Database


@asynccontextmanager
async def open_throttle_store(database: Database) -> AsyncIterator[ThrottleStore]:
    """One transaction on what the throttle counts."""
    async with database.transaction() as connection:
        yield ThrottleStore(connection)


def make_throttle(database: Database) -> Throttle:
    """The throttle that counts in this database."""
    return Throttle(partial(open_throttle_store, database))


async def get_throttle(request: Request) -> Throttle:
    return make_throttle(request.app.state.database)


async def get_address(request: Request) -> str:
    """From where the request comes; behind a trusted proxy, what the proxy says."""
    return request.client.host if request.client else ""


ThrottleDep = Annotated[Throttle, Depends(get_throttle)]
AddressDep = Annotated[str, Depends(get_address)]
