"""Counts, savings and latencies of every tool, exact under threads and bounded in memory."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any, TypeAlias

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.events import OUTCOMES, CallEvent, Outcome
from toolops_plugins.telemetry.report import Latency, StatsSnapshot, ToolReport

__all__ = ["OTHER", "Stats", "ToolStats"]

OTHER = "(other)"
"""The name under which the tools past the limit are counted together."""

Sketches: TypeAlias = dict[str, Quantiles]

_SUMMED = (
    "stale", "coalesced", "misses", "fallbacks", "rejected", "errors", "bypassed", "refreshes",
    "asked", "attempts", "saved_seconds", "saved_price", "spent",
)  # fmt: skip
"""Fields of a report that add up."""

_BATCH = 32
"""Calls that may wait to be counted. It bounds their memory and the pause of counting them."""


class ToolStats:
    """The numbers of one tool; made by :meth:`Stats.recorder` and valid for the runtime's life.

    A call is recorded by appending it to a deque, which is atomic, and every 32 calls are counted
    in one go under a lock. So a hit pays for a fraction of the lock, and no count is ever lost.
    Taking from a deque, unlike swapping a list, cannot miss an item that another thread is just
    appending. Safe to use from any threads and event loops.

    Args:
        name: The tool's name.
        local_tier: Label under which :meth:`hit` counts.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_attempts",
        "_counting",
        "_counts",
        "_events",
        "_hits",
        "_local_tier",
        "_lock",
        "_near_hits",
        "_saved_price",
        "_saved_seconds",
        "_sketches",
        "_spent",
        "_tiers",
        "name",
    )

    def __init__(self, name: str, local_tier: str) -> None:
        self.name = name
        self._local_tier = local_tier
        # Reentrant, with a flag: a signal handler or a finalizer may call a tool while its thread
        # is counting. It must neither deadlock nor count in the middle of a sum.
        self._lock = fork_safe(self, threading.RLock())
        self._counting = False
        self._hits: deque[tuple[float, float, float]] = deque()
        self._events: deque[CallEvent] = deque()
        self._zero()

    def hit(self, latency: float, saved_seconds: float = 0.0, saved_price: float = 0.0) -> None:
        """Record a fresh hit in the local tier, without an event.

        Args:
            latency: Seconds that the caller waited.
            saved_seconds: Seconds that the caller was spared.
            saved_price: Money that was not spent again.
        """
        self._hits.append((latency, saved_seconds, saved_price))
        if len(self._hits) >= _BATCH:
            self._count()

    def record(self, event: CallEvent) -> None:
        """Record a call with any outcome, or a refresh."""
        self._events.append(event)
        if len(self._events) >= _BATCH:
            self._count()

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._count()
            self._zero()

    def report(self, sketches: Sketches) -> ToolReport:
        """Return the numbers up to now.

        Args:
            sketches: Latencies of other tools, to which this tool's are added.
        """
        with self._lock:
            self._count()
            _merge(sketches, self._sketches)
            counts = self._counts
            return ToolReport(
                self.name,
                tiers=tuple(sorted(self._tiers.items())),
                stale=counts["stale"],
                coalesced=counts["coalesced"],
                misses=counts["miss"],
                fallbacks=counts["fallback"],
                rejected=counts["rejected"],
                errors=counts["error"],
                bypassed=counts["bypass"],
                refreshes=counts["refresh"],
                asked=self._asked,
                attempts=self._attempts,
                saved_seconds=self._saved_seconds,
                saved_price=self._saved_price,
                spent=self._spent,
                **_latencies(self._sketches),
            )

    def near_hits(self) -> int:
        """Return roughly how many hits this process has answered from its own memory."""
        return self._near_hits + len(self._hits)

    def _zero(self) -> None:
        self._counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self._tiers: dict[str, int] = {}
        # By "hit", "miss" and "other", each made on first use, since most tools need not all.
        self._sketches: Sketches = {}
        self._near_hits = 0
        self._asked = 0
        self._attempts = 0
        self._saved_seconds = 0.0
        self._saved_price = 0.0
        self._spent = 0.0

    def _count(self) -> None:
        """Count the pending calls of this moment; later ones wait for the next batch."""
        with self._lock:
            if self._counting:
                return
            self._counting = True
            try:
                self._count_batch()
            finally:
                self._counting = False

    def _count_batch(self) -> None:
        # No other thread takes items meanwhile, so the deques do not get shorter.
        take = self._hits.popleft
        hits = [take() for _ in range(len(self._hits))]
        if hits:
            self._tiers[self._local_tier] = self._tiers.get(self._local_tier, 0) + len(hits)
            self._asked += len(hits)
            self._near_hits += len(hits)
            latencies, seconds, prices = zip(*hits, strict=True)
            self._saved_seconds += sum(seconds)
            self._saved_price += sum(prices)
            add = self._sketch("hit").add
            for latency in latencies:
                add(latency)
        for _ in range(len(self._events)):
            self._count_event(self._events.popleft())

    def _count_event(self, event: CallEvent) -> None:
        outcome = event.outcome
        self._attempts += event.attempts
        self._spent += event.price
        self._saved_seconds += event.saved_latency
        self._saved_price += event.saved_price
        self._asked += event.asked_cache
        if outcome == "hit":
            tier = event.tier or self._local_tier
            self._tiers[tier] = self._tiers.get(tier, 0) + 1
        else:
            self._counts[outcome] += 1
        if outcome != "refresh":
            group = outcome if outcome in ("hit", "miss") else "other"
            self._sketch(group).add(event.latency)

    def _sketch(self, group: str) -> Quantiles:
        sketch = self._sketches.get(group)
        if sketch is None:
            sketch = self._sketches[group] = Quantiles()
        return sketch


