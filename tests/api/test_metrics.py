"""What `/metrics` says of requests, sockets, the database and the cache."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from sqlalchemy import func, select
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from api.shopdemo.schemas import Goods
from api.websocketdemo.event_stream import EventStream
from api.websocketdemo.outlets import Batch, FrameOutlet, PlainOutlet
from extensions.database import Database
from extensions.sampler import MOST_MISSED, lags
from tests.support.databases import only_postgres, only_sqlite
from tests.support.metrics import Metrics
from tests.support.processes import PATIENCE, needs_proc, wait_until
from utils.custom_exc import NotReady

COUNT = "http_server_request_duration_seconds_count"
SOCKET = "/websocketdemo/ws/{room}/{user}"
ORIGIN = {"Origin": "http://elsewhere.example"}
NOBODY = 10**9


@contextmanager
def counted(client: TestClient, name: str, by: float, **labels: str) -> Iterator[None]:
    """The block must raise this number, which all tests of this process share, by so much."""
    before = Metrics.of(client.get).value(name, **labels)
    yield
    assert Metrics.of(client.get).value(name, **labels) - before == by


@only_sqlite
@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/healthz", "/healthz", 200),
        ("HEAD", "/healthz", "/healthz", 200),
        ("POST", "/healthz", "/healthz", 405),
        ("BREW", "/healthz", "/healthz", 405),
        ("GET", "/healthz?a=1", "/healthz", 200),
        ("GET", f"/shopdemo/goods/{NOBODY}", "/shopdemo/goods/{goods_id}", 404),
        ("GET", "/shopdemo/goods/tea", "/shopdemo/goods/{goods_id}", 422),
        ("POST", "/shopdemo/goods", "/shopdemo/goods", 401),
        ("GET", "/docs", "/docs", 200),
        ("GET", "/static/docs.css", "/static/{path}", 200),
        ("GET", "/static/nothing", "/static/{path}", 404),
        ("GET", "/static/websocketdemo/nothing", "/static/websocketdemo/{path}", 404),
        ("GET", "/nothing/here", "_OTHER", 404),
    ],
)
def test_a_request_is_counted_by_the_template_of_its_route(
    client: TestClient, method: str, path: str, route: str, status: int
) -> None:
    labels = {
        "http_request_method": "_OTHER" if method == "BREW" else method,
        "http_route": route,
        "http_response_status_code": str(status),
    }
    with counted(client, COUNT, 1, **labels):
        assert client.request(method, path, json={} if method == "POST" else None).status_code == status


@only_sqlite
def test_no_client_can_make_up_series(client: TestClient) -> None:
    client.get("/nothing")
    client.request("BREW", "/nothing")
    before = len(Metrics.of(client.get).samples)
    for number in range(20):
        client.get(f"/nothing/{number}")
        client.request(f"BREW{number}", "/nothing")
        client.get(f"/shopdemo/goods/{NOBODY + number}")
    after = len(Metrics.of(client.get).samples)
    assert after - before <= 2 * 17, "at most two series of a histogram: goods, and /metrics itself"


@only_sqlite
def test_an_answer_that_was_ready_counts_for_its_route(client: TestClient, catalogue: dict[str, Goods]) -> None:
    with (
        counted(client, COUNT, 3, http_route="/shopdemo/goods", http_response_status_code="200"),
        counted(client, "read_cache_misses_total", 2),  # the answer, and the total in it
        counted(client, "read_cache_hits_total", 2),
    ):
        for _ in range(3):
            assert client.get("/shopdemo/goods").status_code == 200
    metrics = Metrics.of(client.get)
    assert metrics.value("read_cache_entries") == 2
    assert metrics.value("read_cache_bytes") > 0


@only_sqlite
@pytest.mark.parametrize("settings", [{"cache_bytes": 60_000}], indirect=True)
def test_what_is_put_out_of_the_cache_is_counted(client: TestClient, catalogue: dict[str, Goods]) -> None:
    before = Metrics.of(client.get).value("read_cache_evictions_total")
    for size in range(1, 51):
        assert client.get(f"/shopdemo/goods?size={size}&sort=price").status_code == 200
    metrics = Metrics.of(client.get)
    assert metrics.value("read_cache_evictions_total") > before
    assert metrics.value("read_cache_bytes") <= 60_000


@only_sqlite
def test_whatever_becomes_of_a_request_it_is_not_under_way_any_more(app: FastAPI, client: TestClient) -> None:
    def crash() -> None:
        raise RuntimeError("as planned")

    @app.get("/crash")
    async def show_crash() -> None:
        crash()

    before = Metrics.of(client.get).value("http_server_active_requests")
    for path in ("/crash", "/nothing", "/healthz", "/shopdemo/goods/tea"):
        client.get(path)
    metrics = Metrics.of(client.get)
    assert metrics.value("http_server_active_requests") == before
    assert metrics.value(COUNT, http_route="/crash", http_response_status_code="500") >= 1


@only_sqlite
@pytest.mark.anyio
async def test_requests_under_way(async_client: httpx.AsyncClient, app: FastAPI) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def show_slow() -> None:
        begun.set()
        await go_on.wait()

    async def under_way() -> float:
        return Metrics((await async_client.get("/metrics")).text).value("http_server_active_requests")

    before = await under_way()
    slow = asyncio.create_task(async_client.get("/slow"))
    await begun.wait()
    assert await under_way() == before + 1
    go_on.set()
    await slow
    assert await under_way() == before


@only_sqlite
def test_sockets_and_what_is_said(client: TestClient) -> None:
    before = Metrics.of(client.get)
    with client.websocket_connect("/websocketdemo/ws/lobby/User1") as one:
        one.receive_json()
        with client.websocket_connect("/websocketdemo/ws/lobby/User2") as two:
            assert [one.receive_json()["type"], two.receive_json()["type"]] == ["join", "join"]
            one.send_json({"message": "hi"})
            assert [one.receive_json()["message"], two.receive_json()["message"]] == ["hi", "hi"]
            one.send_json({"message": "psst", "send_user": "User2"})
            assert [one.receive_json()["message"], two.receive_json()["message"]] == ["psst", "psst"]
            during = Metrics.of(client.get)
            two.close(4321)
        assert one.receive_json()["type"] == "leave"
    after = Metrics.of(client.get)
    assert during.value("websocket_active_connections") - before.value("websocket_active_connections") == 2
    assert (during.value("chat_listeners"), during.value("chat_rooms"), during.value("chat_queue_bytes")) == (2, 1, 0)
    assert during.value("chat_messages_stored_total") - before.value("chat_messages_stored_total") == 1
    assert during.value("chat_messages_delivered_total") - before.value("chat_messages_delivered_total") == 4
    assert after.value("websocket_active_connections") == before.value("websocket_active_connections")
    assert after.value("chat_listeners") == 0
    for code in ("1000", "_OTHER"):
        labels = {"http_route": SOCKET, "code": code}
        name = "websocket_connections_closed_total"
        assert after.value(name, **labels) - before.value(name, **labels) == 1, code


@only_sqlite
def test_a_refused_socket_is_counted_by_its_status(client: TestClient) -> None:
    def open_from_elsewhere() -> None:
        with client.websocket_connect("/websocketdemo/ws/lobby/User1", headers=ORIGIN):
            raise AssertionError("let in")

    with (
        counted(client, "websocket_connections_closed_total", 1, http_route=SOCKET, code="403"),
        counted(client, "websocket_active_connections", 0),
        pytest.raises(WebSocketDisconnect),
    ):
        open_from_elsewhere()


@only_sqlite
def test_refusals_of_the_chat_are_counted_by_their_code(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an outage too, in which sockets stay open and no request fails."""
    refusals, lobby = "chat_refusals_total", "/websocketdemo/ws/User1"

    async def fail(*_: object, **__: object) -> None:
        raise NotReady

    with client.websocket_connect(lobby) as one:
        one.receive_json()
        monkeypatch.setattr(app.state.hub.store, "add", fail)
        monkeypatch.setattr(app.state.broker, "enter", fail)
        with counted(client, refusals, 1, code="50311"):
            one.send_json({"message": "hi"})
            assert one.receive_json()["code"] == 50311
        with counted(client, refusals, 1, code="42211"):
            one.send_json({})
            assert one.receive_json()["code"] == 42211
        with counted(client, refusals, 1, code="503"), client.websocket_connect("/websocketdemo/ws/User2") as two:
            assert two.receive_json()["code"] == 503
            assert two.receive() == {"type": "websocket.close", "code": 1013, "reason": ""}


