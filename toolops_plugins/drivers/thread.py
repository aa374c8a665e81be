"""The driver that walks flows in the calling thread, and what it shares with its twin for loops.

Both do the same things for the same steps, one blocking and one awaiting, and know nothing of
policies. A plain function goes to a bounded pool of daemon threads, with the caller's context
variables, where an asynchronous caller runs it, where it has a time limit that may leave it, and
where it is hedged. Python cannot stop a thread, so a function that runs out of time goes on there,
and its result is dropped. One that still waits for a thread when its caller gives up never runs.
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
from typing import Any, NamedTuple, TypeVar

from toolops_plugins.callables.hidden_coroutines import is_awaitable
from toolops_plugins.callables.pickling import Owned
from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import FlightResult, Flights
from toolops_plugins.concurrency.contexts import ContextChanges, bring_back
from toolops_plugins.concurrency.pool import BULK, Outcome, Pool, Ticket
from toolops_plugins.errors import AttemptTimeout, ConfigurationError, DeadlineExceeded
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
    Stopped,
    Within,
)

__all__ = [
    "Limit",
    "ThreadDriver",
    "attempt_timeout",
    "called",
    "left_for",
    "left_of",
    "nearer",
    "nearest",
    "note_end",
    "run_and_leave",
]

T = TypeVar("T")
R = TypeVar("R")


class Limit(NamedTuple):
    """The time at which a flow is given up, on the monotonic clock, and the error that says so.

    Args:
        at: The time.
        error: Makes the error.
        in_thread: Whether a plain function moves into a thread, where it can be left in time.
        lost: Tells whether nobody waits for the flow any more, so that it takes no further step:
            it has lost a race, or all have left its flight. None: somebody waits.
    """

    at: float
    error: Callable[[], BaseException]
    in_thread: bool = True
    lost: Callable[[], bool] | None = None


class ThreadDriver(Owned):
    """Walks flows in the calling thread. Safe to use from any threads at once.

    Args:
        clock: Sleeps and tells the time.
        flights: The flights of the runtime.
        pool: Runs what has a time limit, and what goes on in the background.
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
        """Walk a flow to its end; return its result or raise its error."""
        try:
            return self._walk(flow, None)
        except Stopped as stopped:
            raise stopped.error from None

    def _walk(self, flow: Flow, limit: Limit | None) -> Any:
        take = self._take
        try:
            step = flow.send(None)
            while True:
                try:
                    result = take[type(step)](step, limit)
                except BaseException as error:  # noqa: BLE001 - all that happens is the flow's affair
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            return end.value

    def _io(self, step: Io, limit: Limit | None) -> Any:
        self._check(limit)
        return step.sync(*step.args)

    def _check(self, limit: Limit | None) -> None:
        # A function that stayed in this thread may have ended late; its result is worth keeping.
        if limit is not None and limit.in_thread:
            left_of(limit, self._clock)

    def _sleep(self, step: Sleep, limit: Limit | None) -> None:
        left = left_of(limit, self._clock)
        if limit is not None and left is not None and left < step.seconds:
            self._clock.sleep(left)
            raise limit.error()
        self._clock.sleep(step.seconds)

    def _enter(self, step: Enter, limit: Limit | None) -> None:
        left = left_of(limit, self._clock)
        try:
            step.gate.acquire(left)
        except TimeoutError:
            if limit is None:
                raise
            raise limit.error() from None

    def _ask(self, step: Ask, limit: Limit | None) -> Any:
        self._check(limit)
        answer = called(step.function, step.args, {})
        if isawaitable(answer):
            _discard(answer)
            raise ConfigurationError(
                getattr(step.function, "__name__", "callback"),
                "is a coroutine function, which only an asynchronous call can await",
            )
        return answer

    def _invoke(self, step: Invoke, limit: Limit | None) -> Any:
        left = left_for(step, limit, self._clock)
        moves = step.in_thread if step.seconds is not None else False
        if not moves and (limit is None or not limit.in_thread):
            return called(step.function, step.args, step.kwargs)
        outcome, context = Outcome(), copy_context()
        work = partial(outcome.run, partial(run_and_leave, step))
        ticket = self._pool.submit(partial(context.run, work), step.owner)
        try:
            self._wait(outcome, ticket, step, left, limit)
        except BaseException:
            note_end(ticket, step)
            raise
        step.waited = ticket.waited
        bring_back(context)
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
        seconds = nearest(own, left)
        if outcome.wait(seconds):
            return
        if ticket.drop():
            rejection = self._pool.rejection(step.owner)
            if limit is not None and seconds == left:
                raise limit.error() from rejection
            raise rejection
        if own is not None and seconds == own:
            # Its own time began when it did; what it waited for a thread comes on top.
            late = nearest(ticket.waited, None if left is None else left - own)
            if late and outcome.wait(late):
                return
            if late == ticket.waited:
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
        return self._walk(step.work(), nearer(step, limit, self._clock))

    def _fly(self, step: Fly, limit: Limit | None) -> FlightResult:
        left = left_of(limit, self._clock)
        seconds = step.seconds if left is None else min(left, step.seconds or left)
        if seconds is None:
            return self._flights.run(step.key, lambda: self._walk(step.work(), None), None)
        if not step.in_thread:
            return self._lead_here(step, seconds, limit)
        inner: list[Limit] = []
        changes = ContextChanges()

        def submit(function: Callable[[], Any], unwanted: Callable[[], bool]) -> Ticket:
            # Of what everybody has left, no further attempt is made.
            inner.append(Limit(math.inf, _lose, in_thread=False, lost=unwanted))
            return self._pool.submit(function, step.owner)

        def run() -> Any:
            with changes:
                return self._walk(step.work(), inner[0] if inner else None)

        try:
            return self._flights.run(step.key, run, submit, seconds)
        except TimeoutError:
            left_of(limit, self._clock)
            raise
        finally:
            changes.apply()

    def _lead_here(self, step: Fly, seconds: float, limit: Limit | None) -> FlightResult:
        """Wait for a flight, or lead it in this thread.

        A leader that runs out of time where it waits gives the flight up, and one of those who
        wait with it leads the next.
        """
        own = Limit(self._clock.monotonic() + seconds, _LeaderGone, in_thread=False)
        try:
            return self._flights.run(step.key, lambda: self._walk(step.work(), own), None, seconds)
        except _LeaderGone:
            left_of(limit, self._clock)
            raise DeadlineExceeded(f"no result within {seconds} s", seconds=seconds) from None
        except TimeoutError:
            left_of(limit, self._clock)
            raise

    def _race(self, step: Race, limit: Limit | None) -> Any:
        left = left_of(limit, self._clock)
        if not self._pool.has_room(step.owner):
            # A second attempt is worth no wait for a thread, and the first needs none.
            return self._walk(step.work(), limit)
        race = _Race(step, limit, self._pool, self._walk)
        try:
            first = race.start()
            ended = race.next(step.seconds if left is None else min(step.seconds, left))
            if ended is None:
                if self._pool.has_room(step.owner):
                    race.start()
                ended = self._ended(race, limit)
                if ended.outcome.error is not None and race.under_way:
                    other = self._ended(race, limit)
                    ended = other if other.outcome.error is None else first
        finally:
            race.end()
        bring_back(ended.context)
        return ended.outcome.result()

    def _ended(self, race: _Race, limit: Limit | None) -> _Racer:
        ended = race.next(left_of(limit, self._clock))
        if ended is None:
            raise limit.error() if limit is not None else TimeoutError
        return ended

    def _spawn(self, step: Spawn, limit: Limit | None) -> None:  # noqa: ARG002 - as all
        # Past the backlog it is dropped: what goes on in the background can be done another time.
        work = partial(copy_context().run, self._quietly, step.work)
        self._pool.offer(work, step.owner)

    def _quietly(self, work: Callable[[], Flow]) -> None:
        with suppress(Exception):  # the flow has made an event of it
            self._walk(work(), None)


