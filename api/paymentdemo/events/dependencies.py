"""The wiring of the delivery."""

from starlette.datastructures import State

from api.paymentdemo.events.service import Courier
from api.paymentdemo.events.store import EventStore


def courier_of(state: State) -> Courier:
    """Whoever delivers the events of this process."""
    return Courier(EventStore(state.database), state.http_client, state.settings.payment_key)
