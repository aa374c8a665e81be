"""Sums that wait to be written, in bounded memory."""

from __future__ import annotations

from toolops_plugins.telemetry.ledger.levels import LEVELS
from toolops_plugins.telemetry.ledger.store import Record, add_record
from toolops_plugins.telemetry.ledger.sums import Cell

__all__ = ["PendingSums"]


class PendingSums:
    """Sums by minute and cell. Not thread-safe.

    While the ledger is out of reach, minutes become ten minutes, then hours and days, so that hours
    without it fit. Only what is still too much is dropped, oldest first, and counted.

    Args:
        limit: The maximum number of records.

    Attributes:
        lost: Calls that were dropped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sums: dict[tuple[int, Cell], Record] = {}
        self.lost = 0

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, minute: int, cell: Cell, record: Record) -> None:
        """Add the sums of a cell to those of a minute."""
        add_record(self._sums.setdefault((minute, cell), {}), record)
        if len(self._sums) > self._limit:
            self._shrink(minute)

    def pop(self, limit: int) -> dict[tuple[int, Cell], Record]:
        """Return some sums, oldest first, and forget them.

        Args:
            limit: Their maximum number.
        """
        first = sorted(self._sums)[:limit]
        return {key: self._sums.pop(key) for key in first}

    def clear(self) -> None:
        """Forget everything."""
        self._sums.clear()
        self.lost = 0

    def _shrink(self, minute: int) -> None:
        """Merge the sums of earlier times, as far as is needed to fill at most half."""
        for level in LEVELS[1:]:
            merged: dict[tuple[int, Cell], Record] = {}
            for (at, cell), record in self._sums.items():
                start = at if at == minute else at - at % level
                add_record(merged.setdefault((start, cell), {}), record)
            self._sums = merged
            if len(merged) <= self._limit // 2:
                return
        for key in sorted(self._sums)[: max(len(self._sums) - self._limit // 2, 0)]:
            outcomes = self._sums.pop(key).get("o", {})
            self.lost += sum(outcomes.values()) - outcomes.get("refresh", 0)
