"""`python main.py serve`: run the service."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import uvicorn
from loguru import logger
from uvicorn.config import STARTUP_FAILURE

from commands.problems import UNREACHABLE, find_doubts, find_problems, lonely_workers
from commands.tables import fill, upgrade
from extensions.logger import configure_logging
from extensions.server import server_options
from extensions.supervisor import Supervisor
from settings import Problem, Settings, SettingsError, examine_settings, get_settings
from settings.base import MAX_PORT, MAX_WORKERS
from settings.metrics_folder import share_between_workers

HANGING_SECONDS = 15  # for so long a worker may not answer its supervisor before it is replaced


def take_hang_ups() -> None:
    """Let SIGHUP come again, which main.py holds back: at the start it would end what cannot answer to it yet."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


@click.command()
@click.option("--host", help="Address to listen on (APP_HOST).")
@click.option("--port", type=click.IntRange(0, MAX_PORT), help="Port to listen on (APP_PORT).")
@click.option("--workers", type=click.IntRange(1, MAX_WORKERS), help="Worker processes (APP_WORKERS).")
@click.option("--reload", is_flag=True, help="Start anew whenever the code changes; for development.")
def serve(host: str | None = None, port: int | None = None, workers: int | None = None, reload: bool = False) -> None:
    """Run the service. In development an SQLite database is migrated and filled first.

    SIGTERM stops it in good order; SIGHUP replaces the workers one after the other, and stops a single one.
    """
    with _stopped_by_signals():
        settings = prepare(workers)
        options = {
            **server_options(settings),
            "host": host or settings.host,
            "port": settings.port if port is None else port,
        }
        if reload or settings.workers == 1:
            take_hang_ups()
            uvicorn.run("main:app", reload=reload, **options)
        else:
            _supervise(settings.workers, options)


class WorkerConfig(uvicorn.Config):
    """Of several workers: each has the options of its own code and settings, not those of the supervisor's start."""

    def load(self) -> None:
        """What a worker does first."""
        vars(self).update(server_options(get_settings()))
        super().load()


def prepare(workers: int | None = None) -> Settings:
    """The settings, for so many workers, once nothing speaks against serving by them; raises SettingsError."""
    settings, problems = examine_settings()
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    _refuse_unusable(settings, problems)
    configure_logging(settings)
    for doubt in find_doubts(settings):
        logger.warning(doubt)
    if settings.env == "development" and settings.database_url.startswith("sqlite"):
        asyncio.run(_migrate_and_fill(settings))
    return settings


def _supervise(workers: int, options: dict[str, Any]) -> None:
    """As `uvicorn.run` does it, which ends with 0 though, when no worker can start."""
    share_between_workers()
    config = WorkerConfig("main:app", workers=workers, timeout_worker_healthcheck=HANGING_SECONDS, **options)
    supervisor = Supervisor(config, sockets=[config.bind_socket()])
    take_hang_ups()
    supervisor.run()
    if supervisor.has_failed:
        sys.exit(STARTUP_FAILURE)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Exit with 0 by SIGTERM, and by SIGHUP where no supervisor takes it for a restart.

    uvicorn stops in good order, then raises the signal anew, which would count as a violent death.
    """
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_unusable(settings: Settings, problems: list[Problem]) -> None:
    """Raise SettingsError with every reason at once. A database that is away may come back: /readyz tells."""
    if settings.env == "production":
        problems = [problem for problem in find_problems(settings, problems) if problem is not UNREACHABLE]
    elif not problems:
        problems = lonely_workers(settings)
    if problems:
        raise SettingsError(problems)


async def _migrate_and_fill(settings: Settings) -> None:
    await upgrade(settings)
    await fill(settings)
