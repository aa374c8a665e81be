"""The guards on the hand-written pairs (see pairs_README.md)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolops_plugins.semantic.guards import Guards, Traits


def _pairs(name, *, same):
    text = (Path(__file__).parents[1] / name).read_text("utf-8")
    pairs = [json.loads(line) for line in text.splitlines()]
    chosen = [(pair["question"], pair["candidate"]) for pair in pairs if pair["same"] is same]
    assert len(chosen) >= 100
    return chosen


def _pass_rate(name, *, same):
    guards = Guards()
    pairs = _pairs(name, same=same)
    return sum(guards.veto(*pair) is None for pair in pairs) / len(pairs)


SETS = pytest.mark.parametrize("name", ["pairs_seen.jsonl", "pairs_more.jsonl"])


@SETS
def test_of_the_traps_at_least_97_per_cent_are_vetoed(name):
    assert _pass_rate(name, same=False) <= 0.025


@SETS
def test_of_the_true_pairs_at_least_three_quarters_pass(name):
    assert _pass_rate(name, same=True) >= 0.75


@SETS
def test_no_trap_is_alike_and_half_of_the_true_pairs_are(name):
    guards = Guards()
    assert [pair for pair in _pairs(name, same=False) if guards.are_equivalent(*pair)] == []
    true = _pairs(name, same=True)
    assert sum(guards.are_equivalent(*pair) for pair in true) / len(true) >= 0.5


@SETS
def test_no_trap_is_alike_by_its_hashed_traits(name):
    guards = Guards(secret=b"a key")
    hashed = [
        (question, Traits.from_json(guards.hash_traits(candidate)))
        for question, candidate in _pairs(name, same=False)
    ]
    assert [
        question for question, candidate in hashed if guards.are_equivalent(question, candidate)
    ] == []
