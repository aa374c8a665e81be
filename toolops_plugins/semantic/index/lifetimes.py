"""Lifetimes of rows by the monotonic clock of this process.

Rows carry seconds since the epoch by the clock of the host that wrote them. Clocks of hosts differ
and may be set at any time, so the time of another clock may shorten a lifetime but not extend it:
from when it is first seen here, a row lives at most as long as its TTL. A row from more than an
hour in the future is ignored.
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
"""Rows from the future whose first sight is recorded, at most."""


class Lifetimes:
    """The lifetimes of rows. Safe to use from any threads.

    Args:
        clock: Its wall clock is compared with the times of rows; its monotonic clock measures.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = fork_safe(self, threading.Lock())
        # First sights by id, since rows from a server are new objects at each lookup.
        self._seen: OrderedDict[tuple[str, float], float] = OrderedDict()

    def begin(self, row: Row) -> None:
        """Record the end of a row that this process has just created."""
        if row.expires < math.inf:
            row.until = self._clock.monotonic() + row.expires - self._clock.time()

    def left(self, row: Row) -> float:
        """Return the seconds for which a row may still be served; 0 or less if it may not."""
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
        # Its clock is ahead, or ours was set back: the lifetime counts from the first sight.
        key = row.id, row.created
        with self._lock:
            until = self._seen.get(key)
            if until is None:
                until = self._seen[key] = now + row.expires - row.created
                if len(self._seen) > _MOST:
                    self._seen.popitem(last=False)
        return until
