"""Coalescing: one run for many callers, from any mix of threads and event loops.

The first caller of a key leads its flight; callers that come while it is under way follow it, and
get the same result or a copy of the same error. (The pattern is Go's singleflight; the rest is
specific to Python.)

- **Cancellation.** On a loop the work runs in a task of its own, so a leader that is cancelled
  leaves it running for the followers. When the last caller leaves, the work is cancelled.
- **Results of single use.** A result that can be read once only, or that cannot safely be copied,
  belongs to the leader alone. Followers make the call themselves, all at once, as do later callers
  of that key.
- **A lost leader.** If the work itself is cancelled from outside (its loop shuts down) or its
  thread dies of a KeyboardInterrupt, that is nobody's failure: the followers join again, and one of
  them leads the next flight.
- **No deadlock.** A caller runs the work alone where waiting could close a circle
  (:mod:`toolops_plugins.coalesce.wait_graph`), or where it would block the very loop that has to
  finish the work: a thread with a running event loop never waits. A follower leaves the flight if
  the loop of the work is dead (:mod:`toolops_plugins.coalesce.loop_liveness`), or if the work may
  be queueing for threads that its followers hold (:mod:`toolops_plugins.coalesce.starvation`). One
  of those that leave leads the next flight, and the others follow it.
- **Interrupts.** A KeyboardInterrupt, or any exception that another thread raises in this one, may
  come between any two instructions. A flight ends all the same: its leader checks that on its way
  out, and waiting callers look now and then (:mod:`toolops_plugins.coalesce.watch`).

A chain that leaves Python's contexts cannot be seen: a body that hands work to a thread of its own
without ``contextvars.copy_context()``, where that work asks for the body's own key; or a body in a
thread that needs a loop which waits for one of its followers. Give such calls a deadline.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from toolops_plugins.coalesce import loop_liveness, wait_graph
from toolops_plugins.coalesce.flight import (
    Flight,
    FlightOutcome,
    FlightResult,
    deliver,
    make_failure,
)
from toolops_plugins.coalesce.flight_table import FlightTable, Role
from toolops_plugins.coalesce.loop_liveness import current_loop
from toolops_plugins.coalesce.starvation import ThreadCall, holds_thread
from toolops_plugins.coalesce.watch import LoopWatch, Watch
from toolops_plugins.errors import DeadlineExceeded

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

__all__ = ["FlightResult", "Flights", "Submit"]


class _Queued(Protocol):
    def drop(self) -> bool: ...


Submit = Callable[[Callable[[], Any], Callable[[], bool]], _Queued]
"""Starts a function in another thread; the second function tells whether all callers have left."""


class _Wakeup:
    """Wakes one thread, once.

    It is a bare lock, since ``threading.Event`` is written in Python: a thread that is interrupted
    inside of its wait may leave it in a state in which ``set`` waits forever.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Wake the thread. A second call does nothing."""
        with suppress(RuntimeError):
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait for at most so many seconds; return whether it was woken."""
        return self._lock.acquire(timeout=seconds)


