"""Calls that wait to be counted, by outcome and tier, so that a hit pays for no lock."""

from __future__ import annotations

import math
from collections.abc import Callable

from toolops_plugins.telemetry.events import CallEvent

__all__ = ["CallSeries", "sound"]


class CallSeries:
    """The counts of the calls of one tool that had one outcome and came from one tier.

    A call appends its latency and adds to sums. No lock is needed: appending is atomic, and CPython
    switches threads only at calls and jumps, of which ``series.spent += price`` has none between
    its read and its write. (An interpreter without the global lock could lose a sum now and then.)
    Each scrape, and each ``batch`` calls, :meth:`drain` counts what waits.

    Args:
        count_calls: Adds to the number of calls.
        wait: Adds a duration to the histogram.
        save_seconds: Adds to the seconds saved.
        save_cost: Adds to the money saved.
        spend: Adds to the money spent.
        batch: Calls that may wait; 1: none.

    Attributes:
        latencies: The latencies that wait.
        saved_seconds: The sum of all seconds saved, counted or not.
        saved_cost: The sum of all money saved.
        spent: The sum of all money spent.
        work: Adds to the histogram of the function's own work; set when it has first run.
    """

    __slots__ = (
        "_count_calls",
        "_save_cost",
        "_save_seconds",
        "_saved_cost",
        "_saved_seconds",
        "_spend",
        "_spent",
        "_wait",
        "batch",
        "latencies",
        "saved_cost",
        "saved_seconds",
        "spent",
        "work",
    )

    def __init__(
        self,
        count_calls: Callable[[float], None],
        wait: Callable[[float], None],
        save_seconds: Callable[[float], None],
        save_cost: Callable[[float], None],
        spend: Callable[[float], None],
        batch: int,
    ) -> None:
        self._count_calls = count_calls
        self._wait = wait
        self._save_seconds = save_seconds
        self._save_cost = save_cost
        self._spend = spend
        self._saved_seconds = self._saved_cost = self._spent = 0.0  # of them, counted
        self.batch = batch
        self.latencies: list[float] = []
        self.saved_seconds = 0.0
        self.saved_cost = 0.0
        self.spent = 0.0
        self.work: Callable[[float], None] | None = None

    def add(self, event: CallEvent) -> None:
        """Add a call to those that wait."""
        if 0.0 < event.saved_latency < math.inf:
            self.saved_seconds += event.saved_latency
        if 0.0 < event.saved_price < math.inf:
            self.saved_cost += event.saved_price
        if 0.0 < event.price < math.inf:
            self.spent += event.price
        self.latencies.append(sound(event.latency))

    def drain(self) -> None:
        """Count what waits. Its caller holds the lock of all that drain."""
        latencies = self.latencies[:]
        if not latencies:
            return
        del self.latencies[: len(latencies)]
        self._count_calls(len(latencies))
        for latency in latencies:
            self._wait(latency)
        if self.saved_seconds > self._saved_seconds:
            total, before = self.saved_seconds, self._saved_seconds
            self._save_seconds(total - before)
            self._saved_seconds = total
        if self.saved_cost > self._saved_cost:
            total, before = self.saved_cost, self._saved_cost
            self._save_cost(total - before)
            self._saved_cost = total
        if self.spent > self._spent:
            total, before = self.spent, self._spent
            self._spend(total - before)
            self._spent = total


def sound(seconds: float) -> float:
    """Return a duration, or 0 where it is none: a sum that was NaN once is NaN for ever."""
    return seconds if 0.0 <= seconds < math.inf else 0.0
