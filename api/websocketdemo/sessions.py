"""One socket in one room."""

from time import monotonic

from api.websocketdemo.outlets import Outlet
from api.websocketdemo.rooms import Room
from extensions.broker_protocol import Visit

BURST_SECONDS = 3  # for so long the rate may be saved up


class Session:
    """Who it is, where its frames leave, and how much it may still send."""

    __slots__ = ("_allowance", "_counted", "_rate", "address", "outlet", "own_join", "room", "visit")

    def __init__(self, visit: Visit, outlet: Outlet, address: str, rate: int) -> None:
        self.visit = visit
        self.outlet = outlet
        self.address = address
        self.room: Room | None = None
        self.own_join = b""
        self._rate = rate  # messages in a second
        self._allowance = float(rate * BURST_SECONDS)
        self._counted = monotonic()

    def may_send(self) -> bool:
        """Count a message against the rate (a token bucket)."""
        now = monotonic()
        saved = self._allowance + (now - self._counted) * self._rate
        self._allowance = min(saved, float(self._rate * BURST_SECONDS))
        self._counted = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
