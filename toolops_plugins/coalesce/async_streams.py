"""One run of an asynchronous generator for many readers, each at its own pace.

It runs in one task of one event loop, from its first step to its last, so that timeouts and task
groups inside it work; and only readers of that loop share it.
"""

from __future__ import annotations

import asyncio
import sys
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
"""Seconds that the last reader waits for the generator's clean-up where it was not cancelled."""


class _Signals:
    """What readers and the task of a recording tell each other.

    The task holds this, so that a reader is held by what it waits for: an event loop itself holds
    its tasks weakly.
    """

    def __init__(self) -> None:
        self.waiting: set[asyncio.Future[None]] = set()
        self.sent: Any = None
        self.thrown: Exception | None = None
        self.stopped = False
        self.want = asyncio.Event()
        self.want.set()

    def wake(self) -> None:
        """Wake those who wait for an item or the end."""
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()


class AsyncRecording(BaseRecording):
    """An asynchronous generator that is running in a task, and what it has yielded.

    To be used on the loop that it was opened on.

    Args:
        start: Makes the generator.
        codec: Makes the copies.
        shares: Whether there may be several readers.
    """

    def __init__(
        self, start: Callable[[], AsyncGenerator[Any, None]], codec: Codec, *, shares: bool
    ) -> None:
        super().__init__(codec, shares=shares)
        self._start = start
        loop = self._loop = asyncio.get_running_loop()
        self._wanted = 1
        self._signals = _Signals()
        wanted = weakref.ref(self)
        self._task: asyncio.Task[None] = loop.create_task(
            _pump(wanted, start(), self._signals), context=wait_graph.context_inside(self.node)
        )
        self._task.add_done_callback(partial(_ended, wanted))
        weakref.finalize(self, _abandon, loop, self._task).atexit = False

    @classmethod
    def make_opener(
        cls, function: Callable[..., Any], codec: Codec, *, shares: bool
    ) -> Callable[..., Any]:
        """Return what starts the function's generator and awaits its first item."""

        async def open_recording(*args: Any, **kwargs: Any) -> AsyncRecording:
            recording = cls(partial(function, *args, **kwargs), codec, shares=shares)
            wait = wait_graph.wait_for(recording.node)
            try:
                await recording._reach(0)
            except GeneratorExit:  # this coroutine was left behind, and may await nothing more
                raise
            except BaseException:
                await recording._stop()
                raise
            finally:
                if wait is not None:
                    wait_graph.leave(wait)
            if recording.count == 0:
                recording.raise_error()
            return recording

        return open_recording

    def put(self, value: Any) -> None:
        """Put what was yielded at the end, and wake those who wait for it."""
        self.add(value)
        self._signals.wake()
        if self.count >= self._wanted:
            self._signals.want.clear()

    def finish(self, error: BaseException | None) -> None:
        """Note that nothing more will come, and wake those who wait for it."""
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
            signals.waiting.add(future)
            try:
                await future
            finally:
                signals.waiting.discard(future)

    async def _stop(self, seconds: float = 0.0) -> None:
        self._signals.stopped = True
        await end_tasks((self._task,), seconds)

    async def read(self, reader: object) -> AsyncGenerator[Any, Any]:
        """Yield every item from the start, each reader its own copies.

        A reader that meets an item which another one has goes on with a run of its own.

        Args:
            reader: Stands for this reader; has joined already.

        Raises:
            Exception: What the generator raised.
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
                    sent = yield value
                except Exception as error:
                    if not self.accepts_send:
                        raise
                    self._signals.thrown = error
                else:
                    if sent is not None and not self.accepts_send:
                        raise send_refusal()
                    self._signals.sent = sent
            self.raise_error()
        except ItemUnavailable:
            pass
        else:
            return
        finally:
            if self.leave(reader):
                # Whoever closes a stream expects that its generator has cleaned up.
                cancelled = isinstance(sys.exception(), asyncio.CancelledError)
                await self._stop(0.0 if cancelled else _CLEANING)
        async with aclosing(self._start()) as source:
            async for value in source:
                if index > 0:  # this reader has had it already
                    index -= 1
                    continue
                yield value


async def _pump(
    wanted: weakref.ref[AsyncRecording], source: AsyncGenerator[Any, Any], signals: _Signals
) -> None:
    """Run a generator from first step to last, without keeping its recording alive."""
    error: BaseException | None = None
    try:
        value = await anext(source)
        while True:
            recording = wanted()
            if recording is None or signals.stopped:  # it resisted its cancellation
                return
            recording.put(value)
            del recording, value
            await signals.want.wait()
            sent, signals.sent = signals.sent, None
            thrown, signals.thrown = signals.thrown, None
            if thrown is not None:
                value = await source.athrow(thrown)
            else:
                value = await (anext(source) if sent is None else source.asend(sent))
            sent = thrown = None
    except StopAsyncIteration:
        pass
    except BaseException as caught:
        error = caught
        if not isinstance(caught, Exception):  # others are raised in every reader
            raise
    finally:
        with suppress(Exception):
            await source.aclose()
        recording = wanted()
        if recording is not None:
            recording.finish(error)
        error = recording = None


def _ended(wanted: weakref.ref[AsyncRecording], task: asyncio.Task[None]) -> None:
    """Let nobody wait for a task that died where it could not say so."""
    death = None if task.cancelled() else task.exception()
    recording = wanted()
    if recording is not None:
        recording.finish(death or asyncio.CancelledError())


def _abandon(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    if not task.done() and not task.cancelling():  # as in end_tasks
        with suppress(RuntimeError):  # a closed loop has ended it already
            loop.call_soon_threadsafe(task.cancel)
