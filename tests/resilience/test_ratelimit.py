"""Rate limits, against their definitions."""

from __future__ import annotations

import asyncio
import doctest
import math
import threading
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples

from toolops_plugins import ToolOps
from toolops_plugins.errors import ConfigurationError, DeadlineExceeded, RateLimited
from toolops_plugins.policy import RateLimit
from toolops_plugins.resilience import ratelimit as ratelimit_module
from toolops_plugins.resilience.limiter_states import SlidingWindow
from toolops_plugins.resilience.ratelimit import Limiter
from toolops_plugins.testing import FakeClock


class Clock:
    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds):
        self.sleep(seconds)


BOTH = pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window"])


def make(rate, **policy):
    clock = Clock()
    return Limiter(RateLimit(rate, **policy), "quotes", clock), clock


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(ratelimit_module)
    assert result.attempted >= 3
    assert result.failed == 0


# Over any interval, whatever callers do

WAITS = st.sampled_from([0.0, 0.25, 1.0, 2.5, 7.0, 10.0, 15.0])
COSTS = st.sampled_from([0.5, 1.0, 1.0, 2.0, 3.0, 4.0])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), COSTS),
        st.tuples(st.just("wait"), WAITS),
        st.tuples(st.just("cancel"), st.integers(0, 50)),
        st.tuples(st.just("cancel late"), st.integers(0, 50)),
    ),
    max_size=80,
)


def play(limiter, clock, actions):
    """Return the units by their start, in order of time, and the starts in order of asking."""
    reserved, delays = [], []
    for kind, value in actions:
        if kind == "wait":
            clock.now += value
        elif kind == "reserve":
            try:
                reservation = limiter.reserve(value)
            except RateLimited:
                continue
            delays.append(clock.now + reservation.delay)
            reserved.append([clock.now + reservation.delay, value, reservation])
        elif reserved:
            # A caller that is cancelled never goes ahead; mostly that happens while it waits,
            # but a bulkhead may also turn it away when its time has come.
            start, _, reservation = victim = reserved[value % len(reserved)]
            if start >= clock.now or kind == "cancel late":
                reservation.cancel()
                reservation.cancel()
                reserved.remove(victim)
    return sorted((start, cost) for start, cost, _ in reserved), delays


CANCELLED_WHEN_FULL = [
    ("reserve", 0.5),
    ("wait", 0.25),
    ("reserve", 0.5),
    ("reserve", 0.5),
    ("reserve", 3.0),
    ("cancel late", 0),
    ("reserve", 0.5),
]


TWO_TURNS_THAT_END_AT_ONE_TIME = [
    ("reserve", 1.0),
    ("wait", 1.0),
    ("reserve", 4.0),
    ("reserve", 1.0),
    ("reserve", 1.0),
    ("reserve", 3.0),
    ("cancel", 2),
    ("cancel late", 0),
    ("reserve", 4.0),
    ("wait", 10.0),
    ("reserve", 1.0),  # it ends where the one before it did, since the third one's unit is left
    ("cancel late", 3),  # that one
    ("reserve", 4.0),
    ("reserve", 4.0),
]

A_LONGER_TURN_AFTER_ONE_THAT_WAS_LEFT = [
    ("reserve", 4.0),
    ("reserve", 0.5),
    ("reserve", 3.0),
    ("cancel", 0),
    ("wait", 1.0),
    ("reserve", 4.0),  # the bucket has to hold all of its units, and none of the first
    ("wait", 7.0),
    ("reserve", 3.0),
]
CANCELLED_WHEN_OTHERS_HAD_TAKEN_WHAT_WAS_LEFT = [
    *[("reserve", 1.0)] * 6,
    ("reserve", 0.5),
    ("reserve", 2.0),
    ("reserve", 4.0),
    ("cancel late", 2),
    ("wait", 7.0),
    ("reserve", 1.0),
    ("cancel late", 0),
    ("reserve", 1.0),
]

A_PART_OF_A_TURN_THAT_WAS_LEFT = [
    ("reserve", 1.0),
    ("reserve", 0.5),
    ("reserve", 3.0),
    ("cancel", 0),
    ("reserve", 2.0),
    ("cancel", 1),
    ("wait", 0.25),
    ("reserve", 1.0),
    ("cancel late", 1),
    ("cancel late", 0),
    ("reserve", 3.0),
    ("reserve", 1.0),
]

