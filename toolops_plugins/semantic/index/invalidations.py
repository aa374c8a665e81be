"""Invalidations of an index: older rows are void, even if an attacker restores them.

Invalidated rows are deleted. An attacker who can write to Chroma, but not sign, can restore an old
row with its old signature; its time, which is signed too, reveals it. Times are seconds since the
epoch by the writer's clock. Within one process they are ordered: a row that is written after an
invalidation is newer, even if the clock stands still or goes back. Between processes the precision
is the difference of their clocks.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.index.rows import Row

__all__ = ["Names", "Voids"]

_MOST: Final = 10_000  # names of each kind at most; the oldest are dropped first


class Names(NamedTuple):
    """The names of invalidated ids, tags and scopes."""

    ids: list[str]
    tags: list[str]
    scopes: list[bytes]
    everything: bool


class Voids:
    """The last invalidation of each id, tag and scope, and of everything.

    Bounded, and safe to use from any threads.
    """

    def __init__(self) -> None:
        self._ids: dict[str, float] = {}
        self._tags: dict[str, float] = {}
        self._scopes: dict[str, float] = {}
        self._all = -math.inf
        self._latest = -math.inf  # the latest invalidation
        self._newest = -math.inf  # the newest row that was written here
        self._lock = fork_safe(self, threading.Lock())

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._ids) + len(self._tags) + len(self._scopes)

    def row_time(self, now: float) -> float:
        """Return the time for a row that is written now, after every invalidation."""
        with self._lock:
            if now <= self._latest:
                now = math.nextafter(self._latest, math.inf)
            self._newest = max(self._newest, now)
            return now

    def void_time(self, now: float) -> float:
        """Return the time for an invalidation now, not before any row that was written here."""
        return max(now, self._newest)

    def add(
        self,
        moment: float,
        ids: Iterable[str] = (),
        tags: Iterable[str] = (),
        scopes: Iterable[bytes] = (),
        *,
        everything: bool = False,
    ) -> None:
        """Add an invalidation.

        Args:
            moment: Its time; rows written until then are void.
            ids: Ids of rows.
            tags: Tags of rows.
            scopes: Scopes of rows.
            everything: All rows are void.
        """
        with self._lock:
            self._latest = max(self._latest, moment)
            if everything and moment > self._all:
                self._all = moment
                for table in (self._ids, self._tags, self._scopes):
                    for name in [name for name, known in table.items() if known <= moment]:
                        del table[name]
            for table, names in (
                (self._ids, ids),
                (self._tags, tags),
                (self._scopes, (scope.hex() for scope in scopes)),
            ):
                for name in names:
                    # The latest goes last, so that the oldest is dropped first.
                    table[name] = max(moment, table.pop(name, moment))
                while len(table) > _MOST:
                    del table[next(iter(table))]

    def merge(self, other: Voids) -> None:
        """Add all invalidations of another table."""
        self.add(other._all, everything=True)
        for table in ("_ids", "_tags", "_scopes"):
            names: dict[str, float] = getattr(other, table)
            for name, moment in sorted(names.items(), key=lambda each: each[1]):
                if table == "_ids":
                    self.add(moment, ids=[name])
                elif table == "_tags":
                    self.add(moment, tags=[name])
                else:
                    self.add(moment, scopes=[bytes.fromhex(name)])

    def covers(self, row: Row) -> bool:
        """Return whether a row is void."""
        created = row.created
        if created > self._latest:
            return False
        never = -math.inf
        return (
            created <= self._all
            or created <= self._ids.get(row.id, never)
            or created <= self._scopes.get(row.scope.hex(), never)
            or any(created <= self._tags.get(tag, never) for tag in row.tags)
        )

    def names(self) -> Names:
        """Return all invalidated names."""
        with self._lock:
            scopes = [bytes.fromhex(scope) for scope in self._scopes]
            return Names(list(self._ids), list(self._tags), scopes, math.isfinite(self._all))

    def dumps(self) -> bytes:
        """Return the table as bytes."""
        with self._lock:
            everything = self._all if math.isfinite(self._all) else None
            form = [everything, self._ids, self._tags, self._scopes]
            return json.dumps(form, separators=(",", ":")).encode("ascii")

    @classmethod
    def loads(cls, data: bytes) -> Voids:
        """Return the table from bytes by :meth:`dumps`.

        Raises:
            ValueError: The bytes are no such table.
        """
        try:
            everything, *tables = json.loads(data)
            found = cls()
            found._all = -math.inf if everything is None else float(everything)
            found._ids, found._tags, found._scopes = map(_table, tables)
            moments = [moment for table in tables for moment in table.values()]
            found._latest = max(found._all, *map(float, moments), -math.inf)
        except (AttributeError, TypeError, UnicodeDecodeError) as error:
            raise ValueError("no table of invalidations") from error
        return found


def _table(form: Any) -> dict[str, float]:
    return {str(name): float(moment) for name, moment in form.items()}
