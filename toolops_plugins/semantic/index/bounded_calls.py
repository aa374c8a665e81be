"""Blocking calls that get a limited time, whatever they wait for.

A timeout of a socket bounds each read, and says nothing of a server that sends a byte a second, of
name resolution, or of a client that has no timeout at all. So a call runs in another thread, and
whoever waits for it leaves when its time is over. The call itself cannot be stopped; there are few
threads, all of them daemons, and a call that nobody waits for any more is not begun.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from toolops_plugins.concurrency.pool import Outcome, Pool

__all__ = ["BoundedCalls"]

T = TypeVar("T")

_THREADS = 8


class BoundedCalls:
    """Runs calls within the time that is left to the calling thread. Safe to use from any threads.

    Args:
        seconds: What a call gets outside of any :meth:`within`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pool = Pool(_THREADS)
        self._pool.end_with(self)
        self._local = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Have all calls of this thread in the block end in time, together; the nearest end counts.

        Args:
            seconds: From now on.
        """
        before = getattr(self._local, "until", None)
        until = time.monotonic() + seconds
        self._local.until = until if before is None else min(before, until)
        try:
            yield
        finally:
            self._local.until = before

    def left(self) -> float:
        """Return how many seconds this thread has for its next call."""
        until = getattr(self._local, "until", None)
        return self._seconds if until is None else max(0.0, until - time.monotonic())

    def run(self, action: Callable[..., T], *args: Any) -> T:
        """Return what an action returns, or raise what it raises.

        Raises:
            TimeoutError: It did not end in time.
        """
        outcome = Outcome()
        given_up = False

        def work() -> None:
            if not given_up:
                outcome.run(lambda: action(*args))

        left = self.left()
        if left > 0.0:
            self._pool.submit(work)
            if outcome.wait(left):
                result: T = outcome.result()
                return result
        given_up = True
        raise TimeoutError(f"no end after {left:.1f} s")

    def offer(self, action: Callable[[], object]) -> None:
        """Run an action that nobody waits for, unless there is no thread to be had."""

        def work() -> None:
            with suppress(Exception):  # nobody would hear of it
                action()

        with suppress(RuntimeError):
            self._pool.offer(work)
