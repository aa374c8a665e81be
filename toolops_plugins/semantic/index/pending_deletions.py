"""Invalidations that Chroma could not be told of, kept until they have been carried out.

What was invalidated while a server could not be reached is still stored there. Until it is deleted,
its rows are passed over here; other processes can find them until then.
"""

from __future__ import annotations

import threading

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.invalidations import Voids
from toolops_plugins.semantic.index.rows import Row

__all__ = ["PendingDeletions"]


class PendingDeletions:
    """Deletions to be made up for. Bounded as ``Voids`` is, and safe to use from any threads."""

    def __init__(self) -> None:
        # The first may be under way; what comes meanwhile is gathered in a second.
        self._voids: list[Voids] = []
        self._lock = fork_safe(self, threading.Lock())

    def __bool__(self) -> bool:
        """Return whether there is anything to delete."""
        return bool(self._voids)

    def add(self, void: Voids) -> None:
        """Remember an invalidation that failed."""
        with self._lock:
            if len(self._voids) > 1:
                self._voids[1].merge(void)
            else:
                self._voids.append(void)

    def covers(self, row: Row) -> bool:
        """Return whether a row should have been deleted."""
        return any(void.covers(row) for void in tuple(self._voids))

    def run(self, store: Store) -> None:
        """Delete what is pending, in one store; nobody may write to it meanwhile.

        Raises:
            TierError: Chroma failed; what is left stays pending.
        """
        while (void := self._first()) is not None:
            if store.signed:
                store.write_void(void)
            names = void.names()
            if names.everything:
                store.clear()
            store.delete(names.ids)
            store.delete_where(tags=names.tags)
            for scope in names.scopes:
                store.delete_where(scope=scope)
            with self._lock:
                if self._voids and self._voids[0] is void:
                    del self._voids[0]

    def _first(self) -> Voids | None:
        with self._lock:
            return self._voids[0] if self._voids else None
