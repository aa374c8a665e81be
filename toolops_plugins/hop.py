"""From an event loop into a thread of the pool and back.

In a module of its own, since asyncio is slow to import and not everybody needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from toolops_plugins.pool import Outcome, Pool

__all__ = ["hop"]

T = TypeVar("T")


async def hop(pool: Pool, function: Callable[[], T]) -> T:
    """Run a function in the pool, with this task's context variables, and await what it returns.

    A caller that is cancelled leaves the function running.

    Args:
        pool: Where it runs.
        function: Takes no arguments, and raises no StopIteration.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    outcome = Outcome()

    def wake() -> None:
        if not ended.done():
            ended.set_result(None)

    def run() -> None:
        outcome.run(function)
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(wake)

    pool.submit(partial(copy_context().run, run))
    await ended
    result: T = outcome.result()
    return result
