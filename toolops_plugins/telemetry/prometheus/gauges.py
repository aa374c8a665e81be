"""Gauges of what runtimes know: the states of breakers, tiers, entries, and sinks that fail.

In one process a scrape reads them. In one of several processes the scrape reads files, so each
process writes its own: when a notice tells of a change, and every few seconds while there are
calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client import Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.telemetry.prometheus.families import (
    BREAKER_STATE,
    DROPPED,
    ENTRIES,
    SEMANTIC_ENTRIES,
    STATES,
    TIER_UP,
    Family,
)
from toolops_plugins.telemetry.prometheus.labels import Labels
from toolops_plugins.telemetry.runtime_state import RuntimeState, StateSource

if TYPE_CHECKING:
    from toolops_plugins.telemetry.ledger import ProcessState

__all__ = ["ProcessGauges", "ScrapedGauges", "make_family", "read_values"]


Values: TypeAlias = dict[tuple[str, ...], float]

_FAMILIES: Final = (BREAKER_STATE, TIER_UP, ENTRIES, SEMANTIC_ENTRIES, DROPPED)
_PRUNED: Final = 100
_PERIOD: Final = 5.0
"""Seconds between two writes of a process while there are calls."""


def read_values(
    runtimes: Iterable[RuntimeState | ProcessState], labels: Labels
) -> dict[Family, Values]:
    """Return the values of all gauges.

    Runtimes of one namespace are added up: entries as a sum, a tier is down if one of them sees it
    so, and a breaker is in each state that one of them is in.

    Args:
        runtimes: The present states of all runtimes, of this process or of a ledger's.
        labels: The values of each label.
    """
    found: dict[Family, Values] = {family: {} for family in _FAMILIES}
    states, tiers, entries, answers, dropped = found.values()
    for runtime in runtimes:
        namespace = labels.bind("namespace", runtime.namespace)
        for breaker in runtime.breakers:
            name = labels.bind("breaker", breaker.name)
            for state in STATES:
                one = namespace, name, state
                states[one] = max(states.get(one, 0.0), float(breaker.state == state))
        for tier in runtime.tiers:
            series = namespace, labels.bind("tier", tier.label)
            tiers[series] = min(tiers.get(series, 1.0), float(tier.up))
            if tier.items is not None:
                entries[series] = entries.get(series, 0.0) + tier.items
        if "entries" in runtime.index:
            known = answers.get((namespace,), 0.0)
            answers[(namespace,)] = max(known, float(runtime.index["entries"]))
        for sink, count in runtime.dropped.items():
            series = namespace, labels.bind("sink", sink)
            dropped[series] = dropped.get(series, 0.0) + count
    return found


class _Sources:
    """The runtimes whose parts are read.

    Args:
        max_label_values: The maximum number of values of each label.
    """

    def __init__(self, max_label_values: int) -> None:
        self._lock = fork_safe(self, threading.RLock())
        self._sources: list[StateSource] = []
        self._labels = Labels(max_label_values)

    def add(self, source: StateSource) -> None:
        """Read the parts of one more runtime from now on."""
        with self._lock:
            self._sources.append(source)
            # Where nobody scrapes, runtimes that are gone are forgotten now and then.
            if len(self._sources) % _PRUNED == 0:
                self._sources = [each for each in self._sources if each() is not None]

    def read(self) -> dict[Family, Values]:
        """Return the present values; runtimes that are gone are forgotten."""
        runtimes: list[RuntimeState] = []
        with self._lock:
            for source in tuple(self._sources):
                runtime = source()
                if runtime is None:
                    self._sources.remove(source)
                else:
                    runtimes.append(runtime)
            return read_values(runtimes, self._labels)


class ScrapedGauges:
    """A collector that reads the values when it is scraped. For one process.

    Args:
        max_label_values: The maximum number of values of each label.
    """

    def __init__(self, max_label_values: int) -> None:
        self._sources = _Sources(max_label_values)

    def add(self, source: StateSource) -> None:
        """Read the parts of one more runtime from now on."""
        self._sources.add(source)

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, so that the registry knows their names."""
        return [make_family(family, {}) for family in _FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics with their present values."""
        return [make_family(*item) for item in self._sources.read().items()]

    def refresh(self) -> None:
        """Do nothing: values are read when they are asked for."""


def make_family(family: Family, values: Values) -> Metric:
    """Return a gauge, or a counter if the name ends so, with its values by labels."""
    kind = CounterMetricFamily if family.name.endswith("_total") else GaugeMetricFamily
    made = kind(family.name, family.text, labels=family.labels)
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made


class ProcessGauges:
    """Gauges of one of several processes, written into its own files.

    A thread writes them every five seconds, and ends when there was no call for as long. Safe to
    use from any threads, and after a fork.

    Args:
        max_label_values: The maximum number of values of each label.
    """

    def __init__(self, max_label_values: int) -> None:
        self._sources = _Sources(max_label_values)
        self._lock = fork_safe(self, threading.RLock())
        modes = {BREAKER_STATE: "livemax", TIER_UP: "livemin", ENTRIES: "livesum"}
        self._gauges = {
            family: Gauge(*family, registry=None, multiprocess_mode=modes.get(family, "livemax"))  # type: ignore[arg-type]  # a dict's values are plain texts
            for family in _FAMILIES
            if family is not DROPPED
        }
        self._dropped = Counter(*DROPPED, registry=None)
        self._written: dict[Family, Values] = {}
        self._called = False
        self._running = False

    def reset_after_fork(self) -> None:
        """Write anew in a forked child, whose thread and files are yet to be made."""
        self._running = False
        # What the parent has counted stands in the parent's file.
        self._written = {DROPPED: self._written.get(DROPPED, {})}

    def add(self, source: StateSource) -> None:
        """Write the parts of one more runtime from now on."""
        self._sources.add(source)

    def note_call(self) -> None:
        """Note that there was a call, and start the thread if it does not run."""
        self._called = True
        if not self._running:
            self._start()

    def refresh(self) -> None:
        """Write the present values."""
        with self._lock:
            read = self._sources.read()
            for family, gauge in self._gauges.items():
                values, before = read[family], self._written.get(family, {})
                # What has gone cannot be removed from a file. A tier that nobody uses is not down.
                gone = dict.fromkeys(before.keys() - values.keys(), float(family is TIER_UP))
                for labels, value in {**values, **gone}.items():
                    if before.get(labels) != value:
                        gauge.labels(*labels).set(value)
            earlier = self._written.get(DROPPED, {})
            for labels, count in read[DROPPED].items():
                self._dropped.labels(*labels).inc(max(0.0, count - earlier.get(labels, 0.0)))
            self._written = read

    def _start(self) -> None:
        with self._lock:
            if self._running:
                return
            self._running = True
        try:
            threading.Thread(target=self._run, name="toolops-prometheus", daemon=True).start()
        except RuntimeError:  # no thread can be started now; a later call tries again
            self._running = False
            self.refresh()

    def _run(self) -> None:
        while True:
            self._called = False
            with suppress(Exception):  # nobody is there to be told; the next round tries again
                self.refresh()
            time.sleep(_PERIOD)
            with self._lock:
                # In this order: who calls from here on sees that it has to start another thread.
                self._running = False
                if not self._called:
                    return
                self._running = True