class _LeaderGone(BaseException):
    """Ends a flight whose leader has no time left; no failure of what it was waiting for."""


class _Racer:
    """One of two attempts in a race."""

    __slots__ = ("context", "outcome", "ticket")

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.context = copy_context()
        self.ticket: Ticket | None = None


class _Race:
    """Two attempts in threads, of which one wins."""

    def __init__(
        self,
        step: Race,
        limit: Limit | None,
        pool: Pool,
        walk: Callable[[Flow, Limit | None], Any],
    ) -> None:
        self._step = step
        self._pool = pool
        self._walk = walk
        self._ends: SimpleQueue[_Racer] = SimpleQueue()
        self._racers: list[_Racer] = []
        self._over = False
        self.under_way = 0
        lost = self._is_over
        self._limit = (
            Limit(math.inf, _lose, in_thread=False, lost=lost)
            if limit is None
            else limit._replace(lost=lost)
        )

    def _is_over(self) -> bool:
        return self._over

    def start(self) -> _Racer:
        """Start an attempt."""
        racer = _Racer()

        def run() -> None:
            racer.outcome.run(partial(self._walk, self._step.work(), self._limit))
            self._ends.put(racer)

        self.under_way += 1
        self._racers.append(racer)
        racer.ticket = self._pool.submit(partial(racer.context.run, run), self._step.owner)
        return racer

    def next(self, seconds: float | None) -> _Racer | None:
        """Return the attempt that ends next, or None if none does in time."""
        try:
            ended = self._ends.get(timeout=seconds)
        except Empty:
            return None
        self.under_way -= 1
        return ended

    def end(self) -> None:
        """Let an attempt that is still under way take no further step."""
        self._over = True
        for racer in self._racers:
            if racer.ticket is not None:
                racer.ticket.drop()


