"""One flight: work under way, what came of it, and who waits for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from toolops_plugins.coalesce import loop_liveness, wait_graph
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.coalesce.starvation import ThreadCall
from toolops_plugins.steps import StopIterationCarrier

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

    from toolops_plugins.coalesce.watch import LoopWatch

__all__ = ["Flight", "FlightOutcome", "FlightResult", "RecentKeys", "deliver", "make_failure"]


class FlightResult(NamedTuple):
    """What a caller got off its flight.

    Args:
        value: The result of the work.
        led: Whether this caller led the flight, or ran the work apart, rather than followed.
    """

    value: Any
    led: bool


class FlightOutcome(NamedTuple):
    """What came of the work.

    Args:
        value: Its result.
        error: What it raised, which is the leader's own.
        trace: Where it was raised.
        copy: What followers get copies of: the error as it was before its leader raised it.
    """

    value: Any
    error: Exception | None = None
    trace: TracebackType | None = None
    copy: Exception | None = None


class Flight:
    """Work under way, and who waits for it. All fields are guarded by the table's lock.

    Args:
        key: What makes calls equal.
        loop: The event loop that it runs on; None: it runs in a thread.
        mark: Stands for the call that leads it, until somebody else runs it.
        place: Where it runs, if that is this thread.
        generation: How many flights of this key were given up, one after another, before it.
    """

    __slots__ = (
        "callbacks",
        "death",
        "done",
        "generation",
        "glance",
        "key",
        "loop",
        "mark",
        "node",
        "outcome",
        "parties",
        "place",
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
        """None though it is done: the work died, or nobody is left who wants what came of it."""
        self.death: BaseException | None = None
        self.done = False
        self.parties = 1
        self.callbacks: dict[object, Callable[[], None]] = {}
        self.task: asyncio.Task[None] | None = None
        self.glance: loop_liveness.LoopProbe | None = None
        self.watches: dict[Any, LoopWatch] | None = None


class RecentKeys:
    """Keys of which something is remembered; bounded, the oldest forgotten first.

    Safe to use from any threads: its operations are single ones of a dictionary.

    Args:
        limit: Keys that are remembered.
    """

    def __init__(self, limit: int = 1_000) -> None:
        self._limit = limit
        self._keys: dict[bytes, None] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def add(self, key: bytes) -> None:
        """Remember a key."""
        self._keys[key] = None
        while len(self._keys) > self._limit:
            with suppress(StopIteration, RuntimeError):  # another thread was quicker
                self._keys.pop(next(iter(self._keys)), None)

    def discard(self, key: bytes) -> None:
        """Forget a key."""
        if self._keys:
            self._keys.pop(key, None)


def make_failure(error: Exception, outside: BaseException | None) -> FlightOutcome:
    """Return what comes of work that raised an error.

    Args:
        error: The error.
        outside: What was being handled where the work began.
    """
    return FlightOutcome(None, error, error.__traceback__, _copy(error, outside))


def _copy(error: Exception, outside: BaseException | None = None) -> Exception:
    if isinstance(error, StopIterationCarrier):
        return StopIterationCarrier(copy_error(error.error, outside))
    return copy_error(error, outside)


def deliver(landing: FlightOutcome, *, led: bool) -> FlightResult:
    """Return what a caller gets of what came of the work, or raise its error."""
    if landing.error is None:
        return FlightResult(landing.value, led)
    error = landing.error
    if not led and landing.copy is not None:
        error = _copy(landing.copy)
    # What cannot be copied is one object for all, whose traceback each raise would lengthen.
    raise error.with_traceback(landing.trace)
