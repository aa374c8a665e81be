"""Flights: work under way, its outcome, and its callers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from toolops_plugins.coalesce import loop_liveness, wait_graph
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.coalesce.starvation import ThreadCall
from toolops_plugins.errors import DeadlineExceeded

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

    from toolops_plugins.coalesce.watch import LoopWatch

__all__ = [
    "Flight",
    "FlightOutcome",
    "FlightResult",
    "RecentKeys",
    "deliver",
    "make_deadline_error",
    "make_outcome",
    "make_result",
    "wake",
]


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


# Both take a tuple of all fields. The constructors of the classes are written in Python, and take
# twice as long; a flight without followers makes one of each.
make_result = partial(tuple.__new__, FlightResult)
make_outcome = partial(tuple.__new__, FlightOutcome)


class Flight:
    """Work under way and its callers. The table's lock guards all fields.

    Args:
        key: The key that equal calls share.
        loop: The event loop that it runs on; None: it runs in a thread.
        place: The call that runs it, if that is in this thread. Default None.
        generation: Flights of this key that were dropped, in a row, before it. Default 0.
    """

    outcome: FlightOutcome | None = None
    """None in a finished flight: the work died, or no caller is left."""
    death: BaseException | None = None
    done = False
    parties = 1
    elsewhere = False
    """True if another thread than its leader's runs it."""
    followed = False
    """True once anybody has followed it."""
    waiters: dict[Any, asyncio.AbstractEventLoop | None] | None = None
    """What its callers wait for: the lock of a thread, with None, or a future and its loop."""
    task: asyncio.Task[Any] | None = None
    probe: loop_liveness.LoopProbe | None = None
    watches: dict[Any, LoopWatch] | None = None

    def __init__(
        self,
        key: bytes,
        loop: asyncio.AbstractEventLoop | None,
        place: ThreadCall | None = None,
        generation: int = 0,
    ) -> None:
        self.key = key
        self.loop = loop
        self.place = place
        self.generation = generation
        self.node = wait_graph.Node()


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


def wake(
    waiters: Mapping[Any, asyncio.AbstractEventLoop | None],
    here: asyncio.AbstractEventLoop | None,
) -> None:
    """Wake callers: each thread, and all callers of a loop by one callback.

    Args:
        waiters: What they wait for, as in :class:`Flight`.
        here: The loop that runs in this thread, or None.
    """
    elsewhere: dict[asyncio.AbstractEventLoop, list[asyncio.Future[Any]]] | None = None
    for waiter, loop in waiters.items():
        if loop is here and loop is not None:
            if not waiter.done():
                waiter.set_result(None)
        elif loop is None:
            with suppress(RuntimeError):  # it is awake already
                waiter.release()
        else:
            if elsewhere is None:
                elsewhere = {}
            elsewhere.setdefault(loop, []).append(waiter)
    if elsewhere is None:
        return
    for loop, futures in elsewhere.items():
        with suppress(RuntimeError):  # a closed loop has no caller left to wake
            loop.call_soon_threadsafe(_set_all, futures)


def _set_all(futures: Iterable[asyncio.Future[Any]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


def deliver(outcome: FlightOutcome, *, led: bool) -> FlightResult:
    """Return a caller's result of an outcome, or raise its exception."""
    error = outcome.error
    if error is None:
        return make_result((outcome.value, led))
    if not led and outcome.copy is not None:
        error = copy_error(outcome.copy)
    # An exception without a copy is shared by all callers, and each raise would lengthen its
    # traceback.
    try:
        raise error.with_traceback(outcome.trace)
    finally:
        del error, outcome  # the exception would refer to itself through its traceback


def make_deadline_error(seconds: float | None) -> DeadlineExceeded:
    """Return the error of a caller whose time limit has passed."""
    return DeadlineExceeded(f"no result within {seconds} s", seconds=seconds or 0.0)
