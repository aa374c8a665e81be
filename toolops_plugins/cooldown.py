"""A pause in the use of a server that does not answer."""

from __future__ import annotations

import threading

from toolops_plugins.clock import Clock

__all__ = ["Cooldown"]


class Cooldown:
    """Skips a server for a growing pause after a failure, then lets one caller probe it.

    This is a simple circuit breaker that opens at the first failure: a cache that is down costs one
    timeout, not a window of them. The pause doubles from ``first`` to ``longest`` seconds. The
    probe is a lease, not a flag: a caller that passes after the pause extends the pause, so that a
    probe that is cancelled and never reports blocks nobody. Safe to use from any threads and event
    loops.

    Args:
        clock: The source of monotonic time.
        lease: Seconds for which a probe keeps others out; longer than any operation.
        first: Seconds of the first pause. Default 0.5.
        longest: Seconds of the longest pause. Default 30.
    """

    __slots__ = ("_clock", "_first", "_lease", "_lock", "_longest", "_pause", "_turn", "_until")

    def __init__(
        self, clock: Clock, lease: float, *, first: float = 0.5, longest: float = 30.0
    ) -> None:
        self._clock = clock
        self._lease = lease
        self._first = first
        self._longest = longest
        self._pause = 0.0
        self._turn = 0
        self._until: float | None = None
        self._lock = threading.Lock()

    @property
    def is_down(self) -> bool:
        """True if the last report of the server was a failure."""
        return self._until is not None

    @property
    def is_active(self) -> bool:
        """True if operations are skipped now."""
        until = self._until
        return until is not None and self._clock.monotonic() < until

    def enter(self) -> int | None:
        """Return a ticket for one operation, or None to skip it."""
        if self._until is None:
            return self._turn
        with self._lock:
            if self._until is not None:
                now = self._clock.monotonic()
                if now < self._until:
                    return None
                self._until = now + self._lease
            return self._turn

    def enter_if_up(self) -> int | None:
        """Return a ticket if the last report was no failure; never begins a probe."""
        turn = self._turn
        return turn if self._until is None else None

    def is_stale(self, ticket: int) -> bool:
        """Return whether another operation has failed since ``ticket`` was issued."""
        return ticket != self._turn

    def fail(self, ticket: int) -> None:
        """Report that the server did not answer the operation of ``ticket``."""
        with self._lock:
            # A hundred operations under way at a crash of the server are one failure.
            if ticket != self._turn:
                return
            self._turn += 1
            self._pause = min(self._longest, self._pause * 2 or self._first)
            self._until = self._clock.monotonic() + self._pause

    def succeed(self, ticket: int) -> None:
        """Report that the server answered the operation of ``ticket``."""
        with self._lock:
            # An answer from before the failure says nothing about the server now.
            if ticket == self._turn:
                self._pause = 0.0
                self._until = None

    def reset(self) -> None:
        """Start anew; for a forked child, where the lock may be held by a thread that is gone."""
        self._lock = threading.Lock()
        self._pause = 0.0
        self._until = None
