"""What writing a list of 20 costs, in process: the whole ASGI application called without server or socket."""

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from fastapi import FastAPI

from bench.http.peers import fixed

Message = MutableMapping[str, Any]
CALLS = 300
WAYS: dict[str, Callable[[], FastAPI]] = {
    "plain": fixed.make_plain,
    "route": fixed.make_route,
    "seed": fixed.make_seed,
}


async def _call(app: FastAPI, path: str) -> bytes:
    sent: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    await app({**_SCOPE, "path": path, "raw_path": path.encode()}, receive, send)
    return b"".join(sent)


_SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"127.0.0.1"), (b"accept", b"*/*")],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8010),
}


async def _microseconds(app: FastAPI, path: str) -> float:
    gc.collect()
    start = time.process_time_ns()
    for _ in range(CALLS):
        await _call(app, path)
    return (time.process_time_ns() - start) / CALLS / 1000


async def _compare(path: str, rounds: int) -> dict[str, float]:
    apps = {name: make() for name, make in WAYS.items()}
    for app in apps.values():
        await _microseconds(app, path)
    seen: dict[str, list[float]] = {name: [] for name in apps}
    for number in range(rounds):
        for name in list(apps) if number % 2 == 0 else reversed(list(apps)):
            seen[name].append(await _microseconds(apps[name], path))
    return {name: statistics.median(times) for name, times in seen.items()}


def report(rounds: int) -> str:
    """One line a way: microseconds a call, and how many times the seed's way costs as much."""
    lines = ["in process, whole application, µs of CPU a call:", f"{'way':<8}{'one':>8}{'page':>8}{'× seed':>8}"]
    one, page = (asyncio.run(_compare(path, rounds)) for path in ("/fixed/one", "/fixed/page"))
    lines += [f"{name:<8}{one[name]:8.1f}{page[name]:8.1f}{page['seed'] / page[name]:8.2f}" for name in WAYS]
    return "\n".join(lines)
