"""The one source of time, so that tests can turn the hands."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """What the library asks of time. All values are in seconds; implementations are thread-safe."""

    def monotonic(self) -> float:
        """Return a time that never goes back; only differences have a meaning."""
        ...

    def time(self) -> float:
        """Return the seconds since the epoch, as other processes see them."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds``."""
        ...

    async def asleep(self, seconds: float) -> None:
        """Suspend this task for ``seconds``."""
        ...


class SystemClock:
    """The computer's own clock."""

    # Bound straight to the C functions: a Python-level method would cost every hit twice its time.
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
