"""Connections of redis-py with a limit on each wait as a whole, and on the size of each reply.

The limits come as a subclass of the connection class of the client: plain, TLS, Unix socket, or
managed by Sentinel. Importing this module imports redis-py.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from inspect import iscoroutinefunction
from time import monotonic
from typing import Any

from redis.asyncio.connection import Connection as LoopConnection
from redis.asyncio.connection import SSLConnection as LoopSSLConnection
from redis.connection import Connection

from toolops_plugins.cache.operation_deadline import DEADLINE
from toolops_plugins.cache.redis.host_lookup import afind_addresses, find_addresses
from toolops_plugins.cache.redis.reply_sizes import ReplySizes, ReplyTooLargeError
from toolops_plugins.cache.redis.value_requests import OTHER, LoopReplies, parse_values

__all__ = ["Limits", "bound", "bound_cluster", "bound_loop_cluster"]

_PIECE = 65_536  # bytes of one read from a socket


class Limits:
    """The limits of all connections of a tier; changes apply to new connections.

    Attributes:
        largest: Largest accepted reply, in bytes.
        on_connect: Called for each new connection, which may lead to another server.
    """

    __slots__ = ("largest", "on_connect")

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.on_connect: Callable[[], None] = _do_nothing


def _do_nothing() -> None:
    pass


def bound(client: Any, limits: Limits) -> None:
    """Apply the limits to all future connections of a client."""
    pool = client.connection_pool
    pool.connection_class = _subclass(pool.connection_class)
    pool.connection_kwargs["limits"] = limits


def bound_cluster(client: Any, limits: Limits) -> None:
    """As :func:`bound`, for a blocking cluster client, which has connected already."""
    manager = client.nodes_manager
    create = manager.create_redis_node

    def create_redis_node(*args: Any, **kwargs: Any) -> Any:
        node = create(*args, **kwargs)
        bound(node, limits)
        return node

    manager.create_redis_node = create_redis_node
    for node in client.get_nodes():
        if node.redis_connection is not None:
            bound(node.redis_connection, limits)
            pool = node.redis_connection.connection_pool
            pool.disconnect()
            pool.reset()  # otherwise it would reconnect its existing connections


def bound_loop_cluster(client: Any, limits: Limits) -> None:
    """As :func:`bound`, for a cluster client on an event loop."""
    options = client.connection_kwargs  # shared by all further nodes
    options["connection_class"] = subclass = _subclass(options["connection_class"])
    options["limits"] = limits
    for node in client.nodes_manager.startup_nodes.values():
        node.connection_class = subclass
        node.connection_kwargs["limits"] = limits


@cache
def _subclass(base: type) -> type:
    """Return the subclass of a connection class that applies the limits."""
    bases: tuple[type, ...]
    if iscoroutinefunction(base._connect):  # type: ignore[attr-defined]  # noqa: SLF001 - makes sockets
        bases = (_AsyncLimits, base)
    elif base is Connection:
        bases = (_ThreadLimits, _TcpConnection)
    elif issubclass(base, Connection):
        bases = (_ThreadLimits, base, _TcpConnection)  # the last makes the socket below TLS
    else:
        bases = (_ThreadLimits, base)
    return type(f"Bounded{base.__name__}", bases, {})


# For threads ---------------------------------------------------------------------------------


class _TcpConnection(Connection):
    """A TCP connection whose timeout covers name resolution and all addresses."""

    def _connect(self) -> socket.socket:
        end = monotonic() + _limit(self.socket_connect_timeout)
        error: OSError = OSError(f"{self.host} has no address")
        addresses = find_addresses(self.host, self.port, self.socket_type, _left(end))
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.socket_keepalive:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for option, value in self.socket_keepalive_options.items():
                        sock.setsockopt(socket.IPPROTO_TCP, option, value)
                sock.settimeout(_left(end))
                sock.connect(address)
                # The TLS handshake happens within this timeout.
                sock.settimeout(_limit(self.socket_timeout))
            except OSError as caught:
                error = caught
                sock.close()
            else:
                return sock
        raise error


class _ThreadLimits:
    """Mixin: wraps the socket of a blocking connection."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        self._limits = limits
        super().__init__(*args, **kwargs)

    def _connect(self: Any) -> _Socket:
        DEADLINE.left()
        sock = super()._connect()  # type: ignore[misc]  # the class it is mixed into has it
        self._limits.on_connect()
        return _Socket(sock, self.socket_timeout, self._limits.largest)


