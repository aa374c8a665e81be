"""The metrics of all processes from a ledger, under the names that the sink uses."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.ledger import (
    Decisions,
    LedgerError,
    LedgerReader,
    ProcessState,
    Summary,
)
from toolops_plugins.telemetry.prometheus import families
from toolops_plugins.telemetry.prometheus.families import BUCKETS, Family
from toolops_plugins.telemetry.prometheus.gauges import Values, make_family, read_values
from toolops_plugins.telemetry.prometheus.labels import Labels
from toolops_plugins.telemetry.prometheus.views import ViewRegistry

__all__ = ["LedgerCollector", "ledger_registry"]

_SETTLED: Final = 600.0
"""Seconds after which a minute is taken as complete, though a process may write late."""

_MOST_PROCESSES: Final = 10_000
"""Processes that are remembered, in case they write again."""

_COUNTERS: Final = (
    families.CALLS,
    families.SAVED_SECONDS,
    families.SAVED_COST,
    families.SPENT_COST,
    families.TOKENS,
    families.REASONS,
    families.SEMANTIC_DECISIONS,
)
_HISTOGRAMS: Final = (families.CALL_SECONDS, families.FUNCTION_SECONDS)

_Totals: TypeAlias = dict[Family, Values]
_Histograms: TypeAlias = dict[Family, dict[tuple[str, ...], Quantiles]]


class _Sums:
    """Sums by metric and labels."""

    def __init__(self) -> None:
        self.counters: _Totals = {family: {} for family in _COUNTERS}
        self.histograms: _Histograms = {family: {} for family in _HISTOGRAMS}

    def add(self, family: Family, labels: tuple[str, ...], value: float) -> None:
        """Add to a counter."""
        counts = self.counters[family]
        counts[labels] = counts.get(labels, 0.0) + value

    def merge(self, family: Family, labels: tuple[str, ...], durations: Quantiles) -> None:
        """Add to a histogram."""
        self.histograms[family].setdefault(labels, Quantiles()).merge(durations)

    def add_all(self, other: _Sums) -> None:
        """Add other sums."""
        for family, counts in other.counters.items():
            for labels, value in counts.items():
                self.add(family, labels, value)
        for family, found in other.histograms.items():
            for labels, durations in found.items():
                self.merge(family, labels, durations)


class LedgerCollector(Collector):
    """Collects what all processes have written to a ledger since this object was made.

    A counter may never fall, and a ledger forgets: so the sums of minutes that are complete are
    kept here, and each scrape reads the latest ones. Safe to use from any threads.

    Args:
        reader: The ledger.
        notify: Called with the error when the ledger cannot be read any more, and with None when it
            can be read again.
        max_label_values: The maximum number of values of each label. Default 200.
    """

    def __init__(
        self,
        reader: LedgerReader,
        notify: Callable[[LedgerError | None], None],
        max_label_values: int = 200,
    ) -> None:
        self._reader = reader
        self._notify = notify
        self._labels = Labels(max_label_values)
        self._lock = threading.Lock()
        self._complete = _Sums()
        self._since = math.floor(reader.now() / 60) * 60.0
        self._dropped: dict[str, dict[str, int]] | None = None
        self._dropped_totals: Values = {}
        self._reachable = True

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; where the ledger cannot be read, only that it cannot."""
        with self._lock:
            try:
                found = self._read()
            except LedgerError as error:
                if self._reachable:
                    self._reachable = False
                    self._notify(error)
                return [make_family(families.LEDGER_UP, {(): 0.0})]
            if not self._reachable:
                self._reachable = True
                self._notify(None)
        return [*found, make_family(families.LEDGER_UP, {(): 1.0})]

    def _read(self) -> list[Metric]:
        until = math.floor((self._reader.now() - _SETTLED) / 60) * 60.0
        if until > self._since + _SETTLED:
            self._complete.add_all(self._sum(self._since, until))
            self._since = until
        sums = _Sums()
        sums.add_all(self._complete)
        sums.add_all(self._sum(self._since, None))
        processes = self._reader.processes()
        gauges = read_values(processes, self._labels)
        self._add_drops(processes)
        gauges[families.DROPPED] = dict(self._dropped_totals)
        return [
            *(make_family(*item) for item in sums.counters.items()),
            *(_make_histogram(*item) for item in sums.histograms.items()),
            *(make_family(*item) for item in gauges.items()),
        ]

    def _sum(self, since: float, until: float | None) -> _Sums:
        sums = _Sums()
        by: Any = ("namespace", "tool", "model")
        for (namespace, tool, model), summary in self._reader.summaries(
            since, until, by=by
        ).items():
            labels = self._labels.bind_tool(namespace, tool)
            self._add_calls(sums, labels, summary)
            self._add_tokens(sums, labels, self._labels.bind("model", model), summary)
        by = ("namespace", "tool")
        for (namespace, tool), decisions in self._reader.decisions(since, until, by=by).items():
            self._add_decisions(sums, self._labels.bind_tool(namespace, tool), decisions)
        return sums

    def _add_calls(self, sums: _Sums, labels: tuple[str, str], summary: Summary) -> None:
        bind = self._labels.bind
        near = 0
        for tier, count in summary.tiers.items():
            sums.add(families.CALLS, (*labels, "hit", bind("tier", tier)), count)
            near += count
        for outcome, count in summary.outcomes.items():
            left = count - near if outcome == "hit" else count
            if left > 0:
                sums.add(families.CALLS, (*labels, bind("outcome", outcome), ""), left)
        sums.merge(families.CALL_SECONDS, (*labels, ""), summary.waited)
        sums.merge(families.FUNCTION_SECONDS, labels, summary.worked)
        sums.add(families.SAVED_SECONDS, labels, summary.saved_seconds)
        sums.add(families.SAVED_COST, labels, summary.saved_cost)
        sums.add(families.SPENT_COST, labels, summary.spent_cost)
        for reason, count in summary.reasons.items():
            sums.add(families.REASONS, (*labels, bind("reason", reason)), count)

    def _add_tokens(
        self, sums: _Sums, labels: tuple[str, str], model: str, summary: Summary
    ) -> None:
        for kind, count in (
            ("input", summary.input_tokens),
            ("output", summary.output_tokens),
            ("saved", summary.saved_tokens),
        ):
            if count:
                sums.add(families.TOKENS, (*labels, model, kind), count)

    def _add_decisions(self, sums: _Sums, labels: tuple[str, str], decisions: Decisions) -> None:
        for verdict, count in decisions.verdicts.items():
            bound = self._labels.bind("verdict", verdict)
            sums.add(families.SEMANTIC_DECISIONS, (*labels, bound), count)

    def _add_drops(self, processes: Iterable[ProcessState]) -> None:
        """Add what sinks have failed to take since the last scrape, process by process."""
        present = {process.id: dict(process.dropped) for process in processes}
        if self._dropped is None:  # what was dropped before is no news
            self._dropped = present
        for process in processes:
            before = self._dropped.get(process.id, {})
            for sink, count in process.dropped.items():
                series = (
                    self._labels.bind("namespace", process.namespace),
                    self._labels.bind("sink", sink),
                )
                more = max(0, count - before.get(sink, 0))
                self._dropped_totals[series] = self._dropped_totals.get(series, 0.0) + more
        self._dropped.update(present)
        while len(self._dropped) > _MOST_PROCESSES:
            del self._dropped[next(iter(self._dropped))]


def _make_histogram(family: Family, series: dict[tuple[str, ...], Quantiles]) -> Metric:
    made = HistogramMetricFamily(family.name, family.text, labels=family.labels)
    bounds = [*BUCKETS, math.inf]
    texts = [*map(str, BUCKETS), "+Inf"]
    for labels, durations in series.items():
        counts = durations.counts_up_to(bounds)
        made.add_metric(labels, list(zip(texts, counts, strict=True)), durations.total)
    return made


def ledger_registry(
    reader: LedgerReader, notify: Callable[[LedgerError | None], None]
) -> CollectorRegistry:
    """Return a registry that shows what all processes write to a ledger from now on.

    Arguments are those of :class:`LedgerCollector`.
    """
    return ViewRegistry(LedgerCollector(reader, notify))
