"""Every way that is compared: how it is started, and how it wraps its answers."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.databases import Database
from bench.http.server import Server, free_port, started

SECRET = "only-for-this-benchmark-0123456789abcdef"


@dataclass(frozen=True)
class Place:
    """Where servers of one part run."""

    work: Path
    core: int
    database: Database | None = None
    bodies: Path | None = None


@dataclass(frozen=True)
class Contestant:
    """One way to build the service."""

    name: str
    start: Callable[[str, Place], AbstractContextManager[Server]]
    unwrap: Callable[[Any], Any] = field(default=lambda body: body)
    """What is inside the envelope of a parsed answer."""
    ours: bool = False


def _data(body: Any) -> Any:
    if (body["code"], body["message"].lower(), set(body)) != (200, "success", {"code", "message", "data"}):
        raise ValueError(f"not the envelope: {body}")
    return body["data"]


def _peer(factory: str, **settings: str) -> Callable[[str, Place], AbstractContextManager[Server]]:
    """A peer's factory, on uvicorn as every other."""

    @contextmanager
    def start(name: str, place: Place) -> Iterator[Server]:
        port = free_port()
        command = [sys.executable, "-m", "bench.http.serve", f"bench.http.peers.{factory}", str(port)]
        environment = {
            **(shop_environment(place.database) if place.database else os.environ),
            **settings,
            "BENCH_DATABASE_URL": place.database.url if place.database else "",
            "BENCH_BODIES": str(place.bodies or ""),
        }
        log = place.work / f"{name}.log"
        with started(name, command, port, place.core, environment, log) as server:
            yield server

    return start


def shop_environment(database: Database) -> dict[str, str]:
    """Settings as in production: one worker, JSON lines to the output; none of the caller's own settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
    settings = {
        "APP_ENV": "production",
        "APP_SECRET_KEY": SECRET,
        "APP_PROJECTS": "shopdemo",
        "APP_DATABASE_URL": database.url,
        "APP_LOG_DIR": "",
    }
    return {**inherited, **settings}


@contextmanager
def start_ours(name: str, place: Place, **settings: str) -> Iterator[Server]:
    """The real service, started by its own command."""
    if place.database is None:
        raise ValueError("the service needs a database")
    port = free_port()
    environment = {
        **shop_environment(place.database),
        "APP_PORT": str(port),
        "APP_LOG_DIR": str(place.work / f"logs-{port}"),
        "APP_PICTURES_DIR": str(place.work / f"pictures-{port}"),
        **settings,
    }
    command = [sys.executable, "main.py", "serve"]
    with started(name, command, port, place.core, environment, place.work / f"{name}.log") as server:
        yield server


ENVELOPE = (
    Contestant("bare", _peer("bare:make_app"), _data),
    Contestant("plain", _peer("fixed:make_plain")),
    Contestant("route", _peer("fixed:make_route"), _data),
    Contestant("us", _peer("fixed:make_service"), _data),
    Contestant("us, no log", _peer("fixed:make_service", APP_ACCESS_LOG="false"), _data),
    Contestant("seed", _peer("fixed:make_seed"), _data),
)
SHOP = (
    Contestant("bare", _peer("bare:make_app"), _data),
    Contestant("seed", _peer("seed:make_app"), _data),
    Contestant("fastapi", _peer("plain:make_app")),
    Contestant("litestar", _peer("star:make_app")),
    Contestant("us", start_ours, _data, ours=True),
    Contestant("us, no log", partial(start_ours, APP_ACCESS_LOG="false"), _data, ours=True),
    Contestant("us, no cache", partial(start_ours, APP_CACHE_BYTES="0"), _data, ours=True),
)
