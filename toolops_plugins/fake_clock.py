"""A clock for tests that moves only when it is told to."""

from __future__ import annotations

import asyncio
import threading

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["FakeClock"]


class FakeClock:
    """A clock that stands still until it is told otherwise; sleeping turns it. Thread-safe.

    It drives everything that asks the runtime's clock: TTLs, waits between retries, breakers,
    limits, deadlines of blocking calls. A coroutine that hangs is not its affair: asyncio cancels
    that on real time.

    Args:
        start: Seconds since the epoch to begin with. Default 1,000,000.
    """

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start
        self._lock = fork_safe(self, threading.Lock())
        self.slept: list[float] = []
        """The durations of all sleeps, in order."""

    def advance(self, seconds: float) -> None:
        """Turn the hands forward by ``seconds``."""
        with self._lock:
            self._now += check.seconds("seconds", seconds)

    def monotonic(self) -> float:
        """Return the time."""
        return self._now

    def time(self) -> float:
        """Return the time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Turn the hands forward by ``seconds``, without waiting."""
        self.slept.append(seconds)
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Turn the hands forward by ``seconds``, and let other tasks run once."""
        self.sleep(seconds)
        await asyncio.sleep(0)
