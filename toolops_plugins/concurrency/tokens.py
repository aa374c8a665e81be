"""A semaphore of bare locks, whose waits always end in time.

``threading.Semaphore`` takes ten times as long. A ``queue.SimpleQueue`` of tokens does not,
but its ``get(timeout=...)`` may wait for ever: if the time is up between two of its steps, it takes
the negative rest for no limit (CPython 3.11 and 3.12).
"""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["Tokens"]


class Tokens:
    """A number of tokens, for which callers wait in order of arrival.

    Safe to use from any threads. It must not be used where the garbage collector may call it.

    Args:
        count: The number of tokens.
    """

    __slots__ = ("_free", "_lock", "_waiters")

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiters: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    def take(self, seconds: float) -> bool:
        """Take a token, after at most so many seconds; return whether there was one."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if seconds <= 0.0:
                return False
            waiter = threading.Lock()
            waiter.acquire()
            self._waiters.append(waiter)
        try:
            if waiter.acquire(timeout=min(seconds, threading.TIMEOUT_MAX)):
                return True
        except BaseException:
            if not self._leave(waiter):
                self.give_back()
            raise
        return not self._leave(waiter)

    def give_back(self) -> None:
        """Return a token, to the caller that has waited longest."""
        with self._lock:
            if self._waiters:
                self._waiters.popleft().release()
            else:
                self._free += 1

    def _leave(self, waiter: threading.Lock) -> bool:
        """Wait no longer; return False if the token has come just now."""
        with self._lock:
            try:
                self._waiters.remove(waiter)
            except ValueError:
                return False
            return True
