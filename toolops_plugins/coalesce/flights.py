"""One run for many callers: a flight a key, boarded from any mix of threads and event loops.

Whoever asks first for a key leads its flight; whoever asks while it is under way follows, and gets
the same result or the same error. (The pattern is Go's singleflight; the rest is what Python adds.)

- **Cancellation.** On a loop the work runs in a task of its own, so a leader that is cancelled
  leaves it running for the followers. When the last of them leaves, the work is cancelled.
- **A lost leader.** If the work itself is cancelled from outside (its loop shuts down) or its
  thread dies of a KeyboardInterrupt, nobody has failed: the followers board again, and one of them
  leads the next flight.
- **No deadlock.** A caller runs the work for itself, *apart*, where waiting could close a circle:
  it stands inside the flight that it asks for, or inside one that this flight waits for in turn; or
  it would block the very loop that has to finish the work. A thread with a running event loop never
  waits for anybody.

What cannot be seen is a chain that leaves Python's contexts: a body that hands work to a thread of
its own without ``contextvars.copy_context()``, where that work asks for the body's own key. Give
such calls a deadline.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

from toolops_plugins.errors import DeadlineExceeded

__all__ = ["Arrival", "Flights"]

PATIENCE = 0.25
"""Seconds between two looks of a follower at whether the loop that it waits for still runs."""

Submit = Callable[[Callable[[], Any]], Any]


class Arrival(NamedTuple):
    """What a caller got off its flight.

    Args:
        value: The result of the work.
        led: Whether this caller led the flight, or ran the work apart, rather than followed.
    """

    value: Any
    led: bool


class _Flight:
    """Work under way, and who waits for it. All fields are guarded by the table's lock."""

    __slots__ = (
        "abandoned",
        "callbacks",
        "done",
        "error",
        "key",
        "loop",
        "parties",
        "task",
        "trace",
        "value",
        "waits",
    )

    def __init__(self, key: bytes, loop: asyncio.AbstractEventLoop | None) -> None:
        self.key = key
        self.loop = loop
        self.value: Any = None
        self.error: BaseException | None = None
        self.trace: TracebackType | None = None
        self.done = False
        self.abandoned = False
        self.parties = 1
        self.callbacks: dict[object, Callable[[], None]] = {}
        self.task: asyncio.Task[None] | None = None
        self.waits: dict[_Flight, int] = {}


class _Seat(NamedTuple):
    """A caller's place: aboard ``flight``, or apart from all where that is None."""

    flight: _Flight | None
    leads: bool = False
    inside: _Flight | None = None
    """The flight whose work this caller belongs to, which therefore waits for ``flight``."""


_APART = _Seat(None)
_aboard: ContextVar[tuple[_Flight, ...]] = ContextVar("toolops_aboard", default=())
"""The flights inside whose work this code runs, innermost last."""


