"""A bulkhead, which bounds the number of concurrent calls and of callers that wait.

It is named after the walls that keep one leak from sinking a ship (Nygard, Release It!, 2007).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import BulkheadFull
from toolops_plugins.policy import Bulkhead

if TYPE_CHECKING:
    import asyncio  # it takes longer to import than all of this library

__all__ = ["BulkheadPlace", "Gate"]


class Gate:
    """Admits a bounded number of calls at once, from any threads and event loops together.

    Callers that wait are served in order of arrival: a place that becomes free goes to the first in
    the queue, and no later caller can take it. Safe to share between any threads and event loops.

    Args:
        policy: How many calls may run, and how many callers may wait.
        name: The name of the callee, for errors.

    Attributes:
        era: The number of forks since it was made, for :meth:`release_from`.

    Example:
        >>> gate = Gate(Bulkhead(limit=1), "quotes")
        >>> with gate:
        ...     gate.try_acquire()
        False
        >>> gate.occupancy
        0
    """

    def __init__(self, policy: Bulkhead, name: str) -> None:
        self.policy = policy
        self.name = name
        self._limit = policy.limit
        self._running = 0
        self.era = 0
        self._lost = 0  # places that were taken before a fork, and may be returned after it
        self._queue: OrderedDict[_Waiter, None] = OrderedDict()
        self._lock = fork_safe(self, threading.Lock())

    @property
    def occupancy(self) -> int:
        """Places that are taken."""
        return self._running

    @property
    def queue_length(self) -> int:
        """Callers in the queue."""
        return len(self._queue)

    def reset_after_fork(self) -> None:
        """Start empty in a forked child: the calls inside and in the queue are the parent's."""
        self.era += 1
        self._lost = self._running
        self._running = 0
        self._queue.clear()

    def try_acquire(self) -> bool:
        """Take a place if one is free; return whether there was one. Never blocks."""
        return self.take_place() is not None

    def take_place(self) -> int | None:
        """Take a place if one is free, for :meth:`release_from`; never blocks.

        Returns:
            The place's era, or None if no place was free.
        """
        with self._lock:
            # While anybody waits no place is free, as each is handed over.
            if self._running >= self._limit:
                return None
            self._running += 1
            return self.era

    def acquire(self, timeout: float | None = None) -> None:
        """Take a place, and block this thread until there is one.

        In a thread that runs an event loop it does not wait unless a timeout is given: a task of
        the very loop that would be blocked may hold the place.

        Args:
            timeout: Seconds to wait at most. None: no limit.

        Raises:
            BulkheadFull: The queue is full too.
            TimeoutError: No place became free in time.
        """
        if self.try_acquire():
            return
        if timeout is None and _is_on_loop():
            raise BulkheadFull(f"the bulkhead of {self.name!r} is full and this is an event loop")
        waiter = _ThreadWaiter()
        if self._enqueue(waiter):
            return
        try:
            served = waiter.wait(timeout)
        except BaseException:
            self._leave(waiter)
            raise
        if not served and not self._leave(waiter, keep=True):
            raise TimeoutError(
                f"no place in the bulkhead of {self.name!r} became free in {timeout:g} seconds"
            )

    async def aacquire(self) -> None:
        """Take a place, and suspend this task until there is one.

        Raises:
            BulkheadFull: The queue is full too.
        """
        if self.try_acquire():
            return
        waiter = _TaskWaiter()
        if self._enqueue(waiter):
            return
        try:
            await waiter.future
        except BaseException:
            self._leave(waiter)
            raise

    def place(self) -> BulkheadPlace:
        """Return the place that the caller has just taken, as an object with ``release()``."""
        return BulkheadPlace(self, self.era)

    def release_from(self, era: int) -> None:
        """Return a place of an era; a place from before a fork does not count in the child."""
        with self._lock:
            if era != self.era:
                return
            if self._running and not self._queue:
                self._running -= 1
                return
        self.release()

    def release(self) -> None:
        """Return a place; from any thread.

        Raises:
            RuntimeError: No place is taken.
        """
        while True:
            with self._lock:
                if not self._queue:
                    if not self._running:
                        if self._lost:
                            self._lost -= 1
                            return
                        raise RuntimeError(f"no place in the bulkhead of {self.name!r} is taken")
                    self._running -= 1
                    return
                waiter, _ = self._queue.popitem(last=False)
                waiter.granted = True
            if waiter.wake():
                return
            with self._lock:  # the waiter's loop is closed
                if not waiter.granted:
                    return  # it has just passed the place on by itself
                waiter.granted = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    async def __aenter__(self) -> None:
        await self.aacquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _enqueue(self, waiter: _Waiter) -> bool:
        """Join the queue; return True if a place has become free instead."""
        with self._lock:
            if self._running < self._limit:
                self._running += 1
                return True
            if len(self._queue) >= self.policy.queue:
                raise BulkheadFull(
                    f"the bulkhead of {self.name!r} is full: {self._limit} calls run"
                    f" and {len(self._queue)} wait"
                )
            self._queue[waiter] = None
            return False

    def _leave(self, waiter: _Waiter, *, keep: bool = False) -> bool:
        """Stop waiting; return whether a place had been granted meanwhile.

        Such a place goes to the next caller in the queue, unless ``keep`` is set.
        """
        with self._lock:
            self._queue.pop(waiter, None)
            granted, waiter.granted = waiter.granted, keep and waiter.granted
        if granted and not keep:
            self.release()
        return granted


class BulkheadPlace:
    """A place that is taken, and is returned once, from any thread.

    Args:
        gate: The gate of the place.
        era: The number of the gate's forks when it was taken.
    """

    __slots__ = ("_era", "_gate")

    def __init__(self, gate: Gate, era: int) -> None:
        self._gate = gate
        self._era = era

    def release(self) -> None:
        """Return the place. A second call does nothing."""
        try:
            gate = self._gate
            del self._gate  # of several threads here, one succeeds
        except AttributeError:
            return
        gate.release_from(self._era)


class _Waiter(Protocol):
    granted: bool
    """True if a place was handed to it; read and written under the gate's lock."""

    def wake(self) -> bool:
        """Let the caller continue; return False if it cannot."""
        ...


class _ThreadWaiter:
    __slots__ = ("_asleep", "granted")

    def __init__(self) -> None:
        self.granted = False
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def wait(self, timeout: float | None) -> bool:
        if timeout is None:
            return self._asleep.acquire()
        return self._asleep.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX))

    def wake(self) -> bool:
        self._asleep.release()
        return True


class _TaskWaiter:
    __slots__ = ("_loop", "future", "granted")

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415 - slow to import, and imported already by this caller

        self.granted = False
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._finish)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _finish(self) -> None:
        if not self.future.done():  # as it is when its task was cancelled
            self.future.set_result(None)


def _is_on_loop() -> bool:
    import asyncio  # noqa: PLC0415 - slow to import, and only a full bulkhead comes here

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
