"""Hedged requests: a second attempt beside a slow one.

From Dean and Barroso, The Tail at Scale, CACM 56(2), 2013.
"""

from __future__ import annotations

from toolops_plugins import check
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
        >>> hedger = Hedger(Hedge(quantile=0.95, min_calls=20))
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
        self._due = policy.min_calls
        self._delay: float | None = None

    def observe(self, seconds: float) -> None:
        """Record the duration of a successful attempt."""
        self._recent.add(seconds)
        self._seen += 1

    def delay(self) -> float | None:
        """Return the seconds after which to start a second attempt, or None for never yet.

        The quantile is computed anew every 32 calls.
        """
        seen = self._seen
        if seen >= self._due:
            quantile = self._recent.quantile(self.policy.quantile)
            self._delay = None if quantile is None else max(self._least, quantile)
            self._due = seen + _EVERY
        return self._delay
