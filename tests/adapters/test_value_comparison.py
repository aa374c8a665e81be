"""Compare what a serializer brings back in value and type, whatever ``==`` says."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from itertools import combinations
from uuid import UUID

import numpy as np
import pytest
from value_kinds import KINDS, Agreeable, Line, Order, Quarrelsome

from toolops_plugins.adapters.value_comparison import find_difference

NEVER = {
    "exception",
    "exception with a note",
    "exception inside",
    "memoryview",
    "numpy array of objects",
    "numpy record",
    "numpy recarray",
    "numpy masked array",
    "lambda",
    "partial",
    "object",
    "lock",
}
"""Kinds of which nobody can say that two are equal, or nobody does."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_made_twice_is_equal(kind):
    difference = find_difference(KINDS[kind](), KINDS[kind]())
    assert (difference is None) is (kind not in NEVER), difference


def test_values_of_two_kinds_differ():
    for one, other in combinations(KINDS, 2):
        assert find_difference(KINDS[one](), KINDS[other]()) is not None, (one, other)
        assert find_difference([KINDS[one]()], [KINDS[other]()]) is not None, (one, other)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Counter(a=1), {"a": 1}, "collections.Counter comes back as dict"),
        ({"a": [1, (2,)]}, {"a": [1, [2]]}, "a[1]: tuple comes back as list"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "a: str comes back with another value"),
        ({1: "a"}, {True: "a"}, "[int]: int comes back as bool"),
        (0.0, -0.0, "float comes back with another value"),
        ([True], [1], "[0]: bool comes back as int"),
        ({1, 2}, {1.0, 2}, "int comes back as float"),
        ({1, 2}, {1, 3}, "set comes back with another value"),
        (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), "a: str comes back with another value"),
        (deque([1], maxlen=1), deque([1]), "maxlen: int comes back as NoneType"),
        ("\ud800", "?", "str comes back with another value"),
        (np.zeros(2), np.zeros((2, 1)), "numpy.ndarray comes back with another value"),
        (np.zeros(2), np.zeros(2, "f4"), "numpy.ndarray comes back with another value"),
        (Line(number=1), Line.model_construct(number="1"), "number: int comes back as str"),
        ([Agreeable()], [1], "[0]: value_kinds.Agreeable comes back as int"),
    ],
)
def test_differences_are_told_by_path_and_type(before, after, told):
    assert find_difference(before, after) == told


def test_a_private_attribute_counts_and_the_fields_that_were_set_do_not():
    seen = Order(number=1)
    seen._seen = 5
    assert "_seen" in (find_difference(seen, Order(number=1)) or "")
    assert find_difference(Line(number=1), Line(number=1, note="")) is None
    marked = Line(number=1)
    vars(marked)["mark"] = 1
    assert find_difference(marked, Line(number=1)) == "mark: int comes back as NoneType"


def test_a_comparison_asks_no_class_and_ends():
    assert find_difference([Quarrelsome()], [Quarrelsome()]) is None
    unhappy = {Quarrelsome()}
    assert find_difference(unhappy, {Quarrelsome()}) is not None
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in (find_difference(deep, [deep]) or "")
    read_only = np.zeros(1)
    read_only.flags.writeable = False
    assert find_difference(np.zeros(1), read_only) == "numpy.ndarray comes back read-only"
    assert find_difference(read_only, np.zeros(1)) is None
    assert find_difference(UUID(int=1), UUID(int=2)) is not None


def test_a_class_of_texts_may_come_back_as_plain_ones():
    class Text(str):
        __slots__ = ()

    assert find_difference([Text("a")], ["a"]) is not None
    assert find_difference([Text("a")], ["a"], texts=(Text,)) is None
    assert find_difference([Text("a")], ["b"], texts=(Text,)) is not None
    assert find_difference(["a"], [Text("a")], texts=(Text,)) is not None
