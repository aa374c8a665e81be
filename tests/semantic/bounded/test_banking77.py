"""The bound on real questions; `benchmarks/bounded.py` measures all of them, in more orders."""

from __future__ import annotations

import sys

import numpy as np
import pytest

REQUESTS = 3_000


@pytest.fixture(scope="module")
def script(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "benchmarks")
        import bounded

        yield bounded
    del sys.modules["bounded"]


@pytest.fixture(scope="module")
def questions(script, data_dir):
    return script.banking77()


@pytest.mark.parametrize(("bound", "hits"), [(0.02, 0.35), (0.05, 0.42)])
def test_the_bound_holds_and_hits_are_many(script, questions, bound, hits):
    stream = np.random.default_rng(1).permutation(len(questions))[:REQUESTS]
    outcome = script.bounded(questions, stream, bound, seed=1)
    served, wrong = outcome.mean(axis=0)
    assert wrong <= bound
    assert served >= hits


def test_topics_that_are_new_to_it_are_served_with_care(script, questions):
    order = np.random.default_rng(2).permutation(len(questions))
    old = order[questions.answers[order] < 40][:2_500]
    new = order[questions.answers[order] >= 60][:60]
    outcome = script.bounded(questions, np.concatenate((old, new)), 0.02, seed=2)
    assert outcome[1_500 : len(old), 0].mean() > 0.6
    assert outcome[len(old) :, 0].mean() < 0.3
