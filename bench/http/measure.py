"""Bursts of load against several servers in turn, checked before and after, and their medians."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.http.load import CONNECTIONS, Load, LoadError, run_load
from bench.http.server import Server

WARM_UP_SECONDS = 2
SHORTEST_SHARE = 0.9


@dataclass(frozen=True)
class Sample:
    """One burst; times of answers in milliseconds, processor time in microseconds a request."""

    rate: float
    p50: float
    p99: float
    cpu: float
    requests: int


@dataclass
class Runner:
    """One server in one case: what is sent to it, and what it must answer."""

    server: Server
    arguments: Callable[[int], list[str]]
    """What the load script gets, when so many requests were sent before."""
    check: Callable[[], int]
    """Ask once, compare the whole answer, return the length of its body."""
    connections: int = CONNECTIONS
    sent: int = 0
    length: int = 0
    samples: list[Sample] = field(default_factory=list)

    def warm_up(self) -> None:
        self.sent += self._load(WARM_UP_SECONDS).requests

    def burst(self, seconds: int) -> Sample:
        before = self.server.cpu_seconds()
        load = self._load(seconds)
        used = self.server.cpu_seconds() - before
        self.sent += load.requests
        if not load.requests:
            raise LoadError(f"{self.server.name}: no answer in {seconds} s; give it more --seconds")
        if load.bytes_each < SHORTEST_SHARE * self.length:
            raise LoadError(f"{self.server.name}: {load.bytes_each:.0f} bytes an answer, checked {self.length}")
        return Sample(load.rate, load.p50, load.p99, 1e6 * used / load.requests, load.requests)

    def _load(self, seconds: int) -> Load:
        return run_load(self.server.name, self.server.origin, seconds, self.arguments(self.sent), self.connections)


@dataclass(frozen=True)
class Row:
    """What one server did in one case, a sample a round."""

    part: str
    case: str
    name: str
    samples: tuple[Sample, ...]

    def median(self, figure: Callable[[Sample], float]) -> float:
        return statistics.median(map(figure, self.samples))

    def faster(self, base: "Row") -> float:
        """Requests a second as a multiple of the base's; the median of the rounds, each compared with its own."""
        return statistics.median(mine.rate / its.rate for mine, its in zip(self.samples, base.samples, strict=True))

    def leaner(self, base: "Row") -> float:
        """The base's processor time a request as a multiple of this one's."""
        return statistics.median(its.cpu / mine.cpu for mine, its in zip(self.samples, base.samples, strict=True))


def compare(part: str, case: str, runners: Sequence[Runner], rounds: int, seconds: int) -> list[Row]:
    """Check and warm up every server, then load them in turn, forwards and backwards, A B C C B A."""
    for runner in runners:
        runner.length = runner.check()
        runner.warm_up()
    for number in range(rounds):
        for runner in runners if number % 2 == 0 else reversed(runners):
            runner.samples.append(runner.burst(seconds))
    return [Row(part, case, runner.server.name, tuple(runner.samples)) for runner in runners]


def read_arguments(paths: Sequence[str], file: Path) -> Callable[[int], list[str]]:
    """Send these paths one after another, going on where the last burst stopped."""
    file.write_text("\n".join(paths) + "\n")
    return lambda sent: ["read", str(file), str(sent % len(paths))]


def create_arguments(path: str, body: str, token: str) -> Callable[[int], list[str]]:
    """Send this body with `SKU` in it replaced by one that was never sent before."""
    return lambda sent: ["create", path, f"NEW-{sent}-", body, token]