class Stuck:
    """A socket whose client does not read."""

    async def send_text(self, _: str) -> None:
        await asyncio.Event().wait()


class StuckWriter:
    """A connection of our own server whose client does not read."""

    def __init__(self) -> None:
        self.transport = self
        self._written = 0

    def write(self, data: bytes) -> None:
        self._written += len(data)

    def get_write_buffer_size(self) -> int:
        return self._written

    def is_closing(self) -> bool:
        return False

    def close_now(self, code: int) -> None:
        assert code == 1013


OUTLETS: dict[str, tuple[Callable[[], Any], int]] = {  # and what they add to 60 bytes
    "plain": (lambda: PlainOutlet(Stuck(), 100), 0),  # type: ignore[arg-type]
    "frames": (lambda: FrameOutlet(StuckWriter(), 100), 2),  # type: ignore[arg-type]
    "events": (lambda: EventStream(100), 0),
}


@only_sqlite
@pytest.mark.anyio
@pytest.mark.parametrize("kind", OUTLETS)
async def test_what_waits_for_a_client_and_clients_that_are_too_slow(
    async_client: httpx.AsyncClient, app: FastAPI, kind: str
) -> None:
    make, added = OUTLETS[kind]
    outlet: Any = make()
    before = Metrics((await async_client.get("/metrics")).text)
    async with app.state.hub.rooms.listen("lobby", outlet, None):
        outlet.deliver(Batch([b"x" * 60]))
        during = Metrics((await async_client.get("/metrics")).text)
        outlet.deliver(Batch([b"x" * 60]))
        outlet.deliver(Batch([b"x" * 60]))
    after = Metrics((await async_client.get("/metrics")).text)
    slow = "chat_slow_clients_closed_total"
    assert (during.value("chat_queue_bytes"), during.value("chat_listeners")) == (60 + added, 1)
    assert [one.value(slow) - before.value(slow) for one in (during, after)] == [0, 1]
    if kind == "plain":
        outlet._sender.cancel()


