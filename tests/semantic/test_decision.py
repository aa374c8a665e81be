from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.semantic.decision import Neighbour, Threshold

shares = st.floats(0.001, 1)
near = st.lists(st.tuples(st.floats(-1, 1), st.booleans()), max_size=20).map(
    lambda found: [
        Neighbour(str(place), similarity, vetoed)
        for place, (similarity, vetoed) in enumerate(sorted(found, key=lambda each: -each[0]))
    ]
)


@given(near, shares)
def test_the_nearest_that_is_near_enough_and_not_vetoed_is_served(neighbours, threshold):
    decision = Threshold(threshold).decide(neighbours)
    good = [each for each in neighbours if each.similarity >= threshold and not each.vetoed]
    assert decision.serve is bool(good)
    if good:
        assert (decision.id, decision.similarity) == good[0][:2]
        assert decision.reason == "served"


@pytest.mark.parametrize(
    ("neighbours", "entry", "reason"),
    [
        ([], None, "nothing_near"),
        ([Neighbour("a", 0.7)], "a", "below_threshold"),
        ([Neighbour("a", 0.7, vetoed=True)], "a", "below_threshold"),
        ([Neighbour("a", 0.9, vetoed=True), Neighbour("b", 0.7)], "a", "vetoed"),
        ([Neighbour("a", 0.9, vetoed=True), Neighbour("b", 0.85)], "b", "served"),
        ([Neighbour("a", 0.8)], "a", "served"),
    ],
)
def test_a_decision_says_what_was_weighed_and_why(neighbours, entry, reason):
    decision = Threshold(0.8).decide(neighbours)
    assert (decision.policy, decision.id, decision.reason) == ("threshold", entry, reason)
    assert decision.details == {"threshold": 0.8}
    assert decision.similarity == next((n.similarity for n in neighbours if n.id == entry), 0.0)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.1, float("nan"), True, "0.8"])
def test_what_is_no_share_is_no_threshold(threshold):
    with pytest.raises(ConfigurationError, match="threshold:"):
        Threshold(threshold)


def test_the_threshold_can_be_read():
    assert Threshold(0.8).threshold == 0.8
