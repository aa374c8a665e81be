"""The delay of hedged requests."""

from __future__ import annotations

import doctest
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.policy import Hedge
from toolops_plugins.resilience import hedge as hedge_module
from toolops_plugins.resilience.hedge import Hedger


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(hedge_module)
    assert result.attempted >= 3
    assert result.failed == 0


def test_no_hedging_before_min_calls():
    hedger = Hedger(Hedge(quantile=0.5, min_calls=5))
    for _ in range(4):
        hedger.observe(1.0)
        assert hedger.delay() is None
    hedger.observe(1.0)
    assert hedger.delay() == pytest.approx(1.0, rel=0.026)


def test_never_before_the_least():
    hedger = Hedger(Hedge(min_calls=1, least=0.5))
    hedger.observe(0.1)
    assert hedger.delay() == 0.5
    for _ in range(100):
        hedger.observe(2.0)
    assert hedger.delay() == pytest.approx(2.0, rel=0.026)


def test_it_follows_the_callee_and_forgets():
    hedger = Hedger(Hedge(quantile=0.95))
    for _ in range(2000):
        hedger.observe(10.0)
    for _ in range(1100):
        hedger.observe(0.01)
    assert hedger.delay() == pytest.approx(0.01, rel=0.026)


@given(st.integers(1, 200), st.integers(1, 100))
def test_the_delay_is_the_quantile_of_at_most_thirty_two_calls_ago(seen, min_calls):
    hedger, delay = Hedger(Hedge(quantile=0.9, min_calls=min_calls)), None
    latencies = [1e-5 * 1.1**i for i in range(seen)]  # each call moves the quantile noticeably
    for latency in latencies:
        hedger.observe(latency)
        delay = hedger.delay()
    if seen < min_calls:
        assert delay is None
        return
    at = seen - (seen - min_calls) % 32
    assert delay == pytest.approx(latencies[math.ceil(0.9 * at) - 1], rel=0.026)


def test_a_large_min_calls_is_reached():
    hedger = Hedger(Hedge(min_calls=3000))
    for _ in range(3000):
        hedger.observe(1.0)
    assert hedger.delay() is not None


def test_durations_from_many_threads_are_all_seen():
    hedger = Hedger(Hedge(quantile=0.5, min_calls=3990))
    start = threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(1000):
            hedger.observe(1.0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: work(), range(4)))
    assert hedger.delay() == pytest.approx(1.0, rel=0.026)