OTHERS_WAIT_IN_A_TURN_THAT_WAS_LEFT = [
    ("reserve", 0.5),
    ("reserve", 4.0),
    ("reserve", 2.0),
    ("cancel late", 1),
    ("reserve", 0.5),
    ("reserve", 1.0),
    ("cancel late", 1),
    ("reserve", 3.0),
    ("cancel", 0),
    ("cancel late", 2),
    ("reserve", 3.0),
]

A_TURN_FROM_BEFORE_UNITS_CAME_BACK = [
    ("reserve", 1.0),
    ("reserve", 2.0),
    ("cancel", 1),
    ("reserve", 3.0),
    ("cancel late", 0),
    ("cancel", 0),
    ("reserve", 3.0),
    ("wait", 1.0),
    ("reserve", 1.0),
    ("cancel late", 0),
    ("reserve", 4.0),
]


@example(CANCELLED_WHEN_FULL, 4.0, None)
@example(A_TURN_FROM_BEFORE_UNITS_CAME_BACK, 4.0, 0)
@example(OTHERS_WAIT_IN_A_TURN_THAT_WAS_LEFT, 4.0, 3)
@example(A_PART_OF_A_TURN_THAT_WAS_LEFT, 4.0, 3)
@example(A_LONGER_TURN_AFTER_ONE_THAT_WAS_LEFT, 4.0, None)
@example(CANCELLED_WHEN_OTHERS_HAD_TAKEN_WHAT_WAS_LEFT, 5.0, None)
@example(TWO_TURNS_THAT_END_AT_ONE_TIME, 8.0, 20)
@examples(4)
@given(ACTIONS, st.sampled_from([4.0, 5.0, 8.0]), st.sampled_from([None, 0, 3, 20]))
def test_a_bucket_never_passes_its_burst_and_rate_in_any_interval(actions, burst, wait):
    limiter, clock = make("10/10s", burst=burst, wait=wait)
    limiter._state._GAPS = 3
    units, starts = play(limiter, clock, actions)
    for i, (begin, _) in enumerate(units):
        total = 0.0
        for end, cost in units[i:]:
            total += cost
            assert total <= burst + (end - begin) + 1e-5
    if not any(kind.startswith("cancel") for kind, _ in actions):
        assert starts == sorted(starts)


@examples(4)
@given(ACTIONS, st.sampled_from([None, 0, 3, 20]), st.sampled_from([2, 1024]))
def test_a_window_never_holds_more_than_its_count(actions, wait, entries):
    limiter, clock = make("6/10s", algorithm="sliding_window", wait=wait)
    limiter._state._ENTRIES = entries
    units, starts = play(limiter, clock, actions)
    for end, _ in units:
        assert sum(cost for at, cost in units if end - 10 + 1e-6 < at <= end) <= 6
    if not any(kind.startswith("cancel") for kind, _ in actions):
        assert starts == sorted(starts)


@examples(4)
@given(st.lists(st.tuples(WAITS, COSTS), max_size=60))
def test_a_window_gives_the_earliest_turn_that_order_and_count_allow(calls):
    limiter, clock = make("6/10s", algorithm="sliding_window")
    went = []
    for wait, cost in calls:
        clock.now += wait
        earliest = max([clock.now, *(at for at, _ in went[-1:])])
        choices = sorted({earliest, *(at + 10 for at, _ in went if at + 10 > earliest)})
        expected = next(
            start
            for start in choices
            if sum(units for at, units in went if at > start - 10) + cost <= 6
        )
        assert clock.now + limiter.reserve(cost).delay == pytest.approx(expected)
        went.append((expected, cost))


@examples(4)
@given(st.lists(st.tuples(WAITS, COSTS), max_size=60))
def test_a_bucket_gives_the_turn_that_a_counted_bucket_would(calls):
    limiter, clock = make("10/10s", burst=4)
    level, at = Fraction(4), Fraction(1000)  # after the last turn, which may lie ahead
    for wait, cost in calls:
        clock.now += wait
        now = max(Fraction(clock.now), at)
        level, at = min(Fraction(4), level + now - at), now
        start = at + max(Fraction(0), Fraction(cost) - level)
        level, at = level + (start - at) - Fraction(cost), start
        assert clock.now + limiter.reserve(cost).delay == pytest.approx(float(start))


# Burst, refill, rejection


