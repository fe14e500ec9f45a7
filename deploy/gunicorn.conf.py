"""gunicorn as the supervisor of the workers: `gunicorn -c deploy/gunicorn.conf.py main:app`.

The same settings, refusals, log and server options as `python main.py serve`. SIGHUP starts workers anew with the code
that gunicorn has read. For new code send SIGUSR2, then SIGTERM to the old master (not as `python -m gunicorn`).
"""

import logging
import sys
import time
from mmap import mmap
from pathlib import Path

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
from extensions.server import CLOSING_SECONDS, server_options  # noqa: E402
from extensions.supervisor import pause_seconds  # noqa: E402
from settings import examine_settings  # noqa: E402

MEMORY = Path("/dev/shm")  # noqa: S108  (the folder itself; gunicorn makes a nameless file there)
HAS_SERVED, FAILURES = range(2)  # what workers leave to the next ones: whether one ever served, failed starts since

settings, _ = examine_settings()  # on_starting judges them, where a refusal ends in a sentence


class ServiceWorker(UvicornWorker):  # type: ignore[misc]  # has no types
    """uvicorn with the options that `serve` gives it."""

    CONFIG_KWARGS = server_options(settings)
    past: mmap
    serves = False

    def init_process(self) -> None:
        """Serve. A start that fails ends in a code by which gunicorn would stop the others too, unless none served."""
        try:
            super().init_process()
        except (Exception, SystemExit) as failure:
            if self.serves or not self.past[HAS_SERVED]:
                raise
            if isinstance(failure, Exception):
                self.log.exception("Exception in worker process")
            self._pause()
            sys.exit(1)

    async def callback_notify(self) -> None:
        """The worker serves, and its event loop moves."""
        self.serves = True
        self.past[HAS_SERVED], self.past[FAILURES] = True, 0
        await super().callback_notify()

    def _pause(self) -> None:
        """Here, because gunicorn starts the next one at once."""
        self.past[FAILURES] = min(self.past[FAILURES] + 1, 255)
        seconds = pause_seconds(self.past[FAILURES])
        self.log.error("Worker %s could not start; the next attempt is in %s s.", self.pid, seconds)
        for _ in range(seconds):
            self.notify()  # it does not hang
            time.sleep(1)


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
    arbiter.past = mmap(-1, 2)  # shared with all that are forked
    try:
        with told_as_sentences():
            prepare(arbiter.cfg.workers)
    except click.ClickException as refusal:
        sys.exit(f"Error: {refusal.format_message()}")


def post_fork(arbiter: Arbiter, worker: Worker) -> None:
    """A forked process needs a thread and a file of its own for its log."""
    worker.past = arbiter.past
    configure_logging(settings)
