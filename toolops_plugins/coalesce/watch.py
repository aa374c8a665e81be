"""Repeated looks at a flight by those who wait for it, four times a second."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from toolops_plugins.coalesce import loop_liveness
from toolops_plugins.coalesce.flight import Flight
from toolops_plugins.coalesce.starvation import Backlog

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

__all__ = ["LONGEST", "LoopWatch", "Verdict", "Watch"]

LONGEST = 480
"""Looks, two minutes, after which a follower leaves work on a loop whatever it sees."""
_FOR_A_LOOP = 1
_FOR_A_THREAD = 4
_FOR_A_BUSY_THREAD = 40
"""Looks in a row that find queues which do not move, before a follower leaves the work: on a loop;
in a thread that waits for another one; in a thread that does not seem to."""
_GENERATIONS = 10
"""Flights that were given up one after another, past which patience grows no more."""


class Verdict(Enum):
    """The result of a look."""

    PENDING = 0
    STUCK = 1
    DEAD = 2


class Watch:
    """What one caller, in a thread or on a loop of its own, sees of the flight that it waits for.

    Each flight that has to be given up makes those that follow its successor twice as patient, so
    that where all is merely slow, few calls are made.

    Args:
        flight: The flight.
        same_loop: Whether it runs on the caller's own loop. Default False.
    """

    __slots__ = ("_backlog", "_flight", "_gone", "_looks", "_pulse")

    def __init__(self, flight: Flight, *, same_loop: bool = False) -> None:
        self._flight = flight
        loop = flight.loop
        self._pulse = None if loop is None or same_loop else loop_liveness.LoopLiveness(loop)
        self._backlog = Backlog(loop)
        self._looks = 0
        self._gone = 0

    def look(self) -> Verdict:
        """Look, once every :data:`loop_liveness.PATIENCE` seconds."""
        flight = self._flight
        self._looks += 1
        if self._is_dead(flight):
            return Verdict.DEAD
        if self._pulse is not None and self._pulse.is_dead(flight.task):
            return Verdict.STUCK
        stuck = self._backlog.look()
        patience = 1 << min(flight.generation, _GENERATIONS)
        if stuck and stuck >= patience * self._patience(flight):
            return Verdict.STUCK
        if flight.loop is not None and self._looks >= patience * LONGEST:
            return Verdict.STUCK
        return Verdict.PENDING

    def _is_dead(self, flight: Flight) -> bool:
        """Return whether two looks have found nobody who would ever land it."""
        place = flight.place
        gone = flight.task is None if flight.loop is not None else place is not None
        if gone and place is not None:
            gone = not place.is_on_stack()
        self._gone = self._gone + 1 if gone and not flight.done else 0
        return self._gone > 1

    def _patience(self, flight: Flight) -> int:
        if flight.loop is not None:
            return _FOR_A_LOOP
        place = flight.place
        waits = place is None or place.waits_for_thread()
        return _FOR_A_THREAD if waits else _FOR_A_BUSY_THREAD


class LoopWatch:
    """Looks after a flight for all who follow it on one event loop, by one timer.

    Args:
        flight: The flight.
        loop: The running loop.
        is_lost: Looks, and does what has to be done; returns whether to wait no longer.

    Attributes:
        rings: What wakes those who follow.
        over: Whether it looks no more.
    """

    __slots__ = ("_flight", "_is_lost", "_loop", "_timer", "_watch", "over", "rings")

    def __init__(
        self,
        flight: Flight,
        loop: asyncio.AbstractEventLoop,
        is_lost: Callable[[Flight, Watch], bool],
    ) -> None:
        self._flight = flight
        self._loop = loop
        self._is_lost = is_lost
        self._watch = Watch(flight, same_loop=flight.loop is loop)
        self.rings: dict[object, Callable[[], None]] = {}
        self.over = False
        self._timer = loop.call_later(loop_liveness.PATIENCE, self._look)

    def leave(self, ticket: object) -> None:
        """Take one off who follows; nobody looks for none."""
        self.rings.pop(ticket, None)
        if not self.rings:
            self.over = True
            self._timer.cancel()

    def _look(self) -> None:
        if self._flight.done or self._is_lost(self._flight, self._watch):
            self.over = True
            for ring in list(self.rings.values()):
                ring()
        else:
            self._timer = self._loop.call_later(loop_liveness.PATIENCE, self._look)
