"""Numbers on the dashboard, as people read them."""

from __future__ import annotations

import pytest

from toolops_plugins.dashboard import formats
from toolops_plugins.dashboard.colors import OUTCOME_COLORS, palette
from toolops_plugins.telemetry.events import OUTCOMES


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (0.25, "0.2"), (7, "7"), (61.4, "61"), (1_234, "1,234"), (99_999, "99,999"),
        (100_000, "100k"), (1_250_000, "1.25M"), (999_600, "1M"), (3.2e12, "3.2T"),
    ],
)  # fmt: skip
def test_large_numbers_are_short(number, text):
    assert formats.compact(number) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (112, 100, "+12%"), (50, 100, "-50%"), (100, 100, None), (5, 0, None), (None, 3, None),
        (3, None, None), (250, 1, "x250"), (float("inf"), 1, None),
    ],
)  # fmt: skip
def test_a_change_is_relative(now, before, text):
    assert formats.change(now, before) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"), (41.2, "41 s"), (59.9, "60 s"), (125, "2 min"), (7_500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_long_times_have_two_units(seconds, text):
    assert formats.span(seconds) == text


def test_a_time_that_lies_ahead_is_said_to():
    assert formats.ago(100, 160) == "1 min ago"
    assert formats.ago(7_300, 100) == "in 2 h"


@pytest.mark.parametrize(
    ("nbytes", "text"), [(0, "0 B"), (900, "900 B"), (2_048, "2 KB"), (5 * 1024**4, "5.0 TB")]
)
def test_sizes_have_units(nbytes, text):
    assert formats.size(nbytes) == text


def test_names_are_no_markdown():
    assert formats.escape("*a* [b](c) $x$ :red[d]") == r"\*a\* \[b\]\(c\) \$x\$ \:red\[d\]"


def test_every_outcome_has_a_colour_of_its_own():
    assert set(OUTCOME_COLORS) == set(OUTCOMES)
    assert len(set(OUTCOME_COLORS.values())) == len(OUTCOMES)
    assert palette(["hit", "other"])["hit"] == OUTCOME_COLORS["hit"]
