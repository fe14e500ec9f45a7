"""The cases, and the rounds in which every chat has its turn in each of them."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.chat.check import check
from bench.chat.client import Client, client_of
from bench.chat.contestants import Contestant
from bench.http.contestants import Place
from bench.http.load import LoadError
from bench.http.server import Server

WARM_UP_SECONDS = 2
WINDOW = 64  # messages of a room on their way
STEADY_RATE = 20_000  # deliveries a second
AT_ONCE = 16  # connections that are being opened
CONNECTIONS = 2_000
IDLE_ROOMS = 200
SETTLE_SECONDS = 1.0

Figures = dict[str, float]


@dataclass(frozen=True)
class Case:
    """So many sockets in so many rooms, of which some speak."""

    name: str
    sockets: int
    rooms: int
    senders: int
    """In each room."""


FAN_OUT = (
    Case("100", 100, 1, 8),
    Case("1000", 1_000, 1, 8),
    Case("100 rooms", 1_000, 100, 1),
)
CONNECT, IDLE = "connect", "idle"


@dataclass(frozen=True)
class Row:
    """What one chat did in one case, its figures in each round."""

    case: str
    name: str
    rounds: tuple[Figures, ...]

    def median(self, figure: str) -> float | None:
        """None when this was not measured."""
        found = [figures[figure] for figures in self.rounds if figure in figures]
        return statistics.median(found) if found else None

    def times(self, base: "Row", figure: str) -> float:
        """As a multiple of the base's; the median of the rounds, each compared with its own."""
        pairs = zip(self.rounds, base.rounds, strict=True)
        return statistics.median(mine[figure] / max(its[figure], 1e-9) for mine, its in pairs)


@dataclass
class Turns:
    """One chat that runs in one case."""

    who: Contestant
    server: Server
    client: Client
    rounds: list[Figures] = field(default_factory=list)


def in_turn(case: str, turns: Sequence[Turns], rounds: int, turn: Callable[[Turns], Figures]) -> list[Row]:
    """Forwards and backwards, A B C C B A."""
    for number in range(rounds):
        for one in turns if number % 2 == 0 else reversed(turns):
            one.rounds.append(turn(one))
    return [Row(case, one.who.name, tuple(one.rounds)) for one in turns]


def fan_out(case: Case, contestants: Sequence[Contestant], place: Place, rounds: int, seconds: int) -> list[Row]:
    """Everybody connected from the beginning to the end of the case; warmed up, then loaded in turn."""
    with ExitStack() as stack:
        turns = [_start(stack, who, place) for who in contestants]
        for one in turns:
            one.client.order("connect", case.sockets, case.rooms, AT_ONCE)
            saturate(one, case, WARM_UP_SECONDS)
        return in_turn(case.name, turns, rounds, lambda one: saturate(one, case, seconds) | steady(one, seconds))


def _start(stack: ExitStack, who: Contestant, place: Place) -> Turns:
    server = stack.enter_context(who.start(who.name, place))
    check(server, who.dialect)
    return Turns(who, server, stack.enter_context(client_of(server, who.dialect)))


def saturate(one: Turns, case: Case, seconds: int) -> Figures:
    """As much as it can: whoever speaks has a share of the room's window on its way."""
    before = one.server.cpu_seconds()
    heard = one.client.order("saturate", 1000 * seconds, WINDOW, case.senders)
    used = one.server.cpu_seconds() - before
    return {
        "rate": heard.heard / heard.seconds,
        "cpu": 1e6 * used / heard.heard,
        "bytes": heard.bytes / heard.heard,
        "client": heard.client,
    }


def steady(one: Turns, seconds: int) -> Figures:
    """The same to everybody; times in milliseconds."""
    before = one.server.cpu_seconds()
    heard = one.client.order("steady", 1000 * seconds, STEADY_RATE)
    used = one.server.cpu_seconds() - before
    return {"p50": 1000 * heard.p50, "p99": 1000 * heard.p99, "steady_cpu": 1e6 * used / heard.heard}


def connect(contestants: Sequence[Contestant], place: Place, rounds: int) -> list[Row]:
    """Connections that hear their own join and go again."""
    with ExitStack() as stack:
        turns = [_start(stack, who, place) for who in contestants]
        for one in turns:
            churn(one, CONNECTIONS // 4)
        return in_turn(CONNECT, turns, rounds, lambda one: churn(one, CONNECTIONS))


def churn(one: Turns, connections: int) -> Figures:
    before = one.server.cpu_seconds()
    heard = one.client.order("churn", connections, IDLE_ROOMS, AT_ONCE)
    used = one.server.cpu_seconds() - before
    if heard.finished != connections:
        raise LoadError(f"{one.who.name}: {heard.finished} of {connections} connections")
    return {"rate": connections / heard.seconds, "cpu": 1e6 * used / connections, "client": heard.client}


def idle(contestants: Sequence[Contestant], place: Place, rounds: int) -> list[Row]:
    """Memory of sockets that do nothing, in servers just started; the same in each round."""
    found: dict[str, list[Figures]] = {who.name: [] for who in contestants}
    for _ in range(rounds):
        for who in contestants:
            found[who.name].append(_idle_once(who, place))
    return [Row(IDLE, name, tuple(rounds)) for name, rounds in found.items()]


def _idle_once(who: Contestant, place: Place) -> Figures:
    with ExitStack() as stack:
        one = _start(stack, who, place)
        with client_of(one.server, who.dialect) as first:
            first.order("churn", CONNECTIONS // 10, IDLE_ROOMS, AT_ONCE)
        time.sleep(SETTLE_SECONDS)
        before = _memory(one.server)
        one.client.order("connect", CONNECTIONS, IDLE_ROOMS, AT_ONCE)
        time.sleep(SETTLE_SECONDS)
        return {"memory": (_memory(one.server) - before) / CONNECTIONS}


def _memory(server: Server) -> float:
    """KiB that are this process's own, or its share of what it has with others."""
    lines = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Pss:"))
