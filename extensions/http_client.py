"""Calls to other services, with timeouts and retries. The host `self` is this process: no socket, no address."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import httpx
from httpx_retries import Retry, RetryTransport
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send

from extensions.bounded_answers import BoundedTransport
from extensions.tracing import TracedTransport
from utils.overload import waiting_for_another
from utils.request_context import INTERNAL

THIS_PROCESS = "self"
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
MAX_CONNECTIONS = 100
MAX_RETRIES = 2
BACKOFF_SECONDS = 0.2  # before the first retry, twice as long before the second, less a random part
MAX_WAIT_SECONDS = 3.0  # between two attempts, whatever Retry-After says
WORTH_A_RETRY = (429, 500, 502, 503, 504)

# For calls that may be sent twice: those that carry an Idempotency-Key, too (`extensions={"retry": RETRY_ANY}`).
RETRY_ANY = Retry(
    total=MAX_RETRIES,
    allowed_methods=("GET", "POST", "PUT", "DELETE"),
    status_forcelist=WORTH_A_RETRY,
    backoff_factor=BACKOFF_SECONDS,
    backoff_jitter=0.5,
    max_backoff_wait=MAX_WAIT_SECONDS,
    total_timeout=2 * MAX_WAIT_SECONDS,
)
NO_RETRY = Retry(total=0)


class OutgoingTransport(RetryTransport):
    """A call with its repetitions; the request that makes it is not under way here meanwhile (`utils.overload`)."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with waiting_for_another():
            return await super().handle_async_request(request)


class TimedTransport(httpx.ASGITransport):
    """Calls an application, and waits for its answer no longer than for one over the network."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seconds: float | None = request.extensions["timeout"]["read"]
        try:
            async with asyncio.timeout(seconds):
                return await super().handle_async_request(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no answer within {seconds} seconds", request=request) from error


@asynccontextmanager
async def open_http_client(state: State) -> AsyncIterator[httpx.AsyncClient]:
    """Open the client that everybody here shares; it keeps its connections and reads no proxy from the environment."""

    async def this_service(scope: Scope, receive: Receive, send: Send) -> None:
        await state.app({**scope, "state": {INTERNAL: True}}, receive, send)

    def way(transport: httpx.AsyncBaseTransport) -> OutgoingTransport:
        provider = getattr(state, "tracer_provider", None)  # commands have none
        return OutgoingTransport(TracedTransport(transport, provider) if provider else transport, NO_RETRY)

    limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
    network = BoundedTransport(httpx.AsyncHTTPTransport(verify=_tls(), limits=limits))
    async with httpx.AsyncClient(
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        transport=way(network),
        mounts={f"all://{THIS_PROCESS}": way(TimedTransport(this_service))},
        trust_env=False,
    ) as client:
        yield client


@cache
def _tls() -> ssl.SSLContext:
    """The certificates that are trusted: reading them takes 30 ms, which is for once in a process."""
    return httpx.create_ssl_context(trust_env=False)
