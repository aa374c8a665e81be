"""The bound on real questions; `benchmarks/bounded.py` measures all of them, in more orders."""

from __future__ import annotations

import sys

import numpy as np
import pytest

REQUESTS = 2_000


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


def test_the_bound_holds_and_hits_are_many(script, questions):
    stream = script.once(questions, np.random.default_rng(1), REQUESTS)
    outcome = script.simulate_bounded(questions, stream, 0.05, seed=1)
    served, wrong = outcome.mean(axis=0)
    assert wrong <= 0.05
    assert served >= 0.30
    requests = np.arange(100, REQUESTS + 1)
    assert (np.cumsum(outcome[:, 1])[99:] <= 1.5 * 0.05 * requests).all()


def test_a_narrow_bound_holds_and_new_topics_are_served_with_care(script, questions):
    order = np.random.default_rng(3).permutation(len(questions))
    old = order[questions.answers[order] < 40][:2_500]
    new = order[questions.answers[order] >= 60][:60]
    outcome = script.simulate_bounded(
        questions, script.stream_of(questions, np.concatenate((old, new))), 0.02, seed=3
    )
    assert outcome[:, 1].mean() <= 0.02
    assert outcome[1_500 : len(old), 0].mean() > 0.6
    assert outcome[len(old) :, 0].mean() < 0.3
