"""Hedged requests: a second attempt beside a slow one.

From Dean and Barroso, The Tail at Scale, CACM 56(2), 2013.
"""

from __future__ import annotations

import threading
from collections import deque

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.policy import Hedge
from toolops_plugins.quantiles import RecentQuantiles

__all__ = ["Hedger"]

_WINDOW = 512  # recent calls, of which up to twice as many are remembered
_EVERY = 32  # calls after which the quantile is computed anew


class Hedger:
    """Measures the latencies of a callee and derives the delay of a second attempt.

    All calls to the callee share it. Safe to share between any threads and event loops; nothing
    here blocks.

    Args:
        policy: The quantile, and the calls that must have been seen.

    Example:
        >>> hedger = Hedger(Hedge(quantile=0.95, min_calls=100))
        >>> hedger.delay() is None
        True
        >>> for milliseconds in range(1, 101):
        ...     hedger.observe(milliseconds / 1000)
        >>> 0.093 < hedger.delay() < 0.097
        True
    """

    def __init__(self, policy: Hedge) -> None:
        self.policy = policy
        self._least = check.seconds("least", policy.least)
        self._recent = RecentQuantiles(max(_WINDOW, policy.min_calls))
        self._seen = 0
        self._new: deque[float] = deque()  # durations since the last computation
        self._batch = min(_EVERY, policy.min_calls)  # so many of them are due for one
        self._delay: float | None = None
        self._lock = fork_safe(self, threading.Lock())

    def observe(self, seconds: float) -> None:
        """Record the duration of a successful attempt.

        The quantile is computed anew every 32 calls.
        """
        self._new.append(seconds)
        if len(self._new) >= self._batch:
            self._compute()

    def delay(self) -> float | None:
        """Return the seconds after which to start a second attempt, or None for never yet."""
        return self._delay

    def _compute(self) -> None:
        with self._lock:
            while len(self._new) >= self._batch:  # another thread may have been here first
                self._recent.add_all([self._new.popleft() for _ in range(self._batch)])
                self._seen += self._batch
                missing = self.policy.min_calls - self._seen
                self._batch = min(_EVERY, missing) if missing > 0 else _EVERY
                if missing <= 0:
                    quantile = self._recent.quantile(self.policy.quantile)
                    self._delay = None if quantile is None else max(self._least, quantile)
