"""The circuit breaker, against a model of its states."""

from __future__ import annotations

import asyncio
import concurrent.futures
import doctest
import gc
import threading
import weakref
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from properties import examples

from toolops_plugins.errors import (
    AttemptTimeout,
    BulkheadFull,
    CircuitOpen,
    DeadlineExceeded,
    RateLimited,
)
from toolops_plugins.policy import CircuitBreaker
from toolops_plugins.resilience import breaker as breaker_module
from toolops_plugins.resilience.breaker import Breaker, BreakerSnapshot


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now


def make(**policy):
    """A breaker, its clock and the changes that it reports."""
    clock, changes = Clock(), []
    breaker = Breaker(
        CircuitBreaker(**policy),
        "quotes",
        clock,
        lambda breaker, old, new: changes.append((breaker.name, old, new)),
    )
    return breaker, clock, changes


def fail(breaker, times=1, error=None, seconds=0.1):
    for _ in range(times):
        breaker.admit().fail(error or OSError(), seconds)


def succeed(breaker, times=1, seconds=0.1):
    for _ in range(times):
        breaker.admit().succeed(seconds)


def make_open(**policy):
    breaker, clock, changes = make(window=2, **policy)
    fail(breaker, 2)
    assert breaker.state == "open"
    return breaker, clock, changes


def half_open(**policy):
    """A half-open breaker with one probe under way."""
    breaker, clock, changes = make_open(**policy)
    clock.now += 30
    return breaker, clock, changes, breaker.admit()


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(breaker_module)
    assert result.attempted >= 3
    assert result.failed == 0


# Against a model, which keeps every outcome in a list


