"""The driver of calls on event loops: whatever takes time is awaited.

Its methods are those of the driver for threads (:mod:`toolops_plugins.drivers.thread`).

A module of its own, since asyncio is slow to import and synchronous programs do not need it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar, cast

from toolops_plugins.callables.hidden_coroutines import is_awaitable
from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import FlightResult, Flights
from toolops_plugins.concurrency.contexts import apply_context, await_steps
from toolops_plugins.concurrency.eager_tasks import EagerTask
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.concurrency.running_loop import get_running_loop
from toolops_plugins.concurrency.tasks import (
    adopt,
    begin_task,
    detach,
    end_tasks,
    wait_for_end,
)
from toolops_plugins.concurrency.to_thread import ThreadCall, run_in_pool
from toolops_plugins.drivers.attempt import Attempt
from toolops_plugins.drivers.driver import Driver
from toolops_plugins.drivers.invocation import note_abandonment, run_attempt
from toolops_plugins.drivers.limits import (
    attempt_timeout,
    seconds_left,
    seconds_left_for,
    shorter_of,
)
from toolops_plugins.steps import Gate, Io, awalk

__all__ = ["LoopDriver"]

T = TypeVar("T")

_TURN = 0.002
"""Seconds between two looks at an event of another thread."""


class LoopDriver(Driver):
    """Awaits on the running event loop what takes time. Safe to use from any loops at once.

    Args:
        clock: The source of time.
        flights: The flights of the runtime.
        pool: Runs plain functions.
        backlog: The maximum number of background calls; further ones are dropped. Default 1,000.
    """

    part = "_on_loop"
    # The function in C itself, since every call asks.
    find_loop = staticmethod(asyncio._get_running_loop)  # noqa: SLF001 - documented for other loops
    require_loop = staticmethod(get_running_loop)

    def __init__(self, clock: Clock, flights: Flights, pool: Pool, *, backlog: int = 1_000) -> None:
        super().__init__(clock, flights, pool)
        self._backlog = backlog
        self._background: set[asyncio.Task[None]] = set()

    async def run(self, flow: Generator[Io, Any, T]) -> T:
        """Run a generator of I/O to its end; return its result or raise its error."""
        get_running_loop()
        return await awalk(flow, self.io)

    async def drain(self, seconds: float | None = None) -> None:
        """Wait until all background work of this loop has ended.

        Args:
            seconds: Seconds after which the rest is cancelled. None: no limit.
        """
        loop = get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while tasks := {task for task in self._background.copy() if task.get_loop() is loop}:
            left = None if end is None else max(0.0, end - loop.time())
            await asyncio.wait(tasks, timeout=left)
            if left == 0.0:
                self._background.difference_update(tasks)
                await end_tasks(tasks)

    def reset_after_fork(self) -> None:
        """Forget the tasks of the parent, in a forked child."""
        adopt(self._background)
        self._background = set()

    async def _await_within(
        self,
        make: Callable[[], Awaitable[T]],
        own: float | None = None,
        attempt: Attempt | None = None,
    ) -> T:
        """Await what ``make`` returns, within its own time and the limit.

        It runs in a task of its own: a coroutine that suppresses its cancellation could otherwise
        block the caller for ever.

        Args:
            make: Returns the awaitable.
            own: Its own time in seconds, or None.
            attempt: The attempt that it is, or None.
        """
        limit = self.limit
        left = (
            seconds_left(limit, self._clock)
            if attempt is None
            else seconds_left_for(attempt, limit, self._clock)
        )
        seconds = shorter_of(own, left)
        if seconds is None:
            return await make()
        context = copy_context()
        end = time.monotonic() + seconds
        started = begin_task(make(), context)
        task = started.task
        if not started.done():  # as work is after its first step that has nothing to wait for
            try:
                await wait_for_end(task, end - time.monotonic())
            except GeneratorExit:  # the loop has ended, so that this may await nothing more
                _abandon(task, attempt)
                raise
            except BaseException:
                await _end(task, attempt)
                raise
        if started.done():
            apply_context(context)
            value, error = started.outcome()
            if error is None:
                return cast("T", value)
            del started, task
            try:
                raise error
            finally:
                del error
        await _end(task, attempt)
        if limit is not None and seconds == left:
            raise limit.error()
        raise attempt_timeout(own)

    async def io(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Do I/O: await a coroutine function of this library."""
        # The timeouts of the client bound it, and the caller's deadline if there is one. Another
        # timer would slow down every lookup.
        if self.limit is None:
            return await function(*args)
        return await self._await_within(partial(function, *args))

    async def run_in_context(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await ``work(*args)`` in a copy of this context, which is the same even for its clean-up.

        An abandoned coroutine is closed in any context, by the garbage collector.
        """
        context = copy_context()
        try:
            value: T = await await_steps(context, work(*args))
        except GeneratorExit:
            raise
        except BaseException:
            apply_context(context)
            raise
        apply_context(context)
        return value

    async def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait for an event of another thread, for at most so many seconds."""
        left = seconds_left(self.limit, self._clock)
        for _ in range(int(min(seconds, seconds if left is None else left) / _TURN)):
            if event.is_set():
                return
            await asyncio.sleep(_TURN)  # in real time, which the other thread takes

    async def sleep(self, seconds: float) -> None:
        """Sleep; at the limit, raise its error."""
        limit = self.limit
        left = seconds_left(limit, self._clock)
        if limit is not None and left is not None and left < seconds:
            await self._clock.asleep(left)
            raise limit.error()
        await self._clock.asleep(seconds)

    async def enter(self, gate: Gate) -> None:
        """Take a place at a gate, after waiting in its queue."""
        limit = self.limit
        left = seconds_left(limit, self._clock)
        if limit is None or left is None:
            await gate.aacquire()
            return
        try:
            # In this task: a place that is granted to another task could be lost.
            async with asyncio.timeout(left):
                await gate.aacquire()
        except TimeoutError:
            raise limit.error() from None

    async def ask(self, function: Callable[[], Any]) -> Any:
        """Call a user's callback, a function or a coroutine function, and return its result."""
        answer = function()
        return await self._await_within(lambda: answer) if isawaitable(answer) else answer

    async def compute(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function of this library that takes long, in a thread."""
        attempt = Attempt(function, args, {}, aio=False)
        value: T = await self._invoke_in_thread(attempt)
        return value

    def runs_in_place(self, *, aio: bool, seconds: float | None, in_thread: bool) -> bool:  # noqa: ARG002 - as the other driver
        """Return whether a function is called in place where no limit encloses the call.

        Args:
            aio: Whether it returns an awaitable.
            seconds: Seconds that an attempt may take, or None.
            in_thread: Whether a plain function with a limit runs in a thread.
        """
        return aio and seconds is None

    async def invoke(self, attempt: Attempt) -> Any:
        """Make an attempt: in a task of its own where a limit may abandon it, else in place.

        A plain function runs in a thread.
        """
        if not attempt.aio:
            value = await self._invoke_in_thread(attempt)
            if not is_awaitable(value):
                return value
            # A plain function may return a coroutine, which this loop can run.
            return await self._await_within(lambda: value, attempt.seconds, attempt)
        if self.limit is None and attempt.seconds is None:
            return await attempt.function(*attempt.args, **attempt.kwargs)
        make = partial(attempt.function, *attempt.args, **attempt.kwargs)
        return await self._await_within(make, attempt.seconds, attempt)

    async def _invoke_in_thread(self, attempt: Attempt) -> Any:
        left = seconds_left_for(attempt, self.limit, self._clock)
        call = ThreadCall(self._pool, partial(run_attempt, attempt), attempt.owner)
        try:
            await self._wait_for(call, attempt, left)
        except BaseException:
            note_abandonment(call.ticket, attempt)
            raise
        attempt.queue_seconds = call.ticket.queue_seconds
        try:
            return call.result()
        except StopIteration as error:  # which no coroutine can raise
            raise RuntimeError("the function raised StopIteration") from error

    async def _wait_for(self, call: ThreadCall, attempt: Attempt, left: float | None) -> None:
        """Wait for a function in the pool; raise the error of the limit that it reaches."""
        limit, own = self.limit, attempt.seconds
        seconds = shorter_of(own, left)
        if seconds is None:
            await call.ended
            return
        await wait_for_end(call.ended, seconds)
        if call.ended.done():
            return
        if call.ticket.drop():
            rejection = self._pool.rejection(attempt.owner)
            if limit is not None and seconds == left:
                raise limit.error() from rejection
            raise rejection
        if own is not None and seconds == own:
            # An attempt's time begins with the function, after the wait for a thread.
            late = shorter_of(call.ticket.queue_seconds, None if left is None else left - own)
            if late:
                await wait_for_end(call.ended, late)
                if call.ended.done():
                    return
            if late == call.ticket.queue_seconds:
                raise attempt_timeout(own)
        raise limit.error() if limit is not None else attempt_timeout(own)

    async def run_in_thread(self, function: Callable[[], T]) -> T:
        """Run a function of this library in the pool, beyond the limit if all threads are busy."""
        return await run_in_pool(self._pool, function, beyond=True)

    def fly(
        self,
        key: bytes,
        work: Callable[..., Coroutine[Any, Any, Any]],
        *args: Any,
        seconds: float | None = None,
        in_thread: bool = False,  # noqa: ARG002 - the other driver needs it
        owner: str | None = None,
    ) -> Awaitable[FlightResult]:
        """Run ``work(driver, *args)`` as the one flight for ``key``, or wait for the one under way.

        Args:
            key: The key that equal calls share.
            work: Does the work, with a driver without a limit.
            args: Further arguments of the work.
            seconds: Seconds that this caller waits. None: without limit. Default None.
            in_thread: Of no effect on a loop.
            owner: The tool, for notices. Default None: of no tool.

        Returns:
            The flight's result, and whether this caller led it.
        """
        if seconds is None and self.limit is None:
            # Without a coroutine of its own, of which there would be one for each who waits.
            return self._flights.arun(key, partial(work, self, *args), owner=owner)
        return self._fly_within(key, partial(work, self._without_limit(), *args), seconds, owner)

    async def _fly_within(
        self,
        key: bytes,
        work: Callable[[], Coroutine[Any, Any, Any]],
        seconds: float | None,
        owner: str | None,
    ) -> FlightResult:
        left = seconds_left(self.limit, self._clock)
        seconds = seconds if left is None else min(left, seconds or left)
        try:
            return await self._flights.arun(key, work, seconds, owner)
        except TimeoutError:
            seconds_left(self.limit, self._clock)
            raise

    async def race(
        self,
        seconds: float,
        work: Callable[..., Awaitable[Any]],
        *args: Any,
        owner: str | None = None,  # noqa: ARG002 - the other driver needs it
    ) -> Any:
        """Run ``work(driver, *args)``; if it takes longer than ``seconds``, run it a second time.

        The first success wins and the other run is cancelled; if both fail, the first error is
        raised.
        """
        # Not in a function of its own: the frames of an error in a first step lead to where it was
        # started, and a variable there would close a circle.
        context = copy_context()
        winner = begin_task(work(self, *args), context)
        runners = {winner.task: context}
        if not winner.done():
            try:
                await wait_for_end(winner.task, seconds)
                if not winner.done():
                    context = copy_context()
                    second = begin_task(work(self, *args), context)
                    runners[second.task] = context
                    del second
                    winner = EagerTask(await _find_winner(winner.task, runners), None)
            except GeneratorExit:  # the loop has ended, so that this may await nothing more
                for task in runners:
                    _abandon(task, None)
                raise
            except BaseException:
                await end_tasks(runners)
                raise
            await end_tasks(runners)
        apply_context(runners[winner.task])
        value, error = winner.outcome()
        runners.clear()
        del winner
        if error is None:
            return value
        try:
            raise error
        finally:
            del error

    def spawn(
        self,
        work: Callable[..., Awaitable[None]],
        *args: Any,
        on_cancel: Callable[[], None] | None = None,
        owner: str | None = None,  # noqa: ARG002 - the other driver needs it
    ) -> None:
        """Run ``work(driver, *args)`` in the background; its errors become events.

        Args:
            work: Does the work.
            args: Further arguments of the work.
            on_cancel: Called if the event loop ends before the work does. Default None.
            owner: Of no effect on a loop.
        """
        # Background work beyond the backlog is dropped: a later call will start it again.
        if len(self._background) >= self._backlog:
            return
        run = _run_in_background(work, self._without_limit(), *args)
        task = asyncio.get_running_loop().create_task(run)
        self._background.add(task)
        task.add_done_callback(partial(self._end_background, on_cancel))

    def _end_background(
        self, on_cancel: Callable[[], None] | None, task: asyncio.Task[None]
    ) -> None:
        self._background.discard(task)
        if task.cancelled() and on_cancel is not None:
            on_cancel()


async def _run_in_background(work: Callable[..., Awaitable[None]], *args: Any) -> None:
    with suppress(Exception):  # the work has emitted an event
        await work(*args)


async def _find_winner(
    first: asyncio.Task[Any], runners: Mapping[asyncio.Task[Any], Context]
) -> asyncio.Task[Any]:
    """Return the task that succeeds first, or ``first`` if none does."""
    while True:
        for task in runners:
            if task.done() and not task.cancelled() and task.exception() is None:
                return task
        pending = [task for task in runners if not task.done()]
        if not pending:
            return first
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)


async def _end(task: asyncio.Task[Any], attempt: Attempt | None) -> None:
    """Cancel an attempt; one that resists keeps its place in the bulkhead until it ends."""
    try:
        await end_tasks((task,))
    finally:
        _hand_over(task, attempt)


def _abandon(task: asyncio.Task[Any], attempt: Attempt | None) -> None:
    with suppress(RuntimeError):  # a closed loop has ended it already
        task.cancel()
    detach(task)
    _hand_over(task, attempt)


def _hand_over(task: asyncio.Task[Any], attempt: Attempt | None) -> None:
    """Let an abandoned attempt leave its bulkhead once it has ended."""
    if attempt is None or attempt.leave is None or task.done():
        return
    attempt.abandoned = True
    leave = attempt.leave
    task.add_done_callback(lambda _: leave())
