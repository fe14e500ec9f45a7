"""Calls to other services: this process by the name `self`, timeouts, and retries only for those who ask for them."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from httpx_retries import Retry
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send

from extensions.bounded_answers import MAX_ANSWER_BYTES
from extensions.http_client import MAX_RETRIES, MAX_WAIT_SECONDS, RETRY_ANY, open_http_client
from tests.support.databases import only_sqlite
from tests.support.processes import free_port

pytestmark = pytest.mark.anyio

AT_ONCE = RETRY_ANY.copy_with(backoff_factor=0.0)
AGAIN: dict[str, Any] = {"extensions": {"retry": AT_ONCE}}


class Answers:
    """An application that answers with these statuses in turn, then with the last one."""

    def __init__(self, *statuses: int, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._statuses = list(statuses)
        self._headers = list(headers)
        self.requests: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(f"{scope['method']} {scope['path']}")
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        await send({"type": "http.response.start", "status": status, "headers": self._headers})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def client_of(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http_client(State({"app": app})) as client:
        yield client


@asynccontextmanager
async def server(port: int, answer: bytes | None) -> AsyncIterator[None]:
    """Something that reads a request and sends this; None: it never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            writer.write(answer)
        else:
            await reader.read()  # until the client gives up
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@only_sqlite
async def test_self_is_this_service(async_client: httpx.AsyncClient, app: FastAPI) -> None:
    async with client_of(app) as client:
        answer = await client.get("http://self/healthz", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, "mine")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_failing_service_is_asked_again_when_that_is_wished(status: int) -> None:
    app = Answers(status, status, 200)
    async with client_of(app) as client:
        assert (await client.post("http://self/a")).status_code == status
        assert (await client.post("http://self/b", **AGAIN)).status_code == 200
    assert app.requests == ["POST /a", "POST /b", "POST /b"]


async def test_it_is_not_asked_for_ever() -> None:
    app = Answers(503)
    async with client_of(app) as client:
        assert (await client.post("http://self/a", **AGAIN)).status_code == 503
    assert len(app.requests) == 1 + MAX_RETRIES


@pytest.mark.parametrize("status", [200, 302, 400, 404, 409, 422])
async def test_other_answers_are_final(status: int) -> None:
    app = Answers(status, headers=[(b"location", b"http://self/elsewhere")])
    async with client_of(app) as client:
        assert (await client.post("http://self/a", **AGAIN)).status_code == status
    assert app.requests == ["POST /a"]


async def test_a_refused_connection_is_tried_again_when_that_is_wished() -> None:
    port = free_port()
    async with AsyncExitStack() as stack:

        class Starting(Retry):
            """Starts the server while it waits."""

            async def asleep(self, response: httpx.Response | Exception) -> None:
                assert isinstance(response, httpx.ConnectError)
                await stack.enter_async_context(server(port, OK))

        again = Starting(total=1, allowed_methods=["POST"])
        async with client_of(None) as client:
            with pytest.raises(httpx.ConnectError):
                await client.post(f"http://127.0.0.1:{port}/")
            answer = await client.post(f"http://127.0.0.1:{port}/", extensions={"retry": again})
    assert answer.status_code == 200


async def test_a_service_that_does_not_answer_is_given_up() -> None:
    port = free_port()
    async with server(port, None), client_of(None) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(f"http://127.0.0.1:{port}/", timeout=0.05)


async def test_this_process_is_given_up_too() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async with client_of(never) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("http://self/", timeout=0.05)


class Noting(Retry):
    """RETRY_ANY without the waiting: notes for how long it would."""

    waits: list[float] = []  # noqa: RUF012  (each request makes several of these objects)

    async def asleep(self, response: httpx.Response | Exception) -> None:
        seconds = self._calculate_sleep(response.headers if isinstance(response, httpx.Response) else {})
        self.elapsed_sleep += seconds
        self.waits.append(seconds)


@pytest.mark.parametrize(("retry_after", "waits"), [(b"1", [1, 1]), (b"3600", [MAX_WAIT_SECONDS, MAX_WAIT_SECONDS])])
async def test_retry_after_is_respected_within_bounds(retry_after: bytes, waits: list[float]) -> None:
    noting = Noting(
        total=RETRY_ANY.total,
        allowed_methods=RETRY_ANY.allowed_methods,
        status_forcelist=RETRY_ANY.status_forcelist,
        max_backoff_wait=RETRY_ANY.max_backoff_wait,
        total_timeout=RETRY_ANY.total_timeout,
    )
    noting.waits.clear()
    async with client_of(Answers(503, headers=[(b"retry-after", retry_after)])) as client:
        await client.post("http://self/a", extensions={"retry": noting})
    assert noting.waits == waits


def test_the_waits_grow_from_a_fraction_of_a_second_and_have_an_end() -> None:
    waits = [RETRY_ANY.copy_with(attempts_made=attempt).backoff_strategy() for attempt in (1, 2, 20)]
    assert 0.2 <= waits[0] <= 0.4 <= waits[1] <= 0.8
    assert waits[2] == MAX_WAIT_SECONDS


async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    port = free_port()
    async with server(port, OK), client_of(None) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 200


def answer_of(body: bytes, *headers: str) -> bytes:
    head = ["HTTP/1.1 200 OK", *headers, "Connection: close"]
    return "\r\n".join((*head, "", "")).encode() + body


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (answer_of(bytes(MAX_ANSWER_BYTES + 1)), "longer than"),
        (answer_of(b"", f"Content-Length: {MAX_ANSWER_BYTES + 1}") + bytes(MAX_ANSWER_BYTES + 1), "longer than"),
        (answer_of(gzip.compress(bytes(10 * MAX_ANSWER_BYTES)), "Content-Encoding: gzip"), "packed"),
        (answer_of(b"nothing packed", "Content-Encoding: gzip"), "packed"),
    ],
    ids=["of unknown length", "declared", "packed", "packed wrongly"],
)
async def test_an_answer_that_is_too_long_is_cut_off(answer: bytes, told: str) -> None:
    port = free_port()
    async with server(port, answer), client_of(Answers(200)) as client:
        with pytest.raises(httpx.TransportError, match=told):
            await client.get(f"http://127.0.0.1:{port}/")


async def test_the_longest_answer_is_read() -> None:
    port = free_port()
    async with server(port, answer_of(b"a" * MAX_ANSWER_BYTES)), client_of(Answers(200)) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).content == b"a" * MAX_ANSWER_BYTES
