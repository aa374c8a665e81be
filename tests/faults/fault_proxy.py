"""A proxy on this machine that does to a server's replies what networks and broken servers do."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

__all__ = [
    "Fault",
    "Proxy",
    "black_hole",
    "cut",
    "delay",
    "duplicate",
    "flip",
    "garble",
    "huge",
    "trickle",
]

Fault = Callable[[bytes], AsyncIterator[bytes]]
"""Makes of what the server has sent what its client gets; raises ConnectionError to hang up."""


def delay(seconds: float) -> Fault:
    """Hand everything on, so many seconds later."""

    async def fault(data: bytes) -> AsyncIterator[bytes]:
        await asyncio.sleep(seconds)
        yield data

    return fault


def trickle(rate: float) -> Fault:
    """Hand on one byte after the other, so many a second."""

    async def fault(data: bytes) -> AsyncIterator[bytes]:
        for n in range(len(data)):
            await asyncio.sleep(1 / rate)
            yield data[n : n + 1]

    return fault


def black_hole() -> Fault:
    """Hand nothing on."""

    async def fault(data: bytes) -> AsyncIterator[bytes]:
        await asyncio.sleep(3600)
        yield data

    return fault


def cut(share: float = 0.2, seed: int = 1) -> Fault:
    """Hang up in the middle of a share of the replies."""
    chance = random.Random(seed)

    async def fault(data: bytes) -> AsyncIterator[bytes]:
        if chance.random() < share:
            yield data[: len(data) // 2]
            raise ConnectionError
        yield data

    return fault


def garble(share: float = 0.2, seed: int = 1) -> Fault:
    """Put random bytes in the place of a share of the replies."""
    chance = random.Random(seed)

    async def fault(data: bytes) -> AsyncIterator[bytes]:
        yield os.urandom(len(data)) if chance.random() < share else data

    return fault


def flip(share: float = 0.2, seed: int = 1) -> Fault:
    """Turn one bit round in a share of the replies."""
    chance = random.Random(seed)

    async def fault(data: bytes) -> AsyncIterator[bytes]:
        changed = bytearray(data)
        if chance.random() < share:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        yield bytes(changed)

    return fault


def duplicate(share: float = 0.2, seed: int = 1) -> Fault:
    """Send a share of the replies twice."""
    chance = random.Random(seed)

    async def fault(data: bytes) -> AsyncIterator[bytes]:
        yield data
        if chance.random() < share:
            yield data

    return fault


def huge(size: int = 500_000_000, kind: bytes = b"$") -> Fault:
    """Declare a reply of so many bytes (``$``) or items (``*``), and begin to send it."""

    async def fault(data: bytes) -> AsyncIterator[bytes]:
        yield kind + b"%d\r\n" % size
        block = b"x" * 65_536 if kind == b"$" else b":1\r\n" * 16_384
        for _ in range(size // len(block)):
            yield block

    return fault


class Proxy:
    """Listens on a free port of 127.0.0.1 and hands on to another; close it at the end.

    Attributes:
        fault: What is done to replies from now on. None: nothing.
        target: The port of the server; may be set after the proxy was made.
        sent: Bytes of replies that clients have got.
    """

    host = "127.0.0.1"

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.fault: Fault | None = None
        self.sent = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fault-proxy", daemon=True
        )
        self._thread.start()
        self._run(self._listen())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    @property
    def url(self) -> str:
        """The URL of what is behind."""
        return f"redis://{self.host}:{self.port}"

    def hang_up(self) -> None:
        """Close every connection."""
        self._run(self._hang_up())

    def refuse(self) -> None:
        """Close every connection, and take no more."""
        self._run(self._refuse())

    def accept(self) -> None:
        """Take connections again."""
        self._run(self._listen())

    def close(self) -> None:
        """End."""
        self._run(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            for sock in self._server.sockets:
                self._loop.remove_reader(sock.fileno())
            for _ in range(5):  # what was accepted a moment ago is still on its way to the server
                await asyncio.sleep(0)
            self._server.close()
            self._server = None
        await self._hang_up()

    async def _hang_up(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            inner_reader, inner_writer = await asyncio.open_connection(self.host, self.target)
            self._writers.add(inner_writer)
            up = asyncio.ensure_future(self._up(reader, inner_writer))
            down = asyncio.ensure_future(self._down(inner_reader, writer))
            try:
                await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for part in (up, down):
                    part.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
                self._writers.discard(inner_writer)
                inner_writer.transport.abort()
        self._tasks.discard(task)
        self._writers.discard(writer)
        writer.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            fault = self.fault
            if fault is None:
                await self._send(writer, data)
                continue
            async for part in fault(data):
                await self._send(writer, part)
                if self.fault is not fault:
                    # What comes of the rest of a half reply would be a fault of the proxy's own.
                    return

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent += len(data)
