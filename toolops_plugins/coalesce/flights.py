"""One run for many callers: a flight a key, boarded from any mix of threads and event loops.

Whoever asks first for a key leads its flight; whoever asks while it is under way follows, and gets
the same result or a copy of the same error. (The pattern is Go's singleflight; the rest is what
Python adds.)

- **Cancellation.** On a loop the work runs in a task of its own, so a leader that is cancelled
  leaves it running for the followers. When the last of them leaves, the work is cancelled.
- **Results for one.** What can be read once only, or what nobody knows how to copy, is the leader's
  alone: followers make the call themselves, all at once, as do those who ask for that key later.
- **A lost leader.** If the work itself is cancelled from outside (its loop shuts down) or its
  thread dies of a KeyboardInterrupt, nobody has failed: the followers board again, and one of them
  leads the next flight.
- **No deadlock.** A caller runs the work for itself, *apart*, where waiting could close a circle
  (:mod:`toolops_plugins.coalesce.wait_graph`), or where it would block the very loop that has to
  finish the work: a thread with a running event loop never waits for anybody. A follower gives
  the flight up if the loop of the work does not turn
  (:mod:`toolops_plugins.coalesce.loop_liveness`), or if the work may be queueing for threads that
  its followers hold (:mod:`toolops_plugins.coalesce.starvation`); one of those who leave leads the
  next flight, and the others follow it.
- **Interrupts.** A KeyboardInterrupt, or any exception that another thread raises in this one, may
  come between any two instructions. Whatever it leaves undone, a flight lands: its leader looks
  back on its way out, and those who wait look up now and then
  (:mod:`toolops_plugins.coalesce.watch`).

What cannot be seen is a chain that leaves Python's contexts: a body that hands work to a thread of
its own without ``contextvars.copy_context()``, where that work asks for the body's own key; or a
body in a thread that needs a loop which waits for one of its followers. Give such calls a deadline.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from toolops_plugins.coalesce import loop_liveness, wait_graph
from toolops_plugins.coalesce.flight import (
    Flight,
    FlightOutcome,
    FlightResult,
    RecentKeys,
    deliver,
    make_failure,
)
from toolops_plugins.coalesce.starvation import ThreadCall, holds_thread
from toolops_plugins.coalesce.watch import LoopWatch, Verdict, Watch
from toolops_plugins.errors import DeadlineExceeded

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

__all__ = ["FlightResult", "Flights", "Submit"]


class _Queued(Protocol):
    def drop(self) -> bool: ...


Submit = Callable[[Callable[[], Any], Callable[[], bool]], _Queued]
"""Starts a function in another thread; the second one tells whether everybody has left it."""


class _Role(NamedTuple):
    """A caller's place: aboard ``flight``, or apart from all where that is None."""

    flight: Flight | None
    leads: bool = False
    wait: wait_graph.Wait | None = None


_ALONE = _Role(None)


