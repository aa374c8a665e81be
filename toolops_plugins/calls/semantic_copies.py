"""Hits of the copies in memory of answers that the bounded policy has served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolops_plugins.calls.results import LARGE_BYTES
from toolops_plugins.codec import Payload

if TYPE_CHECKING:
    from toolops_plugins.semantic.decision import Decision

__all__ = ["CopyHits"]


class _Copy:
    """A copied answer, which counts how often it is read.

    Args:
        decision: The decision to serve the answer.
        read: Returns the answer.
        pending: Copies with hits that were not reported yet.
    """

    __slots__ = ("decision", "hits", "pending", "read")

    def __init__(self, decision: Decision, read: Callable[[], Any], pending: deque[_Copy]) -> None:
        self.decision = decision
        self.read = read
        self.pending = pending
        self.hits = 0

    def __call__(self) -> Any:
        self.hits += 1
        if self.hits == 1:
            self.pending.append(self)
        return self.read()


class CopyHits:
    """Counts the hits of copies, each of which is as likely wrong as the answer that was copied.

    The hot path counts the hits of a tool without telling them apart. So the payload of a copy
    counts how often its value is taken. Threads may lose a hit; the count is rough, as that of all
    hits is. Thread-safe.
    """

    def __init__(self) -> None:
        self._pending: deque[_Copy] = deque()

    def wrap(self, payload: Payload, decision: Decision, read: Callable[[Payload], Any]) -> Payload:
        """Return a payload with the same value that counts its readers.

        Args:
            payload: The payload of the answer.
            decision: The decision to serve it.
            read: Returns the value of a payload.
        """
        # Without its data a large value would not be copied in a thread.
        data = payload.data if payload.size > LARGE_BYTES else None
        counted = Payload(payload.codec, data, size=payload.size)
        counted.copy = _Copy(decision, lambda: read(payload), self._pending)
        return counted

    def take(self) -> list[tuple[Decision, int]]:
        """Return the decisions whose copies had hits since the last time, and how many each."""
        taken: list[tuple[Decision, int]] = []
        while self._pending:
            try:
                copy = self._pending.popleft()
            except IndexError:  # another thread took it
                break
            hits, copy.hits = copy.hits, 0
            taken.append((copy.decision, hits))
        return taken
