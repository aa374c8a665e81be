"""Questions in flight, which calls for the same question in other words may join."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.index.index import Vector
from toolops_plugins.semantic.index.learning import LearnerState
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.semantic.lookup import Decider, Lookup

__all__ = ["InFlight", "QuestionInFlight"]

_MOST = 256
"""Questions of a scope at most; the oldest are dropped and cannot be joined."""


class QuestionInFlight(NamedTuple):
    """A question in flight.

    Args:
        flight: The key of its flight.
        text: Its text; None where only digests are kept.
        similarity: Its cosine to the question that may join it.
    """

    flight: bytes
    text: str | None
    similarity: float


class InFlight:
    """Questions in flight, by scope. Safe to use from any threads and event loops.

    Args:
        decider: Decides whether a question may join another.
        learned: Notified of questions in flight.
        store_text: Whether the text of a question may be shown.
        is_void: Returns whether the question with an id was invalidated after an entry.
    """

    def __init__(
        self,
        decider: Decider,
        learned: LearnerState,
        *,
        store_text: bool,
        is_void: Callable[[str, Row], bool],
    ) -> None:
        self._decider = decider
        self._learned = learned
        self._store_text = store_text
        self._is_void = is_void
        self._lock = fork_safe(self, threading.RLock())
        self._under_way: dict[bytes, OrderedDict[bytes, tuple[Row, Vector]]] = {}
        self._joined: dict[bytes, list[bytes]] = {}  # flights that wait for another, by the other

    def board(self, lookup: Lookup, flight: bytes) -> QuestionInFlight | None:
        """Return a question in flight that this one joins, or add this one.

        Of simultaneous calls the first is added and the others find it. A question that joins
        another must :meth:`leave` it.

        Args:
            lookup: A lookup that was a miss.
            flight: The key of this question's own flight.
        """
        asked = lookup.asked
        with self._lock:
            others = self._under_way.setdefault(asked.scope, OrderedDict())
            # A call from before an invalidation of this question may bring what it invalidated.
            valid = {
                key: (row, float(np.dot(x, lookup.x)))
                for key, (row, x) in others.items()
                if not self._is_void(asked.id, row)
            }
            near = list(valid.values())
            id_ = self._decider.joinable(lookup, near) if near and lookup.joinable else None
            for key, (row, similarity) in valid.items():
                if row.id == id_ and key != flight:
                    self._joined.setdefault(key, []).append(flight)
                    text = row.text if self._store_text else None
                    return QuestionInFlight(key, text, similarity)
            row = Row(asked.id, asked.scope, asked.text, "", b"", flight[-16:], 0.0)
            row.mark = lookup.mark
            others[flight] = row, lookup.x
            try:
                if lookup.rule.max_error is not None:
                    # Until its answer is known, it is a group of its own.
                    self._learned.announce(row, lookup.x)
            except BaseException:
                del others[flight]
                if not others:
                    del self._under_way[asked.scope]
                raise
            if len(others) > _MOST:
                _, (oldest, _) = others.popitem(last=False)
                self._withdraw(lookup, oldest)
        return None

    def list_joiners(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the flights of questions that wait for the flights of others.

        Args:
            keys: The ends of the keys of these others' flights.
        """
        if not self._joined:
            return []
        with self._lock:
            return [
                flight
                for other, flights in self._joined.items()
                if any(other.endswith(key) for key in keys)
                for flight in flights
            ]

    def leave(self, lookup: Lookup, flight: bytes, other: bytes | None = None) -> None:
        """Remove a question whose flight has ended.

        Args:
            lookup: Its lookup.
            flight: The key of its flight.
            other: The key of the flight that it joined; None if it joined none.
        """
        with self._lock:
            waiting = self._joined.get(other) if other is not None else None
            if other is not None and waiting is not None:
                if flight in waiting:
                    waiting.remove(flight)
                if not waiting:
                    del self._joined[other]
                return
            others = self._under_way.get(lookup.asked.scope)
            known = None if others is None else others.pop(flight, None)
            if others is not None and not others:
                del self._under_way[lookup.asked.scope]
        if known is not None:
            self._withdraw(lookup, known[0])

    def _withdraw(self, lookup: Lookup, row: Row) -> None:
        if lookup.rule.max_error is not None:
            self._learned.withdraw(row)
