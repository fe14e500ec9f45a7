"""The log: loguru for everything, one line per fact on stderr, errors also in dated files.

Why it is so, with figures: docs/decisions/0001-logging.md.
"""

import asyncio
import atexit
import logging
import os
import queue
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger

from extensions.log_format import FORMATTED, TRACE, JsonFormat, LineFormat, TextFormat
from settings import Settings
from utils import log_text
from utils.request_context import request_id, trace_ids

if TYPE_CHECKING:
    from loguru import Record

__all__ = ["close_logging", "configure_logging", "log_access", "logger"]

RETENTION = timedelta(days=5)
BATCH_SECONDS = 0.005
BATCH_CHARACTERS = 4096  # PIPE_BUF: workers that share a pipe cannot tear a write of this size apart

SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "gunicorn.error")
ACCESS_LOGGERS = ("uvicorn.access", "gunicorn.access")  # we write our own access lines
# At DEBUG they write frames, statements and headers with their values, or noise; uvicorn without a level traces.
QUIET_LOGGERS = ("alembic",)  # tells of every connection at INFO
SILENT_LOGGERS = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")  # extensions.tracing tells it, once
TALKATIVE_LOGGERS = (
    "uvicorn.error", "websockets", "aiosqlite", "httpcore", "asyncio", "PIL", "redis",
    "python_multipart",  # a line for each superfluous & of a form: a million for a body of 1 MiB
)  # fmt: skip


class Console:
    """Writes whole lines to stderr in the order they came; access lines wait a few milliseconds for company."""

    def __init__(self) -> None:
        self.format: LineFormat = TextFormat(colour=False)
        self.stream: TextIO | None = None
        self.access = False
        self.forget()
        atexit.register(self.flush)
        if hasattr(os, "register_at_fork"):  # the parent's waiting lines are the parent's
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Start anew without writing what waits."""
        self._lock = threading.RLock()  # a signal handler may log while its own thread writes
        self._waiting: list[str] = []
        self._characters = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def write(self, line: str) -> None:
        """Write a line now, after those that wait."""
        with self._lock:
            self._waiting.append(line)
            self._drain()

    def write_soon(self, line: str) -> None:
        """Write a line with the next batch; at once where no event loop of asyncio runs."""
        with self._lock:
            if self._characters + len(line) > BATCH_CHARACTERS:
                self._drain()
            self._waiting.append(line)
            self._characters += len(line)
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self._drain()
                return
            if self._loop is not loop:  # none is due, or the loop it was due in has gone
                self._loop = loop
                loop.call_later(BATCH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            self._loop = None
            self._drain()

    def _drain(self) -> None:
        lines, self._waiting, self._characters = self._waiting, [], 0
        stream = self.stream or sys.stderr
        if lines and stream is not None:
            with suppress(OSError, ValueError):  # a log that nobody can read any more must not stop the service
                stream.write("".join(lines))
                stream.flush()


class InterceptHandler(logging.Handler):
    """Hands records of standard logging to loguru with their own name, function and line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # arguments that do not fit the text; logging has its own way to say so
            self.handleError(record)
            return
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno

        def set_origin(line: "Record") -> None:
            line["name"], line["module"] = record.name, record.module
            line["function"], line["line"] = record.funcName, record.lineno

        logger.patch(set_origin).opt(exception=record.exc_info).log(level, message)


class ThreadContext(BaseContext):
    """Lets loguru queue lines inside the process, where nothing needs to be picklable; each worker has its own file."""

    SimpleQueue: Any = queue.SimpleQueue
    Event: Any = threading.Event
    Lock: Any = threading.Lock


