"""A clock for tests, which advances on command only."""

from __future__ import annotations

import asyncio
import threading

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["FakeClock"]


class FakeClock:
    """A clock that stands still until it is advanced; sleeping advances it. Thread-safe.

    It drives everything that uses the runtime's clock: TTLs, waits between retries, breakers,
    limits, deadlines of blocking calls. asyncio cancels a coroutine that hangs by real time.

    Args:
        start: The initial seconds since the epoch. Default 1,000,000.
    """

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start
        self._lock = fork_safe(self, threading.Lock())
        self.slept: list[float] = []
        """The durations of all sleeps, in order."""

    def advance(self, seconds: float) -> None:
        """Advance the clock by ``seconds``."""
        with self._lock:
            self._now += check.seconds("seconds", seconds)

    def monotonic(self) -> float:
        """Return the time."""
        return self._now

    def time(self) -> float:
        """Return the time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advance the clock by ``seconds``, without waiting."""
        self.slept.append(seconds)
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Advance the clock by ``seconds``, and let other tasks run once."""
        self.sleep(seconds)
        await asyncio.sleep(0)