def test_a_bucket_lets_its_burst_go_and_then_spaces_calls_evenly():
    limiter, clock = make("60/min", burst=3)
    assert [limiter.reserve().delay for _ in range(6)] == pytest.approx([0, 0, 0, 1, 2, 3])
    clock.now += 100
    assert [limiter.reserve().delay for _ in range(4)] == pytest.approx([0, 0, 0, 1])


def test_without_burst_the_whole_count_may_go_at_once():
    limiter, _ = make("3/min", wait=0)
    for _ in range(3):
        limiter.reserve()
    with pytest.raises(RateLimited):
        limiter.reserve()


@pytest.mark.parametrize("uptime", [0.0, 1e3, 123456.789, 1e7 + 0.1])
@pytest.mark.parametrize("rate", ["7/s", "100/min", "3000/h", "1000/7s"])
@BOTH
def test_rounding_rejects_no_caller(algorithm, rate, uptime):
    limiter, clock = make(rate, wait=0, algorithm=algorithm)
    clock.now = uptime
    policy = limiter.policy
    for _ in range(3):
        for _ in range(int(policy.count)):
            assert limiter.reserve().delay == 0
        with pytest.raises(RateLimited):
            limiter.reserve()
        clock.now += policy.period


@BOTH
def test_fractions_add_up_to_the_count(algorithm):
    limiter, _ = make("0.3/s", wait=0, cost=0.1, algorithm=algorithm)
    for _ in range(3):
        assert limiter.reserve(0.1).delay == 0
    with pytest.raises(RateLimited):
        limiter.reserve(0.1)


@BOTH
def test_a_caller_that_would_wait_too_long_learns_when_to_retry_and_takes_nothing(algorithm):
    limiter, clock = make("1/10s", wait=4, algorithm=algorithm)
    assert limiter.reserve().delay == 0
    for _ in range(3):
        with pytest.raises(RateLimited, match=r"'quotes' \(1/10s\) is used up") as caught:
            limiter.reserve()
        assert caught.value.retry_after == pytest.approx(6)
    clock.now += caught.value.retry_after
    assert limiter.reserve().delay == pytest.approx(4)


def test_a_fixed_cost_that_can_never_fit_is_refused_by_the_policy():
    with pytest.raises(ConfigurationError, match="cost"):
        RateLimit("5/s", cost=6)
    with pytest.raises(ConfigurationError, match="cost"):
        RateLimit("5/s", burst=2, cost=3)
    assert RateLimit("5/s", burst=9, cost=8)


@pytest.mark.parametrize(("algorithm", "delay"), [("token_bucket", 31.0), ("sliding_window", 60.0)])
def test_later_callers_make_up_for_units_that_were_spent_already(algorithm, delay):
    limiter, clock = make("60/min", algorithm=algorithm, wait=delay)
    limiter.spend(90)
    limiter.spend(0)
    limiter.spend(-1)
    assert clock.slept == []
    limiter.acquire()
    assert clock.slept == [pytest.approx(delay)]
    limiter.spend(1_000)
    with pytest.raises(RateLimited):
        limiter.reserve()


@BOTH
def test_what_can_never_fit_is_refused_at_once(algorithm):
    limiter, _ = make("5/s", algorithm=algorithm)
    with pytest.raises(RateLimited, match="never fits") as caught:
        limiter.reserve(5.5)
    assert caught.value.retry_after is None
    assert limiter.reserve(5).delay == 0


@BOTH
def test_costs(algorithm):
    limiter, _ = make("100/min", algorithm=algorithm)
    assert limiter.reserve(100).delay == 0
    free = limiter.reserve(0)
    assert free.delay == 0
    free.cancel()
    assert limiter.reserve(1).delay > 0
    for wrong in (-1, math.nan, -math.inf, math.inf):
        with pytest.raises(ConfigurationError, match="cost"):
            limiter.reserve(wrong)


# Giving back


@BOTH
def test_the_last_in_line_gives_all_its_units_back(algorithm):
    limiter, clock = make("10/10s", algorithm=algorithm)
    limiter.reserve(6)
    big = limiter.reserve(10)
    assert big.delay == pytest.approx(6 if algorithm == "token_bucket" else 10)
    clock.now += 1
    big.cancel()
    big.cancel()
    assert limiter.reserve(4).delay == 0
    assert limiter.reserve(4).delay > 0