_console = Console()
_handlers = [0]  # loguru's own


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Take over every log of this process; may be called again, and must be in each forked worker.

    `stream` stands in for stderr.
    """
    level = logger.level("DEBUG" if settings.debug else settings.log_level)
    target = stream or sys.stderr
    colour = target is not None and target.isatty() and "NO_COLOR" not in os.environ
    _console.flush()
    _console.format = JsonFormat() if settings.log_json else TextFormat(colour=colour)
    _console.stream = stream
    _console.access = settings.access_log and level.no <= logging.INFO
    _remove_handlers()
    logger.configure(patcher=_complete)
    _handlers.append(logger.add(_console.write, level=level.no, format=_formatter(_console.format), diagnose=False))
    if settings.log_dir is not None:
        plain = JsonFormat() if settings.log_json else TextFormat(colour=False)
        _handlers.append(_add_error_file(settings.log_dir, plain))
    _intercept(level.no)


def close_logging() -> None:
    """Write all that waits and close the error file; lines that come later still reach stderr."""
    _console.flush()
    _remove_handlers(keep=1)


def log_access(method: str, path: str, status: int, seconds: float, size: int, client: str, id_: str) -> None:
    """Write the line of one request; the caller vouches that the texts hold no control characters or secrets."""
    if _console.access:
        _console.write_soon(_console.format.access(method, path, status, seconds * 1000, size, client, id_))


def _remove_handlers(keep: int = 0) -> None:
    while len(_handlers) > keep:
        with suppress(ValueError):  # somebody else removed all
            logger.remove(_handlers.pop())


def _add_error_file(folder: Path, line_format: LineFormat) -> int:
    """One file per process: rotation of a file that several processes write loses lines."""

    def remove_old(_: object) -> None:
        oldest = time.time() - RETENTION.total_seconds()
        for path in folder.glob("*_error.*.log"):
            with suppress(FileNotFoundError):  # another worker was faster
                if path.stat().st_mtime < oldest:
                    path.unlink()

    remove_old(None)  # rotation alone would never see the files of processes that have gone
    braces = str(folder).replace("{", "{{").replace("}", "}}")
    name = f"{{time:YYYY-MM-DD}}_error.{socket.gethostname()}.{os.getpid()}.log"
    return logger.add(
        f"{braces}/{name}",
        level="ERROR",
        format=_formatter(line_format),
        rotation="12:00",
        retention=remove_old,
        enqueue=True,
        context=ThreadContext(),
        delay=True,
        watch=True,  # a file of ours that lay idle until another worker removed it is made again
        diagnose=False,
        encoding="utf-8",
        errors="backslashreplace",
    )


def _formatter(line_format: LineFormat) -> Any:
    def format_record(record: "Record") -> str:
        record["extra"][FORMATTED] = line_format.record(record)
        return f"{{extra[{FORMATTED}]}}"

    return format_record


def _complete(record: "Record") -> None:
    record["extra"].setdefault("request_id", request_id.get())
    if trace := trace_ids.get():
        record["extra"].setdefault(TRACE, trace)
    record["message"] = log_text.mask(record["message"])


def _is_news(record: logging.LogRecord) -> bool:
    """Drop what our own lines tell: a WebSocket's start and end, and requests that were cut off at the end."""
    text = str(record.msg)
    is_socket = text.startswith('%s - "WebSocket %s"') or text in ("connection open", "connection closed")
    return not is_socket and not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _intercept(level: int) -> None:
    """Leave one handler in standard logging: ours, at the root. A test's capturing handler may stay beside it."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler or isinstance(handler, InterceptHandler):
            root.removeHandler(handler)
    root.addHandler(InterceptHandler())
    root.setLevel(level)
    for name in SERVER_LOGGERS:
        server = logging.getLogger(name)
        server.handlers, server.propagate = [], True
    for name in ACCESS_LOGGERS:
        access = logging.getLogger(name)
        access.handlers, access.propagate = [], False
    for name in TALKATIVE_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.INFO))
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in SILENT_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    server = logging.getLogger("uvicorn.error")
    server.removeFilter(_is_news)
    server.addFilter(_is_news)
    logging.captureWarnings(True)