def pool(metrics: Metrics, name: str) -> tuple[float, ...]:
    """How many connections are in use, may be, and are waited for."""
    labels = {"db_client_connection_pool_name": name}
    return (
        metrics.value("db_client_connection_count", db_client_connection_state="used", **labels),
        metrics.value("db_client_connection_max", **labels),
        metrics.value("db_client_connection_pending_requests", **labels),
    )


@only_sqlite
@pytest.mark.anyio
async def test_transactions_that_wait_for_the_one_writer(async_client: httpx.AsyncClient, app: FastAPI) -> None:
    database: Database = app.state.database

    async def write() -> None:
        async with database.transaction():
            pass

    async with database.transaction():
        waiting = asyncio.create_task(write())
        await asyncio.sleep(0)
        during = Metrics((await async_client.get("/metrics")).text)
    await waiting
    after = Metrics((await async_client.get("/metrics")).text)
    assert pool(during, "transactions") == (1, 1, 1)
    assert [pool(after, name) for name in ("reads", "writes", "transactions")] == [(0, 4, 0), (0, 1, 0), (0, 1, 0)]


@only_postgres
@pytest.mark.anyio
@pytest.mark.parametrize("settings", [{"database_pool_size": 1, "projects": ("websocketdemo",)}], indirect=True)
async def test_reads_that_wait_for_a_connection_to_postgresql(async_client: httpx.AsyncClient, app: FastAPI) -> None:
    statement = select(func.pg_sleep(0.4))
    reads = [asyncio.create_task(app.state.database.fetch_one(statement)) for _ in range(3)]
    await asyncio.sleep(0.1)
    during = Metrics((await async_client.get("/metrics")).text)
    await asyncio.gather(*reads)
    assert pool(during, "reads") == (1, 1, 2)
    after = Metrics((await async_client.get("/metrics")).text)
    assert pool(after, "reads") == (0, 1, 0)


@only_sqlite
@pytest.mark.anyio
async def test_an_event_loop_that_stands_still_is_seen(async_client: httpx.AsyncClient) -> None:
    """Every question counts that was due meanwhile."""

    def late(metrics: Metrics) -> float:
        name = "event_loop_lag_seconds"
        return metrics.value(f"{name}_count") - metrics.value(f"{name}_bucket", le="0.1")

    before = late(Metrics((await async_client.get("/metrics")).text))
    time.sleep(2)  # noqa: ASYNC251  (that is the fault)
    await asyncio.sleep(0.15)
    assert late(Metrics((await async_client.get("/metrics")).text)) >= before + 18


@pytest.mark.parametrize(
    ("late", "expected"),
    [(-0.001, [0.0]), (0.0, [0.0]), (0.04, [0.04]), (0.13, [0.13, 0.03]), (0.4, [0.4, 0.3, 0.2, 0.1])],
)
def test_a_late_answer_is_one_to_all_questions_that_were_due(late: float, expected: list[float]) -> None:
    assert list(lags(late)) == pytest.approx(expected)


def test_a_worker_that_was_stopped_for_long_does_not_count_for_ever() -> None:
    assert len(list(lags(24 * 60 * 60))) == MOST_MISSED + 1


@only_sqlite
def test_gauges_are_looked_at_even_if_nobody_asks(client: TestClient, app: FastAPI) -> None:
    looks: list[float] = []
    app.state.resources["counter"] = type("Counter", (), {"measure": lambda _: looks.append(time.monotonic())})()
    wait_until(lambda: len(looks) >= 2, PATIENCE, "nobody looks")


@needs_proc
@only_sqlite
def test_how_full_the_fullest_worker_is(client: TestClient) -> None:
    metrics = Metrics.of(client.get)
    full = metrics.value("process_open_fds") / metrics.value("process_max_fds")
    assert metrics.value("process_open_fds_ratio") == full > 0


@only_sqlite
def test_prometheus_text_or_openmetrics(client: TestClient) -> None:
    plain = client.get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (plain.headers["cache-control"], plain.headers["vary"]) == ("no-store", "Accept")
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    modern = client.get("/metrics", headers={"Accept": accept})
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in read_openmetrics(modern.text)}
    assert names == Metrics(plain.text).families.keys()


@only_sqlite
def test_openapi_says_that_metrics_have_no_envelope(client: TestClient) -> None:
    answers = client.get("/openapi.json").json()["paths"]["/metrics"]["get"]["responses"]
    assert answers["200"]["content"].keys() == {"text/plain", "application/openmetrics-text"}
