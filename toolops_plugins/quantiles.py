"""Latency quantiles in bounded memory.

The buckets are log-linear, as in HdrHistogram (Tene, 2012): every power of two is divided into 32
equal parts, so that the middle of a bucket is at most 1.6 % away from any value in it. One
histogram has 1,185 buckets (9 KB), from 1 microsecond to 36 hours.

Every call is recorded, so recording has to be fast. Libraries such as ``hdrhistogram`` and
``ddsketch`` spend microseconds of Python on each value. Here the bits of a float name its bucket:
the exponent is the power of two, and the first five bits of the fraction are the part. That takes
half the time of a binary search among the edges, which a single value is worth.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from math import ceil
from operator import add

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["Quantiles", "RecentQuantiles"]

_PARTS = 32
_LOW, _HIGH = -20, 17  # powers of two: 0.95 microseconds and 36 hours
_EDGES = [2.0**e * (1 + part / _PARTS) for e in range(_LOW, _HIGH) for part in range(_PARTS)]
_VALUES = [
    _EDGES[0],  # everything shorter
    *((low + high) / 2 for low, high in pairwise(_EDGES)),
    _EDGES[-1],  # everything longer
]

# A 32-bit float (IEEE 754) has 23 bits of fraction below an exponent that counts from -127. Without
# the lower 18 bits there remain the exponent and the five bits that tell 32 parts apart.
_DROPPED_BITS = 18
_FIRST = ((_LOW + 127) << 5) - 1  # of the bucket that is below the first edge
_INFINITY = 0x7F80_0000  # larger bits are those of negative numbers, and of NaN


class Quantiles:
    """A histogram of durations that computes any quantile within 1.6 %.

    Durations under 0.95 microseconds count as that, and those over 36 hours as 36 hours.

    Safe to use from any threads and event loops. There is no lock: ``counts[i] += 1`` holds no
    call between its read and its write, and CPython switches threads only at calls and jumps. An
    interpreter without the global lock could lose a count now and then, and nothing else.

    Example:
        >>> latencies = Quantiles()
        >>> for milliseconds in range(1, 1001):
        ...     latencies.add(milliseconds / 1000)
        >>> latencies.count
        1000
        >>> abs(latencies.quantile(0.95) - 0.95) < 0.025 * 0.95
        True
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = [0] * len(_VALUES)

    def add(self, seconds: float) -> None:
        """Record one duration in seconds."""
        self._counts[bisect_right(_EDGES, seconds)] += 1

    def add_all(self, durations: Sequence[float]) -> None:
        """Record many durations in seconds, in half the time of :meth:`add` for each."""
        counts = self._counts
        for bits in array("I", array("f", durations).tobytes()):
            place = (bits >> _DROPPED_BITS) - _FIRST
            try:
                counts[place if place > 0 else 0] += 1  # noqa: FURB136 - max() takes twice as long
            except IndexError:  # longer than the last edge, or negative
                counts[-1 if bits <= _INFINITY else 0] += 1

    def merge(self, other: Quantiles) -> None:
        """Add all durations that ``other`` has recorded."""
        for i, count in enumerate(list(other._counts)):
            if count:
                self._counts[i] += count

    def buckets(self) -> dict[str, int]:
        """Return the buckets that are not empty, to be stored and added up as JSON.

        Returns:
            The counts of durations by the number of their bucket, as text. The numbers mean the
            same in every process.
        """
        return {str(place): count for place, count in enumerate(self._counts) if count}

    @classmethod
    def from_buckets(cls, buckets: Mapping[str, int]) -> Quantiles:
        """Return a histogram of the counts that :meth:`buckets` returned, or of sums of such."""
        made = cls()
        last = len(_VALUES) - 1
        for place, count in buckets.items():
            made._counts[min(int(place), last)] += count
        return made

    @property
    def count(self) -> int:
        """The number of recorded durations. It takes some microseconds: not for the hot path."""
        return sum(self._counts)

    @property
    def total(self) -> float:
        """The sum of all durations in seconds, at most 1.6 % off."""
        return sum(value * count for value, count in zip(_VALUES, self._counts, strict=True))

    def counts_up_to(self, bounds: Iterable[float]) -> list[int]:
        """Return how many durations were not longer than each bound, within 1.6 % of the bound."""
        upto = [0, *accumulate(self._counts)]
        return [upto[bisect_right(_VALUES, bound)] for bound in bounds]

    def quantile(self, q: float) -> float | None:
        """Return the duration that a share ``q`` of all durations does not exceed (nearest rank).

        Args:
            q: The share, from 0 (the shortest) to 1 (the longest).

        Returns:
            Seconds, at most 1.6 % off; None if nothing was recorded.

        Raises:
            ConfigurationError: ``q`` does not lie between 0 and 1.
        """
        return _quantile(self._counts, q)


class RecentQuantiles:
    """As :class:`Quantiles`, but over the latest durations only.

    Two histograms take turns: when the current one is full it becomes the previous one, and the
    former previous one is dropped. So a quantile covers between one and two windows of durations.

    Safe to use from any threads and event loops.

    Args:
        window_count: The number of durations after which the current histogram is full.

    Raises:
        ConfigurationError: ``window_count`` is not at least 1.
    """

    __slots__ = ("__weakref__", "_current", "_lock", "_previous", "_size", "_window")

    def __init__(self, window_count: int) -> None:
        self._window = check.count("window_count", window_count)
        self._current = _Histogram()
        self._previous = _Histogram()
        self._size = 0
        self._lock = fork_safe(self, threading.Lock())

    def add(self, seconds: float) -> None:
        """Record one duration in seconds."""
        self.add_all((seconds,))

    def add_all(self, durations: Iterable[float]) -> None:
        """Record durations in seconds, under one lock for all."""
        with self._lock:
            for seconds in durations:
                if self._size >= self._window:
                    self._previous, self._current = self._current, _Histogram()
                    self._size = 0
                self._size += 1
                self._current.add(seconds)

    @property
    def count(self) -> int:
        """The number of durations that a quantile covers."""
        return sum(self._previous.counts) + sum(self._current.counts)

    def quantile(self, q: float) -> float | None:
        """Return the duration that a share ``q`` of the latest durations does not exceed.

        Arguments and result are those of :meth:`Quantiles.quantile`.
        """
        with self._lock:
            previous, current = self._previous, self._current
            low = min(previous.low, current.low)
            high = max(previous.high, current.high) + 1
            both = list(map(add, previous.counts[low:high], current.counts[low:high]))
        return _quantile(both, q, low)


class _Histogram:
    """The counts of durations, and the first and the last bucket that holds any.

    Latencies of one callee fill some tens of the 740 buckets: a quantile of those takes 4
    microseconds, and one of all 40.
    """

    __slots__ = ("counts", "high", "low")

    def __init__(self) -> None:
        self.counts = [0] * len(_VALUES)
        self.low, self.high = len(_VALUES), -1

    def add(self, seconds: float) -> None:
        i = bisect_right(_EDGES, seconds)
        self.counts[i] += 1
        if i < self.low:  # noqa: PLR1730 - min() takes longer than all the rest
            self.low = i
        if i > self.high:  # noqa: PLR1730 - as above
            self.high = i


def _quantile(counts: Iterable[int], q: float, first: int = 0) -> float | None:
    """Return the quantile of counts; the first of them is that of bucket ``first``."""
    check.share("q", q, zero=True)
    upto = list(accumulate(counts))
    if not upto or not upto[-1]:
        return None
    return _VALUES[first + bisect_left(upto, max(1, ceil(q * upto[-1])))]
