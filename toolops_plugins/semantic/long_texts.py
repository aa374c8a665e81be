"""Answers to questions that are too long to embed, by digest."""

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
        created: Seconds since the epoch at which it was stored.
        expires: Seconds since the epoch at which it expires, for people.
        until: Monotonic time at which it expires.
        tags: The tags under which it can be invalidated.
    """

    scope: bytes
    payload: Payload
    created: float
    expires: float
    until: float
    tags: tuple[str, ...]


class LongTexts:
    """Answers in memory by the id of their question. Safe to use from any threads.

    Args:
        items: Answers at most; the least recently used one is dropped first. Default 1,000.
        size: Bytes of all answers at most. Default 64 MB.
    """

    def __init__(self, items: int = _ITEMS, size: int = _BYTES) -> None:
        self._items = items
        self._size = size
        self._lock = fork_safe(self, threading.RLock())
        self._kept: OrderedDict[str, LongText] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self._kept)

    def get(self, id_: str, clock: Clock) -> LongText | None:
        """Return the answer to a question, or None."""
        with self._lock:
            found = self._kept.get(id_)
            if found is not None and found.until <= clock.monotonic():
                self._drop(id_)
                return None
            if found is not None:
                self._kept.move_to_end(id_)
            return found

    def put(self, id_: str, text: LongText) -> None:
        """Store an answer, replacing an earlier one."""
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
        """Delete answers by id, by tag, by scope, or all of them."""
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
