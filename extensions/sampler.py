"""Looks once a second at what is too dear to count as it happens: connections, memory, what waits for clients."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from platform import python_version
from time import perf_counter

from prometheus_client import ProcessCollector
from starlette.datastructures import State

from extensions.metrics import counter, gauge, histogram, traffic
from utils.background import Background

LOOK_SECONDS = 1.0
LAG_SECONDS = 0.1  # between two questions how late the event loop is
MOST_MISSED = 600  # questions that are answered later: those of a minute, after which a worker was stopped, not busy

_lag = histogram("event_loop_lag_seconds", "How much later than it was due the event loop did something.")
_workers = gauge("service_workers", "Worker processes that serve.")
_build = gauge("service_build_info", "Worker processes of each version.", ("version", "python_version"))
_cpu = counter("process_cpu_seconds", "CPU time spent by all workers, those that have ended included.")
_figures = {
    name: gauge(name, f"{text} of all workers.")
    for name, text in (
        ("process_resident_memory_bytes", "Resident memory size in bytes"),
        ("process_open_fds", "Open file descriptors"),
        ("process_max_fds", "The limits of open file descriptors"),
    )
}

_fullness = gauge(
    "process_open_fds_ratio", "The part of its limit of open files that the fullest worker has.", workers="livemax"
)


class ProcessFigures:
    """What the system knows of this process; nothing where there is no /proc."""

    def __init__(self) -> None:
        self._collector = ProcessCollector(registry=None)
        self._seconds = 0.0

    def measure(self) -> None:
        found = {family.name: family.samples[0].value for family in self._collector.collect()}
        for name in _figures.keys() & found.keys():
            _figures[name].set(found[name])
        if "process_max_fds" in found:
            _fullness.set(found["process_open_fds"] / found["process_max_fds"])
        seconds = found.get("process_cpu_seconds", 0.0)
        _cpu.inc(max(0.0, seconds - self._seconds))
        self._seconds = seconds


_process = ProcessFigures()


class Sampler:
    """Asks every open resource that can be measured (it has `measure`), the process and the traffic."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def look(self) -> None:
        """Bring the metrics of this process up to now."""
        resources = self._state.resources.values()
        for one in (traffic, _process, *(resource for resource in resources if hasattr(resource, "measure"))):
            one.measure()


@asynccontextmanager
async def open_sampler(state: State) -> AsyncIterator[Sampler]:
    """Look again and again for as long as the service runs."""
    sampler = Sampler(state)
    background = Background()
    background.every(LOOK_SECONDS, sampler.look)
    background.start(_watch_loop())
    build = _build.labels(state.app.version, python_version())
    _workers.inc()
    build.inc()
    try:
        yield sampler
    finally:
        await background.close()
        _workers.dec()
        build.dec()


async def _watch_loop() -> None:
    while True:
        due = perf_counter() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        for lag in lags(perf_counter() - due):
            _lag.observe(lag)


def lags(late: float) -> Iterator[float]:
    """How late each question was that was due meanwhile: one alone would count a long block as little as a short one.

    This corrects for coordinated omission as HdrHistogram does (`recordValueWithExpectedInterval`).
    """
    yield max(0.0, late)
    missed = min(math.ceil(late / LAG_SECONDS) - 1, MOST_MISSED)
    yield from (late - number * LAG_SECONDS for number in range(1, missed + 1))
