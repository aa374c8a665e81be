"""The way to the servers of one Redis tier: bounded in time, and left alone while they are down."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator
from importlib import import_module
from queue import Empty
from time import monotonic
from typing import Any, Literal, TypeAlias, TypeVar

from toolops_plugins.cache.operation_deadline import DEADLINE
from toolops_plugins.cache.redis.clients import Clients, Seat
from toolops_plugins.cache.redis.reply_sizes import ReplyTooLargeError
from toolops_plugins.clock import Clock
from toolops_plugins.cooldown import Fuse
from toolops_plugins.errors import TierError

__all__ = [
    "READING",
    "WRITING",
    "Action",
    "Command",
    "Link",
    "Work",
    "afetch",
    "fetch",
    "many",
    "mget",
    "one",
    "primaries",
    "route",
    "scan",
]

READING = False
WRITING = True  # only a server that takes writes will do

Answer = TypeVar("Answer")
Command: TypeAlias = tuple[Any, ...]
Action: TypeAlias = Callable[[Any, Any], Any]
"""What to do with a client and an argument; awaitable if the client is one for event loops."""
Work: TypeAlias = Generator[tuple[bool, Action, Any], Any, Answer]
"""An operation: it yields whether servers must take writes, an action and its argument."""

_LATE = 0.1  # seconds by which an event loop may lag before a timeout is its own fault

# Codes of errors that redis-py gives no class of their own, by what they stop.
_STOPS_WRITES = ("READONLY", "OOM", "MISCONF", "NOREPLICAS")
_STOPS_ALL = ("LOADING", "BUSY ", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "WRONGPASS")


def one(client: Any, command: Command) -> Any:
    """Run one command and return its reply."""
    return client.execute_command(*command)


def fetch(client: Any, name: str) -> Any:
    """Return what is under a key; as :func:`one`, in half the time.

    What redis-py does besides for each command, its own telemetry and retries, is not needed here.
    Not for clusters, whose client alone knows the way.
    """
    return _exchange(client, "GET", name)


async def afetch(client: Any, name: str) -> Any:
    """As :func:`fetch`."""
    return await _aexchange(client, "GET", name)


def mget(client: Any, names: list[str]) -> Any:
    """Return what is under each key, None where there is no text; as fast as :func:`fetch`."""
    exchange = _aexchange if hasattr(client, "aclose") else _exchange
    return exchange(client, "MGET", *names)


def _exchange(client: Any, *command: str) -> Any:
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_command(*command)
        return connection.read_response()
    except BaseException as error:
        if _leaves_reply(error):
            connection.disconnect()
        raise
    finally:
        pool.release(connection)


async def _aexchange(client: Any, *command: str) -> Any:
    pool = client.connection_pool
    connection = await pool.get_connection()
    try:
        await connection.send_command(*command)
        return await connection.read_response()
    except BaseException as error:
        if _leaves_reply(error):
            await connection.disconnect(nowait=True)
        raise
    finally:
        await pool.release(connection)


def _leaves_reply(error: BaseException) -> bool:
    """Return whether a reply, or a part of it, may still come: Sentinels' connections stay open."""
    from redis.exceptions import ResponseError  # noqa: PLC0415 - redis is imported on first use

    return not isinstance(error, ResponseError)


def route(client: Any, name: str) -> Any:
    """As :func:`fetch`, for clusters."""
    return client.execute_command("GET", name)


