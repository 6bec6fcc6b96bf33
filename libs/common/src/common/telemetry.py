"""OpenTelemetry in one place: traces across HTTP, outbox, Kafka and handlers; metrics for Prometheus.

Traces are exported by OTLP/HTTP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set; the trace context is carried in any case,
so that events keep the trace of the request that caused them.

Metrics of every service (labels in braces):

    plateau_events_handled_total{service,topic}     events whose effect was committed
    plateau_events_repeated_total{service,topic}    events seen again and left alone
    plateau_dead_letters_total{service,topic}       events set aside
    plateau_consumer_retries_total{service}         transactions tried again after a transient failure
    plateau_batch_seconds{service}                  one poll: from records to committed transaction
    plateau_outbox_published_total{service}         outbox rows acknowledged by Kafka
    plateau_consumer_lag{service}                   records waiting in the partitions held by this process
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from opentelemetry import context, metrics, propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

tracer = trace.get_tracer("plateau")
meter = metrics.get_meter("plateau")

events_handled = meter.create_counter("plateau_events_handled")
events_repeated = meter.create_counter("plateau_events_repeated")
dead_letters = meter.create_counter("plateau_dead_letters")
consumer_retries = meter.create_counter("plateau_consumer_retries")
batch_seconds = meter.create_histogram(
    "plateau_batch_seconds",
    unit="s",
    explicit_bucket_boundaries_advisory=[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
)
outbox_published = meter.create_counter("plateau_outbox_published")


def configure(service: str, log_level: str = "INFO") -> None:
    """Set up logging, metrics and, when an OTLP endpoint is named, trace export. Once per process."""
    _configure_logging(service, log_level)
    resource = Resource.create({"service.name": service})
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
    from opentelemetry.exporter.prometheus import PrometheusMetricReader

    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[PrometheusMetricReader()]))


def close() -> None:
    """Export what is left of the traces. Blocks; for the end of the process."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


class _JsonFormatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = format(span.trace_id, "032x")
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def _configure_logging(service: str, level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("aiokafka", "httpx", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def current_traceparent() -> str | None:
    """W3C trace context of the work at hand, for a header or an outbox row."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def with_traceparent(traceparent: str | None, name: str) -> Iterator[None]:
    """Run the block as a consumer span `name` that continues the trace of `traceparent`."""
    if traceparent is None and not tracing():
        yield
        return
    parent = propagate.extract({"traceparent": traceparent} if traceparent else {}, context=context.Context())
    with tracer.start_as_current_span(name, context=parent, kind=SpanKind.CONSUMER):
        yield


def tracing() -> bool:
    """Whether spans are recorded in this process."""
    return isinstance(trace.get_tracer_provider(), TracerProvider)


def new_traceparent() -> str:
    """A fresh trace for work that nobody asked for by a traced request."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    generator = RandomIdGenerator()
    return f"00-{generator.generate_trace_id():032x}-{generator.generate_span_id():016x}-01"
