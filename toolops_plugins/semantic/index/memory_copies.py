"""The copies of answers in the memory tier, which are deleted with their entry.

A semantic hit is stored in the nearest tier under the question's own key for a short time. Its key
and tags differ from those of the entry, so the copies of each entry are recorded here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress

from toolops_plugins.clock import Clock
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["Copies"]

_MOST = 10_000
"""Copies at most."""


class _CopySet:
    """The copies of one entry."""

    __slots__ = ("drops", "tags", "until")

    def __init__(self) -> None:
        self.drops: dict[bytes, Callable[[bytes], None]] = {}
        self.tags: frozenset[str] = frozenset()
        self.until = 0.0


class Copies:
    """The copies by the id of their entry. Safe to use from any threads.

    Args:
        clock: Its monotonic time is used.
        most: Copies at most; then those of the least recently used entry are deleted.
    """

    def __init__(self, clock: Clock, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._lock = fork_safe(self, threading.RLock())
        self._entries: OrderedDict[str, _CopySet] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """Return the number of copies."""
        return self._count

    def note(
        self,
        id_: str,
        tags: Iterable[str],
        key: bytes,
        seconds: float,
        drop: Callable[[bytes], None],
    ) -> None:
        """Record a copy before it is stored.

        Args:
            id_: The entry's id.
            tags: The entry's tags.
            key: The key of the copy.
            seconds: Seconds after which the copy expires.
            drop: Deletes the copy; takes the key.
        """
        now = self._clock.monotonic()
        gone: list[_CopySet] = []
        with self._lock:
            copied = self._entries.setdefault(id_, _CopySet())
            self._entries.move_to_end(id_)
            self._count += key not in copied.drops
            copied.drops[key] = drop
            copied.tags = frozenset(tags)
            copied.until = max(copied.until, now + seconds)
            while self._entries:
                oldest, first = next(iter(self._entries.items()))
                if first.until > now and self._count <= self._most:
                    break
                if first.until > now:
                    gone.append(first)
                self._take(oldest)
        _drop(gone)

    def forget(
        self, ids: Iterable[str] = (), tags: Iterable[str] = (), *, everything: bool = False
    ) -> None:
        """Delete the copies of some entries.

        Args:
            ids: Copies of these entries.
            tags: Copies of entries with one of these tags.
            everything: All copies.
        """
        wanted = frozenset(tags)
        with self._lock:
            chosen = [id_ for id_ in ids if id_ in self._entries]
            if everything:
                chosen = list(self._entries)
            elif wanted:
                chosen += [
                    id_
                    for id_, copied in self._entries.items()
                    if not wanted.isdisjoint(copied.tags)
                ]
            gone = [self._take(id_) for id_ in dict.fromkeys(chosen)]
        _drop(gone)

    def _take(self, id_: str) -> _CopySet:
        copied = self._entries.pop(id_)
        self._count -= len(copied.drops)
        return copied


def _drop(gone: Iterable[_CopySet]) -> None:
    # Without the lock, since a tier has its own.
    for copied in gone:
        for key, drop in copied.drops.items():
            with suppress(Exception):  # a failing tier reports it
                drop(key)
