"""What is counted, for `GET /metrics`: in this process, or in all workers of this machine.

Names are those of OpenTelemetry's semantic conventions in Prometheus' spelling, where there is one.
Why it is so, with figures: docs/decisions/0011-watching.md.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from extensions.metrics_files import SharedFile, tidied
from settings.metrics_folder import metrics_folder

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
CLOSE_CODES = frozenset(range(1000, 1016))  # RFC 6455's registry; clients may close with others
OTHER = "_OTHER"  # what a client makes up must not make a series
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

values.MmapedDict = SharedFile  # type: ignore[assignment,attr-defined]  # its own ends the worker when the disk is full
disable_created_metrics()  # a series more for each one, which nobody asks for

_registry = CollectorRegistry()


class Measured(Protocol):
    """Something that would be too dear to count as it happens: it is asked once a second and when somebody reads."""

    def measure(self) -> None:
        """Set the gauges to what is true now."""


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    """What only grows; `_total` is put behind its name."""
    return Counter(name, text, labels, registry=_registry)


def gauge(
    name: str, text: str, labels: Sequence[str] = (), *, workers: Literal["livesum", "livemax"] = "livesum"
) -> Gauge:
    """What goes up and down; the sum, or the largest, of all workers that live."""
    return Gauge(name, text, labels, registry=_registry, multiprocess_mode=workers)


def histogram(name: str, text: str, labels: Sequence[str] = ()) -> Histogram:
    """How long things take, in seconds."""
    return Histogram(name, text, labels, registry=_registry, buckets=SECONDS)


def render(accept: str) -> tuple[bytes, str]:
    """All metrics in the format that is accepted, Prometheus text or OpenMetrics, and its content type."""
    encode, content_type = choose_encoder(accept)
    folder = metrics_folder()
    if folder is None:
        return encode(_registry), content_type
    with tidied(folder):
        return encode(MultiProcessCollector(None, str(folder))), content_type


_duration = histogram(
    "http_server_request_duration_seconds",
    "From the request's head until the last byte of its answer.",
    ("http_request_method", "http_route", "http_response_status_code"),
)
_active = gauge("http_server_active_requests", "HTTP requests that are being answered.")
_sockets = gauge("websocket_active_connections", "Open WebSockets.")
_closed = counter(
    "websocket_connections_closed",
    "WebSockets that have ended, by close code; by HTTP status where none was opened.",
    ("http_route", "code"),
)


class Traffic:
    """The requests and WebSockets of this process."""

    def __init__(self) -> None:
        self.requests = 0  # under way
        self.sockets = 0
        self._durations: dict[tuple[str, str, int], Histogram] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is a template, so that there are not more series than routes."""
        key = (method if method in METHODS else OTHER, route, status)
        duration = self._durations.get(key)
        if duration is None:  # looking up a child by its labels takes longer than counting
            duration = self._durations[key] = _duration.labels(*key)
        duration.observe(seconds)

    def closed(self, route: str, code: int) -> None:
        """Count a WebSocket that has ended, or was refused with an HTTP status."""
        _closed.labels(route, code if code in CLOSE_CODES or code < 1000 else OTHER).inc()

    def measure(self) -> None:
        _active.set(self.requests)
        _sockets.set(self.sockets)


traffic = Traffic()
