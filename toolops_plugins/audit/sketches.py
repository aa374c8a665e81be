"""Two questions about a stream of any length, answered in bounded memory."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Final

from toolops_plugins import check

__all__ = ["Counted", "Distinct", "Frequent"]

_ALL: Final = 2**64


class Distinct:
    """How many different values were seen: exact up to a size, and beyond it estimated.

    Keeps the smallest of uniformly distributed hashes; how densely they lie tells how many there
    are (k minimum values; Bar-Yossef et al.: Counting distinct elements in a data stream, RANDOM
    2002). The standard error is one over the root of the size. HyperLogLog needs less memory, but
    is never exact, and most logs are small. Not thread-safe.

    Args:
        size: Hashes that are kept. Default 65,536, for an error of 0.4 %.

    Raises:
        ConfigurationError: The size is less than 2.
    """

    def __init__(self, size: int = 65_536) -> None:
        self._size = check.count("size", size, least=2)
        self._kept: set[int] = set()
        self._largest: list[int] = []  # a heap of the negated hashes
        self.exact = True
        """Whether the count is exact."""

    def __len__(self) -> int:
        """Return how many hashes are kept."""
        return len(self._kept)

    def add(self, hashed: int) -> None:
        """Take note of a value by its hash, a uniformly distributed number of 64 bits."""
        if hashed in self._kept:
            return
        if len(self._kept) < self._size:
            self._kept.add(hashed)
            heapq.heappush(self._largest, -hashed)
            return
        self.exact = False
        if hashed < -self._largest[0]:
            self._kept.remove(-heapq.heapreplace(self._largest, -hashed))
            self._kept.add(hashed)

    @property
    def count(self) -> int:
        """How many different values there were."""
        if self.exact:
            return len(self._kept)
        return round((self._size - 1) * _ALL / -self._largest[0])


class Counted:
    """A value that is counted.

    Args:
        key: What tells it from others.
        label: What to show of it.
        count: How often it was seen, at most.
        error: By how much ``count`` may be too large.

    Attributes:
        amount: The sum of the amounts that it was seen with.
    """

    __slots__ = ("amount", "count", "error", "key", "label")

    def __init__(self, key: str, label: str, count: int, error: int) -> None:
        self.key = key
        self.label = label
        self.count = count
        self.error = error
        self.amount = 0.0

    @property
    def least(self) -> int:
        """How often it was seen, at least."""
        return self.count - self.error


class Frequent:
    """Which values were seen most often.

    The Space-Saving algorithm with its Stream-Summary (Metwally, Agrawal, El Abbadi: Efficient
    computation of frequent and top-k elements in data streams, ICDT 2005): a value that is not yet
    counted takes the place of the least frequent, and its count as a possible error. Whatever makes
    up more than one ``size``-th of the stream is among the values. Constant time for each. Not
    thread-safe.

    Args:
        size: Values that are counted at once. Default 10,000.

    Raises:
        ConfigurationError: The size is no whole number of 1 or more.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = check.count("size", size)
        self._known: dict[str, Counted] = {}
        # By count, oldest first. A plain dict would find its first key ever more slowly while keys
        # are taken from its front.
        self._levels: dict[int, OrderedDict[str, None]] = {}
        self._least = 1

    def __len__(self) -> int:
        """Return how many values are counted."""
        return len(self._known)

    def add(self, key: str, label: str, amount: float = 0.0) -> None:
        """Count a value once more.

        Args:
            key: What tells it from others.
            label: What to show of it; that of its first sight is kept.
            amount: What it was seen with, such as a cost. Default 0.
        """
        value = self._known.get(key)
        if value is not None:
            self._leave(key, value.count)
        elif len(self._known) < self._size:
            value = self._known[key] = Counted(key, label, 0, 0)
            self._least = 1
        else:
            oldest = next(iter(self._levels[self._least]))
            del self._known[oldest]
            value = self._known[key] = Counted(key, label, self._least, self._least)
            self._leave(oldest, self._least)
        value.count += 1
        value.amount += amount
        self._levels.setdefault(value.count, OrderedDict())[key] = None

    def _leave(self, key: str, count: int) -> None:
        level = self._levels[count]
        del level[key]
        if not level:
            del self._levels[count]
            if count == self._least:
                self._least += 1  # where the value that leaves is about to go

    def top(self, count: int, least: int = 1) -> list[Counted]:
        """Return the values that were certainly seen most often, most first.

        Args:
            count: How many values.
            least: How often they must have been seen, for certain. Default 1.
        """
        certain = (value for value in self._known.values() if value.least >= least)
        return heapq.nlargest(count, certain, key=lambda value: (value.least, value.count))
