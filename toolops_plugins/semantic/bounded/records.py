"""Records by group and scope of how far the model has been off."""

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
        sums: Surplus and spread of each, one row a record.
    """

    keys: NDArray[np.int64]
    sums: NDArray[np.float32]


class Records:
    """For each key the sum of ``label - p`` and of ``p (1 - p)`` over the labels of its past.

    Their quotient is one Newton step towards an intercept for the key alone. Records of other
    processes are stored apart from the own ones, so that states can be passed on without counting
    anything twice. Not thread-safe: its owner holds a lock.

    Args:
        most: Keys at most; the key without a label for longest is dropped first.
        decay: Factor by which the past shrinks at each label. Default 1.
    """

    __slots__ = ("_decay", "_most", "_others", "_own")

    def __init__(self, most: int, decay: float = 1.0) -> None:
        self._most = most
        self._decay = decay
        self._own: dict[int, tuple[float, float]] = {}
        self._others: dict[int, tuple[float, float]] = {}

    def __len__(self) -> int:
        """Return the number of keys with a record of this process."""
        return len(self._own)

    def lean(self, key: int) -> float:
        """Return how far the model has been off for a key; positive if it was too low."""
        surplus, spread = self._own.get(key, (0.0, 0.0))
        if self._others and key in self._others:
            more, wider = self._others[key]
            surplus += more
            spread += wider
        return surplus / (spread + _DOUBT)

    def note(self, key: int, right: float, p: float) -> None:
        """Add a label, predicted with probability ``p``, to the record of a key."""
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
        """Return the records of this process, the most recently labelled last."""
        keys = np.array(list(self._own), np.int64)
        sums = np.array(list(self._own.values()), np.float32).reshape(-1, 2)
        return Table(keys, sums)

    def take(self, tables: Iterable[Table], called: Callable[[int], int]) -> None:
        """Replace the records of other processes.

        Args:
            tables: The tables of these processes, the oldest first.
            called: Returns the name of a key here.
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
