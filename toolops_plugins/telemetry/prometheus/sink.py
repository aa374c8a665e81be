"""The sink that counts calls in Prometheus metrics."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import CallEvent, CallStep, Notice
from toolops_plugins.telemetry.prometheus.families import BUCKETS, check_buckets
from toolops_plugins.telemetry.prometheus.metrics import is_multiprocess
from toolops_plugins.telemetry.prometheus.recorders import find_recorder
from toolops_plugins.telemetry.runtime_state import StateSource

__all__ = ["PrometheusSink"]

_INFINITY = float("inf")
_CHANGES = frozenset({"breaker", "tier_failed", "tier_recovered"})


class PrometheusSink:
    """Counts calls in the metrics of a Prometheus registry.

    Give one to each runtime: ``ToolOps(sinks=[PrometheusSink()])``. All sinks of a registry count
    in the same metrics. The states of breakers, tiers and entries are read from the runtime: by
    each scrape, or under ``PROMETHEUS_MULTIPROC_DIR`` every five seconds while there are calls.

    Labels hold names of tools, models, tiers, breakers and sinks, words such as outcomes, and never
    an argument, a result, a key, a tag or a question. Safe to use from any threads and event loops;
    it waits for no I/O but the files of ``PROMETHEUS_MULTIPROC_DIR``, which are mapped into memory.

    Args:
        registry: Where the metrics are registered. Under ``PROMETHEUS_MULTIPROC_DIR`` it is not
            used, since a scrape reads the files of all processes. Default: the registry of
            prometheus_client.
        buckets: Upper bounds of the histograms, in seconds. Default: 19 bounds from 1 microsecond
            to 2 minutes.
        max_label_values: The maximum number of values of each label, and of tools; further values
            are counted as "other". Default 200.

    Raises:
        ConfigurationError: A value is wrong, ``PROMETHEUS_MULTIPROC_DIR`` is no folder, another
            sink of the registry has other options, or the registry has metrics of these names.

    Example:
        >>> from prometheus_client import CollectorRegistry
        >>> from toolops_plugins import ToolOps
        >>> registry = CollectorRegistry()
        >>> ops = ToolOps("shop", sinks=[PrometheusSink(registry)])
        >>> ops.call(abs, -1, name="absolute")
        1
        >>> labels = {"namespace": "shop", "tool": "absolute", "outcome": "bypass", "tier": ""}
        >>> registry.get_sample_value("toolops_calls_total", labels)
        1.0
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        buckets: Iterable[float] = BUCKETS,
        max_label_values: int = 200,
    ) -> None:
        if registry is not None and not isinstance(registry, CollectorRegistry):
            raise ConfigurationError("registry", f"must be a CollectorRegistry, not {registry!r}")
        if is_multiprocess():
            _check_folder()
        limit = check.count("max_label_values", max_label_values)
        recorder = find_recorder(registry, check_buckets(buckets), limit)
        self._take = recorder.take
        self._series = recorder.metrics.series
        self._gauges = recorder.metrics.gauges
        self._note_call = getattr(self._gauges, "note_call", None)

    def on_runtime(self, state: StateSource) -> None:
        """Show the parts of a runtime, which calls this when it gets the sink."""
        self._gauges.add(state)

    def on_call(self, event: CallEvent, _state: object = None) -> None:
        """Count a call."""
        series = self._series.get((event.namespace, event.name, event.outcome, event.tier))
        if (
            series is None
            or event.attempts
            or event.price
            or event.reason
            or event.semantic
            or event.details
        ):
            self._take(event)
        else:
            # A hit; as series.add() does, without the call of a function.
            latency, saved, cost = event.latency, event.saved_latency, event.saved_price
            if 0.0 < saved < _INFINITY:
                series.saved_seconds += saved
            if 0.0 < cost < _INFINITY:
                series.saved_cost += cost
            # Last, since the sums are looked at where a latency waits.
            latencies = series.latencies
            latencies.append(latency if 0.0 <= latency < _INFINITY else 0.0)
            if len(latencies) >= series.batch:
                self._take(series)
        if self._note_call is not None:
            self._note_call()

    def on_step(self, step: CallStep, _state: object = None) -> None:
        """Count the wait for a rate limit."""
        if step.kind == "limit_wait":
            self._take(step)

    def on_notice(self, notice: Notice) -> None:
        """Count a notice."""
        self._take(notice)
        if notice.kind in _CHANGES:
            self._gauges.refresh()


def _check_folder() -> None:
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if not Path(folder).is_dir():
        raise ConfigurationError(
            "PROMETHEUS_MULTIPROC_DIR",
            f"must name a folder that exists, not {folder!r}; make it, or empty it, before the"
            " workers start",
        )
