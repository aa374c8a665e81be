"""Time limits of calls, as both drivers enforce them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from toolops_plugins.clock import Clock
from toolops_plugins.drivers.attempt import Attempt
from toolops_plugins.errors import AttemptTimeout, CallTimeout

__all__ = [
    "Limit",
    "attempt_timeout",
    "ends_call",
    "no_waiter_error",
    "seconds_left",
    "seconds_left_for",
    "shorter_of",
    "tighter_limit",
]


class Limit(NamedTuple):
    """The time at which a part of a call is given up, on the monotonic clock.

    Args:
        at: The time.
        error: Makes the error that it ends with.
        in_thread: Whether plain functions run in a thread, where they can be abandoned in time.
        unwanted: Returns whether nobody waits for it any more, because it has lost a race or
            all callers have left its flight; it takes no further step then. None: somebody waits.
    """

    at: float
    error: Callable[[], BaseException]
    in_thread: bool = True
    unwanted: Callable[[], bool] | None = None


def seconds_left(limit: Limit | None, clock: Clock) -> float | None:
    """Return the seconds that are left, or None; raise the limit's error if there are none."""
    if limit is None:
        return None
    if limit.unwanted is not None and limit.unwanted():
        raise no_waiter_error()
    if limit.at == math.inf:
        return None
    left = limit.at - clock.monotonic()
    if left <= 0.0:
        raise limit.error()
    return left


def seconds_left_for(attempt: Attempt, limit: Limit | None, clock: Clock) -> float | None:
    """Return the seconds left for an attempt; if there are none, mark it as not reached."""
    try:
        return seconds_left(limit, clock)
    except BaseException:
        attempt.reached = False
        raise


def tighter_limit(inner: Limit, limit: Limit | None) -> Limit:
    """Return the limit that comes first: one of a part of a call, or the one that encloses it."""
    if limit is None:
        return inner
    in_thread = limit.in_thread or inner.in_thread
    first = limit if limit.at < inner.at else inner
    return first._replace(in_thread=in_thread, unwanted=limit.unwanted)


def shorter_of(one: float | None, other: float | None) -> float | None:
    """Return the shorter of two durations, of which None is unlimited."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def no_waiter_error() -> TimeoutError:
    """Return the error that ends work for which nobody waits any more."""
    return TimeoutError("nobody waits for this attempt any more")


def ends_call(limit: Limit | None, error: Exception) -> bool:
    """Return whether an error of an optional part says that the call itself has no time left.

    Args:
        limit: The limit of the part.
        error: The error that the part raised.
    """
    if limit is None:
        return False
    return isinstance(error, CallTimeout) or (limit.unwanted is not None and limit.unwanted())


def attempt_timeout(seconds: float | None) -> AttemptTimeout:
    """Return the error of an attempt that ran out of its own time."""
    return AttemptTimeout(f"an attempt took longer than {seconds} s", seconds=seconds or 0.0)
