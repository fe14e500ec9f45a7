"""The rules of charges; knows neither the web framework nor the database."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from api.paymentdemo.charges.errors import ChargeNotFound, KeyReused, NothingToRefund
from api.paymentdemo.schemas import Charge, ChargeCreate, Event, EventType, Method, Status
from utils.fields import utc_now

SLOW_SECONDS = 3.0  # how long a slow card takes


class Outcome(NamedTuple):
    """What a card does with a charge."""

    status: Status
    reason: str | None = None


OUTCOMES: Mapping[Method, Outcome] = {
    "test-card": Outcome("succeeded"),
    "test-card-declined": Outcome("declined", "The bank declined the card."),
    "test-card-slow": Outcome("pending"),
}
EVENTS: Mapping[Status, EventType] = {
    "succeeded": "charge.succeeded",
    "declined": "charge.declined",
    "refunded": "charge.refunded",
}


class Reads(Protocol):
    """What reading charges needs of a store."""

    async def get(self, charge_id: str) -> Charge | None: ...

    async def with_key(self, key: str) -> list[Charge]: ...


class Writes(Protocol):
    """What processing charges needs of a store, inside one transaction."""

    async def add(self, charge: Charge, key: str, request_hash: str, settles_at: datetime | None) -> bool: ...

    async def by_key(self, key: str) -> tuple[Charge, str]: ...

    async def get_for_update(self, charge_id: str) -> Charge | None: ...

    async def set_status(self, charge_id: str, status: Status) -> None: ...

    async def settle(self, now: datetime) -> list[Charge]: ...

    async def add_events(self, events: Sequence[Event]) -> None: ...


class Charges:
    """Charges as a shop looks at them."""

    def __init__(self, store: Reads) -> None:
        self._store = store

    async def get(self, charge_id: str) -> Charge:
        """One by id; raises ChargeNotFound."""
        charge = await self._store.get(charge_id)
        if charge is None:
            raise ChargeNotFound
        return charge

    async def with_key(self, key: str) -> list[Charge]:
        """The charge that was made with this Idempotency-Key, or none."""
        return await self._store.with_key(key)


class Processor:
    """Makes, settles and refunds charges, inside one transaction; whatever is settled is told with it."""

    def __init__(self, store: Writes) -> None:
        self._store = store

    async def create(self, wanted: ChargeCreate, key: str) -> Charge:
        """Charge, once for each key: another request with the same key and body gets that charge as it is now.

        Raises KeyReused.
        """
        charge, request_hash = _new_charge(wanted), fingerprint(wanted)
        settles_at = charge.created_at + timedelta(seconds=SLOW_SECONDS) if charge.status == "pending" else None
        if await self._store.add(charge, key, request_hash, settles_at):
            await self._tell([charge])
            return charge
        known, known_hash = await self._store.by_key(key)
        if known_hash != request_hash:
            raise KeyReused
        return known

    async def refund(self, charge_id: str) -> Charge:
        """Give the money back, once; raises ChargeNotFound or NothingToRefund."""
        charge = await self._store.get_for_update(charge_id)
        if charge is None:
            raise ChargeNotFound
        if charge.status == "refunded":
            return charge
        if charge.status != "succeeded":
            raise NothingToRefund(f"The charge is {charge.status}: only one that succeeded can be refunded.")
        refunded = charge.model_copy(update={"status": "refunded"})
        await self._store.set_status(charge_id, "refunded")
        await self._tell([refunded])
        return refunded

    async def settle_slow(self, now: datetime) -> int:
        """Let the slow charges succeed that are due; answers how many."""
        settled = await self._store.settle(now)
        await self._tell(settled)
        return len(settled)

    async def _tell(self, charges: Sequence[Charge]) -> None:
        now = utc_now()
        events = [
            Event(type=EVENTS[charge.status], timestamp=now, data=charge)
            for charge in charges
            if charge.callback_url and charge.status in EVENTS
        ]
        if events:
            await self._store.add_events(events)


def fingerprint(wanted: ChargeCreate) -> str:
    """What two requests for the same charge have in common."""
    return hashlib.sha256(wanted.model_dump_json().encode()).hexdigest()


def _new_charge(wanted: ChargeCreate) -> Charge:
    outcome = OUTCOMES[wanted.method]
    return Charge(
        id=f"ch_{secrets.token_hex(12)}",
        reference=wanted.reference,
        amount=wanted.amount,
        status=outcome.status,
        reason=outcome.reason,
        created_at=utc_now(),
        callback_url=wanted.callback_url,
    )
