"""One run of an asynchronous generator for many readers, each at its own pace.

It runs in one task of one event loop, from its first step to its last, so that timeouts and task
groups inside it work; and only readers of that loop share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any

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

    def __init__(self, source: AsyncIterator[Any], codec: Codec) -> None:
        super().__init__(codec)
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._wanted = 1
        self._want = asyncio.Event()
        self._want.set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] = self._loop.create_task(self._pump())

    @classmethod
    def opener(cls, function: Callable[..., Any], codec: Codec) -> Callable[..., Any]:
        """Return what starts the function's generator and awaits its first item."""

        async def opened(*args: Any, **kwargs: Any) -> AsyncRecording:
            recording = cls(function(*args, **kwargs), codec)
            try:
                await recording._reach(0)
            except BaseException:
                await recording._stop()
                raise
            if recording.count == 0:
                recording.raise_error()
            return recording

        return opened

    def _pulls(self) -> bool:
        return asyncio.current_task() is self._task

    async def _pump(self) -> None:
        try:
            async for value in self._source:
                self.add(value)
                self._wake()
                if self.count >= self._wanted:
                    self._want.clear()
                await self._want.wait()
            self.end()
        except asyncio.CancelledError as error:
            self.end(error)
            raise
        except Exception as error:  # noqa: BLE001 - raised in every reader
            self.end(error)
        finally:
            close = getattr(self._source, "aclose", None)
            if close is not None:
                with suppress(Exception):
                    await close()
            self._wake()

    def _wake(self) -> None:
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
