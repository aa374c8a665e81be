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
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from toolops_plugins.coalesce import loop_liveness, wait_graph
from toolops_plugins.coalesce.flight import (
    Flight,
    FlightOutcome,
    FlightResult,
    deliver,
    make_deadline_error,
    make_outcome,
    make_result,
)
from toolops_plugins.coalesce.flight_table import FlightTable, Refusal
from toolops_plugins.coalesce.starvation import ThreadCall
from toolops_plugins.coalesce.watch import Watch
from toolops_plugins.concurrency.contexts import apply_context

if TYPE_CHECKING:
    from toolops_plugins.coalesce.loop_flights import LoopFlights

__all__ = ["FlightResult", "Flights", "Submit"]


class _Queued(Protocol):
    def drop(self) -> bool: ...


Submit = Callable[[Callable[[], Any], Callable[[], bool]], _Queued]
"""Starts a function in another thread; the second function tells whether all callers have left."""


class Flights(FlightTable):
    """The flights of one runtime: runs work, and lets equal callers wait for it.

    Safe to use from any threads and event loops at once.

    Args:
        limit: Flights that may be under way at once; past it, calls run alone. Default 10,000.
    """

    def run(
        self,
        key: bytes,
        work: Callable[[], Any],
        submit: Submit | None = None,
        seconds: float | None = None,
        owner: str | None = None,
    ) -> FlightResult:
        """Lead the flight of ``key`` in this thread, or wait for the one that is under way.

        Args:
            key: The key that equal calls share.
            work: Does the work. The context variables that it sets are set for the leader too.
            submit: Starts a function in another thread, which a leader with a time limit can leave.
                None: a leader does the work in this thread. Default None.
            seconds: Time limit of this caller, or None. Default None.
            owner: The tool, for the notice that the table is full. Default None: no notice.

        Raises:
            DeadlineExceeded: ``seconds`` passed; the work goes on for the others.
            Exception: The work's own error.
        """
        end = None if seconds is None else time.monotonic() + seconds
        generation = 0
        while True:
            flight = self._table.get(key)
            if flight is not None:
                # A bare lock, since ``threading.Event`` is written in Python: a thread that is
                # interrupted inside of its wait may leave it in a state in which ``set`` waits
                # forever.
                waiter = threading.Lock()
                waiter.acquire()
                wait = self.follow(flight, waiter, None)
                if wait is Refusal.GONE:
                    continue
                if wait is not Refusal.ALONE:
                    outcome = self._wait(flight, waiter, wait, end, seconds)
                    if outcome is not None:
                        return deliver(outcome, led=False)
                    generation = flight.generation + 1
                    continue
            alone = flight is not None
            own = Flight(key, None, ThreadCall(), generation)
            try:
                if not alone and not self.lead(own):
                    if key in self._table:  # another caller was quicker
                        continue
                    alone = True
                    self.notify_full(owner)
                if seconds is not None and submit is not None:
                    # Alone it is in no table, but its caller can leave it like any other flight.
                    result = self._lead_elsewhere(own, work, submit, end, seconds)
                    if result is not None:
                        return result
                    generation = own.generation + 1
                elif alone:
                    return make_result((work(), True))
                else:
                    return make_result((self._run_work(own, work, leaves=True), True))
            except BaseException:
                # An interrupt may come anywhere. Only another thread can still end the flight.
                if not own.elsewhere:
                    self.finish(own, None)
                raise

    def _run_work(self, flight: Flight, work: Callable[[], Any], *, leaves: bool) -> Any:
        """Do the work of a flight in this thread; return its result or raise its error.

        Args:
            flight: The flight.
            work: Does the work.
            leaves: Whether the leader calls this, and leaves the flight with its end.
        """
        wait = wait_graph.wait_for(flight.node) if leaves else None
        outside = sys.exception()
        token = wait_graph.enter(flight.node)
        try:
            value = work()
            self.finish(flight, make_outcome((value, None, None, None)), leaving=leaves)
        except Exception as error:
            self.fail(flight, error, outside, leaving=leaves)
            raise
        except BaseException as death:
            flight.death = death
            self.finish(flight, None)
            raise
        finally:
            wait_graph.exit_work(token)
            if wait is not None and wait is not wait_graph.OUTSIDE:
                wait_graph.leave(wait)
        return value

    def _lead_elsewhere(
        self,
        flight: Flight,
        work: Callable[[], Any],
        submit: Submit,
        end: float | None,
        seconds: float,
    ) -> FlightResult | None:
        """Have another thread do the work; return None if the flight is lost."""
        context = copy_context()
        waiter = threading.Lock()
        waiter.acquire()
        self.add_waiter(flight, waiter, None)
        wait = wait_graph.wait_for(flight.node)
        flight.place = None  # until a thread runs it
        ticket = submit(
            partial(context.run, self._run_in_thread, flight, work), lambda: not flight.parties
        )
        flight.elsewhere = True
        try:
            outcome = self._wait(flight, waiter, wait, end, seconds)
        except BaseException:
            if not flight.parties:
                ticket.drop()
            raise
        if outcome is not None:
            apply_context(context)
            try:
                return deliver(outcome, led=True)
            finally:
                del outcome  # its exception would refer to itself through its traceback
        if flight.death is not None:
            raise flight.death
        return None

    def _run_in_thread(self, flight: Flight, work: Callable[[], Any]) -> None:
        # All callers wait in other threads: the leader raises the work's death, the others join
        # again. If all have left while this queued for a thread, there is nothing to do.
        with suppress(BaseException):
            if flight.parties:
                flight.place = ThreadCall()
                self._run_work(flight, work, leaves=False)

    def _wait(
        self,
        flight: Flight,
        waiter: threading.Lock,
        wait: wait_graph.Wait | None,
        end: float | None,
        seconds: float | None,
    ) -> FlightOutcome | None:
        """Wait in this thread; return None if the flight is lost and must be joined anew."""
        try:
            if not self._wait_for_end(flight, waiter, end):
                raise make_deadline_error(seconds)
            return flight.outcome
        finally:
            if wait is not None:
                wait_graph.leave(wait)
            self.leave(flight, waiter)

    def _wait_for_end(self, flight: Flight, waiter: threading.Lock, end: float | None) -> bool:
        """Wait until a flight has ended or must be left; return False if the time is up."""
        watch: Watch | None = None
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            patience = loop_liveness.PATIENCE
            if waiter.acquire(timeout=patience if left is None else min(left, patience)):
                return True
            # The thread that ended it may have been interrupted before it could wake this one.
            if flight.done:
                return True
            if left is not None and left <= patience:
                return False
            watch = watch or Watch(flight)
            if self.check(flight, watch):
                return True

    def arun(
        self,
        key: bytes,
        work: Callable[[], Coroutine[Any, Any, Any]],
        seconds: float | None = None,
        owner: str | None = None,
    ) -> Coroutine[Any, Any, FlightResult]:
        """Lead the flight of ``key`` on this loop, or wait for the one that is under way.

        Args:
            key: The key that equal calls share.
            work: Returns the coroutine that does the work. It runs in a task of its own, which
                takes its first step at once. The context variables that it sets are set for the
                leader too.
            seconds: Time limit of this caller, or None. Default None.
            owner: The tool, for the notice that the table is full. Default None: no notice.

        Raises:
            DeadlineExceeded: ``seconds`` passed; the work goes on for the others.
            Exception: The work's own error.
        """
        return self._on_loops.run(key, work, seconds, owner)

    @cached_property
    def _on_loops(self) -> LoopFlights:
        from toolops_plugins.coalesce.loop_flights import LoopFlights  # noqa: PLC0415 - imports asyncio

        return LoopFlights(self)
