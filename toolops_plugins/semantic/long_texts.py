"""Answers to questions that are too long to be compared by meaning: kept by their digest alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from toolops_plugins.clock import Clock
from toolops_plugins.codec import Payload
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["LongText", "LongTexts"]

_ITEMS = 1_000
_BYTES = 64 * 1024 * 1024


class LongText(NamedTuple):
    """The answer to a long question.

    Args:
        scope: The question's scope.
        payload: The encoded answer.
        created: Seconds since the epoch at which it was kept.
        expires: Seconds since the epoch until which it may be served, for people.
        until: Monotonic time from which it is dead.
        tags: The tags under which it can be invalidated.
    """

    scope: bytes
    payload: Payload
    created: float
    expires: float
    until: float
    tags: tuple[str, ...]


class LongTexts:
    """Answers by the id of their question, in memory. Safe to use from any threads.

    Args:
        items: Answers at most; the least recently used one goes first. Default 1,000.
        size: Bytes of all answers at most. Default 64 MB.
    """

    def __init__(self, items: int = _ITEMS, size: int = _BYTES) -> None:
        self._items = items
        self._size = size
        self._lock = fork_safe(self, threading.RLock())
        self._kept: OrderedDict[str, LongText] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    def get(self, id_: str, clock: Clock) -> LongText | None:
        """Return what is kept for a question, or None."""
        with self._lock:
            found = self._kept.get(id_)
            if found is not None and found.until <= clock.monotonic():
                self._drop(id_)
                return None
            if found is not None:
                self._kept.move_to_end(id_)
            return found

    def put(self, id_: str, text: LongText) -> None:
        """Keep an answer, in place of the one that was there."""
        with self._lock:
            self._drop(id_)
            if text.payload.size > self._size:
                return
            self._kept[id_] = text
            self._bytes += text.payload.size
            while len(self._kept) > self._items or self._bytes > self._size:
                self._drop(next(iter(self._kept)))

    def forget(
        self,
        ids: Iterable[str] = (),
        tags: Iterable[str] = (),
        scope: bytes | None = None,
        *,
        everything: bool = False,
    ) -> None:
        """Forget answers by id, by tag, by scope, or all of them."""
        wanted = frozenset(tags)
        with self._lock:
            gone = list(ids)
            gone += [
                id_
                for id_, text in self._kept.items()
                if everything or text.scope == scope or not wanted.isdisjoint(text.tags)
            ]
            for id_ in gone:
                self._drop(id_)

    def _drop(self, id_: str) -> None:
        known = self._kept.pop(id_, None)
        if known is not None:
            self._bytes -= known.payload.size
