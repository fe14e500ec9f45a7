"""gunicorn as the supervisor of the workers: `gunicorn -c deploy/gunicorn.conf.py main:app`.

The same settings, refusals, log and server options as `python main.py serve`. SIGHUP starts workers anew with the code
that gunicorn has read. For new code send SIGUSR2, then SIGTERM to the old master (not as `python -m gunicorn`).
"""

import logging
import sys
from pathlib import Path
from typing import Any

import click
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from uvicorn_worker import UvicornWorker

from settings.metrics_folder import share_between_workers

share_between_workers()  # before anything imports prometheus-client, which the workers inherit

from commands import told_as_sentences  # noqa: E402
from commands.serve import prepare  # noqa: E402
from extensions.logger import configure_logging  # noqa: E402
from extensions.server import server_options  # noqa: E402
from settings import examine_settings  # noqa: E402

MEMORY = Path("/dev/shm")  # noqa: S108  (the folder itself; gunicorn makes a nameless file there)
CLOSING_SECONDS = 5  # what may follow when the requests are answered or given up: sockets, database, log

settings, _ = examine_settings()  # on_starting judges them, where a refusal ends in a sentence


class ServiceWorker(UvicornWorker):  # type: ignore[misc]  # has no types
    """uvicorn with the options that `serve` gives it."""

    CONFIG_KWARGS = server_options(settings)


class ServiceLogger(Logger):  # type: ignore[misc]  # has no types
    """gunicorn's own lines go where all others go, once."""

    def setup(self, cfg: Config) -> None:
        self.cfg = cfg
        configure_logging(settings)
        self.error_log.setLevel(logging.INFO)  # at DEBUG it tells its whole configuration


bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.workers
worker_class = ServiceWorker
worker_tmp_dir = str(MEMORY) if MEMORY.is_dir() else None  # a disk that hangs must not look like a worker that does
graceful_timeout = settings.grace_seconds + CLOSING_SECONDS
timeout = 30  # of an event loop that stands still, until the worker is replaced
logger_class = ServiceLogger
control_socket_disable = True


def on_starting(arbiter: Arbiter) -> None:
    """Refuse what `serve` refuses, and prepare what it prepares."""
    try:
        with told_as_sentences():
            prepare(arbiter.cfg.workers)
    except click.ClickException as refusal:
        sys.exit(f"Error: {refusal.format_message()}")


def post_fork(_: Any, worker: Worker) -> None:
    """A forked process needs a thread and a file of its own for its log."""
    configure_logging(settings)
