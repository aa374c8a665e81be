"""Spans and metrics by OpenTelemetry; its API is all that is needed here."""

from __future__ import annotations

try:
    import opentelemetry.trace  # noqa: F401 - to say what is missing, before others need it
except ImportError as error:
    raise ImportError(
        'OpenTelemetrySink needs opentelemetry-api: pip install "toolops-plugins[opentelemetry]"'
    ) from error

from toolops_plugins.telemetry.opentelemetry.sink import ModelSpans, OpenTelemetrySink

__all__ = ["ModelSpans", "OpenTelemetrySink"]
