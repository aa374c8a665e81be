"""One run of an asynchronous generator for many readers, each at its own pace.

It runs in one task of one event loop, from its first step to its last, so that timeouts and task
groups inside it work; and only readers of that loop share it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

from toolops_plugins.coalesce import circles
from toolops_plugins.coalesce.streams import Tape
from toolops_plugins.codec import Codec

__all__ = ["AsyncRecording"]


class AsyncRecording(Tape):
    """An asynchronous generator that is running in a task, and what it has yielded.

    To be used on the loop that it was opened on.

    Args:
        source: The generator.
        codec: Makes the copies.
    """

    def __init__(self, source: AsyncGenerator[Any, None], codec: Codec) -> None:
        super().__init__(codec)
        loop = self._loop = asyncio.get_running_loop()
        self._wanted = 1
        self._want = asyncio.Event()
        self._want.set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] = loop.create_task(
            _pump(weakref.ref(self), source, self._want),
            context=circles.context_inside(self.node),
        )
        weakref.finalize(self, _abandon, loop, self._task).atexit = False

    @classmethod
    def opener(cls, function: Callable[..., Any], codec: Codec) -> Callable[..., Any]:
        """Return what starts the function's generator and awaits its first item."""

        async def opened(*args: Any, **kwargs: Any) -> AsyncRecording:
            recording = cls(function(*args, **kwargs), codec)
            wait = circles.wait_for(recording.node)
            try:
                await recording._reach(0)
            except GeneratorExit:  # this coroutine was left behind, and may await nothing more
                raise
            except BaseException:
                await recording._stop()
                raise
            finally:
                if wait is not None:
                    circles.leave(wait)
            if recording.count == 0:
                recording.raise_error()
            return recording

        return opened

    def take(self, value: Any) -> None:
        """Put what was yielded at the end, and wake those who wait for it."""
        self.add(value)
        self.wake()
        if self.count >= self._wanted:
            self._want.clear()

    def wake(self) -> None:
        """Wake those who wait for an item or the end."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def _reach(self, index: int) -> None:
        """Wait until there is an item of that index, or the end."""
        while index >= self.count and not self.ended:
            self._wanted = max(self._wanted, index + 1)
            self._want.set()
            future = self._loop.create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)

    async def _stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def read(self, reader: object) -> AsyncGenerator[Any, None]:
        """Yield every item from the start, each reader its own copies.

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
                value = self.copy_of(index)
                index += 1
                self.move(reader, index)
                yield value
            self.raise_error()
        finally:
            if self.leave(reader):
                await self._stop()


async def _pump(
    wanted: weakref.ref[AsyncRecording], source: AsyncGenerator[Any, None], want: asyncio.Event
) -> None:
    """Run a generator from first step to last, without keeping its recording alive."""
    error: BaseException | None = None
    try:
        async for value in source:
            recording = wanted()
            if recording is None:
                return
            recording.take(value)
            del recording, value
            await want.wait()
    except asyncio.CancelledError as caught:
        error = caught
        raise
    except Exception as caught:  # noqa: BLE001 - raised in every reader
        error = caught
    finally:
        with suppress(Exception):
            await source.aclose()
        recording = wanted()
        if recording is not None:
            recording.end(error)
            recording.wake()
        error = recording = None


def _abandon(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    if not task.done():
        with suppress(RuntimeError):  # a closed loop has ended it already
            loop.call_soon_threadsafe(task.cancel)
