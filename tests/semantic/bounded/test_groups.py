from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from toolops_plugins.semantic.bounded.gram import Gram
from toolops_plugins.semantic.bounded.groups import Groups, key_of

WIDTH = 6


def vectors(count, width=WIDTH, seed=0):
    found = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


VECTORS = vectors(60)
ENTRIES = [str(place) for place in range(len(VECTORS))]


def vector_of(entry):
    return VECTORS[int(entry)]


class GroupsAgainstSets(RuleBasedStateMachine):
    """The groups do what a plain list of sets does that is computed anew at every step."""

    known = Bundle("known")

    def __init__(self):
        super().__init__()
        self.groups = Groups(vector_of)
        self.keys = {}
        self.linked = []

    def sets(self):
        sets = []
        for entry, key in self.keys.items():
            mine = [each for each in sets if any(self.keys[other] == key for other in each)]
            sets = [each for each in sets if each not in mine] + [{entry}.union(*mine)]
        for former, latter in self.linked:
            mine = [each for each in sets if former in each or latter in each]
            if len(mine) == 2:
                sets = [each for each in sets if each not in mine] + [mine[0] | mine[1]]
        return sets

    @rule(target=known, place=st.integers(0, len(VECTORS) - 1), key=st.integers(0, 9))
    def add(self, place, key):
        entry = str(place)
        if self.keys.get(entry, key) != key:
            return entry
        assert self.groups.add(entry, VECTORS[place], key) is (entry not in self.keys)
        self.keys[entry] = key
        return entry

    @rule(entry=known)
    def remove(self, entry):
        self.drop(entry)
        assert self.groups.remove(entry, vector_of(entry)) is (entry in self.keys)
        self.keys.pop(entry, None)

    def drop(self, entry):
        # What a member of a joined group held together stays together without it.
        if entry not in self.keys:
            return
        (mine,) = (each for each in self.sets() if entry in each)
        rest = sorted(mine - {entry})
        self.linked = [pair for pair in self.linked if entry not in pair]
        self.linked += list(pairwise(rest))

    @rule(one=known, other=known)
    def join(self, one, other):
        if one in self.keys and other in self.keys:
            apart = not any({one, other} <= each for each in self.sets())
            joined = self.groups.join(self.keys[one], self.keys[other])
            assert (joined is not None) is apart
            if joined is not None:
                assert joined.lead == self.groups.lead(self.keys[one])
                assert joined.former != joined.lead
            self.linked.append((one, other))

    @invariant()
    def agrees(self):
        groups = self.groups
        assert len(groups) == len(self.keys)
        leads = set()
        for each in self.sets():
            names = {groups.lead(groups.key(entry)) for entry in each}
            assert len(names) == 1
            leads |= names
            for entry in each:
                assert groups.size(groups.key(entry)) == len(each)
                expected = np.sum([vector_of(other) for other in each], axis=0)
                assert groups.total(groups.key(entry)) == pytest.approx(expected, abs=1e-4)
        assert len(leads) == len(self.sets())


TestGroups = GroupsAgainstSets.TestCase
TestGroups.settings = settings(max_examples=25, stateful_step_count=25)


@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_without_vectors_a_removed_entry_leaves_the_centroid_where_it_was(count):
    groups = Groups(lambda _: None)
    for entry in ENTRIES[:count]:
        groups.add(entry, vector_of(entry), 1)
    before = groups.total(1)
    expected = None if before is None else before * ((count - 1) / count)
    groups.remove(ENTRIES[0], None)
    assert groups.size(1) == count - 1
    assert (before is None) is (count < 4)
    assert groups.total(1) == (None if expected is None else pytest.approx(expected, rel=1e-5))


def test_the_vectors_that_are_known_speak_for_those_that_are_gone():
    gone = {"1"}
    groups = Groups(lambda entry: None if entry in gone else vector_of(entry))
    for entry in ENTRIES[:3]:
        groups.add(entry, vector_of(entry), 1)
    known = vector_of("0") + vector_of("2")
    assert groups.total(1) == pytest.approx(known * 1.5, rel=1e-5)


