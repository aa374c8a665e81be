"""Blocking calls with a deadline.

The timeout of a socket bounds each read, but not a server that sends a byte a second, name
resolution, or a client without a timeout. So a call runs in another thread, and its caller stops
waiting at the deadline. The call itself cannot be stopped; there are few threads, all daemons, and
a call whose caller has left is not started.
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
    """A runner of calls within the deadline of the calling thread. Safe to use from any threads.

    Args:
        seconds: Timeout of a call outside of :meth:`within`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pool = Pool(_THREADS)
        self._pool.end_with(self)
        self._local = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Set a common deadline for all calls of this thread in the block; the earliest one counts.

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
        """Return the seconds until the deadline of this thread."""
        until = getattr(self._local, "until", None)
        return self._seconds if until is None else max(0.0, until - time.monotonic())

    def run(self, action: Callable[..., T], *args: Any) -> T:
        """Run an action; return its result or raise its error.

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
        """Run an action in the background, unless no thread can be started."""

        def work() -> None:
            with suppress(Exception):  # there is no caller to report it to
                action()

        with suppress(RuntimeError):
            self._pool.offer(work)
