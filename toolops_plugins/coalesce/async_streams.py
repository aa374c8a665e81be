"""Recordings of asynchronous generators, for many readers that each have their own pace.

The generator runs in one task of one event loop, from its first step to its last, so that timeouts
and task groups inside of it work. Only readers of that loop share it.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from toolops_plugins.coalesce import wait_graph
from toolops_plugins.coalesce.streams import BaseRecording, ItemUnavailable, send_refusal
from toolops_plugins.codec import Codec
from toolops_plugins.concurrency.tasks import end_tasks

__all__ = ["AsyncRecording"]

_CLEANING = 5.0
"""Seconds that the last reader, unless cancelled, waits for the generator's clean-up."""


class _ReaderSignals:
    """The signals between the readers and the task of a recording.

    The task holds this object, so that readers are referenced by the futures that they wait for: an
    event loop itself holds its tasks weakly.
    """

    def __init__(self) -> None:
        self.waiters: set[asyncio.Future[None]] = set()
        self.value_sent: Any = None
        self.error_thrown: Exception | None = None
        self.stop = False
        self.want = asyncio.Event()
        self.want.set()

    def wake(self) -> None:
        """Wake the readers that wait for an item or the end."""
        for future in self.waiters:
            if not future.done():
                future.set_result(None)
        self.waiters.clear()


class AsyncRecording(BaseRecording):
    """An asynchronous generator that runs in a task, with the items that it has yielded.

    Use it on the loop on which it was opened.

    Args:
        start: Returns the generator.
        codec: Makes the copies.
        shares: Whether there may be several readers.
        monotonic: As in :class:`BaseRecording`. Default the system's time.
    """

    def __init__(
        self,
        start: Callable[[], AsyncGenerator[Any, None]],
        codec: Codec,
        *,
        shares: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(codec, shares=shares, monotonic=monotonic)
        self._start = start
        loop = self._loop = asyncio.get_running_loop()
        self._wanted = 1
        self._signals = _ReaderSignals()
        recording_ref = weakref.ref(self)
        self._task: asyncio.Task[None] = loop.create_task(
            _pump(recording_ref, start(), self._signals, monotonic),
            context=wait_graph.context_inside(self.node),
        )
        self._task.add_done_callback(partial(_on_task_end, recording_ref))
        weakref.finalize(self, _cancel, loop, self._task).atexit = False

    @classmethod
    def make_opener(
        cls,
        function: Callable[..., Any],
        codec: Codec,
        *,
        shares: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Callable[..., Any]:
        """Return a function that starts the function's generator and awaits its first item."""

        async def open_stream(*args: Any, **kwargs: Any) -> AsyncRecording:
            start = partial(function, *args, **kwargs)
            recording = cls(start, codec, shares=shares, monotonic=monotonic)
            wait = wait_graph.wait_for(recording.node)
            try:
                await recording._reach(0)
            except GeneratorExit:  # this coroutine was abandoned, and may not await any more
                raise
            except BaseException:
                await recording._stop()
                raise
            finally:
                if wait is not None:
                    wait_graph.leave(wait)
            if recording.count == 0:
                recording.raise_error()
            recording.worked = 0.0  # the first item is the attempt's
            return recording

        return open_stream

    def put(self, value: Any, seconds: float) -> None:
        """Append an item that took the generator so long, and wake the readers that wait for it."""
        self.worked += seconds
        self.add(value)
        self._signals.wake()
        if self.count >= self._wanted:
            self._signals.want.clear()

    def finish(self, error: BaseException | None) -> None:
        """Record the end of the generator, and wake the readers that wait for it."""
        if not self.ended:
            self.end(error)
        self._signals.wake()

    async def _reach(self, index: int) -> None:
        """Wait until there is an item of that index, or the end."""
        signals = self._signals
        while index >= self.count and not self.ended:
            self._wanted = max(self._wanted, index + 1)
            signals.want.set()
            future = self._loop.create_future()
            signals.waiters.add(future)
            try:
                await future
            finally:
                signals.waiters.discard(future)

    async def _stop(self, seconds: float = 0.0) -> None:
        self._signals.stop = True
        await end_tasks((self._task,), seconds)

    async def read(self, reader: object) -> AsyncGenerator[Any, Any]:
        """Yield every item from the start, each reader its own copies.

        A reader that meets an item which only another reader can have continues with a run of its
        own.

        Args:
            reader: Stands for this reader, which has joined already.

        Raises:
            Exception: The generator's error.
        """
        index = 0
        try:
            while True:
                await self._reach(index)
                if index >= self.count:
                    break
                value = self.take(index)
                index += 1
                self.move(reader, index)
                try:
                    value_sent = yield value
                except Exception as error:
                    if not self.accepts_send:
                        raise
                    self._signals.error_thrown = error
                else:
                    if value_sent is not None and not self.accepts_send:
                        raise send_refusal()
                    self._signals.value_sent = value_sent
            self.raise_error()
        except ItemUnavailable:
            pass
        else:
            return
        finally:
            if self.leave(reader):
                # Users who close a stream expect that its generator has cleaned up.
                cancelled = isinstance(sys.exception(), asyncio.CancelledError)
                await self._stop(0.0 if cancelled else _CLEANING)
        async with aclosing(self._start()) as source:
            async for value in source:
                if index > 0:  # this reader has it already
                    index -= 1
                    continue
                yield value


async def _pump(
    recording_ref: weakref.ref[AsyncRecording],
    source: AsyncGenerator[Any, Any],
    signals: _ReaderSignals,
    monotonic: Callable[[], float],
) -> None:
    """Run a generator from its first step to its last, without keeping its recording alive."""
    error: BaseException | None = None
    began = monotonic()
    try:
        value = await anext(source)
        while True:
            recording = recording_ref()
            if recording is None or signals.stop:  # it resisted its cancellation
                return
            recording.put(value, monotonic() - began)
            began = math.inf
            del recording, value
            await signals.want.wait()
            began = monotonic()
            value_sent, signals.value_sent = signals.value_sent, None
            error_thrown, signals.error_thrown = signals.error_thrown, None
            if error_thrown is not None:
                value = await source.athrow(error_thrown)
            else:
                value = await (anext(source) if value_sent is None else source.asend(value_sent))
            value_sent = error_thrown = None
    except StopAsyncIteration:
        pass
    except BaseException as caught:
        error = caught
        if not isinstance(caught, Exception):  # an Exception is raised in every reader
            raise
    finally:
        with suppress(Exception):
            await source.aclose()
        recording = recording_ref()
        if recording is not None:
            recording.worked += max(0.0, monotonic() - began)
            recording.finish(error)
        error = recording = None


def _on_task_end(recording_ref: weakref.ref[AsyncRecording], task: asyncio.Task[None]) -> None:
    """Release the readers of a task that died without a report."""
    death = None if task.cancelled() else task.exception()
    recording = recording_ref()
    if recording is not None:
        recording.finish(death or asyncio.CancelledError())


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    if not task.done() and not task.cancelling():  # as in end_tasks
        with suppress(RuntimeError):  # a closed loop has ended it already
            loop.call_soon_threadsafe(task.cancel)
