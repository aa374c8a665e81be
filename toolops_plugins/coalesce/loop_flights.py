"""Flights on event loops; see :mod:`toolops_plugins.coalesce.flights`.

A module of its own, since asyncio is slow to import and synchronous programs do not need it.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

from toolops_plugins.coalesce import wait_graph
from toolops_plugins.coalesce.flight import (
    Flight,
    FlightOutcome,
    FlightResult,
    deliver,
    make_deadline_error,
    make_outcome,
    make_result,
)
from toolops_plugins.coalesce.flight_table import FlightTable, Refusal
from toolops_plugins.coalesce.starvation import holds_thread
from toolops_plugins.coalesce.watch import LoopWatch
from toolops_plugins.concurrency.contexts import apply_context
from toolops_plugins.concurrency.eager_tasks import start_eagerly
from toolops_plugins.concurrency.tasks import end_tasks

__all__ = ["LoopFlights"]

_TIME_IS_UP = "time is up"


class LoopFlights:
    """Runs work on event loops, for the flights of a table.

    Args:
        table: The table.
    """

    def __init__(self, table: FlightTable) -> None:
        self._table = table

    async def run(
        self,
        key: bytes,
        work: Callable[[], Coroutine[Any, Any, Any]],
        seconds: float | None,
        owner: str | None,
    ) -> FlightResult:
        """Lead a flight or follow it; see :meth:`Flights.arun`."""
        table = self._table
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        generation = 0
        while True:
            flight = table.find(key)
            if flight is not None:
                waiter = loop.create_future()
                wait = table.follow(flight, waiter, loop)
                if wait is Refusal.GONE:
                    continue
                if wait is not Refusal.ALONE:
                    outcome = await self._wait(flight, waiter, wait, end, seconds)
                    if outcome is not None:
                        return deliver(outcome, led=False)
                    generation = flight.generation + 1
                    continue
            alone = flight is not None
            own = Flight(key, loop, None, generation)
            try:
                if not alone and not table.lead(own):
                    if table.find(key) is not None:  # another caller was quicker
                        continue
                    alone = True
                    table.notify_full(owner)
                if alone and seconds is None:
                    return make_result((await work(), True))
                # Alone it is in no table, but its caller can leave it like any other flight.
                inside = wait_graph.wait_for(own.node)
                context = self._start(own, work, loop)
            except BaseException:
                # An interrupt may come anywhere. Only a task can end its flight itself.
                if own.task is None:
                    table.finish(own, None)
                raise
            if own.done and not own.followed:
                # Work that had nothing to wait for, as it is common for tools that only compute.
                outcome, own.outcome = own.outcome, None
                if inside is not None and inside is not wait_graph.OUTSIDE:
                    wait_graph.leave(inside)
            else:
                outcome = await self._wait(
                    own, loop.create_future(), inside, end, seconds, leads=True
                )
            apply_context(context)
            if outcome is None:
                # Work that was cancelled from outside is a cancellation to its leader.
                raise asyncio.CancelledError
            if outcome.error is None:
                return make_result((outcome.value, True))
            try:
                return deliver(outcome, led=True)
            finally:
                del outcome  # its exception would refer to itself through its traceback

    def _start(
        self,
        flight: Flight,
        work: Callable[[], Coroutine[Any, Any, Any]],
        loop: AbstractEventLoop,
    ) -> Context:
        """Start the task of a flight, and return its context."""
        context = copy_context()
        coroutine = self._do(flight, work)
        task, _ = start_eagerly(coroutine, loop, context)
        if not flight.done:
            self._table.hold(flight, task)
        return context

    async def _do(self, flight: Flight, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Do the work of a flight, in its task."""
        table = self._table
        task = flight.task = asyncio.current_task()
        token = wait_graph.enter(flight.node)
        outside = sys.exception()
        try:
            table.finish(flight, make_outcome((await work(), None, None, None)))
        except Exception as error:  # noqa: BLE001 - raised in all callers
            table.fail(flight, error, outside)
        except BaseException as death:
            if task is not None and not isinstance(death, asyncio.CancelledError):
                task.add_done_callback(_retrieve)  # the loop raises it
            raise
        finally:
            if not flight.done:
                table.finish(flight, None)
            if task is not None:
                table.release(task)
        # The leader does not take this over. Abandoned coroutines end in another context.
        wait_graph.exit_work(token)

    async def _wait(
        self,
        flight: Flight,
        waiter: Future[str | None],
        wait: wait_graph.Wait | None,
        end: float | None,
        seconds: float | None,
        *,
        leads: bool = False,
    ) -> FlightOutcome | None:
        """Wait for the end of a flight; return None if it is lost and must be joined anew."""
        table = self._table
        loop = waiter.get_loop()
        timer: asyncio.TimerHandle | None = None
        watch: LoopWatch | None = None
        closing = False
        try:
            if not leads or table.add_waiter(flight, waiter, loop):
                if end is not None:
                    timer = loop.call_at(end, _end_wait, waiter)
                if not leads and (flight.loop is not loop or holds_thread()):
                    watch = table.watch(flight, loop)
                    watch.waiters.add(waiter)
                late = await waiter
                if late is not None and not flight.done:
                    raise make_deadline_error(seconds)
        except GeneratorExit:  # this coroutine was abandoned, and may not await any more
            closing = True
            raise
        else:
            return flight.outcome
        finally:
            if timer is not None:
                timer.cancel()
            if watch is not None:
                watch.leave(waiter)
            if wait is not None and wait is not wait_graph.OUTSIDE:
                wait_graph.leave(wait)
            last = table.leave(flight, waiter)
            if last and flight.loop is loop and flight.task is not None and not closing:
                # The last caller leaves once the work has cleaned up, unless that takes long.
                await end_tasks((flight.task,))


def _end_wait(waiter: Future[str | None]) -> None:
    if not waiter.done():
        waiter.set_result(_TIME_IS_UP)


def _retrieve(task: Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
