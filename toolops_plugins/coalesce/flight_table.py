"""The table of flights under way: joining, leaving and ending them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.coalesce import loop_liveness, wait_graph
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.coalesce.flight import Flight, FlightOutcome, RecentKeys, wake
from toolops_plugins.coalesce.loop_liveness import current_loop
from toolops_plugins.coalesce.watch import LoopWatch, Verdict, Watch

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

__all__ = ["FlightTable", "Refusal"]


class Refusal(Enum):
    """The reason why a caller does not follow a flight.

    Attributes:
        GONE: The flight has ended meanwhile, or was dead.
        ALONE: Its wait could close a circle, or block a running loop: it runs the work alone.
    """

    GONE = 0
    ALONE = 1


class FlightTable:
    """The flights under way, and the rules to join, leave and end them.

    Args:
        limit: Flights that may be under way at once; past it, calls run alone. Default 10,000.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self.on_full: weakref.WeakMethod[Callable[[str, str], object]] | None = None
        """Called with the tool of a call that runs alone, and a text that says why. Weak, since a
        flight under way would otherwise keep a runtime alive."""
        # Reentrant: the garbage collector may end an abandoned coroutine, a caller, anywhere.
        self._lock = threading.RLock()
        self._table: dict[bytes, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.single_use = RecentKeys()
        """Keys whose last result could not be shared, so that their callers do not wait."""
        self.cancelled_refreshes = RecentKeys()
        """Keys whose refresh was cancelled, so that the next caller waits for a fresh result."""

    def __len__(self) -> int:
        """Return the number of flights under way."""
        return len(self._table)

    def count_callers(self, key: bytes) -> int:
        """Return the number of callers of the flight of ``key``, the leader included."""
        flight = self._table.get(key)
        return flight.parties if flight is not None else 0

    def drop_if_stuck(self, key: bytes) -> bool:
        """Drop the flight of ``key`` if its loop makes no progress; return whether it was dropped.

        For work that nobody waits for. A loop that has stopped or was closed is seen at once. A
        blocked one is asked for a sign of life, and has a second to give it.
        """
        flight = self._table.get(key)
        if flight is None or flight.loop is None or flight.loop is current_loop():
            return False
        if flight.probe is None:
            flight.probe = loop_liveness.LoopProbe(flight.loop)
        if not flight.probe.is_dead(flight.task):
            return False
        self.drop_stuck(flight)
        return True

    def forget(self, key: bytes | None = None) -> None:
        """Let later callers of ``key`` (None: of all) start anew, and present ones finish."""
        with self._lock:
            if key is None:
                self._table.clear()
                return
            # The key of a stream begins with its place.
            for known in [known for known in self._table if known.endswith(key)]:
                del self._table[known]

    def reset_after_fork(self) -> None:
        """Start empty in a forked child, where only this thread survives."""
        self._lock = threading.RLock()
        self._table = {}
        if self._tasks:
            from toolops_plugins.concurrency.tasks import adopt  # noqa: PLC0415 - imports asyncio

            adopt(self._tasks)
        self._tasks = set()

    def find(self, key: bytes) -> Flight | None:
        """Return the flight of ``key``, or None."""
        return self._table.get(key)

    def lead(self, flight: Flight) -> bool:
        """Put a flight into the table; return False if it is full, or has one of that key."""
        with self._lock:
            if flight.key in self._table or len(self._table) >= self._limit:
                return False
            self._table[flight.key] = flight
            return True

    def notify_full(self, owner: str | None) -> None:
        """Emit a notice that a call of a tool runs alone, since the table is full."""
        notify = None if self.on_full is None else self.on_full()
        if notify is not None and owner is not None:
            with suppress(Exception):  # a user's sink may raise anything
                notify(owner, f"all {self._limit:,} places for calls under way are taken")

    def follow(
        self, flight: Flight, waiter: Any, loop: asyncio.AbstractEventLoop | None
    ) -> wait_graph.Wait | Refusal:
        """Join a flight that the table held a moment ago.

        Args:
            flight: The flight.
            waiter: Woken when the flight ends: a locked lock, or a future of ``loop``.
            loop: The running loop; None: the caller waits in a thread.
        """
        with self._lock:
            if self._table.get(flight.key) is not flight:
                return Refusal.GONE
            if self._is_dead(flight, loop):
                self._drop(flight)
                return Refusal.GONE
            if loop is None and current_loop() is not None:
                return Refusal.ALONE
            wait = wait_graph.wait_for(flight.node)
            if wait is None:
                return Refusal.ALONE
            flight.parties += 1
            flight.followed = True
            if flight.waiters is None:
                flight.waiters = {}
            flight.waiters[waiter] = loop
            return wait

    def add_waiter(
        self, flight: Flight, waiter: Any, loop: asyncio.AbstractEventLoop | None
    ) -> bool:
        """Have a leader woken when its flight ends; return False if it has ended already."""
        with self._lock:
            if flight.done:
                return False
            if flight.waiters is None:
                flight.waiters = {}
            flight.waiters[waiter] = loop
            return True

    def hold(self, flight: Flight, task: asyncio.Task[None]) -> None:
        """Hold the task of a flight until it has ended. An event loop holds its tasks weakly."""
        self._tasks.add(task)
        if flight.task is None:  # it has not begun
            flight.task = task
            task.add_done_callback(partial(self._finish_unbegun, flight))

    def release(self, task: asyncio.Task[Any]) -> None:
        """Hold a task no longer."""
        self._tasks.discard(task)

    def _finish_unbegun(self, flight: Flight, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.finish(flight, None)  # if it was cancelled before its first step

    def watch(self, flight: Flight, loop: asyncio.AbstractEventLoop) -> LoopWatch:
        """Return the watch of a flight for its followers on a loop that is not its own.

        On its own loop only followers that hold a thread, by asgiref, need it.
        """
        with self._lock:
            if flight.watches is None:
                flight.watches = {}
            watch = flight.watches.get(loop)
            if watch is None or watch.over:
                watch = flight.watches[loop] = LoopWatch(flight, loop, self.check)
            return watch

    def _is_dead(self, flight: Flight, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether nobody will ever end a flight: its loop was closed or interrupted."""
        if flight.loop is None:
            return flight.done
        if flight.loop is loop:
            # Between joining and starting the task nothing else can run on the same loop.
            return flight.done or flight.task is None
        return flight.done or flight.loop.is_closed()

    def _drop(self, flight: Flight) -> None:
        """Let nobody join a flight any more; the caller holds the lock."""
        if self._table.get(flight.key) is flight:
            del self._table[flight.key]
        if flight.task is not None and flight.loop is not None and flight.loop.is_closed():
            self._tasks.discard(flight.task)  # it will never end

    def drop_stuck(self, flight: Flight) -> None:
        """Free the key of a flight without progress; its callers find out for themselves."""
        with self._lock:
            self._drop(flight)

    def leave(self, flight: Flight, waiter: Any) -> bool:
        """Remove one caller; return whether it was the last one, so that the work was cancelled."""
        if flight.done and not flight.followed:  # which changes no more
            flight.outcome = None
            return False
        with self._lock:
            flight.parties -= 1
            if flight.waiters is not None:
                flight.waiters.pop(waiter, None)
            if flight.parties:
                return False
            # Tracebacks may hold the flight for long, and no caller wants its outcome any more.
            flight.outcome = None
            if flight.done:
                return False
            self._drop(flight)
        if flight.task is None or flight.loop is None:
            return False
        if flight.loop is current_loop():
            flight.task.cancel()
            return True
        with suppress(RuntimeError):  # a closed loop has ended the work already
            flight.loop.call_soon_threadsafe(flight.task.cancel)
        return True

    def finish(
        self, flight: Flight, outcome: FlightOutcome | None, *, leaving: bool = False
    ) -> None:
        """End a flight and wake all its callers, once.

        If this is interrupted in the middle, waiting callers see so at their next look.

        Args:
            flight: The flight.
            outcome: The outcome of its work. None: there is none, so that it is lost.
            leaving: Whether its leader, who has the outcome, leaves it at once. Default False.
        """
        with self._lock:
            if flight.done:
                return
            if leaving:
                flight.parties -= 1
            if flight.parties:
                flight.outcome = outcome
            if self._table.get(flight.key) is flight:
                del self._table[flight.key]
            flight.done = True
            flight.place = None
            wait_graph.finish(flight.node)
            waiters, flight.waiters = flight.waiters, None
        if waiters is not None:
            wake(waiters, current_loop())

    def fail(
        self,
        flight: Flight,
        error: Exception,
        outside: BaseException | None,
        *,
        leaving: bool = False,
    ) -> None:
        """End a flight whose work raised an exception.

        Args:
            flight: The flight.
            error: The exception, as it was caught.
            outside: The exception that was being handled where the work began.
            leaving: As in :meth:`finish`. Default False.
        """
        with self._lock:
            self._drop(flight)  # nobody follows it any more
        copy = copy_error(error, outside) if flight.followed else None
        trace = error.__traceback__
        if trace is not None and trace.tb_next is not None:
            trace = trace.tb_next  # without the frame that caught it, which holds the flight
        outcome = FlightOutcome(None, error, trace, copy)
        self.finish(flight, outcome, leaving=leaving)

    def check(self, flight: Flight, watch: Watch) -> bool:
        """Look at a flight and act on the verdict; return whether to wait for it no longer."""
        seen = watch.look()
        if seen is not Verdict.PENDING:
            self.drop_stuck(flight)
        if seen is Verdict.DEAD:
            self.finish(flight, None)
        return seen is not Verdict.PENDING