def test_groups_of_which_no_vector_is_known_can_be_joined():
    groups = Groups(lambda _: None)
    for place, entry in enumerate(ENTRIES[:12]):
        groups.add(entry, vector_of(entry), place)
    for place in range(1, 12):
        groups.join(0, place)
    assert groups.size(0) == 12
    groups.add("99", VECTORS[0], 3)
    assert groups.total(0) == pytest.approx(VECTORS[0] * 13, rel=1e-5)


def test_an_entry_that_changes_its_answer_changes_its_group():
    groups = Groups(vector_of)
    assert groups.add("0", VECTORS[0], 1) is True
    assert groups.add("0", VECTORS[0], 2) is False
    assert (groups.size(1), groups.size(2), len(groups)) == (0, 1, 1)


def test_a_joined_group_forgets_answers_that_are_gone():
    groups = Groups(vector_of)
    for place in range(4):
        groups.add(str(place), VECTORS[place], place)
    joined = groups.join(0, 1)
    assert list(groups.keys_by_group()) == [[joined.lead, joined.former]]
    groups.remove(str(joined.lead), None)
    assert groups.lead(joined.former) == joined.former
    assert list(groups.keys_by_group()) == []
    groups.remove(str(joined.former), None)
    assert list(groups.keys_by_group()) == []
    assert groups.size(0) == groups.size(1) == 0


def test_keys_differ_by_scope_and_by_answer_and_are_the_same_everywhere():
    keys = {key_of(scope, answer) for scope in (b"", b"a", b"b" * 80) for answer in (b"", b"a")}
    assert len(keys) == 6
    assert key_of(b"scope", b"answer") == 665089957735079130
    assert max(keys) < 2**60


def size_of(groups):
    total = sys.getsizeof(groups._keys) + sys.getsizeof(groups._groups)
    return total + sum(sys.getsizeof(key) for key in groups._keys.values())


def test_lone_entries_cost_no_more_than_their_places():
    groups = Groups(vector_of)
    for place in range(20_000):
        groups.add(f"{place:032x}", VECTORS[0], key_of(b"", place.to_bytes(4, "big")))
    assert size_of(groups) / len(groups) < 200
    for place in range(20_000):
        groups.remove(f"{place:032x}", None)
    assert not groups._groups


@given(st.lists(st.integers(0, len(VECTORS) - 1), max_size=40), st.data())
@settings(max_examples=30)
def test_the_gram_matrix_is_that_of_the_entries_that_are_left(places, data):
    gram = Gram()
    for place in places:
        gram.add(VECTORS[place])
    gone = data.draw(st.lists(st.sampled_from(places), max_size=len(places))) if places else []
    left = list(places)
    for place in gone:
        if place in left:
            left.remove(place)
            gram.remove(VECTORS[place])
    gram.refresh()
    product = gram.whiten(VECTORS[0])
    if len(left) <= 8:
        assert product is None
        return
    rows = VECTORS[left].astype(np.float64)
    expected = np.linalg.solve(rows.T @ rows + 0.5 * np.eye(WIDTH), VECTORS[0])
    assert product == pytest.approx(expected, abs=1e-3)


def test_the_inverse_follows_the_entries_once_they_are_a_tenth_more():
    gram = Gram()
    for vector in vectors(1000, seed=1):
        gram.add(vector)
    gram.refresh()
    before = gram.whiten(VECTORS[0])
    gram.add(VECTORS[0])
    gram.refresh()
    assert gram.whiten(VECTORS[0]) is not before
    assert gram.whiten(VECTORS[0]) == pytest.approx(before)
    for vector in vectors(200, seed=2):
        gram.add(vector)
    gram.refresh()
    assert gram.whiten(VECTORS[0]) != pytest.approx(before, rel=0.01)


def test_wide_vectors_are_looked_at_in_part():
    gram = Gram()
    wide = vectors(12, 1_000)
    for vector in wide:
        gram.add(vector)
    gram.refresh()
    assert len(gram.whiten(wide[0])) == 384


def test_a_gram_matrix_without_entries_says_nothing():
    gram = Gram()
    gram.add(VECTORS[0])
    gram.remove(VECTORS[0])
    gram.refresh()
    assert gram.whiten(VECTORS[0]) is None
