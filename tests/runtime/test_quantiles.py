"""Quantiles and their error bounds."""

from __future__ import annotations

import math
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.quantiles import _EDGES, Quantiles, RecentQuantiles

durations = st.floats(min_value=1e-6, max_value=86_400.0)


def fill(values):
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value)
    return quantiles


@given(st.lists(durations, min_size=1, max_size=60), st.floats(0, 1))
def test_every_quantile_is_close_to_the_exact_one(values, q):
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert fill(values).quantile(q) == pytest.approx(exact, rel=0.0157)


@given(st.lists(st.floats(width=32) | st.sampled_from(_EDGES), max_size=60))
def test_many_at_once_count_as_one_by_one(values):
    values = [value for value in values if not math.isnan(value)]
    quantiles = Quantiles()
    quantiles.add_all(values)
    assert quantiles._counts == fill(values)._counts


@given(st.lists(durations, max_size=40), st.lists(durations, max_size=40), st.floats(0, 1))
def test_merging_equals_recording_all_in_one(left, right, q):
    merged = fill(left)
    merged.merge(fill(right))
    assert merged.count == len(left) + len(right)
    assert merged.quantile(q) == fill(left + right).quantile(q)


def test_nothing_recorded_has_no_quantile():
    assert Quantiles().quantile(0.5) is None
    assert Quantiles().count == 0
    assert RecentQuantiles(10).quantile(0.5) is None


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-12, 1e9, math.inf])
def test_out_of_range_counts_at_the_end_of_the_range(value):
    quantiles = fill([value])
    assert quantiles.count == 1
    assert quantiles.quantile(0.5) == pytest.approx(1e-6 if value < 1 else 36 * 3600, rel=0.08)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_share_outside_of_zero_and_one_is_refused(q):
    with pytest.raises(ConfigurationError, match="q:"):
        fill([1.0]).quantile(q)


def test_memory_does_not_grow():
    quantiles = Quantiles()
    size = len(quantiles._counts)
    for i in range(5000):
        quantiles.add(1.01**i * 1e-6 if i < 2500 else i)
    assert len(quantiles._counts) == size


def test_recent_quantiles_drop_durations_older_than_two_windows():
    recent = RecentQuantiles(10)
    for _ in range(10):
        recent.add(100.0)
    for _ in range(10):
        recent.add(1.0)
    assert recent.count == 20
    assert recent.quantile(1.0) == pytest.approx(100.0, rel=0.026)
    recent.add(1.0)  # the third window begins, and the first is forgotten
    assert recent.count == 11
    assert recent.quantile(1.0) == pytest.approx(1.0, rel=0.026)


@given(
    st.integers(1, 20),
    st.lists(st.lists(st.floats(1e-7, 1e6), max_size=8), max_size=12),
    st.floats(0, 1),
)
def test_recent_quantiles_are_those_of_the_durations_that_are_left(window, batches, q):
    recent, plain = RecentQuantiles(window), [Quantiles(), Quantiles()]
    size = 0
    for batch in batches:
        recent.add_all(batch)
        for seconds in batch:
            if size == window:
                plain, size = [plain[1], Quantiles()], 0
            plain[1].add(seconds)
            size += 1
        both = Quantiles()
        both.merge(plain[0])
        both.merge(plain[1])
        assert recent.quantile(q) == both.quantile(q)
        assert recent.count == both.count


@given(st.integers(1, 20), st.integers(0, 100))
def test_the_recent_count_lies_between_one_and_two_windows(window, total):
    recent = RecentQuantiles(window)
    for _ in range(total):
        recent.add(0.5)
    assert recent.count <= 2 * window
    assert recent.count >= min(total, window)


@pytest.mark.parametrize("window", [0, -1, 1.5])
def test_a_window_is_a_positive_whole_number(window):
    with pytest.raises(ConfigurationError, match="window_count"):
        RecentQuantiles(window)


def test_no_count_is_lost_between_threads():
    # Not all threads may be done before the others start, so switch as often as can be.
    interval = sys.getswitchinterval()
    quantiles, start = Quantiles(), threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(20_000):
            quantiles.add(0.25)

    threads = [threading.Thread(target=work) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert quantiles.count == 80_000
