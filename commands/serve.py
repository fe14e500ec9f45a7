"""`python main.py serve`: run the service."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import uvicorn
from loguru import logger

from commands.problems import UNREACHABLE, find_doubts, find_problems, lonely_workers
from commands.tables import fill, upgrade
from extensions.logger import configure_logging
from settings import Problem, Settings, SettingsError, examine_settings


@click.command()
@click.option("--host", help="Address to listen on (APP_HOST).")
@click.option("--port", type=int, help="Port to listen on (APP_PORT).")
@click.option("--workers", type=int, help="Worker processes (APP_WORKERS).")
@click.option("--reload", is_flag=True, help="Start anew whenever the code changes; for development.")
def serve(host: str | None = None, port: int | None = None, workers: int | None = None, reload: bool = False) -> None:
    """Run the service. In development an SQLite database is migrated and filled first."""
    settings, problems = examine_settings()
    if workers:
        settings = settings.model_copy(update={"workers": workers})
    _refuse_unusable(settings, problems)
    configure_logging(settings)
    for doubt in find_doubts(settings):
        logger.warning(doubt)
    if settings.env == "development" and settings.database_url.startswith("sqlite"):
        asyncio.run(_prepare(settings))
    with _stopped_by_sigterm():
        uvicorn.run(
            "main:app",
            host=host or settings.host,
            port=settings.port if port is None else port,
            workers=None if reload else settings.workers,
            reload=reload,
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=settings.grace_seconds,
            ws="extensions.websocket_server:FrameProtocol",
            ws_max_size=settings.max_body_bytes,
            ws_per_message_deflate=False,
        )


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Exit with 0: uvicorn stops in good order, then raises the signal anew, which would count as a violent death."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_unusable(settings: Settings, problems: list[Problem]) -> None:
    """Raise SettingsError with every reason at once. A database that is away may come back: /readyz tells."""
    if settings.env == "production":
        problems = [problem for problem in find_problems(settings, problems) if problem is not UNREACHABLE]
    elif not problems:
        problems = lonely_workers(settings)
    if problems:
        raise SettingsError(problems)


async def _prepare(settings: Settings) -> None:
    await upgrade(settings)
    await fill(settings)
