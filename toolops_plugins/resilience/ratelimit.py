"""A rate limit: who may go ahead now, who has to wait and for how long, and who is turned away.

A caller reserves its units and is told at once how long to wait. Turns are given in the order of
asking, and nothing runs in the background.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right, insort
from collections import deque
from itertools import islice
from typing import Any, Protocol

from toolops_plugins import check
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError, RateLimited
from toolops_plugins.policy import RateLimit

__all__ = ["Limiter", "LimiterState", "Reservation", "SlidingWindow", "TokenBucket"]

# Seconds that are rounding and nothing else: a monotonic clock after months has such steps.
_EPSILON = 1e-6


class LimiterState(Protocol):
    """Where a limit's units are counted.

    This is the seam for a limit that several processes share. An implementation is safe to use
    from any threads and event loops.
    """

    local: bool
    """True: nothing blocks, so the flow calls the limiter directly. False: the flow goes through an
    ``Io`` step, and the state also has awaitable twins."""

    most: float
    """The units that can ever go at once."""

    def take(self, cost: float, patience: float) -> tuple[float, Any]:
        """Return the seconds to wait before spending ``cost`` units, and a claim on them.

        Where the wait would be longer than ``patience`` nothing is taken, and the claim is None.
        """
        ...

    def give_back(self, cost: float, claim: Any) -> None:
        """Take back units that will not be spent."""
        ...


class TokenBucket:
    """Units that refill smoothly, and gather up to a burst.

    In any time of ``t`` seconds at most ``burst + t * count / period`` units go ahead. Kept as one
    number by virtual scheduling (GCRA; ITU-T I.371, annex A): the time at which the bucket will be
    full again.

    Units that come back are for newcomers. The last in line gives them back at once. A caller
    further up leaves a gap at its own time: the callers behind it hold times of their own, and the
    units that they wait for must not be spent a second time. A newcomer that fits takes the first
    gap. When the time of a gap passes, its units stay in the bucket as far as that holds them.
    Units that come back after their time are counted without what may have refilled meanwhile: the
    bucket could have been full, and then holds no more of them.

    Args:
        count: Units in a period.
        period: Seconds.
        burst: Units that may go at once after a quiet time.
        clock: The source of time.
    """

    local = True
    _GAPS = 1024

    def __init__(self, count: float, period: float, burst: float, clock: Clock) -> None:
        self.most = burst
        self._unit = period / count
        self._depth = burst * self._unit
        self._clock = clock
        self._full = -math.inf
        self._gaps: list[tuple[float, float]] = []  # (claim, units) in order of time
        self._spare = 0.0  # units of gaps that have passed while others waited
        self._widest = 0.0  # the most units that a caller in line may wait for
        self._line_empty = -math.inf  # when there was last nobody in line
        self._lock = fork_safe(self, threading.Lock())

    def take(self, cost: float, patience: float) -> tuple[float, tuple[float, float] | None]:
        """Return the seconds to wait and a claim, as :meth:`LimiterState.take` says.

        A claim says when the bucket is full again after it, and when its units may go.
        """
        with self._lock:
            now = self._clock.monotonic()
            self._look_at_line(now)
            if self._gaps or self._spare:
                self._forget(now)
            full = max(now, self._full) + cost * self._unit
            delay = full - self._depth - now
            if delay > _EPSILON and cost <= self._spare:
                self._spare -= cost
                return 0.0, (now + self._depth, now)
            gap = self._gap(cost, now, delay) if self._gaps else None
            if gap is not None:
                delay = gap - self._depth - now
            if delay - patience > _EPSILON:
                return delay, None
            if gap is None:
                waits = self._full - self._depth > now
                self._widest = max(self._widest, cost) if waits else cost
                self._full = full
            else:
                self._fill(gap, cost)
                full = gap
        wait = delay if delay > _EPSILON else 0.0
        return wait, (full, now + wait)

    def give_back(self, cost: float, claim: tuple[float, float]) -> None:
        """Take back units that will not be spent."""
        full, start = claim
        with self._lock:
            now = self._clock.monotonic()
            self._look_at_line(now)
            if abs(self._full - full) >= _EPSILON:
                # While somebody is in line the bucket is not full, and loses nothing.
                cost -= max(self._line_empty - start, 0.0) / self._unit
                if cost <= 0.0:
                    return
            insort(self._gaps, (full, cost))
            while self._gaps and abs(self._full - self._gaps[-1][0]) < _EPSILON:
                self._full -= self._gaps.pop()[1] * self._unit
            self._forget(now)

    def _look_at_line(self, now: float) -> None:
        if self._full - self._depth <= now:
            self._line_empty = now

    def reset_after_fork(self) -> None:
        """Keep what was spent; the callers in line wait in the parent."""
        now = self._clock.monotonic()
        self._full = min(self._full, now + self._depth)
        self._gaps = []
        self._spare = 0.0

    def _forget(self, now: float) -> None:
        """Move the units of gaps whose time has passed into the bucket; drop gaps past the cap."""
        gaps = self._gaps
        first = bisect_left(gaps, (now + self._depth,))
        if first:
            # The bucket also has to hold what the next in line waits for.
            room = max(self.most - self._widest, 0.0)
            self._spare = min(self._spare + sum(units for _, units in gaps[:first]), room)
        del gaps[: max(first, len(gaps) - self._GAPS)]
        if self._spare and self._full - self._depth <= now:  # nobody is in line
            self._full -= self._spare * self._unit
            self._spare = 0.0

    def _gap(self, cost: float, now: float, delay: float) -> float | None:
        """Return the claim of the first gap that is wide enough and comes before ``delay``."""
        for claim, units in self._gaps:
            if claim - self._depth - now >= delay:
                break
            if units >= cost:
                return claim
        return None

    def _fill(self, gap: float, cost: float) -> None:
        i = next(i for i, (claim, units) in enumerate(self._gaps) if claim == gap and units >= cost)
        claim, units = self._gaps.pop(i)
        if units > cost:
            insort(self._gaps, (claim, units - cost))


class SlidingWindow:
    """Never more than ``count`` units in any period, wherever it begins.

    An exact log of what went when, and of the times that were given to callers in line. Turns are
    given in the order of asking. Units that come back are for newcomers: once a caller has left
    the line, a newcomer gets the earliest time at which no window would hold too much, which
    changes no time that was given before.

    Where the log of one period grows past 1024 entries, entries that lie less than a 1024th of the
    period apart become one, which counts from the time of the first to that of the last: it then
    errs on the safe side, by that much.

    Args:
        count: Units in any period.
        period: Seconds.
        clock: The source of time.
    """

    local = True
    _ENTRIES = 1024

    def __init__(self, count: float, period: float, clock: Clock) -> None:
        self.most = count
        self._most = count * (1 + 1e-9)  # forgives the rounding of sums of fractions
        self._period = period
        self._clock = clock
        # Entries [first time, last time, units] in order of time, those to come included.
        self._log: deque[list[float]] = deque()
        # How many entries at the front lie a period or more before the last one; and the units of
        # all the others.
        self._passed = 0
        self._units = 0.0
        self._left_until = -math.inf  # when units that came back count in no window any more
        self._lock = fork_safe(self, threading.Lock())

    def take(self, cost: float, patience: float) -> tuple[float, list[float] | None]:
        """Return the seconds to wait and a claim, as :meth:`LimiterState.take` says."""
        with self._lock:
            log, now = self._log, self._clock.monotonic()
            self._forget(now)
            if now < self._left_until:
                start = self._earliest(now, cost)
                if start - now - patience > _EPSILON:
                    return start - now, None
                return start - now, self._insert(start, cost)
            start = max(now, log[-1][1]) if log else now
            passed, units = self._passed, self._units
            while passed < len(log) and (
                log[passed][1] + self._period <= start or units + cost > self._most
            ):
                start = max(start, log[passed][1] + self._period)
                units -= log[passed][2]
                passed += 1
            if start - now - patience > _EPSILON:
                return start - now, None
            if passed == len(log):
                units = 0.0  # sheds what rounding has left
            self._passed, self._units = passed, units + cost
            return start - now, self._enter(start, cost)

    def give_back(self, cost: float, claim: list[float]) -> None:
        """Take back units that will not be spent."""
        with self._lock:
            log = self._log
            claim[2] -= cost
            self._left_until = max(self._left_until, claim[1] + self._period)
            if claim[2] <= self._most - self.most:
                for i, entry in enumerate(log):
                    if entry is claim:
                        del log[i]
                        break
            self._look_anew()
            if not log:
                self._left_until = -math.inf

    def reset_after_fork(self) -> None:
        """Keep what was spent; the callers in line wait in the parent."""
        now = self._clock.monotonic()
        self._log = deque(entry for entry in self._log if entry[0] <= now)
        self._left_until = -math.inf
        self._look_anew()

    def _look_anew(self) -> None:
        """Find the window that ends with the last entry."""
        log = self._log
        last = log[-1][1] if log else -math.inf
        self._passed = 0
        while self._passed < len(log) and log[self._passed][1] + self._period <= last:
            self._passed += 1
        self._units = sum(entry[2] for entry in islice(log, self._passed, None))

    def _earliest(self, now: float, cost: float) -> float:
        """Return the first time from ``now`` on at which ``cost`` units fit into every window.

        One walk over the times at which the load of the window that ends there changes.
        """
        log, period, room = list(self._log), self._period, self._most - cost
        start, load = now, 0.0
        come = go = 0
        while go < len(log):
            # A window is open where it begins: what is a period old is not in it any more.
            if come < len(log) and log[come][0] < log[go][1] + period:
                at = log[come][0]
                load += log[come][2]
                come += 1
            else:
                at = log[go][1] + period
                load -= log[go][2]
                go += 1
            if at >= start + period:
                break
            if load > room and go < len(log):
                # Too full from here to the next change, which is where it can be tried again.
                following = log[go][1] + period
                if come < len(log):
                    following = min(following, log[come][0])
                start = max(start, following)
        return start

    def _insert(self, start: float, cost: float) -> list[float]:
        """Enter units among times that were given before."""
        log = self._log
        i = bisect_right(log, start, key=lambda entry: entry[1])
        before = log[i - 1] if i else None
        if (
            before is not None
            and len(log) >= self._ENTRIES
            and start - before[0] < self._period / self._ENTRIES
        ):
            before[1] = start
            before[2] += cost
            entry = before
        else:
            entry = [start, start, cost]
            log.insert(i, entry)
        self._look_anew()
        return entry

    def _forget(self, now: float) -> None:
        log = self._log
        while log and log[0][1] + self._period <= now:
            units = log.popleft()[2]
            if self._passed:
                self._passed -= 1
            else:
                self._units -= units

    def _enter(self, start: float, cost: float) -> list[float]:
        log = self._log
        if len(log) - self._passed >= self._ENTRIES:
            last = log[-1]
            if start - last[0] < self._period / self._ENTRIES:
                last[1] = start
                last[2] += cost
                return last
        log.append([start, start, cost])
        return log[-1]


class Reservation:
    """Units that were set aside for one call.

    Attributes:
        delay: Seconds to wait before going ahead; 0 means now.
    """

    __slots__ = ("_claim", "_cost", "_state", "delay")

    def __init__(self, delay: float, state: LimiterState, cost: float, claim: Any) -> None:
        self.delay = delay
        self._state = state
        self._cost = cost
        self._claim = claim

    def cancel(self) -> None:
        """Give the units back, since the call was not made. More than once does no more."""
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

    Delays are exact; when a caller that was told to wait really wakes up is up to its clock.

    Args:
        policy: The rate, how long a call may wait, and the algorithm.
        name: The name of what is limited, for errors.
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
        self.local = state.local

    def reserve(self, cost: float = 1.0, wait: float | None = None) -> Reservation:
        """Set units aside, and say how long to wait before spending them.

        Args:
            cost: The units. Default 1. What costs nothing never waits.
            wait: Seconds that this caller may wait, where that is less than ``policy.wait``. None:
                as the policy says.

        Raises:
            RateLimited: The wait would be longer than ``policy.wait`` or ``wait`` (``retry_after``
                is when it no longer would), or the units can never go at once (``retry_after`` is
                None).
            ConfigurationError: ``cost`` is negative or no number.
        """
        state = self._state
        if not 0 < cost <= state.most:
            return self._odd(cost)
        patience = self._patience if wait is None else min(wait, self._patience)
        delay, claim = state.take(cost, patience)
        if claim is None:
            raise RateLimited(
                f"the rate limit of {self.name!r} ({self.policy.rate}) is used up",
                retry_after=delay - patience,
            )
        return Reservation(delay, state, cost, claim)

    def acquire(self, cost: float = 1.0) -> None:
        """Block this thread until ``cost`` units may be spent; args and errors as in `reserve`."""
        reservation = self.reserve(cost)
        if reservation.delay:
            try:
                self.clock.sleep(reservation.delay)
            except BaseException:
                reservation.cancel()
                raise

    async def aacquire(self, cost: float = 1.0) -> None:
        """Suspend this task until ``cost`` units may be spent; args and errors as in `reserve`."""
        reservation = self.reserve(cost)
        if reservation.delay:
            try:
                await self.clock.asleep(reservation.delay)
            except BaseException:
                reservation.cancel()
                raise

    def spend(self, cost: float) -> None:
        """Take units that have been used already; who comes later waits until they are made up for.

        It never waits and is never turned away. For what is known afterwards only, such as the
        tokens of a model's answer.

        Args:
            cost: The units, which may be more than could ever go at once. 0 or less does nothing.
        """
        if cost > 0:
            self._state.take(cost, math.inf)

    def _odd(self, cost: float) -> Reservation:
        if check.number("cost", cost) < 0:
            raise ConfigurationError("cost", f"must be 0 or more, not {cost!r}")
        if cost:
            raise RateLimited(
                f"a call of {cost:g} units never fits into the rate limit of {self.name!r}"
                f" ({self.policy.rate}), which lets {self._state.most:g} go at once"
            )
        return Reservation(0.0, self._state, cost, None)
