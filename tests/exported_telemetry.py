"""A pytest plugin: OpenTelemetry's SDK with its exporters in memory, as an application sets it up.

The SDK is imported by the tests that ask for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from toolops_plugins import ToolOps

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from toolops_plugins.telemetry.opentelemetry import OpenTelemetrySink

__all__ = ["Telemetry", "id_of", "parent_of"]


class Telemetry:
    """What was exported, and the providers that an instrumentation takes."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.tracer = self.tracers.get_tracer("application")

    def sink(self, **options: Any) -> OpenTelemetrySink:
        from toolops_plugins.telemetry.opentelemetry import OpenTelemetrySink

        return OpenTelemetrySink(self.tracers, self.meters, **options)

    def ops(self, **options: Any) -> ToolOps:
        return ToolOps("shop", sinks=[self.sink()], **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended, in this order."""
        return self.exporter.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        """The one span of a name."""
        [found] = [span for span in self.spans if span.name == name]
        return found

    def operations(self) -> int:
        """Count the operations of models that were measured, whoever did so."""
        return sum(point.count for point in self.points("gen_ai.client.operation.duration"))

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def metric(self, name: str) -> Any:
        """The one data point of a metric."""
        [found] = self.points(name)
        return found


@pytest.fixture
def telemetry(monkeypatch, caplog) -> Iterator[Telemetry]:
    """The SDK, which must have had nothing to complain of, such as a context that it lost."""
    with monkeypatch.context() as patch:
        patch.setenv("OTEL_SDK_DISABLED", "false")  # these tests export to memory alone
        made = Telemetry()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()
    for when in ("setup", "call"):
        wrong = [
            record.getMessage()
            for record in caplog.get_records(when)
            if record.name.startswith("opentelemetry") and record.levelno >= logging.WARNING
        ]
        assert not wrong


def parent_of(span: ReadableSpan) -> int | None:
    """The id of a span's parent."""
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    """The id of a span."""
    return span.context.span_id
