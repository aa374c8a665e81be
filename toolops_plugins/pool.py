"""A bounded pool of daemon threads.

Not ``concurrent.futures``: its threads are joined at exit, so one call that hangs past its timeout
would keep the interpreter from ending; and a call that has timed out is exactly what is left here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

__all__ = ["Outcome", "Pool"]


class Outcome:
    """What came of a function that runs in the pool. Waited for by one thread only."""

    __slots__ = ("_done", "error", "value")

    def __init__(self) -> None:
        self._done = threading.Lock()
        self._done.acquire()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self, function: Callable[[], Any]) -> None:
        """Run the function, keep what comes of it, and wake whoever waits."""
        try:
            self.value = function()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self.error = error
        finally:
            self._done.release()

    def wait(self, seconds: float | None) -> bool:
        """Wait at most ``seconds`` (None: without limit); return whether there is an outcome."""
        return self._done.acquire(timeout=-1 if seconds is None else max(seconds, 0.0))

    def result(self) -> Any:
        """Return the value or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Pool:
    """Threads that are started as they are needed and end when they have been idle for a while.

    Safe to use from any threads and event loops.

    Args:
        limit: Threads at the most; further work queues. Default 64.
        backlog: Functions that may queue for :meth:`offer`. Default 1,000.
        idle: Seconds after which an idle thread ends. Default 10.
    """

    def __init__(self, limit: int = 64, *, backlog: int = 1_000, idle: float = 10.0) -> None:
        self._limit = limit
        self._backlog = backlog
        self._idle_seconds = idle
        self._start_empty()

    def _start_empty(self) -> None:
        self._queue: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._inside = threading.local()

    forked = _start_empty
    """To be called in a forked child, which has none of its parent's threads."""

    def __len__(self) -> int:
        """Return the number of threads."""
        return self._threads

    def submit(self, function: Callable[[], Any]) -> None:
        """Run ``function``, which must not raise, as soon as there is a thread for it.

        A thread of the pool that hands on work is going to wait for it, and would wait for ever
        if all threads did the same: it gets a thread for it beyond the limit.
        """
        self._put(function, nested=getattr(self._inside, "yes", False))

    def _put(self, function: Callable[[], Any], *, nested: bool) -> None:
        self._queue.put(function)
        with self._lock:
            if self._idle >= self._queue.qsize():
                return
            if self._threads >= self._limit and not nested:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="toolops", daemon=True).start()
        except RuntimeError:  # the machine has no more; what is queued waits for those there are
            with self._lock:
                self._threads -= 1
            raise

    def offer(self, function: Callable[[], Any]) -> bool:
        """Run ``function`` some time, unless too much waits already; return whether it will."""
        if self._queue.qsize() >= self._backlog:
            return False
        self._put(function, nested=False)
        return True

    def _work(self) -> None:
        queue, lock = self._queue, self._lock
        self._inside.yes = True
        while True:
            with lock:
                self._idle += 1
            try:
                function = queue.get(timeout=self._idle_seconds)
            except Empty:
                function = None
            with lock:
                self._idle -= 1
                if function is None and queue.empty():
                    self._threads -= 1
                    return
            if function is not None:
                function()
            # Nothing of the last call may live on in an idle thread.
            function = None
