"""Counts of distinct and of frequent values in a stream, in bounded memory."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Final

from toolops_plugins import check

__all__ = ["Counted", "Distinct", "Frequent"]

_ALL: Final = 2**64


class Distinct:
    """The number of distinct values: exact up to a size, estimated above it.

    It stores the smallest hashes; their density gives the estimate (k minimum values; Bar-Yossef et
    al.: Counting distinct elements in a data stream, RANDOM 2002). The standard error is one over
    the square root of the size. HyperLogLog needs less memory but is never exact, and most logs are
    small. Not thread-safe.

    Args:
        size: Number of stored hashes. Default 65,536, for an error of 0.4 %.

    Raises:
        ConfigurationError: The size is less than 2.
    """

    def __init__(self, size: int = 65_536) -> None:
        self._size = check.count("size", size, least=2)
        self._kept: set[int] = set()
        self._largest: list[int] = []  # a heap of the negated hashes
        self.exact = True
        """True if the count is exact."""

    def __len__(self) -> int:
        """Return the number of stored hashes."""
        return len(self._kept)

    def add(self, hashed: int) -> None:
        """Add a value by its hash, a uniformly distributed number of 64 bits."""
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
        """The number of distinct values."""
        if self.exact:
            return len(self._kept)
        return round((self._size - 1) * _ALL / -self._largest[0])


class Counted:
    """The count of one value.

    Args:
        key: Identifies the value.
        label: The text for the report.
        count: Upper bound of the count.
        error: Largest error of ``count``.

    Attributes:
        amount: The sum of the amounts of the value.
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
        """Lower bound of the count."""
        return self.count - self.error


class Frequent:
    """The most frequent values.

    It is the Space-Saving algorithm with its Stream-Summary (Metwally, Agrawal, El Abbadi:
    Efficient computation of frequent and top-k elements in data streams, ICDT 2005). A new value
    replaces the least frequent one and takes over its count as a possible error. Every value that
    makes up more than one ``size``-th of the stream is found. Each addition takes constant time.
    Not thread-safe.

    Args:
        size: Number of values that are counted. Default 10,000.

    Raises:
        ConfigurationError: The size is not a whole number of 1 or more.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = check.count("size", size)
        self._known: dict[str, Counted] = {}
        # By count, oldest first. Finding the first key of a plain dict becomes slower with every
        # key that is removed from its front.
        self._levels: dict[int, OrderedDict[str, None]] = {}
        self._least = 1

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._known)

    def add(self, key: str, label: str, amount: float = 0.0) -> None:
        """Count a value.

        Args:
            key: Identifies the value.
            label: The text for the report; the first one is used.
            amount: An amount to sum, such as a cost. Default 0.
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
        """Return the most frequent values, most frequent first.

        Args:
            count: Number of values.
            least: Smallest lower bound of the count. Default 1.
        """
        certain = (value for value in self._known.values() if value.least >= least)
        return heapq.nlargest(count, certain, key=lambda value: (value.least, value.count))
