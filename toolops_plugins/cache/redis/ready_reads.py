"""Lookups on connections that are kept ready, so that redis-py's pool is not asked."""

from __future__ import annotations

import asyncio
import math
from time import monotonic
from typing import Any

from toolops_plugins.cache.operation_deadline import DEADLINE
from toolops_plugins.cache.redis.clients import LoopClient
from toolops_plugins.cache.redis.connection import LATE, READING, Connection, leaves_reply
from toolops_plugins.cache.redis.value_requests import (
    OTHER,
    ReadyConnections,
    aread_values,
    read_values,
)
from toolops_plugins.errors import TierError

__all__ = ["ReadyReads"]


class ReadyReads:
    """Sends requests for values on ready connections. Safe for any threads and loops.

    A ready connection is used at once, while the server is not down and no operation waits.
    Otherwise, and if the server has closed the connection meanwhile, the request goes by
    :meth:`Connection.do`, on a connection of the pool that is then kept ready. Time limits, the
    limit on concurrent operations, cooldowns and errors are those of ``do``.

    Args:
        connection: The connection to servers whose clients keep connections ready.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._clients = connection.clients

    def read(self, request: bytes) -> Any:
        """Return the value or list of values that a request asks for.

        Args:
            request: The result of ``value_request``.

        Raises:
            TierError: The request failed or was skipped.
        """
        end = monotonic() + self._clients.slow
        ready = self._clients.ready
        if ready is not None and ready.idle:
            reply = self._read_ready(ready, request, end)
            if reply is not OTHER:
                return reply
        return self._connection.do(READING, self._read_pooled, request, end)

    def _read_ready(self, ready: ReadyConnections, request: bytes, end: float) -> Any:
        """Read on a ready connection; return OTHER if that cannot be done, or it was closed."""
        gate = self._clients.gate
        if not gate.take(0.0):
            return OTHER
        try:
            ticket = self._connection.cooldown.enter_if_up()
            if ticket is None:
                return OTHER
            try:
                connection = ready.idle.pop()
            except IndexError:  # another thread was faster
                return OTHER
            try:
                reply = read_values(connection, request, end)
            except BaseException as error:
                if leaves_reply(error):
                    connection.disconnect()
                    ready.pool.release(connection)
                else:
                    ready.idle.append(connection)
                if _is_lost(error):
                    return OTHER
                if not isinstance(error, Exception):
                    raise
                self._connection.record_failure(error, READING, (ticket, 0))
                raise TierError(self._connection.explain(error)) from error
            ready.idle.append(connection)
            return reply
        finally:
            gate.give_back()

    def _read_pooled(self, client: Any, request: bytes) -> Any:
        """Read on a connection of the pool, and keep it ready."""
        pool = client.connection_pool
        connection = pool.get_connection()
        try:
            reply = read_values(connection, request, DEADLINE.end or math.inf)
        except BaseException as error:
            if leaves_reply(error):
                connection.disconnect()
            pool.release(connection)
            raise
        ready = self._clients.ready
        if ready is not None and ready.pool is pool:
            ready.idle.append(connection)
        else:  # the client was closed meanwhile
            pool.release(connection)
        return reply

    async def aread(self, request: bytes) -> Any:
        """As :meth:`read`."""
        seat = self._clients.of_running_loop()
        if seat is None or seat.ready is None:
            return await self._connection.ado(READING, self._aread_pooled, request)
        now = seat.loop.time()
        if seat.ready.idle and not seat.gate.locked():
            ticket = self._connection.cooldown.enter_if_up()
            if ticket is not None:
                await seat.gate.acquire()  # it is free, so this does not wait
                seat.users += 1
                try:
                    reply = await self._aread_ready(seat, request, now + seat.quick, ticket)
                finally:
                    await seat.leave()
                if reply is not OTHER:
                    return reply
        return await self._connection.ado(READING, self._aread_pooled, request, now + seat.slow)

    async def _aread_ready(self, seat: LoopClient, request: bytes, end: float, ticket: int) -> Any:
        """As :meth:`_read_ready`."""
        ready: Any = seat.ready
        connection = ready.idle.pop()
        try:
            reply = await aread_values(connection, request, end)
        except BaseException as error:
            if leaves_reply(error):
                await connection.disconnect(nowait=True)
                await ready.pool.release(connection)
            else:
                ready.idle.append(connection)
            if _is_lost(error):
                seat.warm = 0
                return OTHER
            if not isinstance(error, Exception):
                raise
            if isinstance(error, TimeoutError) and seat.loop.time() - end > LATE:
                raise self._connection.blocked() from error
            if self._connection.record_failure(error, READING, (ticket, 0)):
                seat.warm = 0
            raise TierError(self._connection.explain(error)) from error
        ready.idle.append(connection)
        if seat.users > seat.warm:  # noqa: PLR1730 - max() costs a call in the hot path
            seat.warm = seat.users
        return reply

    async def _aread_pooled(self, client: Any, request: bytes) -> Any:
        """As :meth:`_read_pooled`."""
        pool = client.connection_pool
        loop = asyncio.get_running_loop()
        connection = await pool.get_connection()
        try:
            # The caller's timer covers the connection too, and mostly ends earlier.
            reply = await aread_values(connection, request, loop.time() + self._clients.slow)
        except BaseException as error:
            if leaves_reply(error):
                await connection.disconnect(nowait=True)
            await pool.release(connection)
            raise
        seat = self._clients.of_running_loop()
        if seat is not None and seat.ready is not None and seat.ready.pool is pool:
            seat.ready.idle.append(connection)
        else:
            await pool.release(connection)
        return reply


def _is_lost(error: BaseException) -> bool:
    """Return whether a ready connection was closed, maybe long before it was used."""
    return isinstance(error, OSError) and not isinstance(error, TimeoutError)