class _Wakeup:
    """Wakes one thread, once.

    A bare lock and no ``threading.Event``: that is written in Python, and a thread that is
    interrupted inside of its wait may leave it so that whoever rings waits for ever.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread; again does nothing."""
        with suppress(RuntimeError):
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait for at most so long; return whether it has rung."""
        return self._lock.acquire(timeout=seconds)


class Flights:
    """The flights of one runtime. Safe to use from any threads and event loops at once.

    Args:
        limit: Flights that may be under way at once; past it, calls run apart. Default 10,000.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        # Reentrant: the collector may end an abandoned coroutine, which then leaves, anywhere.
        self._lock = threading.RLock()
        self._table: dict[bytes, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.single_use = RecentKeys()
        """Keys whose last result could not be shared: whoever asks for one calls at once."""
        self.cancelled_refreshes = RecentKeys()
        """Keys whose refresh was cancelled: the next caller fetches, and refreshes nothing."""

    def __len__(self) -> int:
        """Return the number of flights under way."""
        return len(self._table)

    def count_callers(self, key: bytes) -> int:
        """Return how many callers, the leader included, wait for the flight of ``key``."""
        flight = self._table.get(key)
        return flight.parties if flight is not None else 0

    def drop_if_stuck(self, key: bytes) -> bool:
        """Return whether the flight of ``key`` stands still with its loop; then it is dropped.

        For work that nobody waits for. A loop that has stopped or was closed is seen at once; one
        that is blocked is asked for a sign of life, and has a second to give it.
        """
        flight = self._table.get(key)
        if flight is None or flight.loop is None or flight.loop is _current_loop():
            return False
        if flight.glance is None:
            flight.glance = loop_liveness.LoopProbe(flight.loop)
        if not flight.glance.is_dead(flight.task):
            return False
        self._drop_stuck(flight)
        return True

    def forget(self, key: bytes | None = None) -> None:
        """Let later callers of ``key`` (None: of all) start anew; who is aboard stays aboard."""
        with self._lock:
            if key is None:
                self._table.clear()
                return
            # Streams have the place where they can be joined before the key.
            for known in [known for known in self._table if known.endswith(key)]:
                del self._table[known]

    def reset_after_fork(self) -> None:
        """Start empty in a forked child, where no thread but this one has survived."""
        self._lock = threading.RLock()
        self._table = {}
        if self._tasks:
            from toolops_plugins.concurrency.tasks import adopt  # noqa: PLC0415 - imports asyncio

            adopt(self._tasks)
        self._tasks = set()

    # -- threads -----------------------------------------------------------------------------

    def run(
        self,
        key: bytes,
        work: Callable[[], Any],
        submit: Submit | None,
        seconds: float | None = None,
    ) -> FlightResult:
        """Lead the flight of ``key`` in this thread, or wait for the one that is under way.

        Args:
            key: What makes calls equal.
            work: Does the work.
            submit: Starts a function in another thread, which a leader with a limit can leave.
                None: a leader does the work in this thread, and cannot.
            seconds: How long this caller waits, or None for as long as it takes.

        Raises:
            DeadlineExceeded: ``seconds`` passed; the work goes on for the others.
            Exception: What the work raised.
        """
        mark = object()
        try:
            return self._run_flight(key, work, submit, seconds, mark)
        except BaseException:
            self._finish_abandoned(key, mark)
            raise

    def _run_flight(
        self,
        key: bytes,
        work: Callable[[], Any],
        submit: Submit | None,
        seconds: float | None,
        mark: object,
    ) -> FlightResult:
        end = None if seconds is None else time.monotonic() + seconds
        generation = 0
        while True:
            role = self._join(key, None, mark, generation)
            flight = role.flight
            if flight is None and (seconds is None or submit is None):
                return FlightResult(work(), led=True)
            if flight is None:
                # Nobody else finds it, but its caller can leave it as any other.
                role = _Role(flight := Flight(key, None), leads=True)
            if role.leads and (seconds is None or submit is None):
                try:
                    landing = self._run_work(flight, work)
                finally:
                    self._leave(role)
                return deliver(landing, led=True)
            queued = None
            if role.leads and submit is not None:
                queued = self._submit(role, flight, work, submit)
            try:
                outcome = self._wait(role, flight, end)
            except TimeoutError:
                if queued is not None and not flight.parties:
                    queued.drop()
                raise _deadline_error(seconds) from None
            if outcome is not None:
                return deliver(outcome, led=role.leads)
            if role.leads and flight.death is not None:
                raise flight.death
            generation = flight.generation + 1

    def _submit(
        self, role: _Role, flight: Flight, work: Callable[[], Any], submit: Submit
    ) -> _Queued:
        run = partial(copy_context().run, self._run_work_quietly, flight, work)
        flight.place = None
        try:
            queued = submit(run, lambda: not flight.parties)
        except BaseException:
            self._finish(flight, None)
            self._leave(role)
            raise
        flight.mark = None
        return queued

    def _finish_abandoned(self, key: bytes, mark: object) -> None:
        """Land a flight whose leader was interrupted before or after its work, as lost."""
        flight = self._table.get(key)
        if flight is not None and flight.mark is mark and flight.task is None:
            self._finish(flight, None)

    def _run_work(self, flight: Flight, work: Callable[[], Any]) -> FlightOutcome:
        outcome: FlightOutcome | None = None
        outside = sys.exception()
        try:
            with wait_graph.enter(flight.node):
                outcome = FlightOutcome(work())
        except Exception as error:  # noqa: BLE001 - kept for everybody aboard, and raised there
            outcome = make_failure(error, outside)
        except BaseException as death:
            flight.death = death
            raise
        finally:
            self._finish(flight, outcome)
        return outcome

    def _run_work_quietly(self, flight: Flight, work: Callable[[], Any]) -> None:
        # Everybody aboard waits in other threads: the leader learns of a death, the others board
        # again. If all have left while this queued for a thread, there is nothing to be done.
        with suppress(BaseException):
            if flight.parties:
                flight.place = ThreadCall()
                self._run_work(flight, work)

    def _wait(self, role: _Role, flight: Flight, end: float | None) -> FlightOutcome | None:
        """Wait in this thread; return None if the flight is lost, so that it is boarded anew."""
        bell = _Wakeup()
        ticket = object()
        try:
            pending = self._call_back(flight, ticket, bell.ring)
            if pending and not self._wait_for_outcome(flight, bell, end):
                return None
            return flight.outcome
        finally:
            self._leave(role, ticket)

    def _wait_for_outcome(self, flight: Flight, bell: _Wakeup, end: float | None) -> bool:
        watch = Watch(flight)
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            patience = loop_liveness.PATIENCE
            if bell.wait(patience if left is None else min(left, patience)):
                return True
            if flight.done:  # whoever landed it was interrupted before it could ring
                return True
            if left is not None and left <= patience:
                raise TimeoutError
            if self._check(flight, watch):
                return False

    def _check(self, flight: Flight, watch: Watch) -> bool:
        """Look after a flight; return whether it is no use to wait for it any longer."""
        seen = watch.look()
        if seen is Verdict.DEAD:
            self._finish(flight, None)
        elif seen is Verdict.STUCK:
            self._drop_stuck(flight)
        return seen is not Verdict.PENDING

    # -- event loops -------------------------------------------------------------------------

    async def arun(
        self,
        key: bytes,
        work: Callable[[], Coroutine[Any, Any, Any]],
        seconds: float | None = None,
    ) -> FlightResult:
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
            return await self._arun_flight(key, work)
        import asyncio  # noqa: PLC0415 - see above

        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._arun_flight(key, work)
        except TimeoutError:
            if limit.expired():
                raise _deadline_error(seconds) from None
            raise

    async def _arun_flight(
        self, key: bytes, work: Callable[[], Coroutine[Any, Any, Any]]
    ) -> FlightResult:
        import asyncio  # noqa: PLC0415 - see above

        loop = asyncio.get_running_loop()
        mark = object()
        generation = 0
        try:
            while True:
                role = self._join(key, loop, mark, generation)
                flight = role.flight
                if flight is None:
                    return FlightResult(await work(), led=True)
                if role.leads:
                    self._start_task(flight, work, loop)
                outcome = await self._await(role, flight, loop)
                if outcome is not None:
                    return deliver(outcome, led=role.leads)
                if role.leads:
                    # The work was cancelled from outside: to its leader that is a cancellation.
                    raise asyncio.CancelledError  # noqa: TRY301 - as if it were awaited here
                generation = flight.generation + 1
        except BaseException:
            self._finish_abandoned(key, mark)
            raise

    def _start_task(
        self,
        flight: Flight,
        work: Callable[[], Awaitable[Any]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        context = wait_graph.context_inside(flight.node)
        task = loop.create_task(self._arun_work(flight, work), context=context)

        def on_end(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._finish(flight, None)  # unless it has: it was cancelled before its first step
            if not task.cancelled():
                task.exception()  # of a death, which is raised in its leader

        flight.task = task
        self._tasks.add(task)
        task.add_done_callback(on_end)

    async def _arun_work(self, flight: Flight, work: Callable[[], Awaitable[Any]]) -> None:
        outcome: FlightOutcome | None = None
        try:
            outcome = FlightOutcome(await work())
        except Exception as error:  # noqa: BLE001 - kept for everybody aboard, and raised there
            outcome = make_failure(error, None)
        finally:
            self._finish(flight, outcome)

    async def _await(
        self, role: _Role, flight: Flight, loop: asyncio.AbstractEventLoop
    ) -> FlightOutcome | None:
        """Wait on this loop; return None if the flight is lost, so that it is boarded anew."""
        wakeup: asyncio.Future[None] = loop.create_future()
        ticket = object()

        def ring() -> None:
            if not wakeup.done():
                wakeup.set_result(None)

        def call() -> None:
            if _current_loop() is loop:
                ring()
                return
            # A closed loop has nobody left to wake.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ring)

        closing = False
        watch: LoopWatch | None = None
        try:
            if self._call_back(flight, ticket, call):
                if not role.leads and (flight.loop is not loop or holds_thread()):
                    watch = self._watch(flight, loop)
                    watch.rings[ticket] = ring
                await wakeup
                if not flight.done:  # it does not get on
                    return None
        except GeneratorExit:  # this coroutine was left behind, and may await nothing more
            closing = True
            raise
        else:
            return flight.outcome
        finally:
            if watch is not None:
                watch.leave(ticket)
            last = self._leave(role, ticket)
            if last and flight.loop is loop and flight.task is not None and not closing:
                # The last caller goes once the work has cleaned up, unless that takes long.
                from toolops_plugins.concurrency.tasks import end_tasks  # noqa: PLC0415 - imports asyncio

                await end_tasks((flight.task,))

    def _watch(self, flight: Flight, loop: asyncio.AbstractEventLoop) -> LoopWatch:
        """Return what looks after a flight for those who follow it on a loop that is not its own.

        On its own loop only those do whom a thread waits for, as asgiref's.
        """
        with self._lock:
            if flight.watches is None:
                flight.watches = {}
            watch = flight.watches.get(loop)
            if watch is None or watch.over:
                watch = flight.watches[loop] = LoopWatch(flight, loop, self._check)
            return watch

    # -- the table ---------------------------------------------------------------------------

    def _join(
        self,
        key: bytes,
        loop: asyncio.AbstractEventLoop | None,
        mark: object,
        generation: int,
    ) -> _Role:
        with self._lock:
            flight = self._table.get(key)
            if flight is not None and self._is_dead(flight, loop):
                self._drop(flight)
                flight = None
            if flight is None:
                if len(self._table) >= self._limit:
                    return _ALONE
                place = None if loop is not None else ThreadCall(2)
                flight = self._table[key] = Flight(key, loop, mark, place, generation)
                return _Role(flight, leads=True, wait=wait_graph.wait_for(flight.node))
            if loop is None and _current_loop() is not None:
                return _ALONE
            wait = wait_graph.wait_for(flight.node)
            if wait is None:
                return _ALONE
            flight.parties += 1
            return _Role(flight, leads=False, wait=wait)

    def _is_dead(self, flight: Flight, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether nobody will ever land a flight: its loop was closed or interrupted."""
        if flight.loop is None:
            return flight.done
        # Between boarding and taking off nothing else can run on the same loop.
        return flight.done or flight.loop.is_closed() or (flight.loop is loop and not flight.task)

    def _drop(self, flight: Flight) -> None:
        """Let nobody board a flight any more; under the lock."""
        if self._table.get(flight.key) is flight:
            del self._table[flight.key]
        if flight.task is not None and flight.loop is not None and flight.loop.is_closed():
            self._tasks.discard(flight.task)  # it will never end

    def _call_back(self, flight: Flight, ticket: object, call: Callable[[], None]) -> bool:
        """Have ``call`` made when the flight lands; return False if it has landed already."""
        with self._lock:
            if flight.done:
                return False
            flight.callbacks[ticket] = call
            return True

    def _drop_stuck(self, flight: Flight) -> None:
        """Free the key of a flight that does not get on; those aboard find out for themselves."""
        with self._lock:
            self._drop(flight)

    def _leave(self, role: _Role, ticket: object = None) -> bool:
        """Take one caller off; return whether it was the last, so that the work was cancelled."""
        flight = role.flight
        if flight is None:
            return False
        with self._lock:
            flight.parties -= 1
            flight.callbacks.pop(ticket, None)
            if role.wait is not None:
                wait_graph.leave(role.wait)
            if flight.parties:
                return False
            # Tracebacks may hold the flight for long, and nobody wants any more what it brought.
            flight.outcome = None
            if flight.done:
                return False
            self._drop(flight)
        if flight.task is None or flight.loop is None:
            return False
        if flight.loop is _current_loop():
            flight.task.cancel()
            return True
        with suppress(RuntimeError):  # a closed loop has ended the work already
            flight.loop.call_soon_threadsafe(flight.task.cancel)
        return True

    def _finish(self, flight: Flight, landing: FlightOutcome | None) -> None:
        """Wake everybody aboard, once.

        Where this is interrupted in the middle, those who wait see so when they look up.
        """
        with self._lock:
            if flight.done:
                return
            flight.outcome = landing if flight.parties else None
            self._drop(flight)
            flight.done = True
            flight.mark = flight.place = None
            wait_graph.finish(flight.node)
            calls = list(flight.callbacks.values())
            flight.callbacks.clear()
        for call in calls:
            call()


def _current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread; before asyncio is imported there is none."""
    loaded = sys.modules.get("asyncio")
    return None if loaded is None else loaded._get_running_loop()  # noqa: SLF001 - public in all but name


def _deadline_error(seconds: float | None) -> DeadlineExceeded:
    return DeadlineExceeded(f"no result within {seconds} s", seconds=seconds or 0.0)
