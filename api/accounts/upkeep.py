"""What is done for accounts beside all requests: forgetting what is over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import State

from api.accounts.throttle.dependencies import open_throttle_store
from api.accounts.tokens.dependencies import open_session_store
from extensions.database import Database
from utils.background import Background
from utils.fields import utc_now

PRUNE_SECONDS = 300.0


class Upkeep:
    """Keeps the tables of accounts small; several workers may do so at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prune(self) -> None:
        """Forget sessions that are over, and whoever the throttle need not know any more."""
        now = utc_now()
        async with open_session_store(self._database) as sessions:
            await sessions.delete_expired(now)
        async with open_throttle_store(self._database) as throttle:
            await throttle.delete_over(now)


@asynccontextmanager
async def open_accounts(state: State) -> AsyncIterator[Upkeep]:
    """Look after accounts; list it behind the database."""
    upkeep = Upkeep(state.database)
    background = Background()
    background.every(PRUNE_SECONDS, upkeep.prune)
    try:
        yield upkeep
    finally:
        await background.close()
