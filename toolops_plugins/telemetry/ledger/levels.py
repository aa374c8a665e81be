"""The lengths of time that a ledger sums calls over, and how long it keeps each.

Every write adds to one record of each level: that of its minute, ten minutes, hour and day. So
there is no job that rolls minutes up, which would need to know that no process still adds to them,
and a year is read from a few hundred records.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError

__all__ = ["DAY", "LEVELS", "MINUTE", "Piece", "cover", "retention_of"]

MINUTE: Final = 60
DAY: Final = 86_400
LEVELS: Final = (MINUTE, 600, 3_600, DAY)
"""Seconds of a record's time, shortest first; each divides the next."""

_LONGEST: Final = {MINUTE: 2 * DAY, 600: 15 * DAY, 3_600: 100 * DAY}
"""Seconds for which the records of a level are kept at most; those of days as long as asked."""


class Piece(NamedTuple):
    """Part of a span that is read from the records of one level.

    Args:
        level: Seconds of one record.
        start: The start of the first record, in seconds since the epoch.
        end: The end of the last one.
    """

    level: int
    start: int
    end: int


def retention_of(seconds: float) -> dict[int, int]:
    """Return the seconds for which the records of each level are kept.

    Args:
        seconds: How long a day's sums are kept.

    Raises:
        ConfigurationError: It is less than an hour.
    """
    longest = check.seconds("retention", seconds)
    if longest < LEVELS[2]:
        raise ConfigurationError("retention", f"must be an hour or more, not {seconds!r} seconds")
    return {level: int(min(_LONGEST.get(level, longest), longest)) for level in LEVELS}


def cover(
    since: float,
    until: float,
    now: float,
    retention: Mapping[int, int],
    *,
    step: int | None = None,
) -> Iterator[Piece]:
    """Yield the pieces of a span, each of the longest level that fits.

    The ends are rounded outwards to the shortest level that is still kept there. If the span ends
    now or later, the records under way count as whole.

    Args:
        since: The start in seconds since the epoch.
        until: The end.
        now: The present time.
        retention: Seconds for which each level is kept.
        step: No record is longer, and each lies in one step. None: any length will do.
    """
    open_end = until >= now - 1
    fits = [level for level in LEVELS if step is None or step % level == 0]

    def shortest(at: float) -> int:
        return next((level for level in LEVELS if at >= now - retention[level]), LEVELS[-1])

    first = shortest(since)
    at = begin = math.floor(since / first) * first
    last = shortest(until)
    end = math.ceil(until / last) * last
    current = 0
    while at < end:
        # The later, the shorter are the records that are kept, so this one begins at ``at``.
        chosen = least = shortest(at)
        for level in fits:
            if level > least and at % level == 0 and (at + level <= end or open_end):
                chosen = level
        if chosen != current:
            if begin < at:
                yield Piece(current, begin, at)
            begin, current = at, chosen
        at += chosen
    if begin < at:
        yield Piece(current, begin, at)
