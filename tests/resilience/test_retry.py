"""Retries: waits, decisions, server delays and the budget."""

from __future__ import annotations

import asyncio
import concurrent.futures
import doctest
import email.utils
import math
from datetime import timedelta

import backoff
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.errors import (
    AttemptTimeout,
    BulkheadFull,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    RateLimited,
    TotalTimeout,
)
from toolops_plugins.policy import Retry
from toolops_plugins.resilience import retry
from toolops_plugins.resilience.retry import RetryBudget, Retrying, retry_after
from toolops_plugins.runtime import ToolOps


class Clock:
    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def monotonic(self):
        return self.now

    def time(self):
        return 1_700_000_000 + self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds):
        self.sleep(seconds)


class AskingError(Exception):
    def __init__(self, **given):
        self.__dict__.update(given)


def make_failing_function(error):
    def fail():
        raise error

    return fail


def with_retries(function, policy, *, clock, budget=None):
    """Return a function under a retry policy, and no other."""
    return ToolOps(clock=clock, retry_budget=budget).tool(function, retry=policy)


def waits(policy, error=OSError):
    """All waits that the policy gives, until it gives up."""
    retrying = Retrying(policy, Clock())
    given = []
    while (wait := retrying.after_error(error())) is not None:
        given.append(wait)
    return given


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(retry)
    assert result.attempted >= 3
    assert result.failed == 0


# The waits


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        ("expo", [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]),
        ("fibo", [0.5, 0.5, 1.0, 1.5, 2.5, 4.0]),
        ("constant", [0.5] * 6),
        (2, [2.0] * 6),
        (7, [5.0] * 6),
        (lambda: backoff.expo(base=3), [1.0, 3.0, 5.0, 5.0, 5.0, 5.0]),
        (lambda: iter_of(3, -1, math.nan, 9), [3.0, 0.0, 0.0, 5.0]),
        (lambda: backoff.constant([1, 2]), [1.0, 2.0]),
        (lambda: backoff.runtime(value=lambda error: len(str(error))), [4.0] * 6),
        (make_failing_function(RuntimeError()), []),
        (lambda: iter_of("soon"), []),
        (lambda: 5, []),
    ],
)
def test_waits_without_jitter(wait, expected):
    policy = Retry(attempts=7, wait=wait, base=0.5, max_wait=5, jitter=None)
    assert waits(policy, lambda: OSError("four")) == pytest.approx(expected)


def iter_of(*values):
    yield from values


@given(
    st.sampled_from(["expo", "fibo", "constant", 3.0]),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
    st.integers(1, 40),
)
def test_waits_are_capped_and_as_many_as_attempts_less_one(wait, base, max_wait, attempts):
    plain = waits(Retry(attempts, wait=wait, base=base, max_wait=max_wait, jitter=None))
    jittered = waits(Retry(attempts, wait=wait, base=base, max_wait=max_wait))
    assert len(plain) == len(jittered) == attempts - 1
    assert all(0 <= wait <= max_wait for wait in plain)
    assert all(0 <= drawn <= full for drawn, full in zip(jittered, plain, strict=True))


@pytest.mark.parametrize("wait", ["expo", "fibo"])
@pytest.mark.parametrize("base", [0, 5e-324, 0.1])
def test_thousands_of_attempts_do_not_overflow(wait, base):
    assert len(waits(Retry(attempts=3000, wait=wait, base=base))) == 2999


def test_full_jitter_draws_from_the_whole_range():
    drawn = [waits(Retry(attempts=2, base=1.0))[0] for _ in range(200)]
    assert min(drawn) < 0.2
    assert max(drawn) > 0.8


# What is retried


@pytest.mark.parametrize(
    "error",
    [
        CircuitOpen("no"),
        RateLimited("no"),
        BulkheadFull("no"),
        TotalTimeout("late", seconds=1),
        DeadlineExceeded("late", seconds=1),
        asyncio.CancelledError(),
        concurrent.futures.CancelledError(),
        KeyboardInterrupt(),
        GeneratorExit(),
        SystemExit(),
    ],
)
def test_never_retried_whatever_the_policy_says(error):
    assert Retrying(Retry(on=BaseException), Clock()).after_error(error) is None
    assert Retrying(Retry(on=lambda _: True), Clock()).after_error(error) is None


def test_an_attempt_timeout_is_retried():
    assert Retrying(Retry(), Clock()).after_error(AttemptTimeout("slow", seconds=1)) is not None


@pytest.mark.parametrize(
    ("on", "error", "retried"),
    [
        (Exception, ValueError(), True),
        (OSError, ConnectionError(), True),
        (OSError, ValueError(), False),
        ((OSError, ValueError), ValueError(), True),
        (lambda error: "again" in str(error), ValueError("again"), True),
        (lambda error: "again" in str(error), ValueError("never"), False),
        (lambda _: 1 / 0, ValueError(), False),
    ],
)
def test_types_and_predicates(on, error, retried):
    retrying = Retrying(Retry(on=on), Clock())
    assert (retrying.after_error(error) is not None) is retried
    assert retrying.attempts == 1 + retried


