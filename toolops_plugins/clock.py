"""The source of time, which tests replace by a fake clock."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """A source of time, in seconds. Implementations are thread-safe."""

    def monotonic(self) -> float:
        """Return a time that never goes back; only differences are meaningful."""
        ...

    def time(self) -> float:
        """Return the seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds``."""
        ...

    async def asleep(self, seconds: float) -> None:
        """Suspend this task for ``seconds``."""
        ...


class SystemClock:
    """The clock of the operating system."""

    # Bound to the C functions: a method in Python would double the time of a hit.
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds``."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Suspend this task for ``seconds``."""
        import asyncio  # noqa: PLC0415 - slow to import, and here it has been

        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
