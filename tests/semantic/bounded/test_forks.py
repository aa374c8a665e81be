"""A process that forks while other threads learn."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from callers import LONG, in_child, start

from toolops_plugins.semantic.bounded.gram import Gram
from toolops_plugins.semantic.bounded.logistic import Logistic


def _invert() -> None:
    gram = Gram()
    for vector in np.random.default_rng(1).standard_normal((256, 384)).astype(np.float32):
        gram.add(vector)
    gram.refresh()


def _fit() -> None:
    features = np.random.default_rng(1).standard_normal((4096, 17))
    right = (features[:, 0] > 0).astype(np.float64)
    Logistic(features, right).unseen(features, right)


@pytest.mark.parametrize("learn", [_invert, _fit])
def test_learning_goes_on_in_both_processes(learn):
    learn()  # numpy imports parts of itself on first use, and a child inherits locks of imports
    stop = threading.Event()

    def go_on() -> int:
        rounds = 0
        while not stop.is_set():
            learn()
            rounds += 1
        return rounds

    def child() -> bool:
        learn()
        return True

    learners = [start(go_on) for _ in range(2)]
    try:
        assert [in_child(child) for _ in range(10)] == [0] * 10
    finally:
        stop.set()
    assert all(learner.result(LONG) for learner in learners)
