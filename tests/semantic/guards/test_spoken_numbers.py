"""Numbers, fractions and times of day in words: they read the same as in figures."""

from __future__ import annotations

import pytest

from toolops_plugins.semantic.guards import Guards

NUMBERS = Guards(["numbers"])

SAME = [
    ("the 6:30 in the evening train", "the 18:30 train"),
    ("the ten past three train", "the 3:10 train"),
    ("trains at twenty to nine", "trains at 8:40"),
    ("call me at 7 in the evening", "call me at 7pm"),
    ("call me at 7 o'clock in the evening", "call me at 19:00"),
    ("call me at seven o'clock in the morning", "call me at 7:00"),
    ("two dozen eggs", "24 eggs"),
    ("eggs by the dozen", "eggs by the 12"),
    ("driving 60 miles per hour", "driving 60 mph"),
    ("an oven at 200 degrees celsius", "an oven at 200 celsius"),
    ("two thirds of the seats", "2/3 of the seats"),
    ("salt and half a litre of milk", "salt and 0.5 litre of milk"),
    ("half a million users", "500000 users"),
    ("a quarter mile walk", "a 0.25 mile walk"),
]

DIFFERENT = [
    ("the ten past three train", "the ten to three train"),
    ("call me at 7 in the evening", "call me at 7 in the morning"),
    ("two dozen eggs", "two eggs"),
    ("half a loaf", "0.5 loaf"),  # a loaf is no unit: "half" stays a word
    ("half past bedtime", "half past ten"),
]


@pytest.mark.parametrize(("spoken", "written"), SAME)
def test_a_number_in_words_equals_the_same_number_in_figures(spoken, written):
    assert NUMBERS.veto(spoken, written) is None
    assert NUMBERS.veto(written, spoken) is None


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_another_number_in_words_is_vetoed(one, other):
    assert NUMBERS.veto(one, other) is not None
    assert NUMBERS.veto(other, one) is not None