@BOTH
def test_a_caller_that_gives_back_once_at_most_needs_no_reservation(algorithm):
    limiter, _ = make("10/10s", algorithm=algorithm, wait=10)
    assert limiter.take(6)[0] == 0
    delay, claim = limiter.take(10)
    assert delay == pytest.approx(6 if algorithm == "token_bucket" else 10)
    with pytest.raises(RateLimited, match=r"'quotes' \(10/10s\) is used up"):
        limiter.take(10)
    limiter.give_back(10, claim)
    with pytest.raises(RateLimited):
        limiter.take(10, 0)
    assert limiter.take(4, 0)[0] == 0
    limiter.give_back(0, limiter.take(0)[1])
    for wrong in (-1, 10.5):
        with pytest.raises((ConfigurationError, RateLimited)):
            limiter.take(wrong)
    assert limiter.take()[0] > 0


def test_a_window_takes_units_back_from_the_middle_of_the_line():
    limiter, _ = make("2/10s", algorithm="sliding_window")
    line = [limiter.reserve() for _ in range(4)]
    assert [r.delay for r in line] == [0, 0, 10, 10]
    line[2].cancel()
    assert limiter.reserve().delay == 10
    assert limiter.reserve().delay == 20


def test_a_bucket_lets_a_newcomer_take_the_turn_of_a_caller_that_left_the_queue():
    limiter, clock = make("10/10s", burst=3)
    line = [limiter.reserve(cost) for cost in (3, 3, 3, 1)]
    assert [r.delay for r in line] == pytest.approx([0, 3, 6, 7])
    line[2].cancel()
    line[1].cancel()
    clock.now += 4  # too late for the gap at 3, and in time for the one at 6
    assert [limiter.reserve().delay for _ in range(4)] == pytest.approx([2, 2, 2, 4])
    assert limiter._state._gaps == []


def test_a_newcomer_that_does_not_fit_into_a_gap_goes_to_the_end():
    limiter, _ = make("10/10s", burst=3)
    line = [limiter.reserve(cost) for cost in (3, 1, 3)]
    line[1].cancel()
    assert [limiter.reserve(cost).delay for cost in (2, 1)] == pytest.approx([6, 1])


def test_units_that_have_refilled_meanwhile_are_not_given_back():
    limiter, clock = make("10/10s", burst=3)
    early = limiter.reserve(3)
    limiter.reserve(1)
    clock.now += 60
    limiter.reserve(1)
    early.cancel()
    assert [limiter.reserve().delay for _ in range(3)] == pytest.approx([0, 0, 1])


def test_a_newcomer_of_a_window_that_others_have_left_still_waits_no_longer_than_it_may():
    limiter, _ = make("2/10s", algorithm="sliding_window", wait=10)
    line = [limiter.reserve() for _ in range(4)]
    line[2].cancel()
    assert limiter.reserve().delay == 10
    with pytest.raises(RateLimited) as caught:
        limiter.reserve()
    assert caught.value.retry_after == 10
    line[3].cancel()
    assert limiter.reserve().delay == 10


def test_a_window_takes_units_back_that_have_become_one_entry_with_others():
    limiter, clock = make("4/10s", algorithm="sliding_window")
    limiter._state._ENTRIES = 2
    limiter.reserve()
    limiter.reserve()
    clock.now += 2.5
    last = limiter.reserve()  # joins the one before it
    last.cancel()
    assert limiter.reserve(2).delay == 0
    assert limiter.reserve().delay > 0


def test_a_turn_among_earlier_ones_becomes_one_entry_with_its_neighbour():
    limiter, clock = make("3/10s", algorithm="sliding_window")
    limiter._state._ENTRIES = 2
    line = [limiter.reserve() for _ in range(5)]
    line[3].cancel()
    clock.now += 1
    entries = len(limiter._state._log)
    assert limiter.reserve().delay == pytest.approx(9)
    assert len(limiter._state._log) == entries
    assert limiter.reserve(2).delay == pytest.approx(19)


def test_the_gaps_in_a_line_are_bounded():
    limiter, clock = make("1/s")
    line = [limiter.reserve() for _ in range(5000)]
    for reservation in line[:-1]:
        reservation.cancel()
    assert len(limiter._state._gaps) == 1024
    clock.now += 10_000
    limiter.reserve(1)
    limiter.reserve(1)
    assert limiter._state._gaps == []


