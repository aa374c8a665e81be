"""Deletions in Chroma that failed and are retried.

Rows that were invalidated while a server could not be reached are still stored there. Until they
are deleted, this process ignores them; other processes may still find them.
"""

from __future__ import annotations

import threading

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.invalidations import Voids
from toolops_plugins.semantic.index.rows import Row

__all__ = ["PendingDeletions"]


class PendingDeletions:
    """The failed deletions. Bounded like ``Voids``, and safe to use from any threads."""

    def __init__(self) -> None:
        # The first may be running; later ones are collected in a second.
        self._voids: list[Voids] = []
        self._lock = fork_safe(self, threading.Lock())

    def __bool__(self) -> bool:
        """Return whether there are deletions."""
        return bool(self._voids)

    def add(self, void: Voids) -> None:
        """Add a failed deletion."""
        with self._lock:
            if len(self._voids) > 1:
                self._voids[1].merge(void)
            else:
                self._voids.append(void)

    def covers(self, row: Row) -> bool:
        """Return whether a row should have been deleted."""
        return any(void.covers(row) for void in tuple(self._voids))

    def run(self, store: Store) -> None:
        """Run the deletions in a store; no other thread may write to it meanwhile.

        Raises:
            TierError: Chroma failed; the rest stays pending.
        """
        while (void := self._first()) is not None:
            if store.signed:
                store.states.write_void(void)
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
