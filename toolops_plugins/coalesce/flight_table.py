"""The table of flights under way: joining, leaving and ending them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from toolops_plugins.coalesce import loop_liveness, wait_graph
from toolops_plugins.coalesce.flight import Flight, FlightOutcome, RecentKeys
from toolops_plugins.coalesce.loop_liveness import current_loop
from toolops_plugins.coalesce.starvation import ThreadCall
from toolops_plugins.coalesce.watch import Verdict, Watch

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

__all__ = ["ALONE", "FlightTable", "Role"]


class Role(NamedTuple):
    """The role of a caller: leader or follower of ``flight``, or alone where that is None."""

    flight: Flight | None
    leads: bool = False
    wait: wait_graph.Wait | None = None


ALONE = Role(None)


class FlightTable:
    """The flights under way, and the rules to join, leave and end them.

    Args:
        limit: Flights that may be under way at once; past it, calls run alone. Default 10,000.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
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
        self._drop_stuck(flight)
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

    def _join(
        self,
        key: bytes,
        loop: asyncio.AbstractEventLoop | None,
        mark: object,
        generation: int,
    ) -> Role:
        with self._lock:
            flight = self._table.get(key)
            if flight is not None and self._is_dead(flight, loop):
                self._drop(flight)
                flight = None
            if flight is None:
                if len(self._table) >= self._limit:
                    return ALONE
                place = None if loop is not None else ThreadCall(2)
                flight = self._table[key] = Flight(key, loop, mark, place, generation)
                return Role(flight, leads=True, wait=wait_graph.wait_for(flight.node))
            if loop is None and current_loop() is not None:
                return ALONE
            wait = wait_graph.wait_for(flight.node)
            if wait is None:
                return ALONE
            flight.parties += 1
            return Role(flight, leads=False, wait=wait)

    def _is_dead(self, flight: Flight, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether nobody will ever end a flight: its loop was closed or interrupted."""
        if flight.loop is None:
            return flight.done
        # Between joining and starting the task nothing else can run on the same loop.
        return flight.done or flight.loop.is_closed() or (flight.loop is loop and not flight.task)

    def _drop(self, flight: Flight) -> None:
        """Let nobody join a flight any more; the caller holds the lock."""
        if self._table.get(flight.key) is flight:
            del self._table[flight.key]
        if flight.task is not None and flight.loop is not None and flight.loop.is_closed():
            self._tasks.discard(flight.task)  # it will never end

    def _add_callback(self, flight: Flight, ticket: object, call: Callable[[], None]) -> bool:
        """Have ``call`` called when the flight ends; return False if it has ended already."""
        with self._lock:
            if flight.done:
                return False
            flight.callbacks[ticket] = call
            return True

    def _drop_stuck(self, flight: Flight) -> None:
        """Free the key of a flight without progress; its callers find out for themselves."""
        with self._lock:
            self._drop(flight)

    def _leave(self, role: Role, ticket: object = None) -> bool:
        """Remove one caller; return whether it was the last one, so that the work was cancelled."""
        flight = role.flight
        if flight is None:
            return False
        with self._lock:
            flight.parties -= 1
            flight.callbacks.pop(ticket, None)
            if role.wait is not None:
                wait_graph.leave(role.wait)
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

    def _finish(self, flight: Flight, outcome: FlightOutcome | None) -> None:
        """End a flight and wake all its callers, once.

        If this is interrupted in the middle, waiting callers see so at their next look.
        """
        with self._lock:
            if flight.done:
                return
            flight.outcome = outcome if flight.parties else None
            self._drop(flight)
            flight.done = True
            flight.mark = flight.place = None
            wait_graph.finish(flight.node)
            calls = list(flight.callbacks.values())
            flight.callbacks.clear()
        for call in calls:
            call()

    def _check(self, flight: Flight, watch: Watch) -> bool:
        """Look at a flight and act on the verdict; return whether to wait for it no longer."""
        seen = watch.look()
        if seen is Verdict.DEAD:
            self._finish(flight, None)
        elif seen is Verdict.STUCK:
            self._drop_stuck(flight)
        return seen is not Verdict.PENDING
