"""Jobs that run once, however many workers there are: whoever moves the date on in the database has the job."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from starlette.datastructures import State

from api.shopdemo.cart.dependencies import forget_carts
from api.shopdemo.database import JobRow
from api.shopdemo.orders.dependencies import expire_orders
from api.shopdemo.payments.dependencies import settle_payments
from extensions.database import Database
from utils.background import Background
from utils.fields import utc_now

EXPIRE_ORDERS_SECONDS = 10.0
FORGET_CARTS_SECONDS = 3600.0
SETTLE_PAYMENTS_SECONDS = 20.0
MAX_SKEW_SECONDS = 60.0  # between the clocks of two machines

DUE_AT = select(JobRow.due_at).where(JobRow.name == bindparam("name"))
# Nobody sets a date behind the latest: who did had a clock that has been set back since.
CLAIM = (
    update(JobRow)
    .where(
        JobRow.name == bindparam("job"),
        or_(JobRow.due_at <= bindparam("now"), JobRow.due_at > bindparam("latest")),
    )
    .values(due_at=bindparam("next"))
)


class Jobs:
    """What is to be done every so many seconds, by one of the workers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = postgresql if database.dialect == "postgresql" else sqlite
        self._add = dialect.insert(JobRow).on_conflict_do_nothing()

    async def run(self, name: str, seconds: float, do: Callable[[], Awaitable[None]]) -> bool:
        """Do the job if it is due and nobody else has it; answers whether."""
        if not await self._claim(name, seconds):
            return False
        await do()
        return True

    async def _claim(self, name: str, seconds: float) -> bool:
        now = utc_now()
        known = await self._database.fetch_one(DUE_AT, {"name": name})
        latest = now + timedelta(seconds=seconds + MAX_SKEW_SECONDS)
        if known and now < known["due_at"] <= latest:
            return False
        async with self._database.transaction() as connection:
            if known is None:
                await connection.execute(self._add, {"name": name, "due_at": now})
            values = {"job": name, "now": now, "latest": latest, "next": now + timedelta(seconds=seconds)}
            return (await connection.execute(CLAIM, values)).rowcount == 1


@asynccontextmanager
async def open_jobs(state: State) -> AsyncIterator[Jobs]:
    """Look after the shop's jobs for as long as the service runs."""
    jobs, background = Jobs(state.database), Background()

    async def expire() -> None:
        await jobs.run("expire orders", EXPIRE_ORDERS_SECONDS, partial(expire_orders, state.database))

    async def forget() -> None:
        forget_old = partial(forget_carts, state.database, state.settings.cart_days)
        await jobs.run("forget carts", FORGET_CARTS_SECONDS, forget_old)

    async def settle() -> None:
        await jobs.run("settle payments", SETTLE_PAYMENTS_SECONDS, partial(settle_payments, state))

    background.every(EXPIRE_ORDERS_SECONDS, expire)
    background.every(FORGET_CARTS_SECONDS, forget)
    background.every(SETTLE_PAYMENTS_SECONDS, settle)
    try:
        yield jobs
    finally:
        await background.close()