class _Socket:
    """A socket whose reads end with the deadline of the thread's operation, or of one reply.

    It is shut down if it times out in the middle of a reply, because the next read would return
    the rest of that reply.
    """

    def __init__(self, sock: Any, seconds: float | None, largest: int) -> None:
        self._sock = sock
        self._seconds = seconds
        self._timeout = self._real = seconds
        sock.settimeout(seconds)
        self._reply_end = 0.0
        self._sizes = ReplySizes(largest)
        self._unread = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = self._real = seconds
        self._sock.settimeout(seconds)

    def sendall(self, data: Any) -> None:
        if DEADLINE.replies and self._seconds is not None:
            self._reply_end = monotonic() + self._seconds
        self._set_timer()
        sent = self._sock.send(data)
        if sent < len(data):
            with memoryview(data) as view:
                while sent < len(view):
                    self._set_timer()
                    sent += self._sock.send(view[sent:])

    def exchange(self, request: bytes, end: float) -> Any:
        """Send a request for values, and return its reply if that arrives in one piece.

        Args:
            request: The request.
            end: Monotonic time by which the operation must end.

        Returns:
            The value or values, or OTHER if the caller must read the reply by :meth:`recv`.

        Raises:
            ConnectionResetError: The server has closed the connection.
        """
        now = monotonic()
        left = end - now
        seconds = self._seconds
        if seconds is not None:
            self._reply_end = now + seconds
            left = min(left, seconds)
        # As in _set_timer: a timeout that is close enough saves a system call.
        real = self._real
        if real is None or not 0.0 < real <= 1.25 * left:
            if left <= 0:
                raise TimeoutError("no time is left for this operation")
            self._real = left
            self._sock.settimeout(left)
        sock = self._sock
        if sock.send(request) < len(request):
            raise TimeoutError("the server does not read its requests")
        data = sock.recv(_PIECE)
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        reply = parse_values(data, self._sizes.largest)
        if reply is OTHER:
            self._unread = data
        return reply

    def recv(self, size: int, *flags: int) -> bytes:
        if flags:  # MSG_PEEK
            return self._sock.recv(size, *flags)  # type: ignore[no-any-return]  # a socket's
        data: bytes = self._take(size) or self._wait(self._sock.recv, size)
        self._check(data)
        return data

    def recv_into(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            data = self._take(len(view))
            size: int = len(data) or self._wait(self._sock.recv_into, buffer)
            if data:
                view[:size] = data
            self._check(bytes(view[:size]))
        return size

    def _take(self, size: int) -> bytes:
        """Return bytes that :meth:`exchange` has read and not parsed."""
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _wait(self, read: Callable[[Any], Any], argument: Any) -> Any:
        try:
            self._set_timer()
            return read(argument)
        except TimeoutError:
            if DEADLINE.replies:
                self._break_off()
            raise

    def _check(self, data: bytes) -> None:
        try:
            self._sizes.feed(data)
        except ReplyTooLargeError:
            self._break_off()
            raise

    def _set_timer(self) -> None:
        """Set the timeout of the next wait; keep one that is close enough, to save system calls."""
        deadline = DEADLINE
        end = deadline.end
        timeout = self._timeout
        if end is None or timeout == 0:
            return
        if deadline.replies and self._reply_end < end:
            end = self._reply_end
        left = end - monotonic()
        if left <= 0:
            raise TimeoutError("the reply was not complete in time")
        if timeout is None or timeout > 1.25 * left:
            self._real = left
            self._sock.settimeout(left)
        elif self._real != timeout:
            self._real = timeout
            self._sock.settimeout(timeout)

    def _break_off(self) -> None:
        with suppress(OSError):  # the server has closed it already
            self._sock.shutdown(socket.SHUT_RDWR)


def _limit(seconds: float | None) -> float:
    """Return the smaller of a timeout and the time left for the thread's operation."""
    left = DEADLINE.left()
    if seconds is None:
        return 1e9 if left is None else left
    return seconds if left is None or seconds < left else left


def _left(end: float) -> float:
    left = end - monotonic()
    if left <= 0:
        raise TimeoutError("the connection was not made in time")
    return min(left, 1e6)


# For event loops; a timer bounds each operation, so only names and sizes need limits --------------


class _AsyncLimits:
    """Mixin: wraps the reader of an asynchronous connection."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        self._limits = limits
        self._address: str | None = None
        super().__init__(*args, **kwargs)

    def _connection_arguments(self: Any) -> dict[str, Any]:
        arguments = dict(super()._connection_arguments())  # type: ignore[misc]  # as above
        if self._address is not None:
            if isinstance(self, LoopSSLConnection):
                arguments.setdefault("server_hostname", self.host)
            arguments["host"] = self._address
        return arguments

    async def _connect(self: Any) -> None:
        connect = super()._connect  # type: ignore[misc]  # as above
        if isinstance(self, LoopConnection):
            await _AsyncLimits._connect_by_address(self, connect)
        else:
            await connect()
        transport = self._writer.transport
        self.replies = LoopReplies(transport, self._limits.largest)
        transport.set_protocol(self.replies)
        raw = self._reader
        self._reader = _Reader(raw, self._limits.largest, self._writer.transport.abort)
        if getattr(self._parser, "_stream", None) is raw:  # a Unix socket's parser has it already
            self._parser._stream = self._reader  # noqa: SLF001 - no public way
        self._limits.on_connect()

    async def _connect_by_address(self: Any, connect: Callable[[], Any]) -> None:
        found = await afind_addresses(self.host, self.port, self.socket_type)
        error: OSError = OSError(f"{self.host} has no address")
        for address in dict.fromkeys(each[4][0] for each in found):
            self._address = address
            try:
                await connect()
            except OSError as caught:
                error = caught
            else:
                return
            finally:
                self._address = None
        raise error


class _Reader:
    """A stream reader that refuses replies above the limit before they are read."""

    def __init__(self, reader: Any, largest: int, abort: Callable[[], None]) -> None:
        self._reader = reader
        self._sizes = ReplySizes(largest)
        self._abort = abort

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def readexactly(self, size: int) -> bytes:
        try:
            self._sizes.check(size - 2)
        except ReplyTooLargeError:
            self._abort()
            raise
        data: bytes = await self._reader.readexactly(size)
        return data

    async def read(self, size: int) -> bytes:
        data: bytes = await self._reader.read(size)
        try:
            self._sizes.feed(data)
        except ReplyTooLargeError:
            self._abort()
            raise
        return data
