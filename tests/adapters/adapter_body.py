"""A body that counts its calls, and callers of it in threads and tasks."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

from callers import LONG, Latch, start

from toolops_plugins import ToolOps

__all__ = ["WHO", "Body", "Trouble", "aboard", "all_of", "reach_aboard"]

WHO: ContextVar[str] = ContextVar("adapter_conformance_who", default="")
"""The caller: the tenant where a runtime looks at it, and always part of the answer."""


class Trouble(Exception):  # noqa: N818 - named for what it is, as the library's own are
    """The error of a body that is told to fail."""


class Body:
    """A function of a text, in both faces, that counts its runs and can be held and made to fail.

    Args:
        word: What its answers begin with.
    """

    def __init__(self, word: str = "answer") -> None:
        self.word = word
        self.runs: list[str] = []
        """The texts that it was run for, in order."""
        self.cancelled: list[str] = []
        """The texts whose asynchronous runs were cancelled."""
        self.failures = 0
        """The number of the next runs that fail."""
        self.complaint = "trouble"
        """Their message."""
        self.kind: type[Exception] = Trouble
        """Their type."""
        self.resists = False
        """True if asynchronous runs suppress their cancellation."""
        self.started = Latch()
        self.release = Latch()
        self.release.open()

    def __deepcopy__(self, memo: dict[int, Any]) -> Body:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Body, (self.word,)

    def hold(self) -> None:
        """Have runs wait until ``release`` is opened."""
        self.started, self.release = Latch(), Latch()

    def answer(self, text: str) -> str:
        """Answer in a thread."""
        release = self._begin(text)
        release.wait()
        return self._end(text)

    async def aanswer(self, text: str) -> str:
        """Answer on an event loop."""
        release = self._begin(text)
        try:
            await release.opened()
        except asyncio.CancelledError:
            self.cancelled.append(text)
            if not self.resists:
                raise
            await release.opened()
        return self._end(text)

    def of(self, text: str, who: str = "") -> str:
        """Return what it answers."""
        return f"{self.word} to {text}" + (f" for {who}" if who else "")

    def _begin(self, text: str) -> Latch:
        self.runs.append(text)
        self.started.open()
        return self.release

    def _end(self, text: str) -> str:
        if self.failures > 0:
            self.failures -= 1
            raise self.kind(self.complaint)
        return self.of(text, WHO.get())


def start_call(way: str, call: Any, acall: Any, *args: Any, **more: Any) -> asyncio.Future[Any]:
    """Make a call in a thread of its own ("sync") or in a task ("async"), in this context."""
    if way == "async":
        return asyncio.ensure_future(acall(*args, **more))
    inside = partial(copy_context().run, call, *args, **more)
    return asyncio.wrap_future(start(inside))


async def all_of(callers: list[asyncio.Future[Any]]) -> list[Any]:
    """Return what came of callers, errors included; none may hang."""
    async with asyncio.timeout(LONG):
        return await asyncio.gather(*callers, return_exceptions=True)


def aboard(ops: ToolOps) -> int:
    """Return how many callers share the calls and streams that are under way in a runtime."""
    shared = ops._shared
    flying = sum(flight.parties for flight in list(shared.flights._table.values()))
    return flying + sum(len(tape._places) for tape in list(shared.streams._table.values()))


async def reach_aboard(ops: ToolOps, count: int) -> None:
    """Wait until so many callers are aboard."""
    try:
        async with asyncio.timeout(LONG):
            while aboard(ops) != count:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError(f"{aboard(ops)} aboard, not {count}") from None
