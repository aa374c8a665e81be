"""How groups and scopes have done: whether the model thinks too well or too little of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Records", "Table"]

_DOUBT = 1.0


class Table(NamedTuple):
    """Records as arrays.

    Args:
        keys: One for each record.
        sums: Surplus and spread of each, in a row.
    """

    keys: NDArray[np.int64]
    sums: NDArray[np.float32]


class Records:
    """For each key the sum of ``label - p`` and of ``p (1 - p)`` over the labels of its past.

    Their quotient is one Newton step towards the intercept that the key should have of its own.
    Those of other processes stand beside the own ones, so that each can be given on without
    counting anything twice. Not thread-safe: its owner holds a lock.

    Args:
        most: Keys that are kept; the one that was not labelled for longest goes first.
        decay: What is left of the past at each label. Default 1.
    """

    __slots__ = ("_decay", "_most", "_others", "_own")

    def __init__(self, most: int, decay: float = 1.0) -> None:
        self._most = most
        self._decay = decay
        self._own: dict[int, tuple[float, float]] = {}
        self._others: dict[int, tuple[float, float]] = {}

    def __len__(self) -> int:
        """Return for how many keys there is a record of this process."""
        return len(self._own)

    def lean(self, key: int) -> float:
        """Return how far the model has been off for this key; positive: it was too timid."""
        surplus, spread = self._own.get(key, (0.0, 0.0))
        if self._others and key in self._others:
            more, wider = self._others[key]
            surplus += more
            spread += wider
        return surplus / (spread + _DOUBT)

    def note(self, key: int, right: float, p: float) -> None:
        """Add a label to the record of a key, which was predicted with probability ``p``."""
        surplus, spread = self._own.pop(key, (0.0, 0.0))
        self._own[key] = (
            surplus * self._decay + right - p,
            spread * self._decay + p * (1 - p),
        )
        if len(self._own) > self._most:
            del self._own[next(iter(self._own))]

    def join(self, former: int, lead: int) -> None:
        """Add the record of one key to that of another."""
        for records in (self._own, self._others):
            if former in records:
                a, b = records.pop(former), records.pop(lead, (0.0, 0.0))
                records[lead] = (a[0] + b[0], a[1] + b[1])

    def table(self) -> Table:
        """Return the records of this process, those that were labelled last at the end."""
        keys = np.array(list(self._own), np.int64)
        sums = np.array(list(self._own.values()), np.float32).reshape(-1, 2)
        return Table(keys, sums)

    def take(self, tables: Iterable[Table], called: Callable[[int], int]) -> None:
        """Let these be the records of other processes, and forget what they were before.

        Args:
            tables: What :meth:`table` returned there, the oldest first.
            called: Returns what a key is called here.
        """
        self._others = {}
        for table in tables:
            for key, (surplus, spread) in zip(
                table.keys.tolist(), table.sums.tolist(), strict=True
            ):
                name = called(key)
                a, b = self._others.pop(name, (0.0, 0.0))
                self._others[name] = (a + surplus, b + spread)
        while len(self._others) > self._most:
            del self._others[next(iter(self._others))]
