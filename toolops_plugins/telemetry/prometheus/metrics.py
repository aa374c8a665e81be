"""The counters and histograms of one registry, which all its sinks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.core import Metric

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import CallEvent
from toolops_plugins.telemetry.prometheus import families
from toolops_plugins.telemetry.prometheus.families import Family
from toolops_plugins.telemetry.prometheus.gauges import ProcessGauges, ScrapedGauges
from toolops_plugins.telemetry.prometheus.labels import Labels
from toolops_plugins.telemetry.prometheus.series import CallSeries

__all__ = ["Metrics", "is_multiprocess"]

_BATCH = 64
"""Calls of a series that may wait to be counted until the next scrape."""
_MOST_SERIES = 20_000
"""Combinations of outcome and tier, of all tools, whose calls may wait."""


def is_multiprocess() -> bool:
    """Return whether prometheus_client keeps values in the files of PROMETHEUS_MULTIPROC_DIR.

    It decides when it is imported, so the variable of this moment says nothing.
    """
    return bool(getattr(values.ValueClass, "_multiprocess", False))


class _LateCounter(Counter):
    """A counter that first counts what waits when it is collected."""

    before: Callable[[], None] | None = None

    def collect(self) -> Iterable[Metric]:
        if self.before is not None:
            self.before()
        return super().collect()


class _LateHistogram(Histogram):
    """A histogram that first counts what waits when it is collected."""

    before: Callable[[], None] | None = None

    def collect(self) -> Iterable[Metric]:
        if self.before is not None:
            self.before()
        return super().collect()


class Metrics:
    """The metrics of one registry. Safe to use from any threads.

    Args:
        registry: Where they are shown. None: nowhere, since a scrape reads files.
        buckets: Upper bounds of the histograms in seconds, the last one infinite.
        max_label_values: The maximum number of values of each label.
    """

    def __init__(
        self, registry: CollectorRegistry | None, buckets: tuple[float, ...], max_label_values: int
    ) -> None:
        self.options = buckets, max_label_values
        made: list[Any] = []

        def counter(family: Family) -> _LateCounter:
            metric = _LateCounter(*family, registry=None)
            made.append(metric)
            return metric

        def histogram(family: Family) -> _LateHistogram:
            metric = _LateHistogram(*family, registry=None, buckets=buckets)
            made.append(metric)
            return metric

        self._calls = counter(families.CALLS)
        self._call_seconds = histogram(families.CALL_SECONDS)
        self.function_seconds = histogram(families.FUNCTION_SECONDS)
        self._saved_seconds = counter(families.SAVED_SECONDS)
        self._saved_cost = counter(families.SAVED_COST)
        self._spent_cost = counter(families.SPENT_COST)
        self.tokens = counter(families.TOKENS)
        self.retries = counter(families.RETRIES)
        self.reasons = counter(families.REASONS)
        self.limit_wait = histogram(families.LIMIT_WAIT)
        self.decisions = counter(families.SEMANTIC_DECISIONS)
        self.notices = counter(families.NOTICES)
        self.semantic_error = Gauge(
            *families.SEMANTIC_ERROR, registry=None, multiprocess_mode="livemax"
        )
        self.gauges: ScrapedGauges | ProcessGauges
        if registry is None:
            self.gauges = ProcessGauges(max_label_values)
        else:
            self.gauges = ScrapedGauges(max_label_values)
            _register(registry, [*made, self.semantic_error, self.gauges])
        # Files are read by others, who cannot ask for what waits.
        self._batch = 1 if registry is None else _BATCH
        self.series: dict[tuple[Any, ...], CallSeries] = {}
        labels = Labels(max_label_values)
        self.bind, self.bind_tool = labels.bind, labels.bind_tool

    def count_before_scrape(self, count: Callable[[], None]) -> None:
        """Call a function before the metrics of calls are collected."""
        for metric in (self._calls, self._saved_seconds, self._saved_cost, self._spent_cost):
            metric.before = count
        self._call_seconds.before = count

    def make_series(self, event: CallEvent) -> CallSeries:
        """Return the series of calls like this one, and remember them."""
        namespace, tool = self.bind_tool(event.namespace, event.name)
        outcome = self.bind("outcome", event.outcome)
        tier = "" if event.tier is None else self.bind("tier", event.tier)
        remembered = len(self.series) < _MOST_SERIES
        made = CallSeries(
            self._calls.labels(namespace, tool, outcome, tier).inc,
            self._call_seconds.labels(namespace, tool, outcome).observe,
            self._saved_seconds.labels(namespace, tool).inc,
            self._saved_cost.labels(namespace, tool).inc,
            self._spent_cost.labels(namespace, tool).inc,
            self._batch if remembered else 1,
        )
        if remembered:
            # Another thread may have made it meanwhile.
            key = event.namespace, event.name, event.outcome, event.tier
            return self.series.setdefault(key, made)
        return made


def _register(registry: CollectorRegistry, collectors: list[Any]) -> None:
    """Register all collectors, or none."""
    done: list[Any] = []
    try:
        for collector in collectors:
            registry.register(collector)
            done.append(collector)
    except ValueError as error:
        for collector in done:
            registry.unregister(collector)
        raise ConfigurationError("registry", f"has metrics of these names: {error}") from None
