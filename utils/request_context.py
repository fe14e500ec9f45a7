"""Which request the running code serves: its id, known to every log line and every answer."""

import os
import re
from contextvars import ContextVar
from typing import NamedTuple

NO_REQUEST = "-"
INTERNAL = "internal"  # in the state of a request's scope: it comes from this process, on behalf of another request
ON_STOP = "on_stop"  # in the state of a request's scope: what the server calls when it begins to stop
RECEIVED = "received"  # in the state of a request's scope: when the server had read its head, by `time.monotonic`
REFUSED = "refused"  # in the state of a request's scope: the status that the server answered in the application's place


class TraceIds(NamedTuple):
    """Where a request is in its trace, in the lower-case hexadecimal of W3C Trace Context."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def header(self) -> bytes:
        """The value of `traceresponse`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}".encode("ascii")


request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)
trace_ids: ContextVar[TraceIds | None] = ContextVar("trace_ids", default=None)

_SANE = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch


def new_request_id() -> str:
    """24 hexadecimal digits of the system's randomness: unique across forks and machines, a quarter of uuid4's cost."""
    return os.urandom(12).hex()


def accept_request_id(sent: bytes | None) -> str:
    """The id the client sent if it is sane (1 to 128 of `A-Z a-z 0-9 . _ -`), otherwise a new one."""
    return sent.decode("ascii") if sent is not None and _SANE(sent) else new_request_id()
