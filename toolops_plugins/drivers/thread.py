"""The driver that runs flows in the calling thread.

It does for each step what the driver for event loops does, but blocks instead of awaiting. Neither
knows policies. A plain function runs in a bounded pool of daemon threads, with the caller's context
variables, if its caller is asynchronous, if a time limit may abandon it, or if it is hedged. Python
cannot stop a thread: a function that runs out of time goes on there, and its result is dropped. A
function that still waits for a thread when its caller gives up never runs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from inspect import isawaitable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from toolops_plugins.callables.pickling import RuntimePart
from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import FlightResult, Flights
from toolops_plugins.concurrency.contexts import ContextChanges, apply_context
from toolops_plugins.concurrency.pool import BULK, Outcome, Pool, Ticket
from toolops_plugins.drivers.invocation import (
    call_function,
    close_awaitable,
    note_abandonment,
    run_invocation,
)
from toolops_plugins.drivers.limits import (
    Limit,
    attempt_timeout,
    no_waiter_error,
    seconds_left,
    seconds_left_for,
    shorter_of,
    tighter_limit,
)
from toolops_plugins.errors import ConfigurationError, DeadlineExceeded
from toolops_plugins.steps import (
    Ask,
    Enter,
    Flow,
    Fly,
    Invoke,
    Io,
    Race,
    Sleep,
    Spawn,
    Step,
    StopIterationCarrier,
    Within,
)

__all__ = ["ThreadDriver"]

T = TypeVar("T")
R = TypeVar("R")


class ThreadDriver(RuntimePart):
    """Runs flows in the calling thread. Safe to use from any threads at once.

    Args:
        clock: The source of time.
        flights: The flights of the runtime.
        pool: Runs functions with a time limit, and background flows.
    """

    part = "_in_threads"

    def __init__(self, clock: Clock, flights: Flights, pool: Pool) -> None:
        self._clock = clock
        self._flights = flights
        self._pool = pool
        self._take: Mapping[type[Step], Callable[[Any, Limit | None], Any]] = {
            Ask: self._ask,
            Enter: self._enter,
            Fly: self._fly,
            Invoke: self._invoke,
            Io: self._io,
            Race: self._race,
            Sleep: self._sleep,
            Spawn: self._spawn,
            Within: self._within,
        }

    def run(self, flow: Flow) -> Any:
        """Run a flow to its end; return its result or raise its error."""
        try:
            return self._run(flow, None)
        except StopIterationCarrier as stopped:
            raise stopped.error from None

    def _run(self, flow: Flow, limit: Limit | None) -> Any:
        take = self._take
        try:
            step = flow.send(None)
            while True:
                try:
                    result = take[type(step)](step, limit)
                except BaseException as error:  # noqa: BLE001 - the flow handles every error
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            return end.value

    def _io(self, step: Io, limit: Limit | None) -> Any:
        self._check(limit)
        return step.sync(*step.args)

    def _check(self, limit: Limit | None) -> None:
        # A function that ran in this thread may have ended late; its result is still used.
        if limit is not None and limit.in_thread:
            seconds_left(limit, self._clock)

    def _sleep(self, step: Sleep, limit: Limit | None) -> None:
        left = seconds_left(limit, self._clock)
        if limit is not None and left is not None and left < step.seconds:
            self._clock.sleep(left)
            raise limit.error()
        self._clock.sleep(step.seconds)

    def _enter(self, step: Enter, limit: Limit | None) -> None:
        left = seconds_left(limit, self._clock)
        try:
            step.gate.acquire(left)
        except TimeoutError:
            if limit is None:
                raise
            raise limit.error() from None

    def _ask(self, step: Ask, limit: Limit | None) -> Any:
        self._check(limit)
        answer = call_function(step.function, step.args, {})
        if isawaitable(answer):
            close_awaitable(answer)
            raise ConfigurationError(
                getattr(step.function, "__name__", "callback"),
                "is a coroutine function, which only an asynchronous call can await",
            )
        return answer

    def _invoke(self, step: Invoke, limit: Limit | None) -> Any:
        left = seconds_left_for(step, limit, self._clock)
        moves = step.in_thread if step.seconds is not None else False
        if not moves and (limit is None or not limit.in_thread):
            return call_function(step.function, step.args, step.kwargs)
        outcome, context = Outcome(), copy_context()
        work = partial(outcome.run, partial(run_invocation, step))
        ticket = self._pool.submit(partial(context.run, work), step.owner)
        try:
            self._wait(outcome, ticket, step, left, limit)
        except BaseException:
            note_abandonment(ticket, step)
            raise
        step.queue_seconds = ticket.queue_seconds
        apply_context(context)
        return outcome.result()

    def _wait(
        self,
        outcome: Outcome,
        ticket: Ticket,
        step: Invoke,
        left: float | None,
        limit: Limit | None,
    ) -> None:
        """Wait for a function in the pool; raise the error of the limit that it reaches."""
        own = step.seconds if step.in_thread else None
        seconds = shorter_of(own, left)
        if outcome.wait(seconds):
            return
        if ticket.drop():
            rejection = self._pool.rejection(step.owner)
            if limit is not None and seconds == left:
                raise limit.error() from rejection
            raise rejection
        if own is not None and seconds == own:
            # An attempt's time begins with the function, after the wait for a thread.
            late = shorter_of(ticket.queue_seconds, None if left is None else left - own)
            if late and outcome.wait(late):
                return
            if late == ticket.queue_seconds:
                raise attempt_timeout(own)
        raise limit.error() if limit is not None else attempt_timeout(own)

    def map(self, function: Callable[[T], R], items: Iterable[T], limit: int) -> list[R]:
        """Call a function for each item in the pool; see :meth:`ToolOps.map`."""
        places = threading.Semaphore(limit)

        def one(item: T) -> R:
            try:
                return function(item)
            finally:
                places.release()

        outcomes: list[Outcome] = []
        tickets: list[Ticket] = []
        try:
            for item in items:
                places.acquire()
                outcome = Outcome()
                work = partial(copy_context().run, outcome.run, partial(one, item))
                outcomes.append(outcome)
                tickets.append(self._pool.submit(work, BULK))
            for outcome in outcomes:
                outcome.wait(None)
        except BaseException:
            for ticket in tickets:
                ticket.drop()
            raise
        return [outcome.result() for outcome in outcomes]

    def _within(self, step: Within, limit: Limit | None) -> Any:
        return self._run(step.work(), tighter_limit(step, limit, self._clock))

    def _fly(self, step: Fly, limit: Limit | None) -> FlightResult:
        left = seconds_left(limit, self._clock)
        seconds = step.seconds if left is None else min(left, step.seconds or left)
        if seconds is None:
            return self._flights.run(step.key, lambda: self._run(step.work(), None), None)
        if not step.in_thread:
            return self._lead_here(step, seconds, limit)
        inner: list[Limit] = []
        changes = ContextChanges()

        def submit(function: Callable[[], Any], unwanted: Callable[[], bool]) -> Ticket:
            # Once all callers have left the flight, no further attempt is made.
            inner.append(Limit(math.inf, no_waiter_error, in_thread=False, unwanted=unwanted))
            return self._pool.submit(function, step.owner)

        def run() -> Any:
            with changes:
                return self._run(step.work(), inner[0] if inner else None)

        try:
            return self._flights.run(step.key, run, submit, seconds)
        except TimeoutError:
            seconds_left(limit, self._clock)
            raise
        finally:
            changes.apply()

    def _lead_here(self, step: Fly, seconds: float, limit: Limit | None) -> FlightResult:
        """Join a flight, or lead it in this thread.

        A leader that runs out of time gives the flight up, and one of its followers leads the next.
        """
        own = Limit(self._clock.monotonic() + seconds, _LeaderTimeout, in_thread=False)
        try:
            return self._flights.run(step.key, lambda: self._run(step.work(), own), None, seconds)
        except _LeaderTimeout:
            seconds_left(limit, self._clock)
            raise DeadlineExceeded(f"no result within {seconds} s", seconds=seconds) from None
        except TimeoutError:
            seconds_left(limit, self._clock)
            raise

    def _race(self, step: Race, limit: Limit | None) -> Any:
        left = seconds_left(limit, self._clock)
        if not self._pool.has_room(step.owner):
            # A second attempt is not worth a wait for a thread, and the first needs none.
            return self._run(step.work(), limit)
        race = _Race(step, limit, self._pool, self._run)
        try:
            first = race.start()
            ended = race.next(step.seconds if left is None else min(step.seconds, left))
            if ended is None:
                if self._pool.has_room(step.owner):
                    race.start()
                ended = self._wait_for_racer(race, limit)
                if ended.outcome.error is not None and race.under_way:
                    other = self._wait_for_racer(race, limit)
                    ended = other if other.outcome.error is None else first
        finally:
            race.end()
        apply_context(ended.context)
        return ended.outcome.result()

    def _wait_for_racer(self, race: _Race, limit: Limit | None) -> _Racer:
        ended = race.next(seconds_left(limit, self._clock))
        if ended is None:
            raise limit.error() if limit is not None else TimeoutError
        return ended

    def _spawn(self, step: Spawn, limit: Limit | None) -> None:  # noqa: ARG002 - as all
        # Background work beyond the backlog is dropped: a later call will start it again.
        work = partial(copy_context().run, self._run_in_background, step.work)
        self._pool.offer(work, step.owner)

    def _run_in_background(self, work: Callable[[], Flow]) -> None:
        with suppress(Exception):  # the flow has emitted an event
            self._run(work(), None)


class _LeaderTimeout(BaseException):
    """Ends a flight whose leader has no time left, which is no failure of the callee."""


class _Racer:
    """One of two attempts in a race."""

    __slots__ = ("context", "outcome", "ticket")

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.context = copy_context()
        self.ticket: Ticket | None = None


class _Race:
    """Two attempts in threads, the first of which to succeed wins."""

    def __init__(
        self,
        step: Race,
        limit: Limit | None,
        pool: Pool,
        run: Callable[[Flow, Limit | None], Any],
    ) -> None:
        self._step = step
        self._pool = pool
        self._run = run
        self._ends: SimpleQueue[_Racer] = SimpleQueue()
        self._racers: list[_Racer] = []
        self._over = False
        self.under_way = 0
        unwanted = self._is_over
        self._limit = (
            Limit(math.inf, no_waiter_error, in_thread=False, unwanted=unwanted)
            if limit is None
            else limit._replace(unwanted=unwanted)
        )

    def _is_over(self) -> bool:
        return self._over

    def start(self) -> _Racer:
        """Start an attempt."""
        racer = _Racer()

        def run() -> None:
            racer.outcome.run(partial(self._run, self._step.work(), self._limit))
            self._ends.put(racer)

        self.under_way += 1
        self._racers.append(racer)
        racer.ticket = self._pool.submit(partial(racer.context.run, run), self._step.owner)
        return racer

    def next(self, seconds: float | None) -> _Racer | None:
        """Wait for the attempt that ends next; return it, or None if none ends in time."""
        try:
            ended = self._ends.get(timeout=seconds)
        except Empty:
            return None
        self.under_way -= 1
        return ended

    def end(self) -> None:
        """Stop an attempt that is under way at its next step."""
        self._over = True
        for racer in self._racers:
            if racer.ticket is not None:
                racer.ticket.drop()