class Flights(FlightTable):
    """The flights of one runtime: runs work, and lets equal callers wait for it.

    Safe to use from any threads and event loops at once.

    Args:
        limit: Flights that may be under way at once; past it, calls run alone. Default 10,000.
    """

    # -- threads -----------------------------------------------------------------------------

    def run(
        self,
        key: bytes,
        work: Callable[[], Any],
        submit: Submit | None,
        seconds: float | None = None,
    ) -> FlightResult:
        """Lead the flight of ``key`` in this thread, or wait for the one that is under way.

        Args:
            key: The key that equal calls share.
            work: Does the work.
            submit: Starts a function in another thread, which a leader with a time limit can leave.
                None: a leader does the work in this thread.
            seconds: Time limit of this caller, or None. Default None.

        Raises:
            DeadlineExceeded: ``seconds`` passed; the work goes on for the others.
            Exception: The work's own error.
        """
        mark = object()
        try:
            return self._run_flight(key, work, submit, seconds, mark)
        except BaseException:
            self._finish_after_interrupt(key, mark)
            raise

    def _run_flight(
        self,
        key: bytes,
        work: Callable[[], Any],
        submit: Submit | None,
        seconds: float | None,
        mark: object,
    ) -> FlightResult:
        end = None if seconds is None else time.monotonic() + seconds
        generation = 0
        while True:
            role = self._join(key, None, mark, generation)
            flight = role.flight
            if flight is None and (seconds is None or submit is None):
                return FlightResult(work(), led=True)
            if flight is None:
                # It is in no table, but its caller can leave it like any other flight.
                role = Role(flight := Flight(key, None), leads=True)
            if role.leads and (seconds is None or submit is None):
                try:
                    own = self._run_work(flight, work)
                finally:
                    self._leave(role)
                return deliver(own, led=True)
            ticket = None
            if role.leads and submit is not None:
                ticket = self._submit(role, flight, work, submit)
            try:
                outcome = self._wait(role, flight, end)
            except TimeoutError:
                if ticket is not None and not flight.parties:
                    ticket.drop()
                raise _deadline_error(seconds) from None
            if outcome is not None:
                return deliver(outcome, led=role.leads)
            if role.leads and flight.death is not None:
                raise flight.death
            generation = flight.generation + 1

    def _submit(
        self, role: Role, flight: Flight, work: Callable[[], Any], submit: Submit
    ) -> _Queued:
        run = partial(copy_context().run, self._run_work_quietly, flight, work)
        flight.place = None
        try:
            ticket = submit(run, lambda: not flight.parties)
        except BaseException:
            self._finish(flight, None)
            self._leave(role)
            raise
        flight.mark = None
        return ticket

    def _finish_after_interrupt(self, key: bytes, mark: object) -> None:
        """End, without an outcome, a flight whose leader was interrupted outside of its work."""
        flight = self._table.get(key)
        if flight is not None and flight.mark is mark and flight.task is None:
            self._finish(flight, None)

    def _run_work(self, flight: Flight, work: Callable[[], Any]) -> FlightOutcome:
        outcome: FlightOutcome | None = None
        outside = sys.exception()
        try:
            with wait_graph.enter(flight.node):
                outcome = FlightOutcome(work())
        except Exception as error:  # noqa: BLE001 - raised in all callers
            outcome = make_failure(error, outside)
        except BaseException as death:
            flight.death = death
            raise
        finally:
            self._finish(flight, outcome)
        return outcome

    def _run_work_quietly(self, flight: Flight, work: Callable[[], Any]) -> None:
        # All callers wait in other threads: the leader raises the work's death, the others join
        # again. If all have left while this queued for a thread, there is nothing to do.
        with suppress(BaseException):
            if flight.parties:
                flight.place = ThreadCall()
                self._run_work(flight, work)

    def _wait(self, role: Role, flight: Flight, end: float | None) -> FlightOutcome | None:
        """Wait in this thread; return None if the flight is lost and must be joined anew."""
        wakeup = _Wakeup()
        ticket = object()
        try:
            pending = self._add_callback(flight, ticket, wakeup.wake)
            if pending and not self._wait_for_outcome(flight, wakeup, end):
                return None
            return flight.outcome
        finally:
            self._leave(role, ticket)

    def _wait_for_outcome(self, flight: Flight, wakeup: _Wakeup, end: float | None) -> bool:
        watch = Watch(flight)
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            patience = loop_liveness.PATIENCE
            if wakeup.wait(patience if left is None else min(left, patience)):
                return True
            if (
                flight.done
            ):  # the thread that ended it was interrupted before it could wake this one
                return True
            if left is not None and left <= patience:
                raise TimeoutError
            if self._check(flight, watch):
                return False

    # -- event loops -------------------------------------------------------------------------

    async def arun(
        self,
        key: bytes,
        work: Callable[[], Coroutine[Any, Any, Any]],
        seconds: float | None = None,
    ) -> FlightResult:
        """Lead the flight of ``key`` on this loop, or wait for the one that is under way.

        Args:
            key: The key that equal calls share.
            work: Returns the coroutine that does the work; it runs in a task of its own.
            seconds: Time limit of this caller, or None. Default None.

        Raises:
            DeadlineExceeded: ``seconds`` passed; the work goes on for the others.
            Exception: The work's own error.
        """
        if seconds is None:
            return await self._arun_flight(key, work)
        import asyncio  # noqa: PLC0415 - see above

        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._arun_flight(key, work)
        except TimeoutError:
            if limit.expired():
                raise _deadline_error(seconds) from None
            raise

    async def _arun_flight(
        self, key: bytes, work: Callable[[], Coroutine[Any, Any, Any]]
    ) -> FlightResult:
        import asyncio  # noqa: PLC0415 - see above

        loop = asyncio.get_running_loop()
        mark = object()
        generation = 0
        try:
            while True:
                role = self._join(key, loop, mark, generation)
                flight = role.flight
                if flight is None:
                    return FlightResult(await work(), led=True)
                if role.leads:
                    self._start_task(flight, work, loop)
                outcome = await self._await(role, flight, loop)
                if outcome is not None:
                    return deliver(outcome, led=role.leads)
                if role.leads:
                    # Work that was cancelled from outside is a cancellation to its leader.
                    raise asyncio.CancelledError  # noqa: TRY301 - as if it were awaited here
                generation = flight.generation + 1
        except BaseException:
            self._finish_after_interrupt(key, mark)
            raise

    def _start_task(
        self,
        flight: Flight,
        work: Callable[[], Awaitable[Any]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        context = wait_graph.context_inside(flight.node)
        task = loop.create_task(self._arun_work(flight, work), context=context)

        def on_end(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._finish(flight, None)  # for a task that was cancelled before its first step
            if not task.cancelled():
                task.exception()  # marks it as retrieved; it is raised in the leader

        flight.task = task
        self._tasks.add(task)
        task.add_done_callback(on_end)

    async def _arun_work(self, flight: Flight, work: Callable[[], Awaitable[Any]]) -> None:
        outcome: FlightOutcome | None = None
        try:
            outcome = FlightOutcome(await work())
        except Exception as error:  # noqa: BLE001 - raised in all callers
            outcome = make_failure(error, None)
        finally:
            self._finish(flight, outcome)

    async def _await(
        self, role: Role, flight: Flight, loop: asyncio.AbstractEventLoop
    ) -> FlightOutcome | None:
        """Wait on this loop; return None if the flight is lost and must be joined anew."""
        wakeup: asyncio.Future[None] = loop.create_future()
        ticket = object()

        def wake() -> None:
            if not wakeup.done():
                wakeup.set_result(None)

        def call() -> None:
            if current_loop() is loop:
                wake()
                return
            # A closed loop has no follower left to wake.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(wake)

        closing = False
        watch: LoopWatch | None = None
        try:
            if self._add_callback(flight, ticket, call):
                if not role.leads and (flight.loop is not loop or holds_thread()):
                    watch = self._watch(flight, loop)
                    watch.wakers[ticket] = wake
                await wakeup
                if not flight.done:  # it makes no progress
                    return None
        except GeneratorExit:  # this coroutine was abandoned, and may not await any more
            closing = True
            raise
        else:
            return flight.outcome
        finally:
            if watch is not None:
                watch.leave(ticket)
            last = self._leave(role, ticket)
            if last and flight.loop is loop and flight.task is not None and not closing:
                # The last caller leaves once the work has cleaned up, unless that takes long.
                from toolops_plugins.concurrency.tasks import end_tasks  # noqa: PLC0415 - imports asyncio

                await end_tasks((flight.task,))

    def _watch(self, flight: Flight, loop: asyncio.AbstractEventLoop) -> LoopWatch:
        """Return the watch of a flight for its followers on a loop that is not its own.

        On its own loop only followers that hold a thread, by asgiref, need it.
        """
        with self._lock:
            if flight.watches is None:
                flight.watches = {}
            watch = flight.watches.get(loop)
            if watch is None or watch.over:
                watch = flight.watches[loop] = LoopWatch(flight, loop, self._check)
            return watch


def _deadline_error(seconds: float | None) -> DeadlineExceeded:
    return DeadlineExceeded(f"no result within {seconds} s", seconds=seconds or 0.0)