def test_results_that_count_as_failures():
    results = iter([None, None, 3])
    clock = Clock()
    policy = Retry(attempts=3, on_result=lambda result: result is None)
    assert with_retries(lambda: next(results), policy, clock=clock)() == 3
    assert len(clock.slept) == 2


def test_the_last_result_is_taken_and_a_broken_predicate_takes_every_one():
    assert with_retries(lambda: "poor", Retry(on_result=lambda _: True), clock=Clock())() == "poor"
    retrying = Retrying(Retry(on_result=lambda _: 1 / 0), Clock())
    assert retrying.after_result("good") is None
    assert Retrying(Retry(), Clock()).after_result(None) is None


# Time


@given(st.floats(0.1, 100), st.floats(0, 10), st.floats(0, 10))
def test_no_attempt_starts_after_max_elapsed(max_elapsed, took, wait):
    clock = Clock()
    starts = []

    def fail():
        starts.append(clock.now)
        clock.now += took
        raise OSError

    policy = Retry(attempts=50, wait=wait, jitter=None, max_elapsed=max_elapsed)
    began = clock.now
    with pytest.raises(OSError):
        with_retries(fail, policy, clock=clock)()
    assert starts[-1] <= began + max_elapsed + 1e-9
    # It gave up only since one more would have come too late, or there were no attempts left.
    assert len(starts) == 50 or clock.now + wait > began + max_elapsed - 1e-9


# Retry-After


DATE = email.utils.formatdate(1_700_001_000 + 90, usegmt=True)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (AskingError(), None),
        (AskingError(retry_after=3), 3.0),
        (AskingError(retry_after=2.5), 2.5),
        (AskingError(retry_after="4"), 4.0),
        (AskingError(retry_after=timedelta(minutes=1)), 60.0),
        (AskingError(retry_after=-1), None),
        (AskingError(retry_after=math.nan), None),
        (AskingError(retry_after=True), None),
        (AskingError(retry_after=object()), None),
        (RateLimited("no", retry_after=1.5), 1.5),
        (AskingError(headers={"Retry-After": "120"}), 120.0),
        (AskingError(headers={"retry-after": " 0.5 "}), 0.5),
        (AskingError(headers={"RETRY-AFTER": DATE}), 90.0),
        (AskingError(headers={"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}), 0.0),
        (AskingError(headers={"Retry-After": "Sunday, 06-Nov-94 08:49:37 GMT"}), 0.0),
        (AskingError(headers={"Retry-After": "Sun Nov  6 08:49:37 1994"}), 0.0),
        (AskingError(headers={"Retry-After": "soon"}), None),
        (AskingError(headers={"Retry-After": "-5"}), None),
        (AskingError(headers={"Retry-After": "9" * 400}), math.inf),
        (AskingError(headers={"Retry-After": "nan"}), None),
        (AskingError(headers={"Retry-After": "1", "Retry-After-Ms": "250"}), 0.25),
        (AskingError(headers={"Retry-After": "1", "Retry-After-Ms": "soon"}), 1.0),
        (AskingError(headers={b"Retry-After": b"1", 3: 4}), 1.0),
        (AskingError(headers=17), None),
        (AskingError(response=None), None),
        (AskingError(retry_after=None, response=AskingError(headers={"Retry-After": "8"})), 8.0),
        (AskingError(response={"headers": 1}, headers={"Retry-After": "9"}), 9.0),
        (httpx.Response(429, headers={"Retry-After": "7"}), 7.0),
    ],
)
def test_what_a_server_asks_for(outcome, expected):
    assert retry_after(outcome, Clock()) == expected


def test_a_real_httpx_error_and_a_property_that_raises():
    request = httpx.Request("GET", "http://example.com")
    response = httpx.Response(503, headers={"retry-after": "6"}, request=request)
    with pytest.raises(httpx.HTTPStatusError) as caught:
        response.raise_for_status()
    assert retry_after(caught.value) == 6.0

    class BrokenError(Exception):
        @property
        def response(self):
            raise RuntimeError

    assert retry_after(BrokenError()) is None


@given(st.floats(0, 30), st.sampled_from(["full", None]))
def test_the_wait_is_at_least_what_the_server_asks_for(asked, jitter):
    policy = Retry(jitter=jitter, base=0.01)
    wait = Retrying(policy, Clock()).after_error(AskingError(retry_after=asked))
    assert asked <= wait <= min(max(1.1 * asked, 0.01), 30)


def test_a_server_that_asks_for_more_than_max_wait_ends_it_at_once():
    budget = RetryBudget(clock=Clock())
    retrying = Retrying(Retry(max_wait=30), Clock(), budget)
    before = budget.tokens
    assert retrying.after_error(AskingError(retry_after=30.1)) is None
    assert budget.tokens == before


def test_a_result_may_ask_too():
    policy = Retry(on_result=lambda response: response.status_code == 429, jitter=None)
    response = httpx.Response(429, headers={"Retry-After": "5"})
    assert Retrying(policy, Clock()).after_result(response) == 5.0


# The budget


def test_an_outage_is_not_multiplied():
    clock = Clock()
    budget = RetryBudget(ratio=0.2, reserve=10, clock=clock)
    made = 0

    def fail():
        nonlocal made
        made += 1
        raise OSError

    call = with_retries(fail, Retry(attempts=5, wait=0), clock=clock, budget=budget)
    for _ in range(1000):
        with pytest.raises(OSError):
            call()
    assert 1000 * 1.2 <= made <= 1000 * 1.2 + 10
    # Each call that was not granted all its four retries was refused one.
    assert budget.exhausted >= 1000 - 210 / 4


@given(
    st.floats(0, 2),
    st.floats(0, 20),
    st.lists(st.one_of(st.just("call"), st.just("retry"), st.floats(0, 30)), max_size=200),
)
def test_retries_never_pass_deposits_and_reserve(ratio, reserve, events):
    clock = Clock()
    budget = RetryBudget(ratio, reserve, clock)
    calls = retries = refused = 0
    for event in events:
        if event == "call":
            budget.deposit()
            calls += 1
        elif event == "retry":
            granted = budget.withdraw()
            retries += granted
            refused += not granted
        else:
            clock.now += event
        allowed = calls * ratio + reserve + (clock.now - 1000) * reserve / 10
        assert retries <= allowed + 1e-6
        assert 0 <= budget.tokens <= max(10 * reserve, 1)
    assert budget.exhausted == refused


def test_a_quiet_service_may_retry_again_after_ten_seconds():
    clock = Clock()
    budget = RetryBudget(ratio=0.2, reserve=3, clock=clock)
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]
    clock.now += 10
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]
    clock.now += 3600
    assert budget.tokens == 3
    assert budget.exhausted == 2


