"""The liveness of an event loop, as seen by callers that wait for it elsewhere.

A loop may have stopped. Or it may be blocked, perhaps by a caller that waits for the very caller
that waits for the work: an agent's blocking call on a running loop hands its tools to threads.
Blocking cannot be seen from outside, so the loop is asked for a sign of life.

Time is counted in looks, so that nobody draws conclusions from a suspension of the whole process.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

__all__ = ["PATIENCE", "LoopLiveness", "LoopProbe", "current_loop"]

PATIENCE = 0.25
"""Seconds between two looks."""

GRACE = 4
"""Looks after which the loop is asked for a sign of life, and as many after each sign."""

SILENCE = 4
"""Looks without a sign, once it was asked for, after which the loop counts as dead."""


class LoopLiveness:
    """One caller's observations of the loop that it waits for. For that caller alone.

    Args:
        loop: The loop; not the caller's own.
    """

    __slots__ = ("_looks", "_loop", "_sign", "_suspicious")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._looks = 0
        self._sign: threading.Event | None = None
        self._suspicious = False

    def is_dead(self, task: asyncio.Task[Any] | None) -> bool:
        """Look, once every :data:`PATIENCE` seconds; return whether waiting is of no use.

        Args:
            task: The task that is waited for. A loop that is inside of it makes progress even if it
                does nothing else meanwhile: the work may compute, or make a blocking call.
        """
        suspicious = self._suspicious
        self._suspicious = not self._loop.is_running()
        if self._suspicious:
            return suspicious
        return self._silent(task)

    def _silent(self, task: asyncio.Task[Any] | None) -> bool:
        if self._sign is not None and self._sign.is_set():
            self._sign, self._looks = None, 0
        if self._sign is not None and task is not None and _current_task(self._loop) is task:
            self._looks = GRACE
            return False
        self._looks += 1
        if self._looks == GRACE:
            self._sign = threading.Event()
            with suppress(RuntimeError):  # it was closed this instant, which the next look sees
                self._loop.call_soon_threadsafe(self._sign.set)
        return self._looks >= GRACE + SILENCE


class LoopProbe:
    """Observations of a loop by passing callers, at irregular times; see :class:`LoopLiveness`.

    Args:
        loop: The loop; not the caller's own.
    """

    __slots__ = ("_loop", "_sign", "_since")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sign: threading.Event | None = None
        self._since = 0.0

    def is_dead(self, task: asyncio.Task[Any] | None) -> bool:
        """Return whether the loop has stopped, or has given no sign of life for long.

        Args:
            task: A task that nobody waits for; a loop that is inside of it makes progress.
        """
        if not self._loop.is_running():
            return True
        now = time.monotonic()
        sign = self._sign
        if (
            sign is None
            or sign.is_set()
            or (task is not None and _current_task(self._loop) is task)
        ):
            sign = self._sign = threading.Event()
            self._since = now
            with suppress(RuntimeError):  # it was closed this instant
                self._loop.call_soon_threadsafe(sign.set)
        return now - self._since > PATIENCE * SILENCE


def _current_task(loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any] | None:
    import asyncio  # noqa: PLC0415 - see above

    return asyncio.current_task(loop)


def current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, or None."""
    loaded = sys.modules.get("asyncio")  # before it is imported no loop runs
    return None if loaded is None else loaded._get_running_loop()  # noqa: SLF001 - public in all but name
