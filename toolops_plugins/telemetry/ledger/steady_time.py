"""A clock that does not follow another one's sudden jumps."""

from __future__ import annotations

import time
from typing import Final

__all__ = ["SteadyTime", "read_counter"]

_JUMP: Final = 60.0
"""Seconds by which a clock must be off to count as having jumped."""
_PROBATION: Final = 60.0
"""Seconds that a clock must stay where it has jumped to until it is followed."""

_COUNTER: Final = getattr(time, "CLOCK_BOOTTIME", None)


def read_counter() -> float:
    """Return seconds since some moment, those included in which the machine was suspended."""
    return time.monotonic() if _COUNTER is None else time.clock_gettime(_COUNTER)


class SteadyTime:
    """Follows a clock, and steps over its jumps until it has stayed there for a minute.

    A clock may be set at any time, far ahead by mistake and back again. Counts must not lie in the
    future then, nor may records be dropped as outdated. Not thread-safe.
    """

    __slots__ = ("_jumped_at", "_jumped_to", "_offset")

    def __init__(self) -> None:
        self._offset: float | None = None
        self._jumped_to: float | None = None
        self._jumped_at = 0.0

    def read(self, clock_time: float, counter: float) -> float:
        """Return the time that is believed, in seconds since the epoch.

        Args:
            clock_time: The time that the clock shows, in seconds since the epoch.
            counter: The present :func:`read_counter`.
        """
        offset = clock_time - counter
        if self._offset is None or abs(offset - self._offset) < _JUMP:
            self._offset, self._jumped_to = offset, None
        elif self._jumped_to is None or abs(offset - self._jumped_to) >= _JUMP:
            self._jumped_to, self._jumped_at = offset, counter
        elif counter - self._jumped_at >= _PROBATION:
            self._offset, self._jumped_to = offset, None
        return counter + self._offset
