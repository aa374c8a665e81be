"""The guards on the pairs that were written to judge them (see pairs_README.md)."""

from __future__ import annotations

import json
from pathlib import Path

from toolops_plugins.semantic.guards import Guards

PAIRS = [
    json.loads(line)
    for line in Path(__file__).with_name("pairs_seen.jsonl").read_text("utf-8").splitlines()
]


def _passed(*, same):
    guards = Guards()
    pairs = [pair for pair in PAIRS if pair["same"] is same]
    assert len(pairs) >= 100
    return sum(guards.veto(pair["question"], pair["candidate"]) is None for pair in pairs) / len(
        pairs
    )


def test_of_the_traps_at_least_95_per_cent_are_vetoed():
    assert _passed(same=False) <= 0.05


def test_of_the_true_pairs_at_least_70_per_cent_pass():
    assert _passed(same=True) >= 0.70
