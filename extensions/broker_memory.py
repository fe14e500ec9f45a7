"""The broker of a service that runs in one process."""

from collections import Counter, defaultdict

from extensions.broker_protocol import (
    Handler,
    Missed,
    OwnedByAnother,
    Reached,
    Tell,
    Visit,
    nobody_cares,
    nothing_to_say,
)


class MemoryBroker:
    """Everything in this process."""

    shared = False
    connected = True

    def __init__(self) -> None:
        self.missed: Missed = nobody_cares
        self.gone: Tell = nothing_to_say
        self.came: Tell = nothing_to_say
        self._handlers: dict[str, Handler] = {}
        self._places: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._names: Counter[str] = Counter()
        self._owners: dict[str, str] = {}

    async def subscribe(self, channel: str, handler: Handler) -> None:
        self._handlers[channel] = handler

    async def unsubscribe(self, channel: str) -> None:
        self._handlers.pop(channel, None)

    async def publish(self, channel: str, event: bytes) -> None:
        self._hand_on(channel, event)

    async def ask(self, channel: str, event: bytes) -> Reached:
        return Reached(self._hand_on(channel, event), 0)

    async def enter(self, visit: Visit, event: bytes, *, claims: bool) -> bool:
        other = self._owners.get(visit.name, visit.owner) != visit.owner
        if other and not claims:
            raise OwnedByAnother
        self._owners[visit.name] = visit.owner
        self._names[visit.name] += 1
        self._places[visit.place][visit.name] += 1
        if self._places[visit.place][visit.name] == 1:
            self._hand_on(visit.place, event)
        return other

    async def leave(self, visit: Visit, event: bytes) -> None:
        self._names[visit.name] -= 1
        if not self._names[visit.name]:
            del self._names[visit.name], self._owners[visit.name]
        members = self._places[visit.place]
        members[visit.name] -= 1
        if not members[visit.name]:
            del members[visit.name]
            self._hand_on(visit.place, event)
        if not members:
            del self._places[visit.place]

    async def owner(self, name: str) -> str | None:
        return self._owners.get(name)

    async def members(self, place: str) -> dict[str, int]:
        return dict(self._places.get(place, {}))

    async def places(self) -> dict[str, int]:
        return {place: len(members) for place, members in self._places.items()}

    async def check(self) -> None:
        """Always there."""

    def _hand_on(self, channel: str, event: bytes) -> int:
        handler = self._handlers.get(channel)
        return handler(event) if handler else 0
