"""Watches of a flight by its followers, which look four times a second."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from toolops_plugins.coalesce import loop_liveness
from toolops_plugins.coalesce.flight import Flight
from toolops_plugins.coalesce.starvation import Backlog

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

__all__ = ["LONGEST", "LoopWatch", "Verdict", "Watch"]

LONGEST = 480
"""Looks, worth two minutes, after which a follower leaves work on a loop in any case."""
_FOR_A_LOOP = 1
_FOR_A_THREAD = 4
_FOR_A_BUSY_THREAD = 40
"""Looks at motionless queues in a row, after which a follower leaves: work on a loop; work in a
thread that waits for another thread; work in a thread that does not seem to."""
_GENERATIONS = 10
"""Dropped flights in a row, past which patience grows no more."""


class Verdict(Enum):
    """The result of a look."""

    PENDING = 0
    STUCK = 1
    DEAD = 2


class Watch:
    """One follower's observations of a flight, made in a thread or on a loop of its own.

    Each flight that has to be dropped doubles the patience of its successor's followers, so that
    few calls are made where everything is merely slow.

    Args:
        flight: The flight.
        same_loop: Whether it runs on the caller's own loop. Default False.
    """

    __slots__ = ("_absences", "_backlog", "_flight", "_liveness", "_looks")

    def __init__(self, flight: Flight, *, same_loop: bool = False) -> None:
        self._flight = flight
        loop = flight.loop
        self._liveness = None if loop is None or same_loop else loop_liveness.LoopLiveness(loop)
        self._backlog = Backlog(loop)
        self._looks = 0
        self._absences = 0

    def look(self) -> Verdict:
        """Look, once every :data:`loop_liveness.PATIENCE` seconds."""
        flight = self._flight
        self._looks += 1
        if self._is_dead(flight):
            return Verdict.DEAD
        if self._liveness is not None and self._liveness.is_dead(flight.task):
            return Verdict.STUCK
        stuck = self._backlog.look()
        patience = 1 << min(flight.generation, _GENERATIONS)
        if stuck and stuck >= patience * self._patience(flight):
            return Verdict.STUCK
        if flight.loop is not None and self._looks >= patience * LONGEST:
            return Verdict.STUCK
        return Verdict.PENDING

    def _is_dead(self, flight: Flight) -> bool:
        """Return whether two looks in a row found nobody who could ever end the flight."""
        place = flight.place
        gone = flight.task is None if flight.loop is not None else place is not None
        if gone and place is not None:
            gone = not place.is_on_stack()
        self._absences = self._absences + 1 if gone and not flight.done else 0
        return self._absences > 1

    def _patience(self, flight: Flight) -> int:
        if flight.loop is not None:
            return _FOR_A_LOOP
        place = flight.place
        waits = place is None or place.waits_for_thread()
        return _FOR_A_THREAD if waits else _FOR_A_BUSY_THREAD


class LoopWatch:
    """Watches a flight for all its followers on one event loop, by one timer.

    Args:
        flight: The flight.
        loop: The running loop.
        check: Looks at the flight and acts on the verdict; returns whether to wait no longer.

    Attributes:
        waiters: The futures that the followers wait for.
        over: Whether the watch has ended.
    """

    __slots__ = ("_check", "_flight", "_loop", "_timer", "_watch", "over", "waiters")

    def __init__(
        self,
        flight: Flight,
        loop: asyncio.AbstractEventLoop,
        check: Callable[[Flight, Watch], bool],
    ) -> None:
        self._flight = flight
        self._loop = loop
        self._check = check
        self._watch = Watch(flight, same_loop=flight.loop is loop)
        self.waiters: set[asyncio.Future[Any]] = set()
        self.over = False
        self._timer = loop.call_later(loop_liveness.PATIENCE, self._look)

    def leave(self, waiter: asyncio.Future[Any]) -> None:
        """Remove a follower; the watch ends with the last one."""
        self.waiters.discard(waiter)
        if not self.waiters:
            self.over = True
            self._timer.cancel()

    def _look(self) -> None:
        if self._flight.done or self._check(self._flight, self._watch):
            self.over = True
            for waiter in list(self.waiters):
                if not waiter.done():
                    waiter.set_result(None)
        else:
            self._timer = self._loop.call_later(loop_liveness.PATIENCE, self._look)
