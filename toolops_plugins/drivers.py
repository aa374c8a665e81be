"""The driver that walks flows in the calling thread, and what it shares with its twin for loops.

Both do the same things for the same steps, one blocking and one awaiting, and know nothing of
policies. A plain function that an asynchronous caller runs, or that has a time limit, goes to a
bounded pool of daemon threads with the caller's context variables; Python cannot stop a thread, so
a function that runs out of time goes on there, and its result is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from inspect import isawaitable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import Arrival, Flights
from toolops_plugins.errors import AttemptTimeout, ConfigurationError
from toolops_plugins.pool import Outcome, Pool
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

__all__ = ["Limit", "ThreadDriver", "attempt_timeout", "called", "left_of", "nearer"]

T = TypeVar("T")
R = TypeVar("R")


class Limit(NamedTuple):
    """The time at which a flow is given up, on the monotonic clock, and the error that says so."""

    at: float
    error: Callable[[], Exception]


class ThreadDriver:
    """Walks flows in the calling thread. Safe to use from any threads at once.

    Args:
        clock: Sleeps and tells the time.
        flights: The flights of the runtime.
        pool: Runs what has a time limit, and what goes on in the background.
    """

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
        left_of(limit, self._clock)
        return step.sync(*step.args)

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
        left_of(limit, self._clock)
        answer = called(step.function, step.args, {})
        if isawaitable(answer):
            _discard(answer)
            raise ConfigurationError(
                getattr(step.function, "__name__", "callback"),
                "is a coroutine function, which only an asynchronous call can await",
            )
        return answer

    def _invoke(self, step: Invoke, limit: Limit | None) -> Any:
        left = left_of(limit, self._clock)
        if left is None and step.seconds is None:
            return called(step.function, step.args, step.kwargs)
        outcome = self.start(partial(called, step.function, step.args, step.kwargs))
        return self._result(outcome, step.seconds, left, limit)

    def start(self, function: Callable[[], Any]) -> Outcome:
        """Run a function in the pool, with this thread's context variables."""
        outcome = Outcome()
        self._pool.submit(partial(copy_context().run, outcome.run, function))
        return outcome

    def map(self, function: Callable[[T], R], items: Iterable[T], limit: int) -> list[R]:
        """Call a function for each item in the pool; see :meth:`ToolOps.map`."""
        places = threading.Semaphore(limit)

        def one(item: T) -> R:
            try:
                return function(item)
            finally:
                places.release()

        outcomes = []
        for item in items:
            places.acquire()
            outcomes.append(self.start(partial(one, item)))
        for outcome in outcomes:
            outcome.wait(None)
        return [outcome.result() for outcome in outcomes]

    def _result(
        self, outcome: Outcome, own: float | None, left: float | None, limit: Limit | None
    ) -> Any:
        seconds = min((s for s in (own, left) if s is not None), default=None)
        if not outcome.wait(seconds):
            if limit is not None and seconds == left:
                raise limit.error()
            raise attempt_timeout(own)
        return outcome.result()

    def _within(self, step: Within, limit: Limit | None) -> Any:
        return self._walk(step.work(), nearer(step, limit, self._clock))

    def _fly(self, step: Fly, limit: Limit | None) -> Arrival:
        left = left_of(limit, self._clock)
        seconds = step.seconds if left is None else min(left, step.seconds or left)
        try:
            return self._flights.fly(
                step.key, lambda: self._walk(step.work(), None), self._pool.submit, seconds
            )
        except TimeoutError:
            left_of(limit, self._clock)
            raise

    def _race(self, step: Race, limit: Limit | None) -> Any:
        ends: SimpleQueue[Outcome] = SimpleQueue()

        def start() -> Outcome:
            outcome = Outcome()

            def run() -> None:
                outcome.run(lambda: self._walk(step.work(), limit))
                ends.put(outcome)

            self._pool.submit(partial(copy_context().run, run))
            return outcome

        first = start()
        try:
            left = left_of(limit, self._clock)
            ended = ends.get(timeout=step.seconds if left is None else min(step.seconds, left))
        except Empty:
            start()
            ended = self._next(ends, limit)
            if ended.error is not None:
                ended = self._next(ends, limit)
                if ended.error is not None:
                    return first.result()
        return ended.result()

    def _next(self, ends: SimpleQueue[Outcome], limit: Limit | None) -> Outcome:
        try:
            return ends.get(timeout=left_of(limit, self._clock))
        except Empty:
            raise limit.error() if limit else TimeoutError from None

    def _spawn(self, step: Spawn, limit: Limit | None) -> None:  # noqa: ARG002 - as all
        # Past the backlog it is dropped: what goes on in the background can be done another time.
        work = partial(copy_context().run, self._quietly, step.work)
        self._pool.offer(work)

    def _quietly(self, work: Callable[[], Flow]) -> None:
        with suppress(Exception):  # the flow has made an event of it
            self._walk(work(), None)


def left_of(limit: Limit | None, clock: Clock) -> float | None:
    """Return the seconds that are left, or None; raise the limit's error if there are none."""
    if limit is None:
        return None
    left = limit.at - clock.monotonic()
    if left <= 0.0:
        raise limit.error()
    return left


def nearer(step: Within, limit: Limit | None, clock: Clock) -> Limit:
    """Return the limit inside a step: its own, or that around it, whichever comes first."""
    inner = Limit(clock.monotonic() + step.seconds, step.error)
    return limit if limit is not None and limit.at < inner.at else inner


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
