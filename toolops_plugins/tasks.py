"""The end of tasks that nobody waits for any more, and that may resist it.

In a module of its own, since asyncio is slow to import and not everybody needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["end_tasks", "let_go"]

_TURNS = 10
"""Turns of the loop that a cancelled task has to clean up before it is left to itself."""

_left: set[asyncio.Task[Any]] = set()
"""Tasks that were left to themselves. A loop holds its tasks weakly."""


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks of this loop, and leave those to themselves that do not end soon.

    A task that only has to leave its ``finally`` blocks has ended when this returns. One that
    suppresses its cancellation, or whose clean-up takes time, goes on in the background, and its
    error is retrieved.
    """
    left = [task for task in tasks if not task.done()]
    for task in left:
        if not task.cancelling():  # a second time would interrupt its clean-up
            task.cancel()
        let_go(task)
    for _ in range(_TURNS):
        if all(task.done() for task in left):
            return
        await asyncio.sleep(0)


def let_go(task: asyncio.Task[Any]) -> None:
    """Hold a task until it has ended, and retrieve its error."""
    if task.done():
        _retrieve(task)
        return
    for other in [other for other in _left if other.get_loop().is_closed()]:
        # It can never end. Nobody is to be warned of it: it was cancelled, and its loop is gone.
        other._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio.shield does
        _left.discard(other)
    _left.add(task)
    task.add_done_callback(_retrieve)


def _retrieve(task: asyncio.Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()