def test_a_cancelled_call_gives_back_its_units():
    limiter, clock = make("1/10s")

    class Interrupted(BaseException):
        pass

    def interrupt(seconds):
        raise Interrupted

    limiter.acquire()
    clock.sleep = interrupt
    with pytest.raises(Interrupted):
        limiter.acquire()
    assert limiter.reserve().delay == pytest.approx(10)


async def test_a_cancelled_task_gives_back_its_units():
    limiter, clock = make("1/10s")
    waiting = asyncio.Event()

    async def never(seconds):
        waiting.set()
        await asyncio.Event().wait()

    clock.asleep = never
    await limiter.aacquire()
    task = asyncio.create_task(limiter.aacquire())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.reserve().delay == pytest.approx(10)


# Callers who give up


class Line:
    """The times that a window has given out, and the earliest that it could give next."""

    def __init__(self, count, period):
        self.count, self.period = count, period
        self.taken = []

    def fits(self, start, cost):
        # A window is fullest where it ends: at the new time, or at one of those in line after it.
        ends = [start, *(at for at, _ in self.taken if start <= at < start + self.period)]
        return all(
            sum(units for at, units in self.taken if end - self.period < at <= end) + cost
            <= self.count
            for end in ends
        )

    def earliest(self, now, cost):
        choices = sorted({now, *(at + self.period for at, _ in self.taken)})
        return next(start for start in choices if start >= now and self.fits(start, cost))


LAST_ONE_LEFT_WHEN_ALL_BEFORE_HAD_EXPIRED = [
    ("reserve", 0.5),
    ("wait", 15.0),
    ("reserve", 1.0),
    ("cancel", 1),
    ("reserve", 4.0),
    ("reserve", 3.0),
    ("reserve", 1.0),
]


@example(LAST_ONE_LEFT_WHEN_ALL_BEFORE_HAD_EXPIRED)
@given(ACTIONS)
def test_a_window_gives_the_earliest_time_that_fits_after_a_caller_left_the_queue(actions):
    limiter, clock = make("6/10s", algorithm="sliding_window")
    line, reserved, left_at = Line(6, 10), [], -math.inf
    for kind, value in actions:
        if kind == "wait":
            clock.now += value
        elif kind == "reserve":
            expected = line.earliest(clock.now, value)
            reservation = limiter.reserve(value)
            start = clock.now + reservation.delay
            if clock.now < left_at:
                assert start == pytest.approx(expected)
            else:
                assert start >= expected - 1e-6
            line.taken.append((start, value))
            reserved.append((start, value, reservation))
        elif reserved:
            start, cost, reservation = reserved.pop(value % len(reserved))
            if start < clock.now:
                continue
            reservation.cancel()
            line.taken.remove((start, cost))
            # Where nobody is left in the window, turns follow the order of asking again.
            empty = all(at + 10 <= clock.now for at, _ in line.taken)
            left_at = -math.inf if empty else max(left_at, start + 10)


