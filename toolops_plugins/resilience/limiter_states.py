"""Algorithms of rate limits: a token bucket and a sliding window."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right, insort
from collections import deque
from itertools import islice
from typing import Any, Protocol, TypeAlias

from toolops_plugins.clock import Clock
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["LimiterState", "SlidingWindow", "TokenBucket"]

# Seconds that are a rounding error: a monotonic clock has such steps after months.
_EPSILON = 1e-6

_BucketClaim: TypeAlias = tuple[float, float, int]
"""The time at which the bucket is full again after these units; the time at which they may be
spent; and the number of shifts when the first of both was set, or _NOT_IN_LINE."""
_NOT_IN_LINE = -1  # for the number of shifts


class LimiterState(Protocol):
    """The store of a limit's units.

    A limit that several processes share can implement this protocol. It must be safe to use from
    any threads and event loops.
    """

    local: bool
    """True: nothing blocks, so the flow calls the limiter directly. False: the flow goes through an
    ``Io`` step, and the state also has awaitable twins."""

    capacity: float
    """The units that can ever go at once."""

    def take(self, cost: float, patience: float) -> tuple[float, Any]:
        """Return the seconds to wait before spending ``cost`` units, and a claim on them.

        Where the wait would be longer than ``patience`` no units are taken, and the claim is None.
        """
        ...

    def give_back(self, cost: float, claim: Any) -> None:
        """Return units that will not be spent."""
        ...


class TokenBucket:
    """Units that refill at a constant rate, up to a burst.

    In any time of ``t`` seconds at most ``burst + t * count / period`` units are spent. The state
    is one number, by virtual scheduling (GCRA; ITU-T I.371, annex A): the time at which the bucket
    will be full again.

    Units that are returned are for later callers. The last caller in the queue returns them at
    once. A caller further up leaves a gap at its own time: the callers behind it have times of
    their own, and the units that they wait for must not be spent twice. A later caller that fits
    takes the first gap. When the time of a gap passes, its units stay in the bucket as far as it
    holds them. Units that are returned after their time are reduced by those that may have refilled
    meanwhile: the bucket could have been full, and then holds no more.

    Args:
        count: Units in a period.
        period: Seconds.
        burst: Units that may go at once after a quiet time.
        clock: The source of time.
    """

    local = True
    _GAPS = 1024

    def __init__(self, count: float, period: float, burst: float, clock: Clock) -> None:
        self.capacity = burst
        self._unit = period / count
        self._depth = burst * self._unit
        self._monotonic = clock.monotonic
        self._full = -math.inf
        # In order of time: the end of a turn, its units, and the shifts of its claim.
        self._gaps: list[tuple[float, float, int]] = []
        self._spare = 0.0  # units of gaps that have passed while others waited
        self._widest = 0.0  # the most units that a caller in line may wait for
        self._maybe_full = -math.inf  # when the bucket may last have been full
        self._spare_taken = -math.inf  # when spare units were last taken
        self._shifts = 0  # how often the time of the full bucket has moved for spare units
        self._lock = fork_safe(self, threading.Lock())

    def take(self, cost: float, patience: float) -> tuple[float, _BucketClaim | None]:
        """Return the seconds to wait and a claim, as :meth:`LimiterState.take` does."""
        with self._lock:
            now = self._monotonic()
            full = self._full
            full = (full if full > now else now) + cost * self._unit  # noqa: FURB136 - max() is slower
            if full - self._depth > now or self._gaps or self._spare:
                return self._take_turn(cost, patience, now)
            # Most calls find nobody in line, and go at once.
            self._full = full
            self._widest = cost
            return 0.0, (full, now, self._shifts)

    def _take_turn(
        self, cost: float, patience: float, now: float
    ) -> tuple[float, _BucketClaim | None]:
        """Take units for which there is a line, or a gap in one."""
        self._note_fullness(now)
        if self._gaps or self._spare:
            self._expire(now)
        full = max(now, self._full) + cost * self._unit
        delay = full - self._depth - now
        if delay > _EPSILON and cost <= self._spare:
            self._spare -= cost
            # Together with the units that wait, that may have been all that the bucket could hold.
            self._maybe_full = self._spare_taken = now
            return 0.0, (now + self._depth, now, _NOT_IN_LINE)
        shifts = self._shifts
        gap = self._find_gap(cost, now, delay) if self._gaps else None
        if gap is not None:
            delay = gap - self._depth - now
        if delay - patience > _EPSILON:
            return delay, None
        if gap is None:
            waits = self._full - self._depth > now
            self._widest = max(self._widest, cost) if waits else cost
            self._spare = min(self._spare, self._room_for_spare())
            self._full = full
        else:
            full, shifts = gap, self._fill_gap(gap, cost)
        wait = delay if delay > _EPSILON else 0.0
        return wait, (full, now + wait, shifts)

    def give_back(self, cost: float, claim: _BucketClaim) -> None:
        """Return units that will not be spent."""
        full, start, shifts = claim
        with self._lock:
            now = self._monotonic()
            self._note_fullness(now)
            last = shifts == self._shifts and abs(self._full - full) < _EPSILON
            # While a caller is in the queue the bucket is not full, and loses no units.
            since = self._spare_taken if last else self._maybe_full
            cost -= max(since - start, 0.0) / self._unit
            if cost <= 0.0:
                return
            if last:
                self._full -= cost * self._unit
                # Those before it may have left already.
                while self._is_last_turn_a_gap():
                    self._full -= self._gaps.pop()[1] * self._unit
            else:
                insort(self._gaps, (full, cost, shifts))
            self._expire(now)

    def _note_fullness(self, now: float) -> None:
        if self._full - self._depth <= now:
            self._maybe_full = now

    def usage(self) -> tuple[float, float]:
        """Return the spent units that have not refilled yet, and the seconds that one waits."""
        with self._lock:
            line = max(self._full - self._monotonic(), 0.0)
        return min(line / self._unit, self.capacity), max(line + self._unit - self._depth, 0.0)

    def reset_after_fork(self) -> None:
        """Keep the spent units; the callers in the queue are the parent's."""
        now = self._monotonic()
        self._full = min(self._full, now + self._depth)
        self._shifts += 1
        self._gaps = []
        self._spare = 0.0

    def _expire(self, now: float) -> None:
        """Move the units of past gaps into the bucket, and drop gaps past the cap."""
        gaps = self._gaps
        first = bisect_left(gaps, (now + self._depth,))
        if first:
            past = sum(units for _, units, _ in gaps[:first])
            self._spare = min(self._spare + past, self._room_for_spare())
        del gaps[: max(first, len(gaps) - self._GAPS)]
        if self._spare and self._full - self._depth <= now:  # the queue is empty
            self._full -= self._spare * self._unit
            self._spare = 0.0
            self._shifts += 1

    def _room_for_spare(self) -> float:
        # The bucket also has to hold the units that the next caller waits for.
        return max(self.capacity - self._widest, 0.0)

    def _find_gap(self, cost: float, now: float, delay: float) -> float | None:
        """Return the claim of the first gap that is wide enough and comes before ``delay``."""
        for claim, units, _ in self._gaps:
            if claim - self._depth - now >= delay:
                break
            if units >= cost:
                return claim
        return None

    def _fill_gap(self, gap: float, cost: float) -> int:
        """Put units into a gap; return the shifts for their claim."""
        i = next(i for i, (end, units, _) in enumerate(self._gaps) if end == gap and units >= cost)
        _, units, shifts = self._gaps.pop(i)
        if units <= cost:
            return shifts
        # All that share a turn wait for its time, up to which the bucket may be full: even where
        # they come to be the last, their units are not returned at once.
        insort(self._gaps, (gap, units - cost, _NOT_IN_LINE))
        return _NOT_IN_LINE

    def _is_last_turn_a_gap(self) -> bool:
        if not self._gaps:
            return False
        end, _, shifts = self._gaps[-1]
        return shifts == self._shifts and abs(self._full - end) < _EPSILON


