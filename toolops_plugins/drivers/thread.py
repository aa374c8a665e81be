"""The driver of calls in threads: whatever takes time blocks the calling thread.

Its methods are those of the driver for event loops (:mod:`toolops_plugins.drivers.loop`), which
awaits instead. Neither knows policies. A plain function runs in a bounded pool of daemon threads,
with the caller's context variables, if a time limit may abandon it, or if it is hedged. Python
cannot stop a thread: a function that runs out of time goes on there, and its result is dropped. A
function that still waits for a thread when its caller gives up never runs.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar

from toolops_plugins.coalesce.flights import FlightResult
from toolops_plugins.concurrency.contexts import apply_context
from toolops_plugins.concurrency.pool import BULK, Outcome, Pool, Ticket
from toolops_plugins.drivers.attempt import Attempt
from toolops_plugins.drivers.driver import Driver
from toolops_plugins.drivers.invocation import close_awaitable, note_abandonment, run_attempt
from toolops_plugins.drivers.limits import (
    Limit,
    attempt_timeout,
    no_waiter_error,
    seconds_left,
    seconds_left_for,
    shorter_of,
)
from toolops_plugins.errors import ConfigurationError, DeadlineExceeded
from toolops_plugins.steps import Gate, Io, walk

__all__ = ["ThreadDriver"]

T = TypeVar("T")
R = TypeVar("R")


class ThreadDriver(Driver):
    """Does in the calling thread what takes time. Safe to use from any threads at once.

    Args:
        clock: The source of time.
        flights: The flights of the runtime.
        pool: Runs functions with a time limit, and background work.
    """

    part = "_in_threads"

    def run(self, flow: Generator[Io, Any, T]) -> T:
        """Run a generator of I/O to its end; return its result or raise its error."""
        return walk(flow, self.io)

    def io(self, function: Callable[..., T], *args: Any) -> T:
        """Do I/O: call a function that blocks."""
        self._check()
        return function(*args)

    def _check(self) -> None:
        # A function that ran in this thread may have ended late; its result is still used.
        if self.limit is not None and self.limit.in_thread:
            seconds_left(self.limit, self._clock)

    def run_in_context(self, work: Callable[..., T], *args: Any) -> T:
        """Call ``work(*args)`` in this context, which a function cannot leave before its end."""
        return work(*args)

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait for an event of another thread, for at most so many seconds."""
        self._check()
        event.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """Sleep; at the limit, raise its error."""
        limit = self.limit
        left = seconds_left(limit, self._clock)
        if limit is not None and left is not None and left < seconds:
            self._clock.sleep(left)
            raise limit.error()
        self._clock.sleep(seconds)

    def enter(self, gate: Gate) -> None:
        """Take a place at a gate, after waiting in its queue."""
        limit = self.limit
        left = seconds_left(limit, self._clock)
        try:
            gate.acquire(left)
        except TimeoutError:
            if limit is None:
                raise
            raise limit.error() from None

    def ask(self, function: Callable[[], Any]) -> Any:
        """Call a user's callback, and return its result.

        Raises:
            ConfigurationError: It is a coroutine function.
        """
        self._check()
        answer = function()
        if isawaitable(answer):
            close_awaitable(answer)
            raise ConfigurationError(
                getattr(function, "__name__", "callback"),
                "is a coroutine function, which only an asynchronous call can await",
            )
        return answer

    def compute(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function of this library that takes long."""
        self._check()
        return function(*args)

    def runs_in_place(self, *, aio: bool, seconds: float | None, in_thread: bool) -> bool:  # noqa: ARG002 - as the other driver
        """Return whether a function is called in place where no limit encloses the call.

        Args:
            aio: Whether it returns an awaitable.
            seconds: Seconds that an attempt may take, or None.
            in_thread: Whether a plain function with a limit runs in a thread.
        """
        return seconds is None or not in_thread

    def invoke(self, attempt: Attempt) -> Any:
        """Make an attempt: in this thread, or in the pool where a limit may abandon it."""
        limit = self.limit
        left = seconds_left_for(attempt, limit, self._clock)
        moves = attempt.in_thread if attempt.seconds is not None else False
        if not moves and (limit is None or not limit.in_thread):
            return attempt.function(*attempt.args, **attempt.kwargs)
        outcome, context = Outcome(), copy_context()
        work = partial(outcome.run, partial(run_attempt, attempt))
        ticket = self._pool.submit(partial(context.run, work), attempt.owner)
        try:
            self._wait_for(outcome, ticket, attempt, left)
        except BaseException:
            note_abandonment(ticket, attempt)
            raise
        attempt.queue_seconds = ticket.queue_seconds
        apply_context(context)
        return outcome.result()

    def _wait_for(
        self, outcome: Outcome, ticket: Ticket, attempt: Attempt, left: float | None
    ) -> None:
        """Wait for a function in the pool; raise the error of the limit that it reaches."""
        limit = self.limit
        own = attempt.seconds if attempt.in_thread else None
        seconds = shorter_of(own, left)
        if outcome.wait(seconds):
            return
        if ticket.drop():
            rejection = self._pool.rejection(attempt.owner)
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

    def fly(
        self,
        key: bytes,
        work: Callable[..., Any],
        *args: Any,
        seconds: float | None = None,
        in_thread: bool = False,
        owner: str | None = None,
    ) -> FlightResult:
        """Run ``work(driver, *args)`` as the one flight for ``key``, or wait for the one under way.

        Args:
            key: The key that equal calls share.
            work: Does the work, with a driver of its own limit.
            args: Further arguments of the work.
            seconds: Seconds that this caller waits. None: without limit. Default None.
            in_thread: Whether a leader with a limit runs the work in a thread, where it can be
                abandoned. Default False.
            owner: The tool whose share of the threads it uses, and for notices. Default None: of no
                tool.

        Returns:
            The flight's result, and whether this caller led it.
        """
        if seconds is None and self.limit is None:
            return self._flights.run(key, partial(work, self, *args), None, owner=owner)
        left = seconds_left(self.limit, self._clock)
        seconds = seconds if left is None else min(left, seconds or left)
        driver = self._without_limit()
        if seconds is None:
            return self._flights.run(key, partial(work, driver, *args), None, owner=owner)
        if not in_thread:
            return self._lead_here(key, work, args, seconds, owner)
        inner: list[Limit] = []

        def submit(function: Callable[[], Any], unwanted: Callable[[], bool]) -> Ticket:
            # Once all callers have left the flight, no further attempt is made.
            inner.append(Limit(math.inf, no_waiter_error, in_thread=False, unwanted=unwanted))
            return self._pool.submit(function, owner)

        def run() -> Any:
            return work(driver.with_limit(inner[0]) if inner else driver, *args)

        try:
            return self._flights.run(key, run, submit, seconds, owner)
        except TimeoutError:
            seconds_left(self.limit, self._clock)
            raise

    def _lead_here(
        self,
        key: bytes,
        work: Callable[..., Any],
        args: tuple[Any, ...],
        seconds: float,
        owner: str | None,
    ) -> FlightResult:
        """Join a flight, or lead it in this thread.

        A leader that runs out of time gives the flight up, and one of its followers leads the next.
        """
        own = Limit(self._clock.monotonic() + seconds, _LeaderTimeout, in_thread=False)
        try:
            return self._flights.run(
                key, partial(work, self.with_limit(own), *args), None, seconds, owner
            )
        except _LeaderTimeout:
            seconds_left(self.limit, self._clock)
            raise DeadlineExceeded(f"no result within {seconds} s", seconds=seconds) from None
        except TimeoutError:
            seconds_left(self.limit, self._clock)
            raise

    def race(
        self,
        seconds: float,
        work: Callable[..., Any],
        *args: Any,
        owner: str | None = None,
    ) -> Any:
        """Run ``work(driver, *args)``; if it takes longer than ``seconds``, run it a second time.

        The first success wins and the other run is cancelled; if both fail, the first error is
        raised. ``owner`` is the tool whose share of the threads it uses.
        """
        left = seconds_left(self.limit, self._clock)
        if not self._pool.has_room(owner):
            # A second attempt is not worth a wait for a thread, and the first needs none.
            return work(self, *args)
        race = _Race(self, self._pool, owner, work, args)
        try:
            first = race.start()
            ended = race.next(seconds if left is None else min(seconds, left))
            if ended is None:
                if self._pool.has_room(owner):
                    race.start()
                ended = self._wait_for_racer(race)
                if ended.outcome.error is not None and race.under_way:
                    other = self._wait_for_racer(race)
                    ended = other if other.outcome.error is None else first
        finally:
            race.end()
        apply_context(ended.context)
        return ended.outcome.result()

    def _wait_for_racer(self, race: _Race) -> _Racer:
        ended = race.next(seconds_left(self.limit, self._clock))
        if ended is None:
            raise self.limit.error() if self.limit is not None else TimeoutError
        return ended

    def spawn(
        self,
        work: Callable[..., Any],
        *args: Any,
        on_cancel: Callable[[], None] | None = None,  # noqa: ARG002 - no loop can end its work
        owner: str | None = None,
    ) -> None:
        """Run ``work(driver, *args)`` in the background; its errors become events.

        Args:
            work: Does the work.
            args: Further arguments of the work.
            on_cancel: Called if the event loop ends before the work does. Default None.
            owner: The tool whose share of the threads it uses. Default None: of no tool.
        """
        # Background work beyond the backlog is dropped: a later call will start it again.
        run = partial(copy_context().run, _run_in_background, work, self._without_limit(), *args)
        self._pool.offer(run, owner)


def _run_in_background(work: Callable[..., Any], *args: Any) -> None:
    with suppress(Exception):  # the work has emitted an event
        work(*args)


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
        driver: ThreadDriver,
        pool: Pool,
        owner: str | None,
        work: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        self._pool = pool
        self._owner = owner
        # No SimpleQueue, whose get() may wait for ever if its time is up between two of its steps
        # (CPython 3.11 to 3.13).
        self._ended: deque[_Racer] = deque()
        self._wakeup = threading.Lock()
        self._wakeup.acquire()
        self._racers: list[_Racer] = []
        self._over: list[bool] = []  # not empty once the race is over
        self.under_way = 0
        # It refers to the list, not to the race, which refers to it.
        unwanted, limit = partial(bool, self._over), driver.limit
        limit = (
            Limit(math.inf, no_waiter_error, in_thread=False, unwanted=unwanted)
            if limit is None
            else limit._replace(unwanted=unwanted)
        )
        self._run = partial(work, driver.with_limit(limit), *args)

    def start(self) -> _Racer:
        """Start an attempt."""
        racer = _Racer()

        def run() -> None:
            racer.outcome.run(self._run)
            self._ended.append(racer)
            with suppress(RuntimeError):  # the other one has released it just now
                self._wakeup.release()

        self.under_way += 1
        self._racers.append(racer)
        racer.ticket = self._pool.submit(partial(racer.context.run, run), self._owner)
        return racer

    def next(self, seconds: float | None) -> _Racer | None:
        """Wait for the attempt that ends next; return it, or None if none ends in time."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._ended:
            left = -1.0 if end is None else min(end - time.monotonic(), threading.TIMEOUT_MAX)
            if not self._wakeup.acquire(timeout=left if end is None else max(0.0, left)):
                break
        if not self._ended:
            return None
        self.under_way -= 1
        return self._ended.popleft()

    def end(self) -> None:
        """Stop an attempt that is under way at its next step."""
        self._over.append(True)
        for racer in self._racers:
            if racer.ticket is not None:
                racer.ticket.drop()
