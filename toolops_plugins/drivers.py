"""The two ways to walk a flow: in a thread, and on an event loop.

Both do the same things for the same steps, one blocking and one awaiting, and know nothing of
policies. A plain function that an asynchronous caller runs, or that has a time limit, goes to a
bounded pool of daemon threads with the caller's context variables; Python cannot stop a thread, so
a function that runs out of time goes on there, and its result is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
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
    Within,
)

__all__ = ["LoopDriver", "ThreadDriver"]

T = TypeVar("T")


class _Stopped(Exception):  # noqa: N818 - a carrier, never seen outside
    """Carries a StopIteration of a user's function, which no generator can be thrown."""

    def __init__(self, error: StopIteration) -> None:
        super().__init__(error)
        self.error = error


class _Limit(NamedTuple):
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
        self._take: Mapping[type[Step], Callable[[Any, _Limit | None], Any]] = {
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
        except _Stopped as stopped:
            raise stopped.error from None

    def _walk(self, flow: Flow, limit: _Limit | None) -> Any:
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

    def _io(self, step: Io, limit: _Limit | None) -> Any:
        _left(limit, self._clock)
        return step.sync(*step.args)

    def _sleep(self, step: Sleep, limit: _Limit | None) -> None:
        left = _left(limit, self._clock)
        if left is not None and left < step.seconds:
            self._clock.sleep(left)
            raise limit.error() if limit else TimeoutError
        self._clock.sleep(step.seconds)

    def _enter(self, step: Enter, limit: _Limit | None) -> None:
        left = _left(limit, self._clock)
        try:
            step.gate.acquire(left)
        except TimeoutError:
            if limit is None:
                raise
            raise limit.error() from None

    def _ask(self, step: Ask, limit: _Limit | None) -> Any:
        _left(limit, self._clock)
        answer = _call(step.function, step.args, {})
        if isawaitable(answer):
            _discard(answer)
            raise ConfigurationError(
                getattr(step.function, "__name__", "callback"),
                "is a coroutine function, which only an asynchronous call can await",
            )
        return answer

    def _invoke(self, step: Invoke, limit: _Limit | None) -> Any:
        left = _left(limit, self._clock)
        if left is None and step.seconds is None:
            return _call(step.function, step.args, step.kwargs)
        outcome = self.start(partial(_call, step.function, step.args, step.kwargs))
        return self._result(outcome, step.seconds, left, limit)

    def start(self, function: Callable[[], Any]) -> Outcome:
        """Run a function in the pool, with this thread's context variables."""
        outcome = Outcome()
        self._pool.submit(partial(copy_context().run, outcome.run, function))
        return outcome

    def _result(
        self, outcome: Outcome, own: float | None, left: float | None, limit: _Limit | None
    ) -> Any:
        seconds = min((s for s in (own, left) if s is not None), default=None)
        if not outcome.wait(seconds):
            if limit is not None and seconds == left:
                raise limit.error()
            raise _attempt_timeout(own)
        return outcome.result()

    def _within(self, step: Within, limit: _Limit | None) -> Any:
        return self._walk(step.work(), _nearer(step, limit, self._clock))

    def _fly(self, step: Fly, limit: _Limit | None) -> Arrival:
        left = _left(limit, self._clock)
        seconds = step.seconds if left is None else min(left, step.seconds or left)
        try:
            return self._flights.fly(
                step.key, lambda: self._walk(step.work(), None), self._pool.submit, seconds
            )
        except TimeoutError:
            _left(limit, self._clock)
            raise

    def _race(self, step: Race, limit: _Limit | None) -> Any:
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
            left = _left(limit, self._clock)
            ended = ends.get(timeout=step.seconds if left is None else min(step.seconds, left))
        except Empty:
            start()
            ended = self._next(ends, limit)
            if ended.error is not None:
                ended = self._next(ends, limit)
                if ended.error is not None:
                    return first.result()
        return ended.result()

    def _next(self, ends: SimpleQueue[Outcome], limit: _Limit | None) -> Outcome:
        try:
            return ends.get(timeout=_left(limit, self._clock))
        except Empty:
            raise limit.error() if limit else TimeoutError from None

    def _spawn(self, step: Spawn, limit: _Limit | None) -> None:  # noqa: ARG002 - as all
        # Past the backlog it is dropped: what goes on in the background can be done another time.
        work = partial(copy_context().run, self._quietly, step.work)
        self._pool.offer(work)

    def _quietly(self, work: Callable[[], Flow]) -> None:
        with suppress(Exception):  # the flow has made an event of it
            self._walk(work(), None)


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
        self._take: Mapping[type[Step], Callable[[Any, _Limit | None], Awaitable[Any]]] = {
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

    async def run(self, flow: Flow) -> Any:
        """Walk a flow to its end; return its result or raise its error."""
        return await self._walk(flow, None)

    async def _walk(self, flow: Flow, limit: _Limit | None) -> Any:
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
        self, make: Callable[[], Awaitable[T]], limit: _Limit | None, own: float | None = None
    ) -> T:
        """Await what ``make`` makes, within its own time and the limit, by one timer."""
        left = _left(limit, self._clock)
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
            raise _attempt_timeout(own) from None

    async def _io(self, step: Io, limit: _Limit | None) -> Any:
        # Bounded by the timeouts of whatever does the I/O: a timer more would cost every lookup.
        _left(limit, self._clock)
        return await step.aio(*step.args)

    async def _sleep(self, step: Sleep, limit: _Limit | None) -> None:
        left = _left(limit, self._clock)
        if limit is not None and left is not None and left < step.seconds:
            await self._clock.asleep(left)
            raise limit.error()
        await self._clock.asleep(step.seconds)

    async def _enter(self, step: Enter, limit: _Limit | None) -> None:
        await self._bounded(step.gate.aacquire, limit)

    async def _ask(self, step: Ask, limit: _Limit | None) -> Any:
        answer = _call(step.function, step.args, {})
        return await self._bounded(lambda: answer, limit) if isawaitable(answer) else answer

    async def _invoke(self, step: Invoke, limit: _Limit | None) -> Any:
        make = partial(step.function, *step.args, **step.kwargs)
        if not step.aio:
            make = partial(self.in_thread, partial(_call, step.function, step.args, step.kwargs))
        if limit is None and step.seconds is None:
            return await make()
        return await self._bounded(make, limit, step.seconds)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run a function in the pool, with this task's context variables."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        outcome = Outcome()

        def wake() -> None:
            if not ended.done():
                ended.set_result(None)

        def run() -> None:
            outcome.run(function)
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(wake)

        self._pool.submit(partial(copy_context().run, run))
        await ended
        try:
            result: T = outcome.result()
        except _Stopped as stopped:
            raise RuntimeError("the function raised StopIteration") from stopped.error
        return result

    async def _within(self, step: Within, limit: _Limit | None) -> Any:
        return await self._walk(step.work(), _nearer(step, limit, self._clock))

    async def _fly(self, step: Fly, limit: _Limit | None) -> Arrival:
        left = _left(limit, self._clock)
        seconds = step.seconds if left is None else min(left, step.seconds or left)
        try:
            return await self._flights.afly(
                step.key, lambda: self._walk(step.work(), None), seconds
            )
        except TimeoutError:
            _left(limit, self._clock)
            raise

    async def _race(self, step: Race, limit: _Limit | None) -> Any:
        first = asyncio.ensure_future(self._walk(step.work(), limit))
        runners = {first}
        try:
            done, _ = await asyncio.wait(runners, timeout=step.seconds)
            if done:
                return first.result()
            runners.add(asyncio.ensure_future(self._walk(step.work(), limit)))
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

    async def _spawn(self, step: Spawn, limit: _Limit | None) -> None:  # noqa: ARG002 - as all
        if len(self._background) >= self._backlog:
            return
        task = asyncio.get_running_loop().create_task(self._quietly(step.work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _quietly(self, work: Callable[[], Flow]) -> None:
        with suppress(Exception):  # the flow has made an event of it
            await self._walk(work(), None)


def _left(limit: _Limit | None, clock: Clock) -> float | None:
    """Return the seconds that are left, or None; raise the limit's error if there are none."""
    if limit is None:
        return None
    left = limit.at - clock.monotonic()
    if left <= 0.0:
        raise limit.error()
    return left


def _nearer(step: Within, limit: _Limit | None, clock: Clock) -> _Limit:
    inner = _Limit(clock.monotonic() + step.seconds, step.error)
    return limit if limit is not None and limit.at < inner.at else inner


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise _Stopped(error) from None


def _discard(awaitable: Any) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def _attempt_timeout(seconds: float | None) -> AttemptTimeout:
    return AttemptTimeout(f"an attempt took longer than {seconds} s", seconds=seconds or 0.0)
