"""Traces: FastAPI's own telemetry, sent by OTLP to the collector that `APP_OTLP_ENDPOINT` names; off without one.

The standard OTEL_… variables refine it: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_BSP_… and the others of the SDK.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi.telemetry import TelemetryConfig
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, StatusCode, TracerProvider
from starlette.datastructures import State

from settings import Settings
from utils.request_context import TraceIds

SERVICE_NAME = "myfastapi"
TRACE_HEADER = "traceresponse"  # W3C Trace Context, level 2


def make_tracer_provider(settings: Settings, version: str) -> TracerProvider | None:
    """What makes spans; None when nobody would take them."""
    if not settings.otlp_endpoint:
        return None
    from extensions.trace_export import make_provider

    return make_provider(SERVICE_NAME, version)


def telemetry(provider: TracerProvider | None) -> TelemetryConfig:
    """What FastAPI records: a span for each request and socket. Metrics and logs have their own ways here."""
    return {
        "tracer_provider": provider,
        "tracing": provider is not None,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
    }


def current_trace() -> TraceIds | None:
    """Where the running code is in its trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return TraceIds(
        trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id), context.trace_flags.sampled
    )


def name_span(method: str, route: str) -> None:
    """Say which route the current span is about, as FastAPI does for what it routes itself."""
    span = trace.get_current_span()
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)


@asynccontextmanager
async def open_tracing(state: State) -> AsyncIterator[None]:
    """Send spans for as long as the service runs."""
    if state.tracer_provider is None:
        yield
        return
    from extensions.trace_export import sending

    async with sending(state.tracer_provider, state.settings.otlp_endpoint):
        yield


class TracedTransport(httpx.AsyncBaseTransport):
    """Puts a span around each request that goes out, and tells the other side where it is in the trace."""

    def __init__(self, transport: httpx.AsyncBaseTransport, provider: TracerProvider) -> None:
        self._transport = transport
        self._tracer = provider.get_tracer(SERVICE_NAME)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on."""
        attributes = {
            "http.request.method": request.method,
            "server.address": request.url.host,
            "url.full": str(request.url.copy_with(username=None, password=None, query=None)),
        }
        with self._tracer.start_as_current_span(request.method, kind=SpanKind.CLIENT, attributes=attributes) as span:
            propagate.inject(request.headers)
            response = await self._transport.handle_async_request(request)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.is_error:
                span.set_status(StatusCode.ERROR)
            return response

    async def aclose(self) -> None:
        """Close what it stands around."""
        await self._transport.aclose()