class Model(RuleBasedStateMachine):
    @initialize(
        rate=st.sampled_from([0.3, 0.5, 1.0]),
        slow_rate=st.sampled_from([0.5, 1.0]),
        window=st.one_of(st.integers(1, 6), st.just(timedelta(seconds=20))),
        min_calls=st.integers(1, 5),
        probes=st.integers(1, 3),
    )
    def begin(self, rate, slow_rate, window, min_calls, probes):
        self.policy = CircuitBreaker(
            failure_rate=rate,
            slow_rate=slow_rate,
            slow_call=5,
            window=window,
            min_calls=min_calls,
            open_for=10,
            probes=probes,
        )
        self.clock = Clock()
        self.changes = []
        self.breaker = Breaker(
            self.policy, "x", self.clock, lambda _, old, new: self.changes.append((old, new))
        )
        self.state, self.expected = "closed", []
        self.era = 0
        self.outcomes = []  # (bucket, failed, slow)
        self.until = 0.0
        self.passed = 0
        self.permits = []  # [permit, era, time of admission, holds a probe's place]

    def go(self, state):
        if state != self.state:
            self.expected.append((self.state, state))
        self.state = state
        self.era += 1
        self.passed = 0
        for permit in self.permits:
            permit[3] = False
        if state == "open":
            self.until = self.clock.now + 10
        elif state != "half_open":
            self.outcomes = []

    def outcomes_in_window(self):
        if isinstance(self.policy.window, timedelta):
            return [o for o in self.outcomes if o[0] > int(self.clock.now) - 20]
        return self.outcomes[-self.policy.window :]

    def outcome(self, permit, failed, slow):
        _, era, _, _ = permit
        if era != self.era:
            return
        permit[3] = False
        if failed is None:
            return
        if self.state == "half_open":
            self.passed += 1
            if failed or slow:
                self.go("open")
            elif self.passed == self.policy.probes:
                self.go("closed")
        elif self.state in ("closed", "metrics_only"):
            self.outcomes.append((int(self.clock.now), failed, slow))
            window = self.outcomes_in_window()
            failures = sum(f for _, f, _ in window) / len(window)
            slows = sum(s for _, _, s in window) / len(window)
            bad = failures >= self.policy.failure_rate or slows >= self.policy.slow_rate
            if self.state == "closed" and len(window) >= self.policy.min_calls and bad:
                self.go("open")

    @rule()
    def admit(self):
        if self.state == "open" and self.clock.now >= self.until:
            self.go("half_open")
        allowed = self.state in ("closed", "metrics_only", "forced_closed")
        if self.state == "half_open":
            places = self.policy.probes - self.passed
            if sum(p[3] for p in self.permits) >= places:
                for permit in self.permits:
                    permit[3] = permit[3] and self.clock.now < permit[2] + 10
            allowed = sum(p[3] for p in self.permits) < places
        if allowed:
            probe = self.state == "half_open"
            self.permits.append([self.breaker.admit(), self.era, self.clock.now, probe])
        else:
            with pytest.raises(CircuitOpen) as caught:
                self.breaker.admit()
            left = self.until - self.clock.now if self.state == "open" else None
            assert caught.value.retry_after == left

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), kind=st.sampled_from(["ok", "slow", "bad", "bad", "none"]))
    def finish(self, data, kind):
        permit = data.draw(st.sampled_from(self.permits))
        self.permits.remove(permit)
        if kind == "none":
            permit[0].release()
            self.outcome(permit, None, False)
        elif kind == "bad":
            permit[0].fail(OSError(), 0.1)
            self.outcome(permit, True, False)
        else:
            permit[0].succeed(5.0 if kind == "slow" else 4.9)
            self.outcome(permit, False, kind == "slow")
        permit[0].fail(OSError(), 9.0)  # a second outcome counts for nothing

    @rule(seconds=st.sampled_from([1, 5, 10, 19, 20, 25]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(force=st.sampled_from(["force_open", "force_closed", "metrics_only", "reset", "reset"]))
    def force(self, force):
        getattr(self.breaker, force)()
        names = {"force_open": "forced_open", "force_closed": "forced_closed", "reset": "closed"}
        self.go(names.get(force, force))

    @invariant()
    def agrees(self):
        if not hasattr(self, "state"):
            return
        assert self.breaker.state == self.state
        assert self.changes == self.expected
        snapshot, window = self.breaker.snapshot(), self.outcomes_in_window()
        assert snapshot.calls == len(window)
        if window:
            assert snapshot.failure_rate == sum(f for _, f, _ in window) / len(window)
            assert snapshot.slow_rate == sum(s for _, _, s in window) / len(window)
        assert snapshot.opened_total == sum(new == "open" for _, new in self.expected)


TestModel = Model.TestCase
TestModel.settings = examples(0.5, stateful_step_count=40)


# Closed


def test_it_opens_exactly_when_the_rate_is_reached_and_not_before_min_calls():
    breaker, _, changes = make(failure_rate=0.5, window=100, min_calls=10)
    succeed(breaker, 5)
    fail(breaker, 4)
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"
    assert changes == [("quotes", "closed", "open")]
    assert breaker.snapshot() == BreakerSnapshot("open", 0.5, 0.0, 10, 1)


def test_old_outcomes_leave_a_window_of_calls():
    breaker, _, _ = make(window=4, min_calls=4, failure_rate=0.75)
    fail(breaker, 2)
    succeed(breaker, 4)
    fail(breaker, 2)
    assert breaker.state == "closed"
    assert breaker.snapshot().failure_rate == 0.5


def test_old_outcomes_leave_a_window_of_time():
    breaker, clock, _ = make(window=timedelta(seconds=60), min_calls=4)
    fail(breaker, 3)
    clock.now += 60
    fail(breaker, 3)
    assert breaker.state == "closed"
    assert breaker.snapshot().calls == 3
    clock.now += 50
    fail(breaker)
    assert breaker.state == "open"


def test_a_window_of_time_moves_on_step_by_step():
    breaker, clock, _ = make(window=timedelta(seconds=20))
    for _ in range(60):
        clock.now += 1
        succeed(breaker)
    assert breaker.snapshot().calls == 20


def test_one_slow_call_opens_it_where_that_is_the_rate():
    breaker, _, _ = make(window=4, min_calls=4, slow_call=2, slow_rate=0.25)
    succeed(breaker, 3)
    succeed(breaker, 1, seconds=2.5)
    assert breaker.state == "open"


def test_slow_calls_open_it():
    breaker, _, _ = make(window=4, slow_call=2, slow_rate=0.5)
    succeed(breaker, 2, seconds=1.9)
    succeed(breaker, 2, seconds=2.0)
    assert breaker.state == "open"
    assert breaker.snapshot().slow_rate == 0.5
    assert breaker.snapshot().failure_rate == 0.0


@pytest.mark.parametrize(
    "error",
    [
        CircuitOpen("no"),
        RateLimited("no"),
        BulkheadFull("no"),
        DeadlineExceeded("late", seconds=1),
        asyncio.CancelledError(),
        concurrent.futures.CancelledError(),
        GeneratorExit(),
        KeyboardInterrupt(),
    ],
)
def test_what_is_not_the_callees_doing_counts_as_nothing(error):
    breaker, _, _ = make(window=1, on=BaseException)
    fail(breaker, 5, error)
    assert breaker.state == "closed"
    assert breaker.snapshot().calls == 0


@pytest.mark.parametrize(
    ("on", "error", "state"),
    [
        (Exception, ValueError(), "open"),
        (Exception, AttemptTimeout("slow", seconds=1), "open"),
        (OSError, ConnectionError(), "open"),
        (OSError, ValueError(), "closed"),
        (lambda error: "503" in str(error), ValueError("503"), "open"),
        (lambda error: "503" in str(error), ValueError("404"), "closed"),
        (lambda _: 1 / 0, ValueError(), "closed"),
    ],
)
def test_errors_that_do_not_match_are_successes(on, error, state):
    breaker, _, _ = make(window=1, on=on)
    fail(breaker, error=error)
    assert breaker.state == state
    assert breaker.snapshot().calls == 1


@pytest.mark.parametrize(
    ("on_result", "state"), [(lambda r: r is None, "open"), (lambda _: 1 / 0, "closed")]
)
def test_results_may_count_as_failures(on_result, state):
    breaker, _, _ = make(window=1, on_result=on_result)
    breaker.admit().succeed(0.1)  # without a result there is nothing to judge
    assert breaker.state == "closed"
    breaker.admit().succeed(0.1, None)
    assert breaker.state == state


# Tickets, and windows in which a good call changes nothing


def test_a_caller_that_records_each_outcome_once_needs_no_permit():
    breaker, clock, _ = make(window=4, min_calls=4, slow_call=2, probes=1, on=OSError)
    assert breaker.needs_seconds
    breaker.record_success(breaker.take_ticket(), 1.9)
    breaker.record_success(breaker.take_ticket(), 2.0)
    breaker.record_nothing(breaker.take_ticket())
    breaker.record_failure(breaker.take_ticket(), asyncio.CancelledError(), 0.1, None)
    breaker.record_failure(breaker.take_ticket(), OSError("refused"), 0.1, None)
    assert breaker.snapshot() == BreakerSnapshot("closed", 1 / 3, 1 / 3, 3, 0)
    breaker.record_failure(breaker.take_ticket(), OSError("refused"), 0.1, None)
    with pytest.raises(CircuitOpen, match="the last failure was OSError"):
        breaker.take_ticket()
    assert breaker.rejections == 1
    clock.now += 30
    probe = breaker.take_ticket()
    with pytest.raises(CircuitOpen, match="probed"):
        breaker.take_ticket()
    breaker.record_success(probe, 0.1)
    assert breaker.state == "closed"


def test_a_tickets_failure_is_judged_without_what_was_handled_before_the_call():
    breaker, _, _ = make(window=1)
    outside = ConnectionError("handled by the caller")
    error = ValueError("wrong ticker")
    error.__context__ = outside
    breaker.record_failure(breaker.take_ticket(), error, 0.1, outside)
    assert breaker.snapshot().calls == 0
    breaker.record_failure(breaker.take_ticket(), error, 0.1, None)
    assert breaker.state == "open"


def test_a_result_is_judged_by_its_ticket_too():
    breaker, _, _ = make(window=2, on_result=lambda r: r is None)
    assert not breaker.needs_seconds
    for result in (1, None):
        breaker.record_success(breaker.take_ticket(), 0.1, result)
    assert breaker.snapshot() == BreakerSnapshot("open", 0.5, 0.0, 2, 1)


@pytest.mark.parametrize("good", [5, 6, 9])
@pytest.mark.parametrize("bad", ["failed", "slow"])
def test_good_calls_into_a_window_full_of_them_leave_it_as_it_is(good, bad):
    breaker, _, _ = make(window=6, min_calls=1, failure_rate=0.5, slow_call=2, slow_rate=0.5)
    succeed(breaker, good)
    assert breaker.snapshot().calls == min(good, 6)
    for number in range(1, 4):
        assert breaker.state == "closed"
        if bad == "failed":
            fail(breaker)
        else:
            succeed(breaker, seconds=2.0)
        rate = breaker.snapshot()[1 if bad == "failed" else 2]
        assert rate == number / min(good + number, 6)
    assert breaker.state == "open"


def test_a_bad_call_is_forgotten_after_as_many_good_ones_as_the_window_holds():
    breaker, _, _ = make(window=6, min_calls=6, failure_rate=0.5)
    for _ in range(3):
        succeed(breaker, 8)
        fail(breaker, 2)
        succeed(breaker, 4)
        assert breaker.snapshot().failure_rate == 2 / 6
        succeed(breaker)
        assert breaker.snapshot().failure_rate == 1 / 6
        succeed(breaker)
        assert breaker.snapshot().failure_rate == 0


def test_a_good_call_from_before_a_reset_does_not_count():
    breaker, _, _ = make(window=2)
    early = breaker.admit()
    succeed(breaker, 3)
    breaker.reset()
    early.succeed(0.1)
    assert breaker.snapshot().calls == 0
    succeed(breaker, 3)
    breaker.force_closed()
    succeed(breaker)
    breaker.metrics_only()
    succeed(breaker, 3)
    assert breaker.snapshot() == BreakerSnapshot("metrics_only", 0.0, 0.0, 2, 0)
    fail(breaker)
    assert breaker.snapshot() == BreakerSnapshot("metrics_only", 0.5, 0.0, 2, 0)


def test_a_state_that_was_passed_in_is_asked_for_each_call():
    class Shared:
        local = True

        def __init__(self):
            self.recorded = []

        def admit(self):
            return 7

        def record(self, ticket, failed, slow):
            self.recorded.append((ticket, failed, slow))

    shared = Shared()
    breaker = Breaker(CircuitBreaker(on=OSError, slow_call=2), "x", Clock(), state=shared)
    breaker.admit().succeed(0.1)
    breaker.admit().succeed(2)
    breaker.admit().fail(OSError(), 0.1)
    breaker.admit().release()
    assert shared.recorded == [
        (7, False, False),
        (7, False, True),
        (7, True, False),
        (7, None, False),
    ]


# What a rejection tells


class Answer:
    """An object in the frame of a failed call."""


def test_a_rejection_names_the_last_failure_and_for_how_long():
    breaker, clock, _ = make(window=2, open_for=30)
    for text in ("refused", "hunter2 " * 1_000):
        fail(breaker, error=ConnectionError(text))
    clock.now += 18
    with pytest.raises(CircuitOpen) as caught:
        breaker.admit()
    assert str(caught.value) == (
        "the circuit of 'quotes' is open for another 12.0 s; the last failure was ConnectionError"
    )
    assert caught.value.retry_after == 12
    assert caught.value.cause_type == "ConnectionError"
    assert caught.value.cause == ("hunter2 " * 1_000)[:500]
    assert "hunter2" not in str(caught.value)


def test_a_failure_whose_text_cannot_be_read_is_reported_by_its_type():
    class OddError(Exception):
        def __str__(self):
            raise RuntimeError

    breaker, _, _ = make(window=1)
    fail(breaker, error=OddError())
    with pytest.raises(CircuitOpen, match="the last failure was OddError") as caught:
        breaker.admit()
    assert caught.value.cause == ""


def test_a_rejection_holds_no_frame_of_the_failed_call():
    breaker, _, _ = make(window=1)

    def call():
        answer = Answer()
        gone.append(weakref.ref(answer))
        with breaker.guard():
            raise ConnectionError

    gone = []
    with pytest.raises(ConnectionError):
        call()
    with pytest.raises(CircuitOpen) as caught:
        breaker.admit()
    gc.collect()
    assert caught.value.cause_type == "ConnectionError"
    assert gone[0]() is None


# Half-open


def test_it_probes_after_open_for_and_closes_when_all_probes_succeed():
    breaker, clock, changes = make_open(open_for=30, probes=3)
    clock.now += 29
    with pytest.raises(CircuitOpen, match=r"'quotes' is open") as caught:
        breaker.admit()
    assert caught.value.retry_after == 1
    clock.now += 1
    probes = [breaker.admit() for _ in range(3)]
    with pytest.raises(CircuitOpen, match="probed"):
        breaker.admit()
    for probe in probes[:2]:
        probe.succeed(0.1)
    with pytest.raises(CircuitOpen):  # three were let through; the third decides
        breaker.admit()
    probes[2].succeed(0.1)
    assert breaker.state == "closed"
    assert breaker.snapshot().calls == 0
    assert [new for _, _, new in changes] == ["open", "half_open", "closed"]


@pytest.mark.parametrize("seconds", [0.1, 9.0])
def test_one_failed_or_slow_probe_opens_it_again(seconds):
    breaker, clock, _, probe = half_open(slow_call=5)
    breaker.admit().succeed(0.1)
    if seconds > 5:
        probe.succeed(seconds)
    else:
        probe.fail(OSError(), seconds)
    assert breaker.state == "open"
    clock.now += 29
    with pytest.raises(CircuitOpen):
        breaker.admit()
    assert breaker.snapshot().opened_total == 2


def test_a_released_or_cancelled_probe_gives_its_place_back():
    breaker, _, _, probe = half_open(probes=1)
    for outcome in (lambda p: p.release(), lambda p: p.fail(asyncio.CancelledError(), 1)):
        with pytest.raises(CircuitOpen):
            breaker.admit()
        outcome(probe)
        probe = breaker.admit()
    probe.succeed(0.1)
    assert breaker.state == "closed"


def test_a_dropped_probe_does_not_hold_its_place_for_ever():
    breaker, clock, _, probe = half_open(probes=1, open_for=30)
    del probe
    clock.now += 29
    with pytest.raises(CircuitOpen):
        breaker.admit()
    clock.now += 1
    breaker.admit().succeed(0.1)
    assert breaker.state == "closed"


def test_a_probe_that_is_slower_than_open_for_still_decides():
    breaker, clock, _, probe = half_open(probes=1, open_for=30)
    clock.now += 30
    other = breaker.admit()
    probe.succeed(31)
    assert breaker.state == "closed"
    other.fail(OSError(), 1)
    assert breaker.snapshot().calls == 0


def test_outcomes_of_an_earlier_state_do_not_count():
    breaker, clock, _ = make(window=2, probes=1)
    early = [breaker.admit() for _ in range(3)]
    fail(breaker, 2)
    clock.now += 30
    probe = breaker.admit()
    early[0].fail(OSError(), 0.1)
    early[1].succeed(0.1)
    assert breaker.state == "half_open"
    probe.succeed(0.1)
    assert breaker.state == "closed"
    early[2].fail(OSError(), 0.1)
    probe.fail(OSError(), 0.1)
    assert breaker.snapshot().calls == 0


# Forced


def test_forced_states():
    breaker, clock, changes = make(window=2)
    breaker.force_open()
    clock.now += 1e6
    with pytest.raises(CircuitOpen, match="forced") as caught:
        breaker.admit()
    assert caught.value.retry_after is None
    breaker.force_closed()
    fail(breaker, 10)
    assert breaker.snapshot() == BreakerSnapshot("forced_closed", 0, 0, 0, 0)
    breaker.metrics_only()
    fail(breaker, 10)
    assert breaker.snapshot() == BreakerSnapshot("metrics_only", 1, 0, 2, 0)
    breaker.reset()
    breaker.reset()
    fail(breaker, 2)
    assert [new for _, _, new in changes] == [
        "forced_open",
        "forced_closed",
        "metrics_only",
        "closed",
        "open",
    ]


def test_a_listener_that_raises_or_asks_back_harms_no_call():
    seen = []

    def listen(breaker, old, new):
        seen.append((breaker.snapshot().state, new))
        raise RuntimeError

    breaker = Breaker(CircuitBreaker(window=1), "x", Clock(), listen)
    fail(breaker)
    assert seen == [("open", "open")]


# Guards, threads and memory


async def test_guards_for_both_worlds():
    breaker, clock, _ = make(window=4, slow_call=2)
    with breaker.guard():
        clock.now += 2
    async with breaker.guard():
        clock.now += 1
    with pytest.raises(OSError):
        async with breaker.guard():
            raise OSError
    with pytest.raises(asyncio.CancelledError):
        async with breaker.guard():
            raise asyncio.CancelledError
    assert breaker.snapshot() == BreakerSnapshot("closed", 1 / 3, 1 / 3, 3, 0)


def test_a_guards_permit_takes_a_result():
    breaker, _, _ = make(window=1, on_result=lambda r: r == "poor")
    with breaker.guard() as permit:
        permit.succeed(0.1, "poor")
    assert breaker.state == "open"


def test_a_window_of_calls_grows_only_as_calls_come():
    breaker, _, _ = make(window=10**12)
    succeed(breaker, 3)
    assert breaker.snapshot().calls == 3


def test_threads_lose_no_outcome_and_share_few_probes():
    breaker, clock, _ = make(window=4000, min_calls=4000, failure_rate=0.5, probes=3)
    start, admitted = threading.Barrier(4), []

    def work(turn):
        start.wait()
        for i in range(1000):
            permit = breaker.admit()
            if i % 2:
                permit.fail(OSError(), 0.1)
            else:
                permit.succeed(0.1)
        if start.wait() == 0:
            assert breaker.state == "open"
            clock.now += 30
        start.wait()
        for _ in range(100):
            try:
                admitted.append(breaker.admit())
            except CircuitOpen:
                continue

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert breaker.snapshot().failure_rate == 0.5
    assert breaker.snapshot().calls == 4000
    assert len(admitted) == 3