def many(client: Any, commands: list[Command]) -> Any:
    """Run commands on single keys in one go; errors stand among the replies."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return pipeline.execute(raise_on_error=False)


def scan(client: Any, place: tuple[int, str, Any]) -> Any:
    """Return the next cursor and some keys, from a cursor, a pattern and a node (or None)."""
    cursor, pattern, node = place
    if node is None:
        return client.scan(cursor=cursor, match=pattern, count=500)
    return client.scan(cursor=cursor, match=pattern, count=500, target_nodes=[node])


def primaries(client: Any, _: None) -> Any:
    """Return the nodes of a cluster that hold keys."""
    return _aprimaries(client) if hasattr(client, "aclose") else client.get_primaries()


async def _aprimaries(client: Any) -> Any:
    await client.initialize()
    return client.get_primaries()


class Link:
    """Runs actions on the right client. Safe for use from any threads and event loops.

    Whatever goes wrong is a :class:`~toolops_plugins.errors.TierError`, caused by redis-py's own
    error. One fuse stands before everything, a second before writes, which a server out of memory
    or without its primary role refuses while it still answers lookups.

    Args:
        clients: The clients.
        clock: The source of time for the pauses.
        lease: Seconds that an operation can take at most.
        place: What to call the servers in an error.
    """

    def __init__(self, clients: Clients, clock: Clock, lease: float, place: str) -> None:
        self.clients = clients
        self.fuse = Fuse(clock, lease)
        self.write_fuse = Fuse(clock, lease)
        self._place = place
        self._timeouts = (TimeoutError, import_module("redis.exceptions").TimeoutError)

    def after_fork(self) -> None:
        """Let go of what belongs to the parent process."""
        self.clients.forget()
        self.fuse.reset()
        self.write_fuse.reset()

    def do(
        self,
        write: bool,  # noqa: FBT001 - as above
        action: Action,
        argument: Any,
        end: float = math.inf,
    ) -> Any:
        """Run an action, blocking.

        Args:
            write: Whether the server must take writes.
            action: What to do.
            argument: What to do it with.
            end: The monotonic time at which it has to be over; earlier if that is all that an
                action may take. The wait for a place is part of it.

        Raises:
            TierError: It failed or was skipped.
        """
        clients = self.clients
        gate = clients.gate
        now = monotonic()
        end = min(end, now + clients.slow)
        try:
            gate.get(timeout=max(0.0, end - clients.quick - now))
        except Empty:
            raise self._busy() from None
        try:
            tickets = self._enter(write)
            fair = end - monotonic() >= clients.quick
            DEADLINE.end, DEADLINE.replies = end, True
            try:
                client = clients.client or self._opened(tickets)
                reply = _checked(action(client, argument))
            except TierError:
                raise
            except Exception as error:
                if fair or not isinstance(error, self._timeouts):
                    self._failed(error, write, tickets)
                raise TierError(self._text(error)) from error
            finally:
                DEADLINE.end, DEADLINE.replies = None, False
            self._succeeded(write, tickets)
            return reply
        finally:
            gate.put(None)

    def _opened(self, tickets: tuple[int, int]) -> Any:
        """Return the client of all threads, made by the first that asks for it."""
        opening = self.clients.opening
        if not opening.acquire(timeout=DEADLINE.left() or 0.0):
            raise TimeoutError("another thread is still connecting")
        try:
            # Who waited for a discovery that failed must not try the next.
            self._recheck(tickets)
            return self.clients.open()
        finally:
            opening.release()

    async def ado(
        self,
        write: bool,  # noqa: FBT001 - always positional, from a step
        action: Action,
        argument: Any,
        end: float = math.inf,
    ) -> Any:
        """Run an action, awaiting; as :meth:`do`, with ``end`` on the loop's clock."""
        seat = self.clients.here() or await self._new_seat()
        time = seat.loop.time
        now = time()
        end = min(end, now + seat.slow)
        try:
            await seat.enter(end)
        except TimeoutError:
            raise self._busy() from None
        try:
            tickets = self._enter(write)
            now = time()
            fair = end - now >= seat.quick
            try:
                # Round everything: pool, connection, discovery, request and reply. Cancelled
                # in the middle of a reply, redis-py closes the connection.
                well = seat.warm
                async with asyncio.timeout_at(min(end, now + seat.patience())) as timer:
                    try:
                        reply = _checked(await action(seat.client, argument))
                    except self.clients.lost:
                        if not well:
                            raise
                        # A server may close what is idle, and a loop notices only as it runs. So
                        # one more try, which is safe: no command here adds to what it finds.
                        seat.warm = 0
                        timer.reschedule(min(end, time() + seat.patience()))
                        reply = _checked(await action(seat.client, argument))
            except Exception as error:
                if timer.expired() and _overslept(timer):
                    raise TierError(f"{self._place}: the event loop was blocked") from error
                if timer.expired() and not fair:
                    pass  # there was less time than a server may take
                elif self._failed(error, write, tickets):
                    seat.warm = 0
                raise TierError(self._text(error)) from error
            if seat.users > seat.warm:  # noqa: PLR1730 - max() costs a call in the hot path
                seat.warm = seat.users
            self._succeeded(write, tickets)
            return reply
        finally:
            await seat.leave()

    def walk(self, work: Work[Answer], seconds: float = 0.0) -> Answer:
        """Walk an operation, blocking. Its TierErrors are thrown into it first.

        Args:
            work: The operation.
            seconds: What all of it may take. Default: what one action may take.
        """
        end = monotonic() + (seconds or self.clients.slow)
        try:
            step = next(work)
            while True:
                try:
                    reply = self.do(*step, end)
                except TierError as error:
                    step = work.throw(error)
                else:
                    step = work.send(reply)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer

    async def awalk(self, work: Work[Answer], seconds: float = 0.0) -> Answer:
        """Walk an operation, awaiting; as :meth:`walk`."""
        end = asyncio.get_running_loop().time() + (seconds or self.clients.slow)
        try:
            step = next(work)
            while True:
                try:
                    reply = await self.ado(*step, end)
                except TierError as error:
                    step = work.throw(error)
                else:
                    step = work.send(reply)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer

    async def _new_seat(self) -> Seat:
        try:
            return await self.clients.new_seat()
        except Exception as error:
            raise TierError(self._text(error)) from error

    def _enter(self, write: bool) -> tuple[int, int]:  # noqa: FBT001 - as above
        # Writes first: whoever passes the other fuse may hold its only probe, and must go on.
        wrote = self.write_fuse.enter() if write else 0
        ticket = None if wrote is None else self.fuse.enter()
        if wrote is None or ticket is None:
            raise TierError(f"{self._place}: skipped, since it failed a moment ago")
        return ticket, wrote

    def _busy(self) -> TierError:
        return TierError(f"{self._place}: all of its connections are in use")

    def _recheck(self, tickets: tuple[int, int]) -> None:
        if self.fuse.stale(tickets[0]):
            raise TierError(f"{self._place}: skipped, since it failed a moment ago")

    def _succeeded(self, write: bool, tickets: tuple[int, int]) -> None:  # noqa: FBT001 - as above
        if self.fuse.blown:
            self.fuse.succeed(tickets[0])
        if write and self.write_fuse.blown:
            self.write_fuse.succeed(tickets[1])

    def _failed(self, error: Exception, write: bool, tickets: tuple[int, int]) -> bool:  # noqa: FBT001 - as above
        """Note the error; return whether the server is as good as down."""
        stops = _stops(error, write)
        if stops == "all":
            self.fuse.fail(tickets[0])
            return True
        if self.fuse.blown:
            self.fuse.succeed(tickets[0])
        if stops == "writes" and write:
            self.write_fuse.fail(tickets[1])
        return False

    def _text(self, error: Exception) -> str:
        detail = str(error)
        return f"{self._place}: {type(error).__name__}{': ' if detail else ''}{detail}"


def _overslept(timer: asyncio.Timeout) -> bool:
    """Return whether the loop came so late to a timeout that it says nothing of the server."""
    due = timer.when()
    return due is not None and asyncio.get_running_loop().time() - due > _LATE


def _checked(reply: Any) -> Any:
    """Return the reply or raise the first error in it."""
    if type(reply) is list:
        for item in reply:
            if isinstance(item, Exception):
                raise item
    return reply


def _stops(error: Exception, write: bool) -> Literal["all", "writes", "nothing"]:  # noqa: FBT001 - private
    """Return what there is no use in trying for a while, after this error."""
    from redis import exceptions as known  # noqa: PLC0415 - redis is imported on first use

    if isinstance(error, ReplyTooLargeError) and error.stored:
        return "nothing"
    if not isinstance(error, known.ResponseError):
        return "all"
    if isinstance(error, known.ReadOnlyError | known.OutOfMemoryError):
        return "writes"
    if isinstance(error, known.NoPermissionError):
        return "writes" if write else "all"
    text = str(error)
    if isinstance(error, known.ClusterDownError) or any(code in text for code in _STOPS_ALL):
        return "all"
    return "writes" if any(code in text for code in _STOPS_WRITES) else "nothing"