class SlidingWindow:
    """At most ``count`` units in any period, wherever it begins.

    The state is an exact log of spent units, with the times that were given to callers in the
    queue. Turns follow the order of asking. Units that are returned are for later callers: after a
    caller has left the queue, a later one gets the earliest time at which no window would hold too
    much, which changes no other caller's time.

    Where the log of one period grows past 1024 entries, entries that lie less than a 1024th of the
    period apart become one, which counts from the time of the first to that of the last. By that
    much the limit errs on the safe side.

    Args:
        count: Units in any period.
        period: Seconds.
        clock: The source of time.
    """

    local = True
    _ENTRIES = 1024

    def __init__(self, count: float, period: float, clock: Clock) -> None:
        self.capacity = count
        self._rounded_capacity = count * (1 + 1e-9)  # forgives the rounding of sums of fractions
        self._period = period
        self._monotonic = clock.monotonic
        # Entries [first time, last time, units] in order of time, those to come included.
        self._log: deque[list[float]] = deque()
        # How many entries at the front lie a period or more before the last one; and the units of
        # all the others.
        self._passed = 0
        self._units = 0.0
        self._left_until = -math.inf  # when units that came back count in no window any more
        self._lock = fork_safe(self, threading.Lock())

    def take(self, cost: float, patience: float) -> tuple[float, list[float] | None]:
        """Return the seconds to wait and a claim, as :meth:`LimiterState.take` does."""
        with self._lock:
            log, now = self._log, self._monotonic()
            while log and log[0][1] + self._period <= now:
                self._drop_first()
            if now < self._left_until:
                start = self._find_earliest(now, cost)
                if start - now - patience > _EPSILON:
                    return start - now, None
                return start - now, self._insert(start, cost)
            start = now
            if log and log[-1][1] > now:
                start = log[-1][1]
            passed, units = self._passed, self._units
            while passed < len(log) and (
                log[passed][1] + self._period <= start or units + cost > self._rounded_capacity
            ):
                start = max(start, log[passed][1] + self._period)
                units -= log[passed][2]
                passed += 1
            if start - now - patience > _EPSILON:
                return start - now, None
            if passed == len(log):
                units = 0.0  # without the remainder of rounding
            self._passed, self._units = passed, units + cost
            return start - now, self._enter(start, cost)

    def give_back(self, cost: float, claim: list[float]) -> None:
        """Return units that will not be spent."""
        with self._lock:
            log = self._log
            claim[2] -= cost
            self._left_until = max(self._left_until, claim[1] + self._period)
            if claim[2] <= self._rounded_capacity - self.capacity:
                for i, entry in enumerate(log):
                    if entry is claim:
                        del log[i]
                        break
            self._recompute_window()
            if not log:
                self._left_until = -math.inf

    def usage(self) -> tuple[float, float]:
        """Return the units that count in the present window, and the seconds that one waits."""
        with self._lock:
            now = self._monotonic()
            counting = [entry for entry in self._log if entry[1] + self._period > now]
        used = sum(entry[2] for entry in counting)
        over = used + 1.0 - self._rounded_capacity
        free = now
        for _, last, units in counting:
            if over <= 0:
                break
            over -= units
            free = last + self._period
        return min(used, self.capacity), max(free - now, 0.0)

    def reset_after_fork(self) -> None:
        """Keep the spent units; the callers in the queue are the parent's."""
        now = self._monotonic()
        self._log = deque(entry for entry in self._log if entry[0] <= now)
        self._left_until = -math.inf
        self._recompute_window()

    def _recompute_window(self) -> None:
        """Find the window that ends with the last entry."""
        log = self._log
        last = log[-1][1] if log else -math.inf
        self._passed = 0
        while self._passed < len(log) and log[self._passed][1] + self._period <= last:
            self._passed += 1
        self._units = sum(entry[2] for entry in islice(log, self._passed, None))

    def _find_earliest(self, now: float, cost: float) -> float:
        """Return the first time from ``now`` on at which ``cost`` units fit into every window.

        One pass over the times at which the load of the window that ends there changes.
        """
        log, period, room = list(self._log), self._period, self._rounded_capacity - cost
        start, load = now, 0.0
        come = go = 0
        while go < len(log):
            # A window is open at its beginning: an entry of a period ago has left it.
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
                # Too full from here to the next change, where it may fit.
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
        self._recompute_window()
        return entry

    def _drop_first(self) -> None:
        units = self._log.popleft()[2]
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
        entry = [start, start, cost]
        log.append(entry)
        return entry
