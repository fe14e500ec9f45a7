"""A room as this worker sees it: who listens here, what was told last, and the order of what comes."""

import asyncio
from collections import deque
from collections.abc import Callable

from api.websocketdemo import metrics
from api.websocketdemo.outlets import Batch, Outlet

RECENT = 50  # messages in memory of each room, so that who catches up can go live without a gap


class Room:
    """Hands messages on by their ids: each once, in order, without a gap; what is missing is asked for."""

    def __init__(self, name: str, missing: Callable[["Room"], None]) -> None:
        self.name = name
        self.lock = asyncio.Lock()  # held while the room is opened or closed
        self.is_open = False
        self.is_behind = False  # while somebody looks for what is missing
        self.visitors = 0  # who are here or on their way in: the room stays open for them
        self.last_id = 0  # of what was told here
        self.outlets: set[Outlet] = set()
        self._missing = missing
        self._recent: deque[bytes] = deque(maxlen=RECENT)
        self._early: dict[int, list[bytes]] = {}  # by the first id: came before what is ahead of them
        self._to_tell: list[bytes] = []
        self._first_to_tell = 0
        self._own_joins: dict[bytes, Outlet] = {}

    @property
    def awaits_more(self) -> bool:
        """Whether messages came that must wait for others."""
        return bool(self._early)

    def receive(self, event: bytes) -> int:
        """Take an event of the broker; answers how many sockets there are to tell."""
        first, *payloads = event.split(b"\n")
        if first == b"0":
            self._notice(payloads)
        else:
            self.messages(int(first), payloads)
        return len(self.outlets)

    def messages(self, first_id: int, payloads: list[bytes]) -> None:
        """Tell these if it is their turn, else keep them until it is."""
        if len(payloads) >= len(self._early.get(first_id, ())):  # the longer one has it all
            self._early[first_id] = payloads
        while self._early:
            first = min(self._early)
            known = self.last_id + 1 - first
            if known < 0:
                self._missing(self)
                return
            new = self._early.pop(first)[known:]
            if new:
                self._tell(new, self.last_id + 1)
                self._recent.extend(new)
                self.last_id += len(new)

    def skip_to(self, last_id: int) -> None:
        """Begin behind this message: when the room is opened, or when what is missing is no longer kept."""
        self.flush()  # a batch has no gap, so that the ids in it are clear
        self._recent.clear()
        self.last_id = max(self.last_id, last_id)
        self.messages(self.last_id + 1, [])

    def skip_missing(self) -> None:
        """Give up what lies before the messages that wait."""
        self.skip_to(min(self._early) - 1)

    def reaches_back_to(self, last_seen: int) -> bool:
        """Whether all messages behind `last_seen` are in memory."""
        return last_seen >= self.last_id - len(self._recent)

    def add(self, outlet: Outlet, last_seen: int | None, own_join: bytes) -> None:
        """Let it listen from now on, after what it has not seen yet and its own join."""
        self.flush()
        if last_seen is not None and last_seen < self.last_id:
            recent = list(self._recent)[last_seen - self.last_id :]
            outlet.deliver(Batch(recent, last_seen + 1))
        if own_join:
            outlet.deliver(Batch([own_join]))
        self.outlets.add(outlet)

    def expect_join(self, own_join: bytes, outlet: Outlet) -> None:
        """Its own join is told to it alone, whenever the broker's event of it arrives."""
        self._own_joins[own_join] = outlet

    def remove(self, outlet: Outlet, own_join: bytes) -> None:
        self.outlets.discard(outlet)
        self._own_joins.pop(own_join, None)

    def flush(self) -> None:
        """Tell everybody, in one write each, what came in this turn of the loop."""
        if self._to_tell:
            batch = Batch(self._to_tell, self._first_to_tell)
            self._to_tell = []
            for outlet in self.outlets:
                outlet.deliver(batch)
            if batch.first_id:
                metrics.delivered.inc(len(batch.payloads) * len(self.outlets))

    def _notice(self, payloads: list[bytes]) -> None:
        own = self._own_joins.pop(payloads[0], None)
        if own is None or own not in self.outlets:
            self._tell(payloads, 0)
            return
        self.flush()
        batch = Batch(payloads)
        for outlet in self.outlets - {own}:
            outlet.deliver(batch)

    def _tell(self, payloads: list[bytes], first_id: int) -> None:
        """Collect; a batch has either messages or notices, so that the ids in it are clear."""
        if self._to_tell and bool(first_id) != bool(self._first_to_tell):
            self.flush()
        if not self._to_tell:
            self._first_to_tell = first_id
            asyncio.get_running_loop().call_soon(self.flush)
        self._to_tell.extend(payloads)
