"""How a log line looks: text for people or JSON for machines, one and the same for the terminal and the files.

JSON lines are flat: `time` (RFC 3339, UTC), `level`, `message`, `request_id`, `logger`, `function`, `line`,
`exception` when there is one, `trace_id` and `span_id` where requests are traced, and whatever was bound to the record.
Access lines have `method`, `path`, `status`, `ms`, `bytes`, `client` instead of `function` and `line`.
"""

import json
import time
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from utils import log_text
from utils.request_context import TraceIds, trace_ids

if TYPE_CHECKING:
    from loguru import Record

FORMATTED = "formatted_line"  # where a record's `extra` carries the line to loguru's handlers
TRACE = "trace_ids"  # and where the request is in its trace

_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m", "SUCCESS": "\x1b[32m"}


class LineFormat(Protocol):
    """How a line looks."""

    def record(self, record: "Record") -> str: ...

    def access(self, method: str, path: str, status: int, ms: float, size: int, client: str, id_: str) -> str: ...


class TextFormat:
    """Lines for people, in local time; the only further lines are a traceback's, and they are indented."""

    def __init__(self, *, colour: bool) -> None:
        self._colours = _COLOURS if colour else {}

    def record(self, record: "Record") -> str:
        where = f"{record['name']}:{record['function']}:{record['line']}"
        level = self._level(record["level"].name)
        id_ = log_text.escape(str(record["extra"]["request_id"]))
        stamp = log_text.local_stamp(record["time"].timestamp())
        message = log_text.escape(record["message"].strip())
        traced = _trace_text(record["extra"].get(TRACE))
        return f"{stamp} | {level} | {id_} | {where} - {message}{traced}\n{log_text.indent(_exception_text(record))}"

    def access(self, method: str, path: str, status: int, ms: float, size: int, client: str, id_: str) -> str:
        stamp = log_text.local_stamp(time.time())
        traced = _trace_text(trace_ids.get())
        return f"{stamp} | INFO     | {id_} | access - {method} {path} {status} {ms:.1f}ms {size}B {client}{traced}\n"

    def _level(self, name: str) -> str:
        colour = self._colours.get(name)
        return f"{colour}{name: <8}\x1b[0m" if colour else f"{name: <8}"


class JsonFormat:
    """Lines for machines; plain ASCII, so that nothing in them can end a line."""

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(default=str).encode

    def record(self, record: "Record") -> str:
        line: dict[str, Any] = {
            "time": log_text.utc_stamp(record["time"].timestamp()),
            "level": record["level"].name,
            "message": record["message"],
            "request_id": record["extra"]["request_id"],
            "logger": record["name"],
            "function": record["function"],
            "line": record["line"],
        }
        if exception := _exception_text(record):
            line["exception"] = exception
        for name, value in record["extra"].items():
            if name == TRACE:
                line |= {"trace_id": value.trace_id, "span_id": value.span_id}
            elif name != FORMATTED:
                line.setdefault(name, _masked_value(name, value))
        return f"{self._encode(line)}\n"

    def access(self, method: str, path: str, status: int, ms: float, size: int, client: str, id_: str) -> str:
        quote = self._encode
        trace = trace_ids.get()
        traced = f', "trace_id": "{trace.trace_id}", "span_id": "{trace.span_id}"' if trace else ""
        return (
            f'{{"time": "{log_text.utc_stamp(time.time())}", "level": "INFO", '
            f'"message": {quote(f"{method} {path} {status}")}, "request_id": "{id_}", "logger": "access", '
            f'"method": {quote(method)}, "path": {quote(path)}, "status": {status}, "ms": {ms:.1f}, '
            f'"bytes": {size}, "client": {quote(client)}{traced}}}\n'
        )


def _trace_text(trace: TraceIds | None) -> str:
    return f" trace_id={trace.trace_id} span_id={trace.span_id}" if trace else ""


def _exception_text(record: "Record") -> str:
    """The traceback without the values of variables, which may be secrets."""
    exception = record["exception"]
    if exception is None or exception.type is None:
        return ""
    return log_text.mask("".join(traceback.format_exception(*exception)))


def _masked_value(name: str, value: object) -> object:
    if log_text.is_secret_name(name):
        return log_text.MASK
    return value if isinstance(value, (int, float, type(None))) else log_text.mask(str(value))
