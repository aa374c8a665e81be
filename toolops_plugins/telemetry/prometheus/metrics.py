"""The counters and histograms of one registry, which all its sinks share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, values

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import CallEvent
from toolops_plugins.telemetry.prometheus import families
from toolops_plugins.telemetry.prometheus.families import Family
from toolops_plugins.telemetry.prometheus.gauges import ProcessGauges, ScrapedGauges
from toolops_plugins.telemetry.prometheus.labels import Labels

__all__ = ["CallSeries", "Metrics", "find_metrics", "is_multiprocess"]

_MOST_SERIES = 20_000
"""Combinations of outcome and tier, of all tools, whose series are found without a lock."""


def is_multiprocess() -> bool:
    """Return whether prometheus_client keeps values in the files of PROMETHEUS_MULTIPROC_DIR.

    It decides when it is imported, so the variable of this moment says nothing.
    """
    return bool(getattr(values.ValueClass, "_multiprocess", False))


class CallSeries(NamedTuple):
    """What a call with one outcome from one tier counts in, as bound methods."""

    count_call: Callable[[], None]
    wait: Callable[[float], None]
    save_seconds: Callable[[float], None]
    save_cost: Callable[[float], None]
    spend: Callable[[float], None]


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

        def counter(family: Family) -> Counter:
            metric = Counter(*family, registry=None)
            made.append(metric)
            return metric

        def histogram(family: Family) -> Histogram:
            metric = Histogram(*family, registry=None, buckets=buckets)
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
        self.series: dict[tuple[Any, ...], CallSeries] = {}
        labels = Labels(max_label_values)
        self.bind, self.bind_tool = labels.bind, labels.bind_tool

    def make_series(self, event: CallEvent) -> CallSeries:
        """Return the series of calls like this one, and remember them."""
        namespace, tool = self.bind_tool(event.namespace, event.name)
        outcome = self.bind("outcome", event.outcome)
        tier = "" if event.tier is None else self.bind("tier", event.tier)
        made = CallSeries(
            self._calls.labels(namespace, tool, outcome, tier).inc,
            self._call_seconds.labels(namespace, tool, outcome).observe,
            self._saved_seconds.labels(namespace, tool).inc,
            self._saved_cost.labels(namespace, tool).inc,
            self._spent_cost.labels(namespace, tool).inc,
        )
        if len(self.series) < _MOST_SERIES:
            self.series[event.namespace, event.name, event.outcome, event.tier] = made
        return made


class _Known:
    """The metrics of every registry, and those of the files, of which a process has one set."""

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._by_registry: WeakKeyDictionary[CollectorRegistry, Metrics] = WeakKeyDictionary()
        self._of_files: Metrics | None = None

    def find(
        self, registry: CollectorRegistry | None, buckets: tuple[float, ...], max_label_values: int
    ) -> Metrics:
        """Return the metrics of a registry; see :func:`find_metrics`."""
        with self._lock:
            if is_multiprocess():
                # Two counters of one name in one process would overwrite each other's file.
                if self._of_files is None:
                    self._of_files = Metrics(None, buckets, max_label_values)
                found = self._of_files
            else:
                registry = REGISTRY if registry is None else registry
                known = self._by_registry.get(registry)
                if known is None:
                    known = self._by_registry[registry] = Metrics(
                        registry, buckets, max_label_values
                    )
                found = known
        for name, given, first in zip(
            ("buckets", "max_label_values"),
            (buckets, max_label_values),
            found.options,
            strict=True,
        ):
            if given != first:
                raise ConfigurationError(
                    name,
                    f"is {given!r}, but another PrometheusSink of this registry has {first!r};"
                    " give both the same, or a registry of their own",
                )
        return found


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


_KNOWN = _Known()


def find_metrics(
    registry: CollectorRegistry | None, buckets: tuple[float, ...], max_label_values: int
) -> Metrics:
    """Return the metrics of a registry, or of the files of several processes; made once.

    Raises:
        ConfigurationError: They were made with other options, or the registry has metrics of the
            same names from elsewhere.
    """
    return _KNOWN.find(registry, buckets, max_label_values)
