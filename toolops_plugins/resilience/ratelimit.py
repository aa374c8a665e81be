"""A rate limit, which tells each caller to proceed, to wait for so long, or to give up.

A caller reserves its units and learns at once how long to wait. Turns follow the order of asking,
and nothing runs in the background.
"""

from __future__ import annotations

import math
from typing import Any

from toolops_plugins import check
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.errors import ConfigurationError, RateLimited
from toolops_plugins.policy import RateLimit
from toolops_plugins.resilience.limiter_states import LimiterState, SlidingWindow, TokenBucket

__all__ = ["Limiter", "Reservation"]


class Reservation:
    """Units that are reserved for one call.

    Attributes:
        delay: Seconds to wait before the call; 0 means none.
    """

    __slots__ = ("_claim", "_cost", "_state", "delay")

    def __init__(self, delay: float, state: LimiterState, cost: float, claim: Any) -> None:
        self.delay = delay
        self._state = state
        self._cost = cost
        self._claim = claim

    def cancel(self) -> None:
        """Return the units of a call that was not made. A second call does nothing."""
        try:
            claim = self._claim
            del self._claim  # of several threads here, one succeeds
        except AttributeError:
            return
        if claim is not None:
            self._state.give_back(self._cost, claim)


class Limiter:
    """A rate limit, shared by all calls that it bounds.

    Safe to share between any threads and event loops. :meth:`reserve` never blocks.

    A caller that gives units back at most once, as the flow of a tool does, can do without the
    reservation's object: :meth:`take` reserves as :meth:`reserve` does.

    Delays are exact. The moment at which a waiting caller wakes up depends on its clock.

    Args:
        policy: The rate, how long a call may wait, and the algorithm.
        name: The name of the limited callee, for errors.
        clock: The source of time.
        state: Where units are counted. None: in this process.

    Example:
        >>> limiter = Limiter(RateLimit("2/min", wait=0), "quotes")
        >>> limiter.acquire()
        >>> limiter.acquire()
        >>> limiter.acquire()
        Traceback (most recent call last):
            ...
        toolops_plugins.errors.RateLimited: the rate limit of 'quotes' (2/min) is used up
    """

    def __init__(
        self,
        policy: RateLimit,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
        state: LimiterState | None = None,
    ) -> None:
        self.policy = policy
        self.name = name
        self.clock = clock
        self._patience = math.inf if policy.wait is None else check.seconds("wait", policy.wait)
        if state is None:
            count, period = policy.count, policy.period
            if policy.algorithm == "sliding_window":
                state = SlidingWindow(count, period, clock)
            else:
                state = TokenBucket(count, period, policy.burst or count, clock)
        self._state = state
        self._capacity = state.capacity
        self._take = state.take
        self.local = state.local

    def usage(self) -> tuple[float, float] | None:
        """Return the units in use and the seconds that one waits; None: only a server knows."""
        state = self._state
        return state.usage() if isinstance(state, SlidingWindow | TokenBucket) else None

    def reserve(self, cost: float = 1.0, wait: float | None = None) -> Reservation:
        """Reserve units, and return how long to wait before they may be spent.

        Args:
            cost: The units. Default 1. A cost of 0 never waits.
            wait: Seconds that this caller may wait, where that is less than ``policy.wait``. None:
                as the policy says.

        Raises:
            RateLimited: The wait would be longer than ``policy.wait`` or ``wait`` (``retry_after``
                is the time after which it no longer would), or the units can never go at once
                (``retry_after`` is None).
            ConfigurationError: ``cost`` is negative or no number.
        """
        delay, claim = self.take(cost, wait)
        return Reservation(delay, self._state, cost, claim)

    def take(self, cost: float = 1.0, wait: float | None = None) -> tuple[float, Any]:
        """Reserve units as :meth:`reserve` does; return the delay, and a claim on the units.

        The claim goes to :meth:`give_back` if the units will not be spent.
        """
        if not 0 < cost <= self._capacity:
            return self._take_odd_cost(cost)
        patience = self._patience if wait is None else min(wait, self._patience)
        taken = self._take(cost, patience)
        if taken[1] is None:
            raise RateLimited(
                f"the rate limit of {self.name!r} ({self.policy.rate}) is used up",
                retry_after=taken[0] - patience,
            )
        return taken

    def give_back(self, cost: float, claim: Any) -> None:
        """Return the units of a claim of :meth:`take`, once at most."""
        if claim is not None:
            self._state.give_back(cost, claim)

    def acquire(self, cost: float = 1.0) -> None:
        """Block this thread until ``cost`` units may be spent; see :meth:`reserve`."""
        reservation = self.reserve(cost)
        if reservation.delay:
            try:
                self.clock.sleep(reservation.delay)
            except BaseException:
                reservation.cancel()
                raise

    async def aacquire(self, cost: float = 1.0) -> None:
        """Suspend this task until ``cost`` units may be spent; see :meth:`reserve`."""
        reservation = self.reserve(cost)
        if reservation.delay:
            try:
                await self.clock.asleep(reservation.delay)
            except BaseException:
                reservation.cancel()
                raise

    def spend(self, cost: float) -> None:
        """Take units that have been used already, for which later callers wait.

        It never waits and is never rejected. It is for units that are known only afterwards, such
        as the tokens of a model's answer.

        Args:
            cost: The units, which may be more than could ever go at once. 0 or less does nothing.
        """
        if cost > 0:
            self._state.take(cost, math.inf)

    def _take_odd_cost(self, cost: float) -> tuple[float, None]:
        if check.number("cost", cost) < 0:
            raise ConfigurationError("cost", f"must be 0 or more, not {cost!r}")
        if cost:
            raise RateLimited(
                f"a call of {cost:g} units never fits into the rate limit of {self.name!r}"
                f" ({self.policy.rate}), which lets {self._capacity:g} go at once"
            )
        return 0.0, None
