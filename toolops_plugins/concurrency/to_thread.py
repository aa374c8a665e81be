"""Run a function in the thread pool, for a task on an event loop.

A module of its own, since asyncio is slow to import and synchronous programs do not need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from toolops_plugins.concurrency.contexts import apply_context
from toolops_plugins.concurrency.pool import Outcome, Pool, Ticket

__all__ = ["ThreadCall", "run_in_pool"]

T = TypeVar("T")


class ThreadCall:
    """A function in a thread of the pool, for the task that waits for it.

    The function sees the task's context variables. Only the task that made it may use it.

    Args:
        pool: The pool.
        function: Takes no arguments, and raises no StopIteration.
        owner: The tool whose share of the threads it uses, or None.
        beyond: As in :meth:`Pool.submit`. Default False.
    """

    def __init__(
        self,
        pool: Pool,
        function: Callable[[], Any],
        owner: str | None = None,
        *,
        beyond: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done when the function has returned or raised."""
        self._outcome = Outcome()
        self._context = copy_context()
        run = partial(self._context.run, self._run, function)
        self.ticket: Ticket = pool.submit(run, owner, beyond=beyond)

    def _run(self, function: Callable[[], Any]) -> None:
        self._outcome.run(function)
        with suppress(RuntimeError):  # the loop is closed, so that nobody waits
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def result(self) -> Any:
        """Return the function's result or raise its error, once it has ended.

        Sets the context variables that it has set in this task too.
        """
        apply_context(self._context)
        return self._outcome.result()


async def run_in_pool(
    pool: Pool, function: Callable[[], T], owner: str | None = None, *, beyond: bool = False
) -> T:
    """Run a function in the pool, with this task's context variables, and await its result.

    If the caller is cancelled, a function that has begun goes on, and one that has not never runs.

    Args:
        pool: The pool.
        function: Takes no arguments, and raises no StopIteration.
        owner: As in :meth:`Pool.submit`. Default None.
        beyond: As in :meth:`Pool.submit`. Default False.
    """
    call = ThreadCall(pool, function, owner, beyond=beyond)
    try:
        await call.ended
    except BaseException:
        call.ticket.drop()
        raise
    result: T = call.result()
    return result
