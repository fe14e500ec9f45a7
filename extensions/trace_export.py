"""OpenTelemetry's SDK: makes spans and sends them. Loaded only where a collector is set: it takes 60 ms."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from loguru import logger
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

TRACES_PATH = "/v1/traces"
FLUSH_SECONDS = 3.0  # for what was not sent yet when the service stops


def make_provider(service: str, version: str) -> TracerProvider:
    """What makes spans of a service, unless OTEL_SERVICE_NAME gives it another name."""
    ours = Resource({"service.name": service, "service.version": version})
    resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
    return TracerProvider(resource=resource, shutdown_on_exit=False)


@asynccontextmanager
async def sending(provider: TracerProvider, endpoint: str) -> AsyncIterator[None]:
    """Send spans in the background, and at the end what is left."""
    exporter = Exporter(f"{endpoint.rstrip('/')}{TRACES_PATH}")
    processor = BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    try:
        yield
    finally:
        stopping = asyncio.create_task(asyncio.to_thread(processor.shutdown))
        await asyncio.wait([stopping], timeout=FLUSH_SECONDS)
        exporter.shutdown()  # ends what it is still trying
        await stopping


class Exporter(SpanExporter):
    """OTLP over HTTP that says once that the collector is away and once that it is back, not every few seconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._exporter = OTLPSpanExporter(endpoint=url)
        self._is_away = False
        self._is_closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them, in the processor's thread; those that the collector does not take are dropped."""
        result = self._exporter.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away and not self._is_away:
            logger.warning("Spans are lost: {} does not take them", self._url)
        elif self._is_away and not is_away:
            logger.info("{} takes spans again", self._url)
        self._is_away = is_away
        return result

    def shutdown(self) -> None:
        """Stop; also what it is trying just now."""
        if not self._is_closed:
            self._is_closed = True
            self._exporter.shutdown()
