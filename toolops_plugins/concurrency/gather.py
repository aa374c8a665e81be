"""Await independent calls on one event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from typing import Any, TypeVar, cast

from toolops_plugins.concurrency.running_loop import get_running_loop
from toolops_plugins.concurrency.tasks import end_tasks
from toolops_plugins.errors import ConfigurationError

__all__ = ["gather_calls"]

T = TypeVar("T")


async def gather_calls(
    calls: Iterable[Awaitable[T]], limit: int, *, return_exceptions: bool
) -> list[T]:
    """Await calls, at most ``limit`` at a time; see :meth:`ToolOps.gather`."""
    calls = list(calls)
    try:
        get_running_loop()
    except ConfigurationError:
        _close_rest(calls)
        raise
    places = asyncio.Semaphore(limit)

    async def one(call: Awaitable[T]) -> T:
        async with places:
            return await call

    tasks = [asyncio.ensure_future(one(call)) for call in calls]
    try:
        # With return_exceptions the list holds errors too, which its type cannot say.
        results: list[T] = await asyncio.gather(
            *tasks, return_exceptions=cast("Any", return_exceptions)
        )
        return results
    finally:
        await end_tasks(tasks)
        _close_rest(calls)


def _close_rest(calls: Iterable[Awaitable[Any]]) -> None:
    for call in calls:
        if iscoroutine(call) and getcoroutinestate(call) == CORO_CREATED:
            call.close()  # without the warning that it was never awaited
