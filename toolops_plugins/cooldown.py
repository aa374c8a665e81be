"""When to leave a server alone that does not answer."""

from __future__ import annotations

import threading

from toolops_plugins.clock import Clock

__all__ = ["Cooldown"]


class Cooldown:
    """Skips a server for a growing pause after it failed, then lets one caller probe.

    A plain circuit breaker that opens at the first failure: a cache that is down must cost one
    timeout, not one for each of a window of calls. The pause doubles from ``first`` to
    ``longest`` seconds. The probe is a lease, not a flag: whoever passes after the pause moves the
    end of the pause forward, so that a probe that is cancelled and never reports blocks nobody.
    Safe for use from any threads and event loops.

    Args:
        clock: Its monotonic time is used.
        lease: Seconds for which a probe keeps others out; more than an operation can take.
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
        """Whether the last that was heard of the server was a failure."""
        return self._until is not None

    @property
    def is_active(self) -> bool:
        """Whether an operation would be skipped now."""
        until = self._until
        return until is not None and self._clock.monotonic() < until

    def enter(self) -> int | None:
        """Return a ticket for one operation, or None if it is to be skipped."""
        if self._until is None:
            return self._turn
        with self._lock:
            if self._until is not None:
                now = self._clock.monotonic()
                if now < self._until:
                    return None
                self._until = now + self._lease
            return self._turn

    def is_stale(self, ticket: int) -> bool:
        """Return whether the server was found down since ``ticket`` was handed out."""
        return ticket != self._turn

    def fail(self, ticket: int) -> None:
        """Note that the operation of ``ticket`` found the server down."""
        with self._lock:
            # A hundred operations under way when the server died are one failure, not a hundred.
            if ticket != self._turn:
                return
            self._turn += 1
            self._pause = min(self._longest, self._pause * 2 or self._first)
            self._until = self._clock.monotonic() + self._pause

    def succeed(self, ticket: int) -> None:
        """Note that the server answered the operation of ``ticket``."""
        with self._lock:
            # An answer that was under way before the failure proves nothing about the time after.
            if ticket == self._turn:
                self._pause = 0.0
                self._until = None

    def reset(self) -> None:
        """Forget everything; for a forked child, where the lock may be held by nobody alive."""
        self._lock = threading.Lock()
        self._pause = 0.0
        self._until = None
