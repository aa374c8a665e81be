"""Amounts, dates, times and versions: notations of one value read the same."""

from __future__ import annotations

import pytest

from toolops_plugins.semantic.guards import Guards

NUMBERS = Guards(["numbers"])

SAME = [
    ("it is 3x faster", "it is 3 times faster"),
    ("flights on 12/25/2024", "flights on December 25 2024"),
    ("flights on 25/12/2024", "flights on December 25 2024"),
    ("flights on 25.12.2024", "flights on December 25 2024"),
    ("flights on 5/3/2024", "flights on 05/03/24"),
    ("notes of release v1.2.3", "notes of release 1.2.3"),
    ("he is 5'11 tall", "he is 5 ft 11 tall"),
    ("a table for 5-10 people", "a table for 5 to 10 people"),
    ("meet at 5.30pm", "meet at 17:30"),
    ("meet at five pm", "meet at 5pm"),
    ("meet at five o'clock", "meet at 5:00"),
    ("music of the 80s", "music of the 1980s"),
    ("music of the eighties", "music of the 1980s"),
    ("a walk of 3,5 km", "a walk of 3.5 km"),
    ("it is minus 5 degrees", "it is -5 degrees"),
    ("5 million users", "5,000,000 users"),
    ("two hundred and five pages", "205 pages"),
    ("two hundred and counting", "200 and counting"),
    ("rooms nineteen four", "rooms 19 4"),
    ("born in nineteen eighty four", "born in 1984"),
    ("events of twenty twenty", "events of 2020"),
    ("on the twenty first of May", "on the 21st of May"),
]

DIFFERENT = [
    ("flights on 5/3/2024", "flights on 5/4/2024"),
    ("flights on 5/3/2024", "flights on May 3 2024"),  # or it is the fifth of March
    ("log of 2024-13-01", "log of 2024-13-02"),  # no date, and yet a value
    ("seats of 747s", "seats of 737s"),
    ("a fare of $2mm", "a fare of $2"),
    ("earn 1.2345k", "earn 1.2346k"),
    ("it is minus 5 degrees", "it is 5 degrees"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_notations_of_one_value_pass(one, other):
    assert NUMBERS.veto(one, other) is None
    assert NUMBERS.veto(other, one) is None


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_values_are_vetoed(one, other):
    assert NUMBERS.veto(one, other) is not None
    assert NUMBERS.veto(other, one) is not None
