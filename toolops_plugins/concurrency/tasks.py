"""The end of tasks that nobody waits for any more, and that may resist it.

In a module of its own, since asyncio is slow to import and not everybody needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from contextvars import Context
from inspect import iscoroutine
from typing import Any, TypeVar

__all__ = ["adopt", "detach", "end_tasks", "run_with_timeout", "start_task", "wait_for_end"]

T = TypeVar("T")

_TURNS = 10
"""Turns of the loop that a cancelled task has to clean up before it is left to itself."""

_detached: set[asyncio.Task[Any]] = set()
"""Tasks that were left to themselves. A loop holds its tasks weakly."""


_inherited: list[asyncio.Task[Any]] = []
"""Tasks of a parent process, which no loop of this forked child runs."""


def start_task(awaitable: Awaitable[T], context: Context | None = None) -> asyncio.Task[T]:
    """Start a task for anything that can be awaited.

    Args:
        awaitable: What it awaits.
        context: The context that it runs in. None: a copy of this one.
    """
    work = awaitable if iscoroutine(awaitable) else _await(awaitable)
    return asyncio.get_running_loop().create_task(work, context=context)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def end_tasks(tasks: Iterable[asyncio.Task[Any]], seconds: float = 0.0) -> None:
    """Cancel tasks of this loop, and leave those to themselves that do not end soon.

    A task that only has to leave its ``finally`` blocks has ended when this returns. One that
    suppresses its cancellation, or whose clean-up takes time, goes on in the background, and its
    error is retrieved.

    Args:
        tasks: The tasks.
        seconds: For which those that do not end soon are waited for. Default 0.
    """
    every = list(tasks)
    left = [task for task in every if not task.done()]
    for task in every:  # nobody may have asked yet for the error of one that has ended
        if not task.done() and not task.cancelling():  # a second time would interrupt its clean-up
            task.cancel()
        detach(task)
    for _ in range(_TURNS):
        if all(task.done() for task in left):
            return
        await asyncio.sleep(0)
    if seconds > 0.0 and left:
        await asyncio.wait(left, timeout=seconds)


async def wait_for_end(future: asyncio.Future[Any], seconds: float | None) -> None:
    """Wait until a task or future has ended, or ``seconds`` have passed.

    As ``asyncio.wait`` does for many, at half the cost; a cancelled caller leaves the future alone.
    """
    if future.done():
        return
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    timer = None if seconds is None else loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        future.remove_done_callback(wake)
        if timer is not None:
            timer.cancel()


async def run_with_timeout(awaitable: Awaitable[T], seconds: float | None) -> T:
    """Await something in a task of its own, which is left to itself if it resists its end.

    Args:
        awaitable: What is awaited.
        seconds: After which it is cancelled. None: only when the caller is.

    Raises:
        TimeoutError: The time has passed.
    """
    task = start_task(awaitable)
    try:
        await wait_for_end(task, seconds)
    except GeneratorExit:  # the caller was left behind, and may await nothing more
        with suppress(RuntimeError):  # a closed loop has ended it already
            task.cancel()
        detach(task)
        raise
    except BaseException:
        await end_tasks((task,))
        raise
    if not task.done():
        await end_tasks((task,))
        raise TimeoutError
    return task.result()


def detach(task: asyncio.Task[Any]) -> None:
    """Hold a task until it has ended, and retrieve its error."""
    if task.done():
        _retrieve(task)
        return
    for other in [other for other in _detached.copy() if other.get_loop().is_closed()]:
        # It can never end. Nobody is to be warned of it: it was cancelled, and its loop is gone.
        other._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio.shield does
        _detached.discard(other)
    _detached.add(task)
    task.add_done_callback(_retrieve)


def adopt(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Hold the tasks of the parent in a forked child for as long as it lives.

    Their collection would run the clean-up of the parent's coroutines here, on connections that
    both processes share, and warn of each.
    """
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as above
        _inherited.append(task)


def _retrieve(task: asyncio.Task[Any]) -> None:
    _detached.discard(task)
    if not task.cancelled():
        task.exception()
