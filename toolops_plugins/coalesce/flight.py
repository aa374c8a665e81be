"""Flights: work under way, its outcome, and its callers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from toolops_plugins.coalesce import loop_liveness, wait_graph
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.coalesce.starvation import ThreadCall

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

    from toolops_plugins.coalesce.watch import LoopWatch

__all__ = ["Flight", "FlightOutcome", "FlightResult", "RecentKeys", "deliver", "make_failure"]


class FlightResult(NamedTuple):
    """The result of a flight for one caller.

    Args:
        value: The result of the work.
        led: Whether this caller led the flight, or ran the work alone, rather than followed.
    """

    value: Any
    led: bool


class FlightOutcome(NamedTuple):
    """The outcome of the work.

    Args:
        value: Its result.
        error: Its exception, which is raised in the leader.
        trace: The traceback of the exception.
        copy: The exception as it was before the leader raised it, of which followers get copies.
    """

    value: Any
    error: Exception | None = None
    trace: TracebackType | None = None
    copy: Exception | None = None


class Flight:
    """Work under way and its callers. The table's lock guards all fields.

    Args:
        key: The key that equal calls share.
        loop: The event loop that it runs on; None: it runs in a thread.
        mark: Stands for the call that leads it, until another thread runs the work. Default None.
        place: The call that runs it, if that is in this thread. Default None.
        generation: Flights of this key that were dropped, in a row, before it. Default 0.
    """

    __slots__ = (
        "callbacks",
        "death",
        "done",
        "generation",
        "key",
        "loop",
        "mark",
        "node",
        "outcome",
        "parties",
        "place",
        "probe",
        "task",
        "watches",
    )

    def __init__(
        self,
        key: bytes,
        loop: asyncio.AbstractEventLoop | None,
        mark: object = None,
        place: ThreadCall | None = None,
        generation: int = 0,
    ) -> None:
        self.key = key
        self.loop = loop
        self.mark = mark
        self.place = place
        self.generation = generation
        self.node = wait_graph.Node()
        self.outcome: FlightOutcome | None = None
        """None in a finished flight: the work died, or no caller is left."""
        self.death: BaseException | None = None
        self.done = False
        self.parties = 1
        self.callbacks: dict[object, Callable[[], None]] = {}
        self.task: asyncio.Task[None] | None = None
        self.probe: loop_liveness.LoopProbe | None = None
        self.watches: dict[Any, LoopWatch] | None = None


class RecentKeys:
    """A bounded set of keys that drops the oldest first.

    Safe to use from any threads, since all operations are single ones of a dictionary.

    Args:
        limit: The size of the set. Default 1,000.
    """

    def __init__(self, limit: int = 1_000) -> None:
        self._limit = limit
        self._keys: dict[bytes, None] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def add(self, key: bytes) -> None:
        """Add a key."""
        self._keys[key] = None
        while len(self._keys) > self._limit:
            with suppress(StopIteration, RuntimeError):  # another thread was quicker
                self._keys.pop(next(iter(self._keys)), None)

    def discard(self, key: bytes) -> None:
        """Remove a key."""
        if self._keys:
            self._keys.pop(key, None)


def make_failure(error: Exception, outside: BaseException | None) -> FlightOutcome:
    """Return the outcome of work that raised an exception.

    Args:
        error: The exception.
        outside: The exception that was being handled where the work began.
    """
    return FlightOutcome(None, error, error.__traceback__, copy_error(error, outside))


def deliver(landing: FlightOutcome, *, led: bool) -> FlightResult:
    """Return a caller's result of an outcome, or raise its exception."""
    if landing.error is None:
        return FlightResult(landing.value, led)
    error = landing.error
    if not led and landing.copy is not None:
        error = copy_error(landing.copy)
    # An exception without a copy is shared by all callers, and each raise would lengthen its
    # traceback.
    raise error.with_traceback(landing.trace)