class Flights:
    """The flights of one runtime. Safe to use from any threads and event loops at once.

    Args:
        limit: Flights that may be under way at once; past it, calls run apart. Default 10,000.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._table: dict[bytes, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return the number of flights under way."""
        return len(self._table)

    def waiting(self, key: bytes) -> int:
        """Return how many callers, the leader included, wait for the flight of ``key``."""
        flight = self._table.get(key)
        return flight.parties if flight is not None else 0

    def forget(self, key: bytes | None = None) -> None:
        """Let later callers of ``key`` (None: of all) start anew; who is aboard stays aboard."""
        with self._lock:
            if key is None:
                self._table.clear()
            else:
                self._table.pop(key, None)

    def forked(self) -> None:
        """Start empty in a forked child, where no thread but this one has survived."""
        self._lock = threading.Lock()
        self._table = {}
        self._tasks = set()

    # -- threads -----------------------------------------------------------------------------

    def fly(
        self, key: bytes, work: Callable[[], Any], submit: Submit, seconds: float | None = None
    ) -> Arrival:
        """Lead the flight of ``key`` in this thread, or wait for the one that is under way.

        Args:
            key: What makes calls equal.
            work: Does the work.
            submit: Starts a function in another thread; used where this caller may have to leave
                before the work is done.
            seconds: How long this caller waits, or None for as long as it takes.

        Raises:
            DeadlineExceeded: ``seconds`` passed; the work goes on for the others.
            Exception: What the work raised.
        """
        while True:
            seat = self._board(key, None)
            flight = seat.flight
            if flight is None:
                return Arrival(work(), led=True)
            if seat.leads and seconds is None:
                try:
                    self._run(flight, work)
                finally:
                    self._leave(seat)
                return _arrival(flight, led=True)
            if seat.leads:
                submit(partial(copy_context().run, self._run_quietly, flight, work))
            if self._wait(seat, flight, seconds):
                return _arrival(flight, led=seat.leads)

    def _run(self, flight: _Flight, work: Callable[[], Any]) -> None:
        token = _aboard.set((*_aboard.get(), flight))
        try:
            flight.value = work()
        except Exception as error:  # noqa: BLE001 - kept for everybody aboard, and raised there
            flight.error, flight.trace = error, error.__traceback__
        except BaseException:
            flight.abandoned = True
            raise
        finally:
            _aboard.reset(token)
            self._land(flight)

    def _run_quietly(self, flight: _Flight, work: Callable[[], Any]) -> None:
        # Everybody aboard, the leader too, waits in other threads and boards again.
        with suppress(BaseException):
            self._run(flight, work)

    def _wait(self, seat: _Seat, flight: _Flight, seconds: float | None) -> bool:
        """Wait in this thread; return False if the flight is lost, so that it is boarded anew."""
        bell = threading.Event()
        ticket = object()
        try:
            arrived = not self._call_back(flight, ticket, bell.set) or self._hold(
                flight, bell, seconds
            )
        finally:
            self._leave(seat, ticket)
        return arrived and not flight.abandoned

    def _hold(self, flight: _Flight, bell: threading.Event, seconds: float | None) -> bool:
        if flight.loop is None:
            if not bell.wait(seconds):
                raise _too_late(seconds)
            return True
        left = seconds
        suspicious = False
        while not bell.wait(PATIENCE if left is None else min(left, PATIENCE)):
            if left is not None:
                left -= PATIENCE
                if left <= 0:
                    raise _too_late(seconds)
            stuck = not flight.loop.is_running() or _starves(flight.loop)
            if stuck and suspicious:
                self._give_up(flight)
                return False
            suspicious = stuck
        return True

    # -- event loops -------------------------------------------------------------------------

    async def afly(
        self,
        key: bytes,
        work: Callable[[], Coroutine[Any, Any, Any]],
        seconds: float | None = None,
    ) -> Arrival:
        """Lead the flight of ``key`` on this loop, or wait for the one that is under way.

        Args:
            key: What makes calls equal.
            work: Makes the coroutine that does the work; it runs in a task of its own.
            seconds: How long this caller waits, or None for as long as it takes.

        Raises:
            DeadlineExceeded: ``seconds`` passed; the work goes on for the others.
            Exception: What the work raised.
        """
        if seconds is None:
            return await self._afly(key, work)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._afly(key, work)
        except TimeoutError:
            if limit.expired():
                raise _too_late(seconds) from None
            raise

    async def _afly(self, key: bytes, work: Callable[[], Coroutine[Any, Any, Any]]) -> Arrival:
        loop = asyncio.get_running_loop()
        while True:
            seat = self._board(key, loop)
            flight = seat.flight
            if flight is None:
                return Arrival(await work(), led=True)
            if seat.leads:
                self._take_off(flight, work, loop)
            if await self._await(seat, flight, loop):
                return _arrival(flight, led=seat.leads)
            if seat.leads:
                # The work was cancelled from outside: to its leader that is a cancellation.
                raise asyncio.CancelledError

    def _take_off(
        self,
        flight: _Flight,
        work: Callable[[], Awaitable[Any]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        context = copy_context()
        context.run(_aboard.set, (*_aboard.get(), flight))
        task = loop.create_task(self._arun(flight, work), context=context)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not flight.done:  # it was cancelled before its first step
                flight.abandoned = True
                self._land(flight)

        flight.task = task
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _arun(self, flight: _Flight, work: Callable[[], Awaitable[Any]]) -> None:
        try:
            flight.value = await work()
        except Exception as error:  # noqa: BLE001 - kept for everybody aboard, and raised there
            flight.error, flight.trace = error, error.__traceback__
        except BaseException:
            flight.abandoned = True
            raise
        finally:
            self._land(flight)

    async def _await(self, seat: _Seat, flight: _Flight, loop: asyncio.AbstractEventLoop) -> bool:
        """Wait on this loop; return False if the flight is lost, so that it is boarded anew."""
        arrived: asyncio.Future[None] = loop.create_future()
        ticket = object()

        def ring() -> None:
            if not arrived.done():
                arrived.set_result(None)

        def call() -> None:
            if _running() is loop:
                ring()
                return
            # A closed loop has nobody left to wake.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ring)

        landed = False
        try:
            landed = not self._call_back(flight, ticket, call) or await self._ahold(
                flight, loop, arrived
            )
        finally:
            if self._leave(seat, ticket) and flight.loop is loop and flight.task is not None:
                # As with a task group, the last caller goes once the work has cleaned up.
                await asyncio.wait({flight.task})
        return landed and not flight.abandoned

    async def _ahold(
        self, flight: _Flight, loop: asyncio.AbstractEventLoop, arrived: asyncio.Future[None]
    ) -> bool:
        if flight.loop is loop or flight.loop is None:
            await arrived
            return True
        suspicious = False
        while True:
            await asyncio.wait({arrived}, timeout=PATIENCE)
            if arrived.done():
                return True
            stuck = not flight.loop.is_running()
            if stuck and suspicious:
                self._give_up(flight)
                return False
            suspicious = stuck

    # -- the table ---------------------------------------------------------------------------

    def _board(self, key: bytes, loop: asyncio.AbstractEventLoop | None) -> _Seat:
        chain = [flight for flight in _aboard.get() if not flight.done]
        inside = chain[-1] if chain else None
        with self._lock:
            flight = self._table.get(key)
            if flight is None or (flight.loop is not None and flight.loop.is_closed()):
                if len(self._table) >= self._limit:
                    return _APART
                flight = self._table[key] = _Flight(key, loop)
                leads = True
            else:
                blocks = loop is None and _running() is not None
                if blocks or flight in chain or _reaches(flight, chain):
                    return _APART
                flight.parties += 1
                leads = False
            if inside is not None:
                inside.waits[flight] = inside.waits.get(flight, 0) + 1
            return _Seat(flight, leads, inside)

    def _call_back(self, flight: _Flight, ticket: object, call: Callable[[], None]) -> bool:
        """Have ``call`` made when the flight lands; return False if it has landed already."""
        with self._lock:
            if flight.done:
                return False
            flight.callbacks[ticket] = call
            return True

    def _give_up(self, flight: _Flight) -> None:
        """Free the key of a flight that does not get on; those aboard find out for themselves."""
        with self._lock:
            if self._table.get(flight.key) is flight:
                del self._table[flight.key]

    def _leave(self, seat: _Seat, ticket: object = None) -> bool:
        """Take one caller off; return whether it was the last, so that the work was cancelled."""
        flight = seat.flight
        if flight is None:
            return False
        with self._lock:
            flight.parties -= 1
            flight.callbacks.pop(ticket, None)
            if seat.inside is not None:
                waits = seat.inside.waits
                left = waits.pop(flight, 0) - 1
                if left > 0:
                    waits[flight] = left
            if flight.parties or flight.done:
                return False
            if self._table.get(flight.key) is flight:
                del self._table[flight.key]
        if flight.task is None or flight.loop is None:
            return False
        if flight.loop is _running():
            flight.task.cancel()
            return True
        with suppress(RuntimeError):  # a closed loop has ended the work already
            flight.loop.call_soon_threadsafe(flight.task.cancel)
        return True

    def _land(self, flight: _Flight) -> None:
        """Wake everybody aboard, once."""
        with self._lock:
            if flight.done:
                return
            flight.done = True
            if self._table.get(flight.key) is flight:
                del self._table[flight.key]
            calls = list(flight.callbacks.values())
            flight.callbacks.clear()
            flight.waits.clear()
        for call in calls:
            call()


def _arrival(flight: _Flight, *, led: bool) -> Arrival:
    if flight.error is not None:
        # One object for all: without this, each raise would lengthen its traceback.
        raise flight.error.with_traceback(flight.trace)
    return Arrival(flight.value, led)


def _running() -> asyncio.AbstractEventLoop | None:
    return asyncio._get_running_loop()  # noqa: SLF001 - public in all but name, and raises nothing


def _reaches(start: _Flight, goals: list[_Flight]) -> bool:
    """Return whether ``start`` waits, directly or through others, for one of ``goals``."""
    seen = {start}
    stack = [start] if goals else []
    while stack:
        for flight in stack.pop().waits:
            if flight in goals:
                return True
            if flight not in seen:
                seen.add(flight)
                stack.append(flight)
    return False


def _starves(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether this thread belongs to the loop's default executor and work queues there.

    Then the flight may be waiting for a thread, and this one, which waits for the flight, may be
    the thread that it would get.
    """
    executor = getattr(loop, "_default_executor", None)
    threads = getattr(executor, "_threads", ())
    queue = getattr(executor, "_work_queue", None)
    return queue is not None and not queue.empty() and threading.current_thread() in threads


def _too_late(seconds: float | None) -> DeadlineExceeded:
    return DeadlineExceeded(f"no result within {seconds} s", seconds=seconds or 0.0)
