"""The driver that runs flows on an event loop; see :mod:`toolops_plugins.drivers.thread`.

A module of its own, since asyncio is slow to import and synchronous programs do not need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar

from toolops_plugins.callables.hidden_coroutines import is_awaitable
from toolops_plugins.callables.pickling import RuntimePart
from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import FlightResult, Flights
from toolops_plugins.concurrency.contexts import ContextChanges, apply_context
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.concurrency.running_loop import get_running_loop
from toolops_plugins.concurrency.tasks import (
    adopt,
    detach,
    end_tasks,
    run_with_timeout,
    start_task,
    wait_for_end,
)
from toolops_plugins.concurrency.to_thread import ThreadCall, run_in_pool
from toolops_plugins.drivers.invocation import call_function, note_abandonment, run_invocation
from toolops_plugins.drivers.limits import (
    Limit,
    attempt_timeout,
    seconds_left,
    seconds_left_for,
    shorter_of,
    tighter_limit,
)
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

__all__ = ["LoopDriver"]

T = TypeVar("T")


class LoopDriver(RuntimePart):
    """Runs flows on the running event loop. Safe to use from any loops at once.

    Args:
        clock: The source of time.
        flights: The flights of the runtime.
        pool: Runs plain functions.
        backlog: The maximum number of background flows; further ones are dropped. Default 1,000.
    """

    part = "_on_loop"

    def __init__(self, clock: Clock, flights: Flights, pool: Pool, *, backlog: int = 1_000) -> None:
        self._clock = clock
        self._flights = flights
        self._pool = pool
        self._backlog = backlog
        self._background: set[asyncio.Task[None]] = set()
        self._take: Mapping[type[Step], Callable[[Any, Limit | None], Awaitable[Any]]] = {
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

    async def run(self, flow: Flow, limit: Limit | None = None) -> Any:
        """Run a flow to its end, within the limit if any; return its result or raise its error."""
        get_running_loop()
        take = self._take
        try:
            step = flow.send(None)
            while True:
                try:
                    result = await take[type(step)](step, limit)
                except BaseException as error:  # noqa: BLE001 - the flow handles every error
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            return end.value

    async def drain(self, seconds: float | None = None) -> None:
        """Wait until all background flows of this loop have ended.

        Args:
            seconds: Seconds after which the rest is cancelled. None: no limit.
        """
        loop = get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while tasks := {task for task in self._background.copy() if task.get_loop() is loop}:
            left = None if end is None else max(0.0, end - loop.time())
            await asyncio.wait(tasks, timeout=left)
            if left == 0.0:
                self._background -= tasks
                await end_tasks(tasks)

    def reset_after_fork(self) -> None:
        """Forget the tasks of the parent, in a forked child."""
        adopt(self._background)
        self._background = set()

    async def _await_within(
        self,
        make: Callable[[], Awaitable[T]],
        limit: Limit | None,
        own: float | None = None,
        step: Invoke | None = None,
    ) -> T:
        """Await what ``make`` returns, within its own time and the limit.

        It runs in a task of its own: a coroutine that suppresses its cancellation could otherwise
        block the caller for ever.

        Args:
            make: Returns the awaitable.
            limit: The enclosing limit, or None.
            own: Its own time in seconds, or None.
            step: The step, if it is an attempt; or None.
        """
        left = (
            seconds_left(limit, self._clock)
            if step is None
            else seconds_left_for(step, limit, self._clock)
        )
        seconds = shorter_of(own, left)
        if seconds is None:
            return await make()
        context = copy_context()
        task = start_task(make(), context)
        try:
            await wait_for_end(task, seconds)
        except GeneratorExit:  # the loop has ended, so that this coroutine may await nothing more
            self._abandon(task, step)
            raise
        except BaseException:
            await self._end(task, step)
            raise
        if task.done():
            apply_context(context)
            return task.result()
        await self._end(task, step)
        if limit is not None and seconds == left:
            raise limit.error()
        raise attempt_timeout(own)

    async def _end(self, task: asyncio.Task[Any], step: Invoke | None) -> None:
        """Cancel an attempt; one that resists keeps its place in the bulkhead until it ends."""
        try:
            await end_tasks((task,))
        finally:
            _hand_over(task, step)

    def _abandon(self, task: asyncio.Task[Any], step: Invoke | None) -> None:
        with suppress(RuntimeError):  # a closed loop has ended it already
            task.cancel()
        detach(task)
        _hand_over(task, step)

    async def _io(self, step: Io, limit: Limit | None) -> Any:
        # The timeouts of the client bound it, and the caller's deadline if there is one. Another
        # timer would slow down every lookup.
        if limit is None:
            return await step.aio(*step.args)
        return await self._await_within(partial(step.aio, *step.args), limit)

    async def _sleep(self, step: Sleep, limit: Limit | None) -> None:
        left = seconds_left(limit, self._clock)
        if limit is not None and left is not None and left < step.seconds:
            await self._clock.asleep(left)
            raise limit.error()
        await self._clock.asleep(step.seconds)

    async def _enter(self, step: Enter, limit: Limit | None) -> None:
        left = seconds_left(limit, self._clock)
        if limit is None or left is None:
            await step.gate.aacquire()
            return
        try:
            # In this task: a place that is granted to another task could be lost.
            async with asyncio.timeout(left):
                await step.gate.aacquire()
        except TimeoutError:
            raise limit.error() from None

    async def _ask(self, step: Ask, limit: Limit | None) -> Any:
        answer = call_function(step.function, step.args, {})
        return await self._await_within(lambda: answer, limit) if isawaitable(answer) else answer

    async def _invoke(self, step: Invoke, limit: Limit | None) -> Any:
        if not step.aio:
            value = await self._invoke_in_thread(step, limit)
            if not is_awaitable(value):
                return value
            # A plain function may return a coroutine, which this loop can run.
            return await self._await_within(lambda: value, limit, step.seconds, step)
        if limit is None and step.seconds is None:
            return await step.function(*step.args, **step.kwargs)
        make = partial(step.function, *step.args, **step.kwargs)
        return await self._await_within(make, limit, step.seconds, step)

    async def _invoke_in_thread(self, step: Invoke, limit: Limit | None) -> Any:
        left = seconds_left_for(step, limit, self._clock)
        call = ThreadCall(self._pool, partial(run_invocation, step), step.owner)
        try:
            await self._wait(call, step, left, limit)
        except BaseException:
            note_abandonment(call.ticket, step)
            raise
        step.queue_seconds = call.ticket.queue_seconds
        try:
            return call.result()
        except StopIterationCarrier as stopped:
            raise RuntimeError("the function raised StopIteration") from stopped.error

    async def _wait(
        self, call: ThreadCall, step: Invoke, left: float | None, limit: Limit | None
    ) -> None:
        """Wait for a function in the pool; raise the error of the limit that it reaches."""
        own = step.seconds
        seconds = shorter_of(own, left)
        if seconds is None:
            await call.ended
            return
        await wait_for_end(call.ended, seconds)
        if call.ended.done():
            return
        if call.ticket.drop():
            rejection = self._pool.rejection(step.owner)
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

    async def _within(self, step: Within, limit: Limit | None) -> Any:
        return await self.run(step.work(), tighter_limit(step, limit, self._clock))

    async def _fly(self, step: Fly, limit: Limit | None) -> FlightResult:
        left = seconds_left(limit, self._clock)
        seconds = step.seconds if left is None else min(left, step.seconds or left)
        changes = ContextChanges()

        caller = None if seconds is None else asyncio.current_task()

        async def work() -> Any:
            with changes:
                if asyncio.current_task() is caller:  # it runs without a flight
                    return await run_with_timeout(self.run(step.work()), None)
                return await self.run(step.work())

        try:
            arrival = await self._flights.arun(step.key, work, seconds)
        except TimeoutError:
            seconds_left(limit, self._clock)
            raise
        finally:
            changes.apply()
        return arrival

    async def _race(self, step: Race, limit: Limit | None) -> Any:
        runners: dict[asyncio.Task[Any], Context] = {}

        def start() -> asyncio.Task[Any]:
            context = copy_context()
            loop = asyncio.get_running_loop()
            task = loop.create_task(self.run(step.work(), limit), context=context)
            runners[task] = context
            return task

        try:
            first = start()
            await wait_for_end(first, step.seconds)
            winner = first
            if not first.done():
                start()
                winner = await _winner(first, runners)
        except GeneratorExit:  # the loop has ended, so that this coroutine may await nothing more
            for task in runners:
                self._abandon(task, None)
            raise
        except BaseException:
            await end_tasks(runners)
            raise
        await end_tasks(runners)
        apply_context(runners[winner])
        return winner.result()

    async def _spawn(self, step: Spawn, limit: Limit | None) -> None:  # noqa: ARG002 - as all
        if len(self._background) >= self._backlog:
            return
        task = asyncio.get_running_loop().create_task(self._run_in_background(step.work))
        self._background.add(task)
        task.add_done_callback(partial(self._end_background, step))

    def _end_background(self, step: Spawn, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if task.cancelled() and step.on_cancel is not None:
            step.on_cancel()

    async def _run_in_background(self, work: Callable[[], Flow]) -> None:
        with suppress(Exception):  # the flow has emitted an event
            await self.run(work())


async def _winner(
    first: asyncio.Task[Any], runners: Mapping[asyncio.Task[Any], Context]
) -> asyncio.Task[Any]:
    """Return the task that succeeds first, or ``first`` if none does."""
    while pending := {task for task in runners if not task.done()}:
        done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled() and task.exception() is None:
                return task
    return first


def _hand_over(task: asyncio.Task[Any], step: Invoke | None) -> None:
    """Let an abandoned attempt leave its bulkhead once it has ended."""
    if step is None or step.leave is None or task.done():
        return
    step.abandoned = True
    leave = step.leave
    task.add_done_callback(lambda _: leave())
