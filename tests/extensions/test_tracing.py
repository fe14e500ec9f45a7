"""Traces as a collector gets them, and the ids by which log lines and answers refer to them."""

import io
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import create_app
from api.shopdemo.schemas import Goods
from extensions.logger import close_logging, configure_logging
from settings.testing_config import TestingSettings
from tests.support.collectors import Collector, Span, collecting
from tests.support.databases import only_sqlite
from tests.support.processes import PATIENCE, environment_of, services, wait_until
from tests.support.shopping import Headers, place

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}
LOST = "Spans are lost"
NOBODY = 10**9

pytestmark = only_sqlite


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def traced(settings: TestingSettings, collector: Collector) -> FastAPI:
    """The service with a collector; what it has recorded has arrived when it has stopped."""
    changes = {"otlp_endpoint": collector.url, "cors_origins": ("http://shop.example",)}
    return create_app(settings.model_copy(update=changes))


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines that were written, as JSON."""
    stream = io.StringIO()
    configure_logging(TestingSettings(log_json=True), stream)

    def lines() -> list[dict[str, Any]]:
        close_logging()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield lines
    configure_logging(TestingSettings(log_level="ERROR"))


def ids_of(response: Any) -> tuple[str, str, str]:
    """Trace, span and flags in the header of an answer."""
    version, trace_id, span_id, flags = response.headers["traceresponse"].split("-")
    assert version == "00"
    return trace_id, span_id, flags


def only(spans: list[Span], name: str) -> Span:
    (span,) = (span for span in spans if span.name == name)
    return span


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("GET", "/healthz", "GET /healthz", 200),
        ("HEAD", "/healthz", "HEAD /healthz", 200),
        ("GET", f"/shopdemo/goods/{NOBODY}", "GET /shopdemo/goods/{goods_id}", 404),
        ("GET", "/shopdemo/goods/tea", "GET /shopdemo/goods/{goods_id}", 422),
        ("POST", "/shopdemo/goods", "POST /shopdemo/goods", 401),
        ("GET", "/static/docs.css", "GET /static/{path}", 200),
        ("GET", "/nothing", "GET", 404),
    ],
)
def test_a_span_has_the_template_of_the_route_and_the_status(
    traced: FastAPI, collector: Collector, method: str, path: str, name: str, status: int
) -> None:
    with TestClient(traced) as client:
        answer = client.request(method, path, headers=SAMPLED, json={} if method == "POST" else None)
    (span,) = collector.spans
    assert (span.name, span.kind, span.is_error) == (name, "SERVER", False)
    assert (span.trace_id, span.parent_id) == (TRACE_ID, PARENT_ID)
    assert span.attributes["http.response.status_code"] == answer.status_code == status
    assert span.attributes.get("http.route") == (name.partition(" ")[2] or None)
    assert ids_of(answer) == (TRACE_ID, span.span_id, "01"), "errors carry it, too"
    assert (span.service["service.name"], span.service["service.version"]) == ("myfastapi", "0.1.0")


def test_a_crash_is_an_error_and_its_traceback_tells_the_trace(
    traced: FastAPI, collector: Collector, log: Callable[[], list[dict[str, Any]]]
) -> None:
    @traced.get("/crash/{number}")
    async def show_crash(number: int) -> None:
        raise RuntimeError(f"as planned: {number}")

    with TestClient(traced) as client:
        answer = client.get("/crash/7")
    span = only(collector.spans, "GET /crash/{number}")
    assert (span.is_error, span.attributes["http.response.status_code"]) == (True, 500)
    assert ids_of(answer)[:2] == (span.trace_id, span.span_id)
    (line,) = (line for line in log() if "exception" in line)
    assert (line["trace_id"], line["span_id"]) == (span.trace_id, span.span_id)
    assert "trace_ids" not in line


def test_an_answer_that_was_ready_has_its_route(
    traced: FastAPI, collector: Collector, catalogue: dict[str, Goods]
) -> None:
    with TestClient(traced) as client:
        for _ in range(2):
            assert client.get("/shopdemo/goods").status_code == 200
    routes = [(span.name, span.attributes["http.route"]) for span in collector.spans]
    assert routes == [("GET /shopdemo/goods", "/shopdemo/goods")] * 2


def test_a_socket_is_a_span(traced: FastAPI, collector: Collector) -> None:
    with TestClient(traced) as client, client.websocket_connect("/websocketdemo/ws/User1", headers=SAMPLED) as one:
        one.receive_json()
        assert collector.spans == [], "it ends with the socket"
    (span,) = collector.spans
    assert (span.name, span.attributes["http.route"]) == ("WS /websocketdemo/ws/{user}", "/websocketdemo/ws/{user}")
    assert (span.trace_id, span.parent_id, span.is_error) == (TRACE_ID, PARENT_ID, False)


def test_a_payment_is_one_trace_through_shop_and_gateway(
    traced: FastAPI, collector: Collector, customer: Headers, catalogue: dict[str, Goods]
) -> None:
    with TestClient(traced) as client:
        order = place(client, customer, (catalogue["TEA-1"], 1)).headers["location"]
        assert client.post(f"{order}/pay", headers={**customer, **SAMPLED}).status_code == 200
    shop = only(collector.spans, "POST /shopdemo/orders/{order_id}/pay")
    call = next(span for span in collector.spans if span.kind == "CLIENT" and span.parent_id == shop.span_id)
    gateway = only(collector.spans, "POST /paymentdemo/charges")
    assert {span.trace_id for span in (shop, call, gateway)} == {TRACE_ID}
    assert (shop.parent_id, gateway.parent_id) == (PARENT_ID, call.span_id)
    assert call.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "server.address": "self",
        "url.full": "http://self/paymentdemo/charges",
    }


def test_log_lines_of_a_request_tell_its_trace_and_others_none(
    traced: FastAPI, log: Callable[[], list[dict[str, Any]]]
) -> None:
    with TestClient(traced) as client:
        answers = [client.get(path) for path in ("/healthz", "/nothing")]
    told = [(line["trace_id"], line["span_id"]) for line in log() if line["logger"] == "access"]
    assert told == [ids_of(answer)[:2] for answer in answers]
    assert all("trace_id" not in line for line in log() if line["request_id"] == "-")


def test_text_lines_end_with_the_trace(traced: FastAPI) -> None:
    stream = io.StringIO()
    configure_logging(TestingSettings(), stream)
    with TestClient(traced) as client:
        trace_id, span_id, _ = ids_of(client.get("/healthz"))
    configure_logging(TestingSettings(log_level="ERROR"))
    (line,) = (line for line in stream.getvalue().splitlines() if "access - GET /healthz" in line)
    assert line.endswith(f" testclient trace_id={trace_id} span_id={span_id}")


def test_scripts_of_other_origins_may_read_the_trace(traced: FastAPI) -> None:
    with TestClient(traced) as client:
        answer = client.get("/nothing", headers={"Origin": "http://shop.example"})
    assert "traceresponse" in answer.headers["access-control-expose-headers"].split(", ")
    assert answer.headers["traceresponse"]


def test_what_the_caller_does_not_sample_is_not_sent(traced: FastAPI, collector: Collector) -> None:
    with TestClient(traced) as client:
        trace_id, _, flags = ids_of(client.get("/healthz", headers=NOT_SAMPLED))
    assert (trace_id, flags, collector.spans) == (TRACE_ID, "00", [])


def test_standard_variables_refine_it(
    settings: TestingSettings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "teahouse")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with TestClient(create_app(settings.model_copy(update={"otlp_endpoint": f"{collector.url}/"}))) as client:
        client.get("/healthz")
        client.get("/healthz", headers=SAMPLED)
    (span,) = collector.spans
    assert span.trace_id == TRACE_ID
    assert span.service["service.name"] == "teahouse"
    assert span.service["deployment.environment.name"] == "staging"


def test_without_a_collector_nothing_is_traced(client: TestClient, app: FastAPI) -> None:
    answer = client.get("/healthz", headers=SAMPLED)
    assert "traceresponse" not in answer.headers
    assert app.state.tracer_provider is None


def test_a_collector_that_is_away_is_told_of_once(
    traced: FastAPI, collector: Collector, log: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.status = 400
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    with TestClient(traced) as client:
        for number in range(1, 4):
            assert client.get("/healthz").status_code == 200
            wait_until(lambda number=number: collector.requests >= number, PATIENCE, "nothing is sent")  # type: ignore[misc]
        collector.status = 200
        client.get("/healthz")
        collector.wait_for("GET /healthz")
    lines = [(line["level"], line["message"]) for line in log() if "pans" in line["message"]]
    address = f"{collector.url}/v1/traces"
    assert lines == [("WARNING", f"{LOST}: {address} does not take them"), ("INFO", f"{address} takes spans again")]


@pytest.mark.slow
def test_a_real_service_sends_its_spans_while_it_runs(
    settings: TestingSettings, collector: Collector, tmp_path: Path
) -> None:
    environment = environment_of("shopdemo", settings.database_url, APP_OTLP_ENDPOINT=collector.url)
    environment |= {"OTEL_BSP_SCHEDULE_DELAY": "50", "APP_PICTURES_DIR": str(tmp_path / "pictures")}
    with services(1, environment, tmp_path) as (service,):
        url = f"http://{service.address}/shopdemo/goods/{NOBODY}"
        answer = httpx2.get(url, headers=SAMPLED, trust_env=False)
        span = collector.wait_for("GET /shopdemo/goods/{goods_id}")
        httpx2.get(f"http://{service.address}/healthz", trust_env=False)
    assert (span.trace_id, span.parent_id) == (TRACE_ID, PARENT_ID)
    assert span.attributes["http.response.status_code"] == answer.status_code == 404
    assert ids_of(answer) == (TRACE_ID, span.span_id, "01")
    assert only(collector.spans, "GET /healthz"), "what is left is sent when it stops"


@pytest.fixture(params=["refuses", "hangs"])
def nobody(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address where no collector is: connections are refused, or accepted and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if request.param == "refuses":
            server.close()
        yield f"http://127.0.0.1:{port}"


@pytest.mark.faults
@pytest.mark.slow
def test_a_service_whose_collector_is_away_answers_and_stops(
    settings: TestingSettings, nobody: str, tmp_path: Path
) -> None:
    environment = environment_of("accounts", settings.database_url, APP_OTLP_ENDPOINT=nobody)
    environment |= {
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
    }
    with services(1, environment, tmp_path) as (service,):
        with httpx2.Client(base_url=f"http://{service.address}", trust_env=False) as client:
            assert {client.get("/healthz").status_code for _ in range(200)} == {200}
        service.terminate()
        assert service.wait() == 0, "within the patience of a stop"
        (line,) = service.said().splitlines()  # queues that are full are not worth a line each
        assert LOST in line