def _lose() -> TimeoutError:
    return TimeoutError("nobody waits for this attempt any more")


def left_of(limit: Limit | None, clock: Clock) -> float | None:
    """Return the seconds that are left, or None; raise the limit's error if there are none."""
    if limit is None:
        return None
    if limit.lost is not None and limit.lost():
        raise _lose()
    if limit.at == math.inf:
        return None
    left = limit.at - clock.monotonic()
    if left <= 0.0:
        raise limit.error()
    return left


def left_for(step: Invoke, limit: Limit | None, clock: Clock) -> float | None:
    """Return the seconds left for an attempt; note that it is not made if there are none."""
    try:
        return left_of(limit, clock)
    except BaseException:
        step.reached = False
        raise


def nearer(step: Within, limit: Limit | None, clock: Clock) -> Limit:
    """Return the limit inside a step: its own, or that around it, whichever comes first."""
    inner = Limit(clock.monotonic() + step.seconds, step.error, step.in_thread)
    if limit is None:
        return inner
    in_thread = limit.in_thread or inner.in_thread
    first = limit if limit.at < inner.at else inner
    return first._replace(in_thread=in_thread, lost=limit.lost)


def nearest(one: float | None, other: float | None) -> float | None:
    """Return the lesser of two times, of which None is no limit."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def run_and_leave(step: Invoke) -> Any:
    """Make the call of a step in the thread that it has got, and leave its bulkhead."""
    value: Any = None
    try:
        value = called(step.function, step.args, step.kwargs)
    finally:
        step.over = True
        hidden = is_awaitable(value)
        if hidden and step.goes_on:
            _discard(value)
        # Before anybody hears of the result: whoever does may want the place at once. An event
        # loop may yet have to run what a plain function has made.
        if step.leave is not None and (step.goes_on or not hidden):
            step.leave()
    return value


def note_end(ticket: Ticket, step: Invoke) -> None:
    """Note what became of a function whose caller waits for it no more."""
    if ticket.drop() or ticket.started is None:
        step.reached = False
    else:
        step.waited = ticket.waited
        step.goes_on = True
        if step.over and step.leave is not None:
            step.leave()


def called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a user's function; a StopIteration of its own is carried past the flow."""
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise Stopped(error) from None


def _discard(awaitable: Any) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def attempt_timeout(seconds: float | None) -> AttemptTimeout:
    """Return the error of an attempt that ran out of its own time."""
    return AttemptTimeout(f"an attempt took longer than {seconds} s", seconds=seconds or 0.0)
