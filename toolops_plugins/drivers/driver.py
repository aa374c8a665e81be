"""Time limits of the two drivers, which are the same for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from toolops_plugins.callables.pickling import RuntimePart
from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.drivers.limits import Limit, tighter_limit

__all__ = ["Driver"]


class Driver(RuntimePart):
    """Base of the drivers, which do what takes time in a call, under a limit or none.

    Args:
        clock: The source of time.
        flights: The flights of the runtime.
        pool: Runs functions in threads.

    Attributes:
        limit: The time at which all that the driver does is given up, or None.
    """

    limit: Limit | None = None

    def __init__(self, clock: Clock, flights: Flights, pool: Pool) -> None:
        self._clock = clock
        self._flights = flights
        self._pool = pool

    def within(
        self, seconds: float, error: Callable[[], BaseException], *, in_thread: bool = True
    ) -> Self:
        """Return this driver with a limit: after ``seconds``, what it does raises ``error()``.

        With ``in_thread`` plain functions run in a thread, where they can be abandoned.
        """
        inner = Limit(self._clock.monotonic() + seconds, error, in_thread)
        return self.with_limit(tighter_limit(inner, self.limit))

    def with_limit(self, limit: Limit | None) -> Self:
        """Return this driver with another limit, or with none."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.limit = limit
        return other

    def _without_limit(self) -> Self:
        return self if self.limit is None else self.with_limit(None)
