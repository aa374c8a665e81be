"""Tasks that end within a time limit, even if they resist their cancellation.

A module of its own, since asyncio is slow to import and synchronous programs do not need it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from inspect import iscoroutine
from typing import Any, TypeVar

from toolops_plugins.concurrency.eager_tasks import EagerTask, start_eagerly

__all__ = [
    "adopt",
    "begin_task",
    "detach",
    "end_tasks",
    "run_with_timeout",
    "start_task",
    "wait_for_end",
]

T = TypeVar("T")

_TURNS = 10
"""Turns of the loop in which a cancelled task can clean up before it is detached."""

_detached: set[asyncio.Task[Any]] = set()
"""Detached tasks, which go on in the background. A loop holds its tasks weakly."""


_parents_tasks: list[asyncio.Task[Any]] = []
"""Tasks of the parent process, which no loop of this forked child runs."""


def start_task(awaitable: Awaitable[T], context: Context | None = None) -> asyncio.Task[T]:
    """Start a task that awaits a coroutine or another awaitable.

    Args:
        awaitable: The awaitable.
        context: The context that it runs in. None: a copy of the current one.
    """
    work = awaitable if iscoroutine(awaitable) else _await(awaitable)
    return asyncio.get_running_loop().create_task(work, context=context)


def begin_task(awaitable: Awaitable[T], context: Context | None = None) -> EagerTask[T]:
    """Start a task that awaits something, and run its first step at once.

    Where too many such steps run inside of each other, it begins in a later turn of the loop.

    Args:
        awaitable: The awaitable.
        context: The context that it runs in. None: a copy of the current one.
    """
    work = awaitable if iscoroutine(awaitable) else _await(awaitable)
    if context is None:
        context = copy_context()
    return EagerTask(*start_eagerly(work, asyncio.get_running_loop(), context))


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def end_tasks(tasks: Iterable[asyncio.Task[Any]], seconds: float = 0.0) -> None:
    """Cancel tasks of this loop, and detach those that do not end soon.

    A task that only has to leave its ``finally`` blocks has ended when this returns. One that
    suppresses its cancellation, or cleans up for longer, goes on in the background.

    Args:
        tasks: The tasks.
        seconds: Seconds to wait for tasks that do not end soon. Default 0.
    """
    every = list(tasks)
    left = [task for task in every if not task.done()]
    for task in every:  # also those that have ended, to retrieve their errors
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

    Half the cost of ``asyncio.wait``. If the caller is cancelled, the future is not.
    """
    if future.done():
        return
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    wake = partial(_wake, waiter)
    future.add_done_callback(wake)
    timer = None if seconds is None else loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
        if not future.done():
            future.remove_done_callback(wake)


def _wake(waiter: asyncio.Future[None], _: object = None) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def run_with_timeout(awaitable: Awaitable[T], seconds: float | None) -> T:
    """Await something in a task of its own, which is detached if it resists its cancellation.

    Args:
        awaitable: The awaitable.
        seconds: Seconds after which it is cancelled. None: only when the caller is.

    Raises:
        TimeoutError: The time has passed.
    """
    began = time.monotonic()
    started = begin_task(awaitable)
    if started.done():
        return started.result()
    task = started.task
    if seconds is not None:
        seconds -= time.monotonic() - began
    try:
        await wait_for_end(task, seconds)
    except GeneratorExit:  # the caller's loop has ended, so that it may await nothing more
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
    """Let a task go on in the background: hold it until it has ended, and retrieve its error."""
    if task.done():
        _retrieve(task)
        return
    for other in [other for other in _detached.copy() if other.get_loop().is_closed()]:
        # Its loop is closed, so it can never end; asyncio would warn of it.
        other._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio.shield does
        _detached.discard(other)
    _detached.add(task)
    task.add_done_callback(_retrieve)


def adopt(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Hold the parent's tasks in a forked child for as long as the child lives.

    Their garbage collection would run the clean-up of the parent's coroutines in the child, on
    connections that both processes share, and asyncio would warn of each.
    """
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as above
        _parents_tasks.append(task)


def _retrieve(task: asyncio.Task[Any]) -> None:
    _detached.discard(task)
    if not task.cancelled():
        task.exception()