@pytest.mark.parametrize("given_", [{"ratio": -1}, {"reserve": math.inf}, {"reserve": -0.5}])
def test_a_wrong_budget_names_its_parameter(given_):
    with pytest.raises(ConfigurationError, match=next(iter(given_))):
        RetryBudget(**given_)


def test_an_error_that_is_not_retried_costs_no_budget():
    budget = RetryBudget(clock=Clock())
    retrying = Retrying(Retry(on=OSError), Clock(), budget)
    before = budget.tokens
    assert retrying.after_error(ValueError()) is None
    assert budget.tokens == before


def test_retries_that_begin_after_the_first_attempt_are_those_of_before_it():
    clock = Clock()
    budget = RetryBudget(ratio=0, reserve=1, clock=clock)
    policy = Retry(attempts=9, wait=1, jitter=None, max_elapsed=5)
    outside = ConnectionError("handled by the caller")

    def make_late(**given_):
        given_ = {"started": clock.now - 3, "outside": None} | given_
        return Retrying.after_first_attempt(policy, clock, budget, **given_)

    assert make_late(started=clock.now - 4.5).after_error(OSError()) is None
    error = ValueError("wrong ticker")
    error.__context__ = outside
    assert make_late(outside=outside).after_error(error) is None
    retrying = make_late()
    assert (retrying.after_error(error), retrying.attempts) == (1, 2)
    assert retrying.after_error(error) is None  # the budget is used up
    assert budget.exhausted == 1


@pytest.mark.parametrize("spent", [0, 1])
def test_a_full_budget_takes_no_more_and_a_used_one_does(spent):
    budget = RetryBudget(ratio=2.5, reserve=1, clock=Clock())
    for _ in range(9):
        budget.deposit()
    assert budget.tokens == 10
    for _ in range(spent):
        budget.withdraw()
    budget.deposit()
    assert [budget.withdraw() for _ in range(11)] == [True] * 10 + [False]


# The loop, with plain functions and coroutines


async def test_a_coroutine_is_retried_as_a_plain_function_is():
    clock = Clock()
    attempts = []

    def count(x, *, y):
        attempts.append((x, y))
        if len(attempts) % 3:
            raise OSError
        return x + y

    async def acount(x, *, y):
        return count(x, y=y)

    policy = Retry(wait=2, jitter=None)
    assert await with_retries(acount, policy, clock=clock)(1, y=2) == 3
    assert with_retries(count, policy, clock=clock)(1, y=2) == 3
    assert attempts == [(1, 2)] * 6
    assert clock.slept == [2] * 4


async def test_a_result_of_a_coroutine_is_retried():
    results = iter([0, 0, 5])

    async def answer():
        return next(results)

    policy = Retry(on_result=lambda result: not result)
    assert await with_retries(answer, policy, clock=Clock())() == 5


def test_the_last_error_of_the_function_is_raised():
    errors = [OSError("first"), OSError("last")]

    def fail():
        raise errors.pop(0)

    with pytest.raises(OSError, match="last"):
        with_retries(fail, Retry(attempts=2), clock=Clock())()
