"""Lookups and writes of many texts on an event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

__all__ = ["run_each"]

_T = TypeVar("_T")

_AT_ONCE = 32
"""Texts that are looked up or written at the same time."""
_TURN = 200
"""Texts that are done before others on the event loop get their turns."""


async def run_each(
    gather: Callable[..., Awaitable[Any]],
    one: Callable[[_T], Awaitable[None]],
    items: Collection[_T],
) -> None:
    """Do something for all items, a bounded number at a time.

    What is in memory takes no waiting, and a task for each text would take longer than the text. So
    they are done one after the other until the first that waits, and then side by side.

    Args:
        gather: Awaits coroutines with a ``limit``, as :meth:`toolops_plugins.ToolOps.gather` does.
        one: What is done for an item.
        items: The items.
    """
    waiting = iter(items)
    waits: list[None] = []
    turn = asyncio.get_running_loop().call_soon(waits.append, None)
    for item in itertools.islice(waiting, _TURN):
        await one(item)
        if waits:
            break
    turn.cancel()

    async def lane() -> None:
        for done, item in enumerate(waiting, 1):
            await one(item)
            if done % _TURN == 0:
                await asyncio.sleep(0)

    if waits or len(items) > _TURN:
        lanes = min(len(items), _AT_ONCE)
        await gather(*(lane() for _ in range(lanes)), limit=lanes)
