"""The driver that walks flows on an event loop; see :mod:`toolops_plugins.drivers`.

In a module of its own, since asyncio is slow to import and not everybody needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar

from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import Arrival, Flights
from toolops_plugins.drivers import Limit, attempt_timeout, called, left_of, nearer
from toolops_plugins.hidden_coroutines import is_awaitable
from toolops_plugins.hop import hop
from toolops_plugins.pool import Pool
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

__all__ = ["LoopDriver"]

T = TypeVar("T")


class LoopDriver:
    """Walks flows on the running event loop. Safe to use from any loops at once.

    Args:
        clock: Sleeps and tells the time.
        flights: The flights of the runtime.
        pool: Runs plain functions.
        backlog: Background flows that may be under way at once; more are dropped. Default 1,000.
    """

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
        """Walk a flow to its end, within the limit if any; return its result or raise its error."""
        take = self._take
        try:
            step = flow.send(None)
            while True:
                try:
                    result = await take[type(step)](step, limit)
                except BaseException as error:  # noqa: BLE001 - all that happens is the flow's affair
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            return end.value

    async def settle(self) -> None:
        """Wait until nothing of this loop goes on in the background."""
        loop = asyncio.get_running_loop()
        while tasks := {task for task in self._background if task.get_loop() is loop}:
            await asyncio.wait(tasks)

    async def _bounded(
        self, make: Callable[[], Awaitable[T]], limit: Limit | None, own: float | None = None
    ) -> T:
        """Await what ``make`` makes, within its own time and the limit, by one timer."""
        left = left_of(limit, self._clock)
        seconds = own if left is None or (own is not None and own < left) else left
        if seconds is None:
            return await make()
        try:
            async with asyncio.timeout(seconds) as timer:
                return await make()
        except TimeoutError:
            if not timer.expired():
                raise
            if limit is not None and seconds == left:
                raise limit.error() from None
            raise attempt_timeout(own) from None

    async def _io(self, step: Io, limit: Limit | None) -> Any:
        # Bounded by the timeouts of whatever does the I/O, and for a caller with a deadline by
        # that: a timer more would cost every other lookup.
        if limit is None:
            return await step.aio(*step.args)
        return await self._bounded(partial(step.aio, *step.args), limit)

    async def _sleep(self, step: Sleep, limit: Limit | None) -> None:
        left = left_of(limit, self._clock)
        if limit is not None and left is not None and left < step.seconds:
            await self._clock.asleep(left)
            raise limit.error()
        await self._clock.asleep(step.seconds)

    async def _enter(self, step: Enter, limit: Limit | None) -> None:
        await self._bounded(step.gate.aacquire, limit)

    async def _ask(self, step: Ask, limit: Limit | None) -> Any:
        answer = called(step.function, step.args, {})
        return await self._bounded(lambda: answer, limit) if isawaitable(answer) else answer

    async def _invoke(self, step: Invoke, limit: Limit | None) -> Any:
        make = partial(step.function, *step.args, **step.kwargs)
        if not step.aio:
            work = partial(called, step.function, step.args, step.kwargs)
            make = partial(self._in_thread_awaited, work)
        if limit is None and step.seconds is None:
            return await make()
        return await self._bounded(make, limit, step.seconds)

    async def _in_thread_awaited(self, function: Callable[[], Any]) -> Any:
        value = await self.in_thread(function)
        # A plain function may make a coroutine, which this loop can run.
        return await value if is_awaitable(value) else value

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run a function in the pool, with this task's context variables."""
        try:
            return await hop(self._pool, function)
        except Stopped as stopped:
            raise RuntimeError("the function raised StopIteration") from stopped.error

    async def _within(self, step: Within, limit: Limit | None) -> Any:
        return await self.run(step.work(), nearer(step, limit, self._clock))

    async def _fly(self, step: Fly, limit: Limit | None) -> Arrival:
        left = left_of(limit, self._clock)
        seconds = step.seconds if left is None else min(left, step.seconds or left)
        try:
            return await self._flights.afly(step.key, lambda: self.run(step.work()), seconds)
        except TimeoutError:
            left_of(limit, self._clock)
            raise

    async def _race(self, step: Race, limit: Limit | None) -> Any:
        first = asyncio.ensure_future(self.run(step.work(), limit))
        runners = {first}
        try:
            done, _ = await asyncio.wait(runners, timeout=step.seconds)
            if done:
                return first.result()
            runners.add(asyncio.ensure_future(self.run(step.work(), limit)))
            while pending := {task for task in runners if not task.done()}:
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if not task.cancelled() and task.exception() is None:
                        return task.result()
            return first.result()
        finally:
            losers = {task for task in runners if not task.done()}
            for task in losers:
                task.cancel()
            if losers:
                await asyncio.wait(losers)

    async def _spawn(self, step: Spawn, limit: Limit | None) -> None:  # noqa: ARG002 - as all
        if len(self._background) >= self._backlog:
            return
        task = asyncio.get_running_loop().create_task(self._quietly(step.work))
        self._background.add(task)
        task.add_done_callback(partial(self._spawned, step))

    def _spawned(self, step: Spawn, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if task.cancelled() and step.cancelled is not None:
            step.cancelled()

    async def _quietly(self, work: Callable[[], Flow]) -> None:
        with suppress(Exception):  # the flow has made an event of it
            await self.run(work())