@pytest.mark.parametrize("patience", [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("bunch", [1, 7, 30])
@BOTH
def test_callers_who_give_up_take_no_turns_from_others(algorithm, bunch, patience):
    """Thirty callers a second at ten a second, and nobody waits longer than the patience."""
    limiter, clock = make("10/s", algorithm=algorithm)
    begin, line, went = clock.now, [], []
    for number in range(0, 600, bunch):
        clock.now = begin + number / 30
        for reservation, start, end in list(line):
            if start <= clock.now and start <= end:
                went.append(start)
                line.remove((reservation, start, end))
            elif end <= clock.now:
                reservation.cancel()
                line.remove((reservation, start, end))
        for _ in range(bunch):
            reservation = limiter.reserve()
            start = clock.now + reservation.delay
            line.append((reservation, start, clock.now + patience))
    late = [start for start in went if start >= begin + 5 and start < begin + 18]
    assert len(late) >= 0.8 * 130
    for start in went:
        held = sum(1 for at in went if start - 1 + 1e-6 < at <= start)
        assert held <= (20 if algorithm == "token_bucket" else 10)


def test_a_bucket_keeps_the_units_of_a_turn_that_was_not_taken():
    limiter, clock = make("10/10s", burst=3)
    line = [limiter.reserve(cost) for cost in (3, 1, 1, 1, 1, 1)]
    assert [r.delay for r in line] == pytest.approx([0, 1, 2, 3, 4, 5])
    for left in line[1:3]:
        left.cancel()
    clock.now += 2.5
    assert [limiter.reserve().delay for _ in range(3)] == pytest.approx([0, 0, 3.5])


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_full_bucket_holds_no_units_of_turns_that_passed(meanwhile):
    limiter, clock = make("10/10s", burst=3)
    line = [limiter.reserve(cost) for cost in (3, 1, 1, 1)]
    line[1].cancel()
    if meanwhile:  # somebody asks while others still wait, and takes nothing
        clock.now += 1.5
        with pytest.raises(RateLimited):
            limiter.reserve(3, wait=0)
    clock.now += 100
    assert [limiter.reserve().delay for _ in range(4)] == pytest.approx([0, 0, 0, 1])


def test_a_call_without_a_line_gives_back_all_its_units_whatever_waited_before():
    limiter, clock = make("10/10s", burst=3)
    assert [limiter.reserve(3).delay for _ in range(2)] == pytest.approx([0, 3])
    clock.now += 100
    first, _ = limiter.reserve(), limiter.reserve()
    first.cancel()
    assert [limiter.reserve(2).delay for _ in range(2)] == pytest.approx([0, 2])


def test_a_line_that_all_have_left_is_empty():
    limiter, clock = make("10/10s", burst=3)
    line = [limiter.reserve() for _ in range(9)]
    for left in line[3:]:
        left.cancel()
    clock.now += 1
    assert [limiter.reserve().delay for _ in range(2)] == pytest.approx([0, 1])


@BOTH
def test_a_tool_gives_back_the_turn_of_a_caller_whose_deadline_passed(algorithm):
    clock = FakeClock()
    with ToolOps("limits", clock=clock) as ops:
        tool = ops.tool(rate_limit=RateLimit("1/10s", algorithm=algorithm), name="t")(lambda: 1)
        tool()
        limiter = ops.limiter(RateLimit("1/10s", algorithm=algorithm), "t")
        first, _ = limiter.reserve(), limiter.reserve()
        first.cancel()
        with ops.deadline(4), pytest.raises(DeadlineExceeded):
            tool()
        assert limiter.reserve().delay == pytest.approx(6)


@BOTH
async def test_a_tool_gives_back_the_turn_of_a_task_that_was_cancelled(algorithm):
    class Standing(FakeClock):
        async def asleep(self, seconds):
            await asyncio.Event().wait()

    async with ToolOps("limits", clock=Standing()) as ops:

        @ops.tool(rate_limit=RateLimit("1/10s", algorithm=algorithm), name="t")
        async def tool():
            return 1

        await tool()
        limiter = ops.limiter(RateLimit("1/10s", algorithm=algorithm), "t")
        line = [asyncio.create_task(tool()) for _ in range(3)]
        await asyncio.sleep(0)
        for task in line[:2]:
            task.cancel()
        await asyncio.wait(line[:2])
        assert [limiter.reserve().delay for _ in range(3)] == pytest.approx([10, 20, 40])
        line[2].cancel()
        await asyncio.wait(line)


# Alone, in threads, and for long


@BOTH
async def test_waiting_in_both_worlds(algorithm):
    limiter, clock = make("2/10s", algorithm=algorithm)
    limiter.acquire(2)
    limiter.acquire(2)
    await limiter.aacquire(2)
    assert clock.slept == pytest.approx([10, 10])


@BOTH
def test_threads_never_take_more_than_there_is(algorithm):
    limiter, _ = make("1000/h", wait=0, algorithm=algorithm)
    taken, start = [], threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(400):
            try:
                taken.append(limiter.reserve())
            except RateLimited:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1000


def test_entries_that_become_one_count_as_late_as_the_latest():
    limiter, clock = make("6/10s", algorithm="sliding_window")
    limiter._state._ENTRIES = 2
    limiter.reserve()
    limiter.reserve()
    clock.now += 2.5
    limiter.reserve()  # joins the one before it
    assert len(limiter._state._log) == 2
    clock.now += 7.5
    assert limiter.reserve(5).delay == pytest.approx(2.5)


def test_the_log_of_a_window_is_bounded():
    limiter, clock = make("1000000/10s", algorithm="sliding_window")
    state = limiter._state
    assert isinstance(state, SlidingWindow)
    for _ in range(30_000):
        clock.now += 0.001
        limiter.reserve()
    assert len(state._log) <= 2 * 1024 + 1
    assert state._units == pytest.approx(10_000, rel=0.002)
    clock.now += 11
    limiter.reserve()
    assert len(state._log) == 1
