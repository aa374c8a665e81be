"""Tells when a row is over, by the monotonic clock of this process.

Rows carry seconds since the epoch by the clock of the host that wrote them. No two hosts have one
clock, and each may be set at any time; so a moment of another clock may end a life sooner, and does
not prolong it: a row that is seen here for the first time lives as long as it was written to live,
at most, and one that was written more than an hour from now is not believed at all.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict

from toolops_plugins.clock import Clock
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.index.rows import Row

__all__ = ["Lifetimes"]

_AHEAD = 3_600.0
"""Seconds that the clock of another host may be ahead of ours."""
_MOST = 10_000
"""Rows from the future of which it is remembered when they were first seen."""


class Lifetimes:
    """Safe to use from any threads.

    Args:
        clock: Its wall clock is compared with the times of rows; its monotonic one counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = fork_safe(self, threading.Lock())
        # A server's rows come as new objects each time: those that a clock set back cannot end.
        self._seen: OrderedDict[tuple[str, float], float] = OrderedDict()

    def begin(self, row: Row) -> None:
        """Note when a row ends that this process has just made."""
        if row.expires < math.inf:
            row.until = self._clock.monotonic() + row.expires - self._clock.time()

    def left(self, row: Row) -> float:
        """Return for how many seconds a row may still be served; 0 or less: not at all."""
        if row.expires == math.inf:
            return math.inf
        now = self._clock.monotonic()
        if row.until is None:
            row.until = self._until(row, now, self._clock.time())
        return row.until - now

    def _until(self, row: Row, now: float, wall: float) -> float:
        if row.created <= wall:
            return now + min(row.expires - wall, row.expires - row.created)
        if row.created > wall + _AHEAD:
            return -math.inf
        # From a clock that is ahead, or ours was set back: it counts from when it was first seen.
        key = row.id, row.created
        with self._lock:
            until = self._seen.get(key)
            if until is None:
                until = self._seen[key] = now + row.expires - row.created
                if len(self._seen) > _MOST:
                    self._seen.popitem(last=False)
        return until