class Stats:
    """The numbers of all tools of a runtime. Safe to use from any threads and event loops.

    Args:
        max_tools: Tools that are told apart; later ones are counted together under "(other)".
            Default 1,000.
        local_tier: Label of the tier whose hits are recorded by :meth:`ToolStats.hit`.
            Default "L1".

    Raises:
        ConfigurationError: ``max_tools`` is no whole number of 1 or more.
    """

    def __init__(self, *, max_tools: int = 1_000, local_tier: str = "L1") -> None:
        self._max_tools = check.count("max_tools", max_tools)
        self._local_tier = local_tier
        self._lock = fork_safe(self, threading.RLock())
        self._recorders: dict[str, ToolStats] = {}
        self._other = ToolStats(OTHER, local_tier)

    def recorder(self, name: str) -> ToolStats:
        """Return the recorder of a tool's calls; the same for the same name, to be kept."""
        found = self._recorders.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._recorders:
                if len(self._recorders) >= self._max_tools:
                    return self._other
                self._recorders[name] = ToolStats(name, self._local_tier)
            return self._recorders[name]

    def snapshot(self) -> StatsSnapshot:
        """Return the numbers up to now.

        Those of one tool belong to one moment; tools are read one after the other, and the total is
        their sum. Takes some tenths of a millisecond for each tool.
        """
        with self._lock:
            recorders = [*self._recorders.values(), self._other]
        sketches: Sketches = {}
        reports = [recorder.report(sketches) for recorder in recorders]
        called = [report for report in reports if report.calls or report.refreshes]
        called.sort(key=lambda report: (-report.calls, report.name))
        return StatsSnapshot(tuple(called), _total(called, sketches))

    def reset(self) -> None:
        """Start again at zero; recorders stay valid."""
        with self._lock:
            recorders = [*self._recorders.values(), self._other]
        for recorder in recorders:
            recorder.reset()


def _total(reports: list[ToolReport], sketches: Sketches) -> ToolReport:
    tiers: Counter[str] = Counter()
    for report in reports:
        tiers.update(report.hits_by_tier)
    sums: dict[str, Any] = {
        field: sum(getattr(report, field) for report in reports) for field in _SUMMED
    }
    return ToolReport("total", tiers=tuple(sorted(tiers.items())), **sums, **_latencies(sketches))


def _merge(into: Sketches, sketches: Sketches) -> None:
    for group, sketch in sketches.items():
        into.setdefault(group, Quantiles()).merge(sketch)


def _latencies(sketches: Sketches) -> dict[str, Any]:
    every = Quantiles()
    for sketch in sketches.values():
        every.merge(sketch)
    return {
        "latency": _latency(every),
        "hit_latency": _latency(sketches.get("hit")),
        "miss_latency": _latency(sketches.get("miss")),
    }


def _latency(sketch: Quantiles | None) -> Latency:
    if sketch is None or not sketch.count:
        return Latency()
    return Latency(sketch.quantile(0.5), sketch.quantile(0.95), sketch.quantile(0.99))
