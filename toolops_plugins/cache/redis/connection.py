"""Requests to the servers of a Redis tier, with time limits and a pause while they are down."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator
from contextlib import suppress
from importlib import import_module
from time import monotonic
from typing import Any, Literal, TypeAlias, TypeVar

from toolops_plugins.cache.operation_deadline import DEADLINE
from toolops_plugins.cache.redis.clients import Clients, LoopClient
from toolops_plugins.cache.redis.reply_sizes import ReplyTooLargeError
from toolops_plugins.cache.redis.value_requests import ReadyConnections
from toolops_plugins.clock import Clock
from toolops_plugins.cooldown import Cooldown
from toolops_plugins.errors import TierError

__all__ = [
    "LATE",
    "READING",
    "WRITING",
    "Action",
    "Command",
    "Connection",
    "Work",
    "afetch",
    "fetch",
    "leaves_reply",
    "many",
    "mget",
    "one",
    "primaries",
    "route",
    "scan",
]

READING = False
WRITING = True  # needs a server that accepts writes

Answer = TypeVar("Answer")
Command: TypeAlias = tuple[Any, ...]
Action: TypeAlias = Callable[[Any, Any], Any]
"""A function of a client and an argument; awaitable if the client is asynchronous."""
Work: TypeAlias = Generator[tuple[bool, Action, Any], Any, Answer]
"""An operation: it yields READING or WRITING, an action, and the argument of the action."""

LATE = 0.1  # lag of an event loop, in seconds, above which a timeout is the fault of the loop

# Codes of errors without a class in redis-py, by what they prevent.
_STOPS_WRITES = ("READONLY", "OOM", "MISCONF", "NOREPLICAS")
_STOPS_ALL = ("LOADING", "BUSY ", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "WRONGPASS")


def one(client: Any, command: Command) -> Any:
    """Run one command and return its reply."""
    return client.execute_command(*command)


def fetch(client: Any, name: str) -> Any:
    """Return the value of a key, in half the time of :func:`one`.

    It skips the telemetry and retries that redis-py runs for each command. Not for clusters, whose
    client must choose the node.
    """
    return _exchange(client, "GET", name)


async def afetch(client: Any, name: str) -> Any:
    """As :func:`fetch`."""
    return await _aexchange(client, "GET", name)


def mget(client: Any, names: list[str]) -> Any:
    """Return the value of each key, None for a missing one; as fast as :func:`fetch`."""
    exchange = _aexchange if hasattr(client, "aclose") else _exchange
    return exchange(client, "MGET", *names)


def _exchange(client: Any, *command: str) -> Any:
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_command(*command)
        return connection.read_response()
    except BaseException as error:
        if leaves_reply(error):
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
        if leaves_reply(error):
            await connection.disconnect(nowait=True)
        raise
    finally:
        await pool.release(connection)


def leaves_reply(error: BaseException) -> bool:
    """Return whether (a part of) a reply may still arrive on the connection after an error."""
    from redis.exceptions import ResponseError  # noqa: PLC0415 - redis is imported on first use

    return not isinstance(error, ResponseError)


def route(client: Any, name: str) -> Any:
    """As :func:`fetch`, for clusters."""
    return client.execute_command("GET", name)


def many(client: Any, commands: list[Command]) -> Any:
    """Run commands on single keys in one pipeline; errors are among the replies."""
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
    """Return the primary nodes of a cluster."""
    return _aprimaries(client) if hasattr(client, "aclose") else client.get_primaries()


async def _aprimaries(client: Any) -> Any:
    await client.initialize()
    return client.get_primaries()


class Connection:
    """Runs actions on the client of the current thread or loop. Safe for any threads and loops.

    Every failure is a :class:`~toolops_plugins.errors.TierError` with the error of redis-py as its
    cause. A cooldown applies to all actions. A second one applies to writes, which a server that is
    out of memory or no longer primary refuses while it still answers lookups.

    Args:
        clients: The clients.
        clock: The source of time for the cooldowns.
        lease: The longest duration of an operation, in seconds.
        place: The name of the servers in errors.
    """

    def __init__(self, clients: Clients, clock: Clock, lease: float, place: str) -> None:
        self.clients = clients
        self.cooldown = Cooldown(clock, lease)
        self.write_cooldown = Cooldown(clock, lease)
        self._place = place
        self._failure = "not reachable"  # or the type of the last failure
        self._timeouts = (TimeoutError, import_module("redis.exceptions").TimeoutError)

    def after_fork(self) -> None:
        """Drop the state of the parent process."""
        self.clients.forget()
        self.cooldown.reset()
        self.write_cooldown.reset()

    def do(
        self,
        write: bool,  # noqa: FBT001 - as above
        action: Action,
        argument: Any,
        end: float = math.inf,
    ) -> Any:
        """Run an action, blocking.

        Args:
            write: Whether the server must accept writes.
            action: The action.
            argument: The argument of the action.
            end: Monotonic time by which the action must end, including the wait for a free
                connection. The limit of a single action applies as well.

        Raises:
            TierError: The action failed or was skipped.
        """
        clients = self.clients
        gate = clients.gate
        now = monotonic()
        end = min(end, now + clients.slow)
        if not gate.take(end - clients.quick - now):
            raise self._busy()
        try:
            tickets = self._enter(write)
            fair = end - monotonic() >= clients.quick
            DEADLINE.end, DEADLINE.replies = end, True
            try:
                client = clients.client or self._open_client(tickets)
                ready = clients.ready
                if ready is not None and ready.idle:
                    _give_back(ready)
                reply = _raise_error(action(client, argument))
            except TierError:
                raise
            except Exception as error:
                if fair or not isinstance(error, self._timeouts):
                    self.record_failure(error, write, tickets)
                raise TierError(self.explain(error)) from error
            finally:
                DEADLINE.end, DEADLINE.replies = None, False
            self._record_success(write, tickets)
            return reply
        finally:
            gate.give_back()

    def _open_client(self, tickets: tuple[int, int]) -> Any:
        """Return the client of all threads; the first caller makes it."""
        opening = self.clients.opening
        if not opening.acquire(timeout=DEADLINE.left() or 0.0):
            raise TimeoutError("another thread is still connecting")
        try:
            # After another thread's discovery has failed, do not start a second one.
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
        seat = self.clients.of_running_loop() or await self._open_loop_client()
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
                # One timer for pool, connection, discovery, request and reply. redis-py closes a
                # connection whose reply is cancelled.
                warm = seat.warm
                async with asyncio.timeout_at(min(end, now + seat.patience())) as timer:
                    try:
                        if seat.ready is not None and seat.ready.idle:
                            await seat.ready.pool.release(seat.ready.idle.pop())
                        reply = _raise_error(await action(seat.client, argument))
                    except self.clients.lost:
                        if not warm:
                            raise
                        # The server may have closed an idle connection, which a loop notices only
                        # at the next use. A second try is safe: all commands here are idempotent.
                        seat.warm = 0
                        timer.reschedule(min(end, time() + seat.patience()))
                        reply = _raise_error(await action(seat.client, argument))
            except Exception as error:
                if timer.expired() and _is_late(timer):
                    raise self.blocked() from error
                if timer.expired() and not fair:
                    pass  # less time was left than a server may take
                elif self.record_failure(error, write, tickets):
                    seat.warm = 0
                raise TierError(self.explain(error)) from error
            if seat.users > seat.warm:  # noqa: PLR1730 - max() costs a call in the hot path
                seat.warm = seat.users
            self._record_success(write, tickets)
            return reply
        finally:
            await seat.leave()

    def walk(self, work: Work[Answer], seconds: float = 0.0) -> Answer:
        """Run an operation, blocking. A TierError of an action is first thrown into the operation.

        Args:
            work: The operation.
            seconds: Time limit of the operation. Default: the time limit of one action.
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
        """Run an operation, awaiting; as :meth:`walk`."""
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

    async def _open_loop_client(self) -> LoopClient:
        try:
            return await self.clients.open_loop_client()
        except Exception as error:
            raise TierError(self.explain(error)) from error

    def _enter(self, write: bool) -> tuple[int, int]:  # noqa: FBT001 - as above
        # Writes first: an action that has passed the other cooldown may be its only probe.
        wrote = self.write_cooldown.enter() if write else 0
        ticket = None if wrote is None else self.cooldown.enter()
        if wrote is None or ticket is None:
            raise self._skip_error()
        return ticket, wrote

    def _skip_error(self) -> TierError:
        return TierError.of(
            f"{self._place}: skipped, since it failed a moment ago",
            f"{self._failure}, and left alone for a while",
        )

    def _busy(self) -> TierError:
        problem = "all of its connections are in use"
        return TierError.of(f"{self._place}: {problem}", problem)

    def blocked(self) -> TierError:
        """Return the error for a timeout that is the fault of this process."""
        problem = "the event loop was blocked, so that no answer was read in time"
        return TierError.of(f"{self._place}: {problem}", problem)

    def _recheck(self, tickets: tuple[int, int]) -> None:
        if self.cooldown.is_stale(tickets[0]):
            raise self._skip_error()

    def _record_success(self, write: bool, tickets: tuple[int, int]) -> None:  # noqa: FBT001 - as above
        if self.cooldown.is_down:
            self.cooldown.succeed(tickets[0])
        if write and self.write_cooldown.is_down:
            self.write_cooldown.succeed(tickets[1])

    def record_failure(self, error: Exception, write: bool, tickets: tuple[int, int]) -> bool:  # noqa: FBT001 - as above
        """Record an error; return whether the server counts as down."""
        stops = _effect_of(error, write)
        if stops != "nothing":
            self._failure = type(error).__name__
        if stops == "all":
            self.cooldown.fail(tickets[0])
            return True
        if self.cooldown.is_down:
            self.cooldown.succeed(tickets[0])
        if stops == "writes" and write:
            self.write_cooldown.fail(tickets[1])
        return False

    def explain(self, error: Exception) -> str:
        """Return the text of a TierError that an error causes."""
        detail = str(error)
        return f"{self._place}: {type(error).__name__}{': ' if detail else ''}{detail}"


def _give_back(ready: ReadyConnections) -> None:
    """Return a ready connection to the pool, so that the pool does not open another one."""
    with suppress(IndexError):  # another thread was faster
        ready.pool.release(ready.idle.pop())


def _is_late(timer: asyncio.Timeout) -> bool:
    """Return whether the loop handled a timeout so late that the server is not to blame."""
    due = timer.when()
    return due is not None and asyncio.get_running_loop().time() - due > LATE


def _raise_error(reply: Any) -> Any:
    """Return the reply, or raise the first error in it."""
    if type(reply) is list:
        for item in reply:
            if isinstance(item, Exception):
                raise item
    return reply


def _effect_of(error: Exception, write: bool) -> Literal["all", "writes", "nothing"]:  # noqa: FBT001 - private
    """Return the actions that a server cannot serve for a while after an error."""
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
