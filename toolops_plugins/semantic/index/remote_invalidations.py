"""The invalidations of other processes, as an index follows them.

Other processes record their invalidations on a server, each with a number. An index remembers the
number up to which it has followed them, also across restarts, so that it learns of those that were
made while its process was down. Each row carries the number that was known when its call began. A
row with a lower number than an invalidation of its id or of one of its tags is void, whoever wrote
it and whenever it was written.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.invalidation import History
from toolops_plugins.semantic.index.rows import Row

__all__ = ["News", "Position", "RemoteInvalidations", "Source"]

_MOST: Final = 10_000  # names of each kind at most; the oldest are dropped first
_STEPS: Final = 1_000  # positions by mark at most


class Position(NamedTuple):
    """The part of a record of invalidations that was followed.

    Args:
        id: The record's id.
        number: The number of the last invalidation that was followed.
    """

    id: str
    number: int


class Source(NamedTuple):
    """The record of invalidations: functions from the known position to the rest of it."""

    read: Callable[[Position | None], History]
    aread: Callable[[Position | None], Awaitable[History]]


class News(NamedTuple):
    """The invalidations of other processes.

    Args:
        ids: Ids of void rows.
        tags: Tags of void rows.
        everything: Whether all rows are void.
        stored_ids: The ids of which rows may still be stored.
        stored_tags: The tags of which rows may still be stored.
        stored_all: Whether all stored rows are void.
    """

    ids: list[str]
    tags: list[str]
    everything: bool
    stored_ids: list[str]
    stored_tags: list[str]
    stored_all: bool


class RemoteInvalidations:
    """The numbered invalidations that an index knows of. Safe to use from any threads.

    Attributes:
        source: The record; None: there is none, and nothing is followed.
        place: Identifies an index on a server, whose rows an invalidation may have deleted; "" for
            an index of this process.
    """

    def __init__(self) -> None:
        self.source: Source | None = None
        self.place = ""
        self._position: Position | None = None
        self._certain: int | None = None
        self._marks: list[int] = []  # when the numbers were known, in order
        self._numbers: list[int] = []
        self._ids: dict[str, int] = {}
        self._tags: dict[str, int] = {}
        self._all = 0
        self._latest = 0
        self._lock = fork_safe(self, threading.RLock())

    @property
    def position(self) -> Position | None:
        """The position up to which the record was followed; None: not at all."""
        return self._position

    @property
    def position_by_name(self) -> Position | None:
        """The position whose invalidations are known by name; None: those of none are."""
        return self._position if self._marks else None

    @property
    def is_behind(self) -> bool:
        """True if invalidations may have been missed since the last :meth:`follow`."""
        return self._certain is not None

    def restore(self, position: Position | None, mark: int) -> None:
        """Begin with the position of an earlier process; rows from before the mark are uncertain.

        Args:
            position: Its position; None: none is known, or this process has one already.
            mark: The mark of this moment.
        """
        with self._lock:
            self._position = self._position or position
            self.fall_behind(mark)

    def fall_behind(self, mark: int) -> None:
        """Record that invalidations may have been missed before a mark."""
        if self.source is not None:
            self._certain = mark

    def is_certain(self, row: Row) -> bool:
        """Return whether no invalidation of a row can have been missed."""
        certain = self._certain
        return certain is None or (row.mark is not None and row.mark >= certain)

    def number_at(self, mark: int) -> int:
        """Return the number that was known at a mark, for a row whose call began then."""
        if not self._marks:
            return 0
        with self._lock:
            place = bisect_right(self._marks, mark)
            return self._numbers[place - 1] if place else 0

    def covers(self, row: Row) -> bool:
        """Return whether a row is void."""
        seen = row.seen
        if seen >= self._latest:
            return False
        return (
            seen < self._all
            or seen < self._ids.get(row.id, 0)
            or any(seen < self._tags.get(tag, 0) for tag in row.tags)
        )

    def take(self, history: History, *, missed: bool, is_empty: bool) -> News:
        """Learn from the record, and return what is new in it.

        Args:
            history: The record, from the known position on.
            missed: Whether messages may have been missed since the last call. Otherwise another id
                says that the server has dropped the record, and not that anything was missed.
            is_empty: Whether the index had no rows when it was opened.
        """
        with self._lock:
            position = self._position
            missed = missed or self._certain is not None or position is None
            same = position is not None and position.id == history.id
            known = position.number if same and position is not None else 0
            lost = not same or known < history.floor
            if position is None:
                # A record that has just begun tells nothing of rows from before it.
                lost = not (history.is_new or is_empty)
            lost = lost and missed
            news = News([], [], lost, [], [], lost)
            for entry in history.entries:
                ids = [key.hex()[:32] for key in entry.keys]
                self._add(entry.number, ids, entry.tags, everything=entry.everything)
                if entry.number <= known or entry.is_own:
                    continue
                is_stored = not self.place or entry.place != self.place
                news.ids.extend(ids)
                news.tags.extend(entry.tags)
                if is_stored:
                    news.stored_ids.extend(ids)
                    news.stored_tags.extend(entry.tags)
                if entry.everything:
                    news = news._replace(everything=True, stored_all=news.stored_all or is_stored)
            if lost:
                self._add(history.floor, (), (), everything=True)
            return news

    def follow(self, history: History, mark: int) -> bool:
        """Advance to the end of a record whose news were applied.

        Args:
            history: The record.
            mark: The mark of the moment after that; calls from then on know of it.

        Returns:
            Whether the position has changed.
        """
        with self._lock:
            self._certain = None
            before = self._position
            if before is not None and before.id == history.id and before.number >= history.last:
                return False
            self._position = Position(history.id, history.last)
            self._marks.append(mark)
            self._numbers.append(history.last)
            del self._marks[:-_STEPS], self._numbers[:-_STEPS]
            return True

    def _add(
        self, number: int, ids: Iterable[str], tags: Iterable[str], *, everything: bool
    ) -> None:
        self._latest = max(self._latest, number)
        if everything:
            self._all = max(self._all, number)
        for table, names in ((self._ids, ids), (self._tags, tags)):
            for name in names:
                table[name] = max(number, table.pop(name, 0))  # last, as the newest
            while len(table) > _MOST:
                del table[next(iter(table))]
