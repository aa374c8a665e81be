"""Questions in flight, which calls for the same question in other words may join."""

from __future__ import annotations

import threading
from collections import OrderedDict
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
    """

    def __init__(self, decider: Decider, learned: LearnerState, *, store_text: bool) -> None:
        self._decider = decider
        self._learned = learned
        self._store_text = store_text
        self._lock = fork_safe(self, threading.RLock())
        self._under_way: dict[bytes, OrderedDict[bytes, tuple[Row, Vector]]] = {}

    def board(self, lookup: Lookup, flight: bytes) -> QuestionInFlight | None:
        """Return a question in flight that this one may join, or add this one.

        Of simultaneous calls the first is added and the others find it.

        Args:
            lookup: A lookup that was a miss.
            flight: The key of this question's own flight.
        """
        asked = lookup.asked
        with self._lock:
            others = self._under_way.setdefault(asked.scope, OrderedDict())
            near = [(row, float(np.dot(x, lookup.x))) for row, x in others.values()]
            id_ = self._decider.joinable(lookup, near) if near and lookup.joinable else None
            for (key, (row, _)), (_, similarity) in zip(others.items(), near, strict=True):
                if row.id == id_ and key != flight:
                    text = row.text if self._store_text else None
                    return QuestionInFlight(key, text, similarity)
            row = Row(asked.id, asked.scope, asked.text, "", b"", flight[-16:], 0.0)
            others[flight] = row, lookup.x
            if lookup.rule.max_error is not None:
                # Until its answer is known, it is a group of its own.
                self._learned.announce(row, lookup.x)
            if len(others) > _MOST:
                _, (oldest, _) = others.popitem(last=False)
                self._withdraw(lookup, oldest)
        return None

    def leave(self, lookup: Lookup, flight: bytes) -> None:
        """Remove a question whose flight has ended."""
        with self._lock:
            others = self._under_way.get(lookup.asked.scope)
            known = None if others is None else others.pop(flight, None)
            if others is not None and not others:
                del self._under_way[lookup.asked.scope]
        if known is not None:
            self._withdraw(lookup, known[0])

    def _withdraw(self, lookup: Lookup, row: Row) -> None:
        if lookup.rule.max_error is not None:
            self._learned.withdraw(row)
