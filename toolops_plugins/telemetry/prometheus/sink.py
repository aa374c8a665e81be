"""The sink that counts calls in Prometheus metrics."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import CallEvent, CallStep, Details, Notice
from toolops_plugins.telemetry.prometheus.families import BUCKETS, check_buckets
from toolops_plugins.telemetry.prometheus.metrics import find_metrics, is_multiprocess
from toolops_plugins.telemetry.runtime_state import StateSource

__all__ = ["PrometheusSink"]

_TOKENS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
    "saved_input_tokens": "saved_input",
    "saved_output_tokens": "saved_output",
}
_CHANGES = frozenset({"breaker", "tier_failed", "tier_recovered"})


class _Thread(threading.local):
    """Whether this thread is counting just now."""

    counts = False


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
        self._metrics = find_metrics(registry, check_buckets(buckets), limit)
        self._series = self._metrics.series
        self._gauges = self._metrics.gauges
        self._thread = _Thread()
        self._waiting: deque[CallEvent | CallStep | Notice] = deque()
        self._note_call = getattr(self._gauges, "note_call", None)

    def on_runtime(self, state: StateSource) -> None:
        """Show the parts of a runtime, which calls this when it gets the sink."""
        self._gauges.add(state)

    def on_call(self, event: CallEvent, _state: object = None) -> None:
        """Count a call."""
        # As _take does, without two calls of functions: most calls are hits.
        thread = self._thread
        if thread.counts:
            self._waiting.append(event)
            return
        thread.counts = True
        try:
            self._count_call(event)
            if self._waiting:
                self._count_waiting()
        finally:
            thread.counts = False
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

    def _take(self, item: CallStep | Notice) -> None:
        # The locks of prometheus_client are not reentrant. So what a signal handler or a finalizer
        # reports, while its own thread is counting, waits until that is done.
        thread = self._thread
        if thread.counts:
            self._waiting.append(item)
            return
        thread.counts = True
        try:
            self._count(item)
            self._count_waiting()
        finally:
            thread.counts = False

    def _count_waiting(self) -> None:
        while self._waiting:
            try:
                item = self._waiting.popleft()
            except IndexError:  # another thread has counted it
                return
            self._count(item)

    def _count(self, item: CallEvent | CallStep | Notice) -> None:
        metrics = self._metrics
        if isinstance(item, CallEvent):
            self._count_call(item)
        elif isinstance(item, Notice):
            metrics.notices.labels(
                metrics.bind("namespace", item.namespace),
                metrics.bind("kind", item.kind),
                metrics.bind("name", item.name),
            ).inc()
        else:
            labels = metrics.bind_tool(item.namespace, item.name)
            metrics.limit_wait.labels(*labels).observe(_sound(item.seconds))

    def _count_call(self, event: CallEvent) -> None:
        series = self._series.get((event.namespace, event.name, event.outcome, event.tier))
        if series is None:
            series = self._metrics.make_series(event)
        count_call, wait, save_seconds, save_cost, spend = series
        count_call()
        wait(_sound(event.latency))
        if 0.0 < event.saved_latency < math.inf:
            save_seconds(event.saved_latency)
        if 0.0 < event.saved_price < math.inf:
            save_cost(event.saved_price)
        if 0.0 < event.price < math.inf:
            spend(event.price)
        if event.attempts or event.reason or event.semantic or event.details:
            self._count_rest(event)

    def _count_rest(self, event: CallEvent) -> None:
        metrics = self._metrics
        labels = metrics.bind_tool(event.namespace, event.name)
        if event.worked > 0.0:
            metrics.function_seconds.labels(*labels).observe(_sound(event.worked))
        retries = event.attempts - 1 - event.hedged
        if retries > 0:
            metrics.retries.labels(*labels).inc(retries)
        if event.reason:
            metrics.reasons.labels(*labels, metrics.bind("reason", event.reason)).inc()
        if event.details:
            self._count_tokens(labels, event.details)
        if event.semantic and "verdict" in event.semantic:
            verdict = metrics.bind("verdict", event.semantic["verdict"])
            metrics.decisions.labels(*labels, verdict).inc()
            self._note_error(labels[0], event.semantic)

    def _count_tokens(self, labels: tuple[str, str], details: Details) -> None:
        metrics = self._metrics
        model: str | None = None
        for detail, kind in _TOKENS.items():
            count = details.get(detail)
            if isinstance(count, int | float) and 0 < count < math.inf:
                if model is None:
                    name = details.get("model") or details.get("response_model") or ""
                    model = metrics.bind("model", name)
                metrics.tokens.labels(*labels, model, kind).inc(count)

    def _note_error(self, namespace: str, semantic: Details) -> None:
        """Note how much of the errors that a bound allows is expected to have happened."""
        spent, allowed = semantic.get("spent"), semantic.get("allowed")
        if isinstance(spent, int | float) and isinstance(allowed, int | float) and allowed > 0:
            bound = self._metrics.bind("bound", semantic.get("max_error", ""))
            self._metrics.semantic_error.labels(namespace, bound).set(spent / allowed)


def _sound(seconds: float) -> float:
    """Return a duration, or 0 where it is none: a sum that was NaN once is NaN for ever."""
    return seconds if 0.0 <= seconds < math.inf else 0.0


def _check_folder() -> None:
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if not Path(folder).is_dir():
        raise ConfigurationError(
            "PROMETHEUS_MULTIPROC_DIR",
            f"must name a folder that exists, not {folder!r}; make it, or empty it, before the"
            " workers start",
        )
