"""Counts calls, steps and notices in the metrics of one registry."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TypeAlias

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.telemetry.events import CallEvent, CallStep, Details, Notice
from toolops_plugins.telemetry.prometheus.metrics import Metrics
from toolops_plugins.telemetry.prometheus.series import CallSeries, sound

__all__ = ["Item", "Recorder"]

Item: TypeAlias = CallEvent | CallSeries | CallStep | Notice
"""An item to count; of a series, the calls that wait."""

_TOKENS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
    "saved_input_tokens": "saved_input",
    "saved_output_tokens": "saved_output",
}


class _Thread(threading.local):
    """A flag of each thread, which is set while the thread counts."""

    counts = False


class Recorder:
    """Counts in metrics. Safe to use from any threads, and in signal handlers and finalizers.

    Args:
        metrics: The metrics, whose scrapes count what waits from now on.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._lock = fork_safe(self, threading.RLock())
        self._thread = _Thread()
        self._waiting: deque[Item] = deque()
        metrics.count_before_scrape(self.drain)

    def take(self, item: Item) -> None:
        """Count a call, a step, a notice, or the calls of a series that wait."""
        # The locks of prometheus_client are not reentrant. So what a signal handler or a finalizer
        # reports, while its own thread is counting, waits until that is done.
        thread = self._thread
        if thread.counts:
            self._waiting.append(item)
            return
        thread.counts = True
        try:
            self._count(item)
            if self._waiting:
                self._count_queue()
        finally:
            thread.counts = False

    def drain(self) -> None:
        """Count the calls of all series that wait."""
        for series in tuple(self.metrics.series.values()):
            if series.latencies:
                self.take(series)

    def _count_queue(self) -> None:
        while self._waiting:
            try:
                item = self._waiting.popleft()
            except IndexError:  # another thread counts it
                return
            self._count(item)

    def _count(self, item: Item) -> None:
        metrics = self.metrics
        if isinstance(item, CallSeries):
            with self._lock:
                item.drain()
        elif isinstance(item, CallEvent):
            self._count_call(item)
        elif isinstance(item, Notice):
            metrics.notices.labels(
                metrics.bind("namespace", item.namespace),
                metrics.bind("kind", item.kind),
                metrics.bind("name", item.name),
            ).inc()
        else:
            labels = metrics.bind_tool(item.namespace, item.name)
            metrics.limit_wait.labels(*labels).observe(sound(item.seconds))

    def _count_call(self, event: CallEvent) -> None:
        metrics = self.metrics
        series = metrics.series.get((event.namespace, event.name, event.outcome, event.tier))
        if series is None:
            series = metrics.make_series(event)
        series.add(event)
        if len(series.latencies) >= series.batch:
            with self._lock:
                series.drain()
        if event.worked > 0.0:
            if series.work is None:
                tool = metrics.bind_tool(event.namespace, event.name)
                series.work = metrics.function_seconds.labels(*tool).observe
            series.work(sound(event.worked))
        retries = event.attempts - 1 - event.hedged
        if retries > 0 or event.reason or event.details or event.semantic:
            self._count_rest(event, retries)

    def _count_rest(self, event: CallEvent, retries: int) -> None:
        metrics = self.metrics
        labels = metrics.bind_tool(event.namespace, event.name)
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
        metrics = self.metrics
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
            bound = self.metrics.bind("bound", semantic.get("max_error", ""))
            self.metrics.semantic_error.labels(namespace, bound).set(spent / allowed)
