"""Requests for values (GET and MGET) on connections that are kept ready beside redis-py's pool.

redis-py checks a connection out of its pool with a lock, tests it, and parses replies piece by
piece; that takes longer than the request itself. A request for values on a connection that is known
to be open needs none of it. Its reply mostly arrives in one piece, which is parsed here. Whatever
else arrives goes to the parser of redis-py: errors, replies in several pieces, and those above the
limit, which that way refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from toolops_plugins.cache.operation_deadline import DEADLINE

__all__ = [
    "OTHER",
    "ReadyConnections",
    "aread_values",
    "parse_values",
    "read_values",
    "value_request",
]

OTHER: Final = object()
"""Stands for a reply that is not (yet) a complete value, or list of values."""


class ReadyConnections:
    """Open connections of one client that requests for values use without asking the pool.

    The pool counts them as in use, and closes them when the client is closed.
    """

    __slots__ = ("idle", "pool")

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.idle: list[Any] = []


def value_request(names: Sequence[bytes]) -> bytes:
    """Return the bytes of GET for one name, of MGET for several."""
    if len(names) == 1:
        return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(names[0]), names[0])
    parts = [b"*%d\r\n$4\r\nMGET\r\n" % (len(names) + 1)]
    parts += [b"$%d\r\n%b\r\n" % (len(name), name) for name in names]
    return b"".join(parts)


def parse_values(data: bytes, largest: int) -> Any:
    """Return the value or the list of values that ``data`` is the whole reply for, else OTHER.

    Args:
        data: Bytes that begin with the start of a reply.
        largest: Largest accepted value, in bytes.
    """
    try:
        start = data.index(b"\n") + 1
        number = int(data[1:start])  # int() skips the end of the line
        if data[:1] == b"$":
            if number < 0:
                return None if data == b"$-1\r\n" else OTHER
            end = start + number
            return data[start:end] if end + 2 == len(data) and number <= largest else OTHER
        if data[:1] != b"*" or number < 0:
            return OTHER
        values: list[bytes | None] = []
        for _ in range(number):
            line, start = start, data.index(b"\n", start) + 1
            if data[line : line + 1] != b"$":
                return OTHER
            size = int(data[line + 1 : start])
            if size < 0:
                values.append(None)
                continue
            end = start + size
            if size > largest or end + 2 > len(data):
                return OTHER
            values.append(data[start:end])
            start = end + 2
    except ValueError:  # a line is incomplete, or has no number
        return OTHER
    return values if start == len(data) else OTHER


class LoopReplies(asyncio.Protocol):
    """Stands between a transport and the stream of redis-py; takes the reply of an exchange out.

    Waiting for one future takes half the time of reading lines from a stream.
    """

    def __init__(self, transport: Any, largest: int) -> None:
        self._transport = transport
        self._stream = transport.get_protocol()
        self._largest = largest
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Any] | None = None
        self.closed = False

    async def exchange(self, request: bytes, end: float) -> Any:
        """Send a request for values, and return its reply if that arrives in one piece.

        Args:
            request: The request.
            end: Time of the loop by which the reply must arrive.

        Returns:
            The value or values, or OTHER if redis-py must read the reply from the stream.

        Raises:
            ConnectionResetError: The server has closed the connection.
            TimeoutError: Nothing has arrived in time.
        """
        if self.closed:
            raise ConnectionResetError("the server has closed the connection")
        self._waiter = waiter = self._loop.create_future()
        # A handle is all that is needed of asyncio.timeout(), at a third of its time.
        timer = self._loop.call_at(end, _expire, waiter)
        self._transport.write(request)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self._stream.data_received(data)
            return
        reply = parse_values(data, self._largest)
        if reply is OTHER:
            self._stream.data_received(data)
        waiter.set_result(reply)

    def eof_received(self) -> bool | None:
        self._end()
        return self._stream.eof_received()  # type: ignore[no-any-return]  # of any protocol

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        self._stream.connection_lost(error)

    def pause_writing(self) -> None:
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        self._stream.resume_writing()

    def _end(self) -> None:
        self.closed = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(ConnectionResetError("the server has closed the connection"))


def _expire(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("the server did not answer in time"))


def read_values(connection: Any, request: bytes, end: float) -> Any:
    """Send a request on an open blocking connection, and return its value or list of values.

    Args:
        connection: A connection of redis-py, with the limits of ``sockets``.
        request: The result of :func:`value_request`.
        end: Monotonic time by which the whole reply must be there.

    Raises:
        OSError: The connection is closed. The server may have closed it long ago.
        Exception: An error of redis-py.
    """
    sock = connection._sock  # noqa: SLF001 - no public way
    if sock is None:
        raise ConnectionResetError("the connection is closed")
    reply = sock.exchange(request, end)
    if reply is not OTHER:
        return reply
    deadline = DEADLINE
    before = deadline.end, deadline.replies
    deadline.end, deadline.replies = end, True
    try:
        return connection.read_response()
    finally:
        deadline.end, deadline.replies = before


async def aread_values(connection: Any, request: bytes, end: float) -> Any:
    """As :func:`read_values`, with ``end`` on the clock of the loop."""
    reply = await connection.replies.exchange(request, end)
    if reply is not OTHER:
        return reply
    async with asyncio.timeout_at(end):
        return await connection.read_response()
