"""Independent calls on one event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from typing import Any, TypeVar, cast

from toolops_plugins.tasks import end_tasks

__all__ = ["gathered"]

T = TypeVar("T")


async def gathered(
    calls: Iterable[Awaitable[T]], limit: int, *, return_exceptions: bool
) -> list[T]:
    """Await calls, at most ``limit`` at a time; see :meth:`ToolOps.gather`."""
    places = asyncio.Semaphore(limit)

    async def one(call: Awaitable[T]) -> T:
        async with places:
            return await call

    calls = list(calls)
    tasks = [asyncio.ensure_future(one(call)) for call in calls]
    try:
        # With return_exceptions the list holds errors too, which its type cannot say.
        results: list[T] = await asyncio.gather(
            *tasks, return_exceptions=cast("Any", return_exceptions)
        )
        return results
    finally:
        await end_tasks(tasks)
        for call in calls:
            if iscoroutine(call) and getcoroutinestate(call) == CORO_CREATED:
                call.close()  # it never began, and nobody is to be warned of it
