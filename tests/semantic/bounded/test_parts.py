from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolops_plugins.semantic.bounded.budget import EXACT, NOTHING, Budget
from toolops_plugins.semantic.bounded.evidence import FEATURES
from toolops_plugins.semantic.bounded.labels import WINDOW, Labels, Window
from toolops_plugins.semantic.bounded.logistic import Logistic, logistic
from toolops_plugins.semantic.bounded.records import Records
from toolops_plugins.semantic.bounded.risk import CELLS, Risk, antitonic_fit, cell_of, least_of

weighted = st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 50)), min_size=1, max_size=12)


def isotonic_formula(values, weights):
    """By the min-max formula of isotonic regression, which knows nothing of pools."""
    count = len(values)

    def mean(i, j):
        return np.average(values[i : j + 1], weights=weights[i : j + 1])

    return [
        min(max(mean(i, j) for j in range(k, count)) for i in range(k + 1)) for k in range(count)
    ]


@given(weighted)
def test_the_falling_sequence_is_the_nearest_one(pairs):
    values, weights = np.array(pairs).T
    fitted = antitonic_fit(values, weights)
    assert (np.diff(fitted) <= 1e-12).all()
    assert fitted == pytest.approx(isotonic_formula(values, weights), abs=1e-9)


@given(st.floats(-1e6, 1e6))
def test_every_score_has_a_cell(z):
    cell = cell_of(z)
    assert 0 <= cell < CELLS
    if -4 <= z < 10:
        assert least_of(cell) - 1e-9 <= z < least_of(cell + 1)


def label(count, wrong_at, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-3, 6, count)
    return scores, (rng.random(count) < wrong_at(scores)).astype(float)


def test_without_labels_the_risk_is_the_models_own_word():
    risk = Risk(np.empty(0), np.empty(0))
    for z in (-2.0, 0.0, 3.0, 6.0):
        word = 0.001 + 0.999 / (1 + math.exp(z))  # a score cannot tell everything
        assert risk.by_cell[cell_of(z)] == pytest.approx(word, rel=0.1)


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_labels_correct_the_models_word(factor):
    def truth(z):
        return np.minimum(factor * logistic(-z), 0.9)

    risk = Risk(*label(60_000, truth))
    for z in (1.0, 2.0, 3.0, 4.0):
        assert risk.by_cell[cell_of(z)] == pytest.approx(truth(np.array(z)), rel=0.2)


@given(st.lists(st.tuples(st.floats(-9, 14), st.booleans()), max_size=60))
def test_risks_never_rise_and_stay_between_nothing_and_all(labels):
    scores = np.array([score for score, _ in labels])
    risk = Risk(scores, np.array([float(wrong) for _, wrong in labels]))
    assert (np.diff(risk.by_cell) <= 1e-12).all()
    assert ((risk.by_cell > 0) & (risk.by_cell < 1)).all()


KNOWN = Risk(*label(60_000, lambda z: logistic(-z)))


VOUCHED_RISK = 0.01


def settle(budget, labels=10_000):
    budget.settle(KNOWN, VOUCHED_RISK, labels)


def error_and_hits(budget, scores):
    served = [z for z in scores if cell_of(z) >= budget.theta]
    return sum(logistic(-np.array(z)) for z in served) / len(scores), len(served)


@pytest.mark.parametrize("bound", [0.005, 0.02, 0.05])
def test_what_is_served_is_as_much_as_the_bound_allows(bound):
    scores = np.random.default_rng(1).uniform(-3, 8, 1000).tolist()
    budget = Budget(bound)
    budget.push(NOTHING, 9_000)
    for z in scores:
        budget.push(cell_of(z))
    settle(budget)
    risk, count = error_and_hits(budget, scores)
    assert 0.3 * bound < risk <= 2 * bound  # nothing was spent before
    assert count > 0
    settle(budget, 100)
    assert error_and_hits(budget, scores)[0] < risk


def test_exact_hits_leave_more_room_for_the_others():
    """Of all hits no more than twice the bound may be wrong."""
    thetas = []
    for count in (2, 600):
        budget = Budget(0.005)
        for z in np.random.default_rng(1).uniform(-3, 4, 300).tolist():
            budget.push(cell_of(z))
        budget.push(EXACT, count)
        settle(budget)
        thetas.append(budget.theta)
    assert thetas[1] < thetas[0]


@given(
    st.lists(st.tuples(st.integers(0, NOTHING), st.integers(1, 2500)), max_size=12),
    st.lists(st.integers(0, NOTHING), max_size=120),
)
@settings(max_examples=50)
def test_the_ring_holds_the_last_thousand(pushes, before):
    budget = Budget(0.02)
    expected = []
    for cell in before:
        budget.push(cell)
        expected.append(cell)
    for cell, count in pushes:
        budget.push(cell, count)
        expected += [cell] * count
    recent = budget.recent().tolist()
    assert recent == expected[-1000:]
    assert budget._counts.tolist() == np.bincount(recent, minlength=CELLS + 2).tolist()


def test_a_new_budget_begins_with_the_requests_of_the_last_process_and_an_old_one_does_not():
    budget = Budget(0.02)
    budget.push(3)
    budget.recall(np.array([1, 2], np.int8), 2, 1)
    assert budget.recent().tolist() == [1, 2, 3]
    budget.push(4, 100)
    budget.recall(np.array([9], np.int8), 1, 0)
    assert 9 not in budget.recent()


def test_a_full_ring_that_is_recalled_drops_its_oldest():
    budget = Budget(0.02)
    budget.push(3)
    budget.recall((np.arange(1000) % 100).astype(np.int8), 1_000, 100)
    assert budget.recent().tolist() == [*(np.arange(1, 1000) % 100).tolist(), 3]
    budget.push(5)
    assert budget.recent()[-1] == 5
    assert len(budget.recent()) == 1000


def test_more_errors_than_predicted_brake_and_the_brake_lets_go():
    budget = Budget(0.02)
    for _ in range(20):
        budget.observe(0.05, 0.0)
    assert budget.rho == 1.0
    for _ in range(20):
        budget.observe(0.05, 1.0)
    assert budget.rho > 3.0
    for _ in range(600):
        budget.observe(0.05, 0.0)
    assert budget.rho < 1.01


def test_the_brake_raises_the_least_score_that_is_served():
    scores = np.random.default_rng(1).uniform(-3, 8, 1000).tolist()
    thetas = []
    for wrong in (0.0, 1.0):
        budget = Budget(0.05)
        for z in scores:
            budget.push(cell_of(z))
        for _ in range(20):
            budget.observe(0.05, wrong)
        settle(budget)
        thetas.append(budget.theta)
    assert thetas[1] > thetas[0] + 8


def test_what_would_never_be_served_does_not_brake():
    budget = Budget(0.02)
    for _ in range(50):
        budget.observe(0.6, 1.0)
    assert budget.rho == 1.0


def sample(count, weights, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(weights)))
    right = (rng.random(count) < logistic(features @ weights)).astype(float)
    return features, right


def test_the_model_finds_what_speaks_for_being_right():
    weights = np.array([2.0, -1.0, 0.0])
    features, right = sample(4000, weights)
    model = Logistic(features, right)
    fresh, _ = sample(200, weights, seed=1)
    scores = [model.score(row) for row in fresh]
    assert np.corrcoef(scores, fresh @ weights)[0, 1] > 0.99
    assert np.polyfit(fresh @ weights, scores, 1)[0] == pytest.approx(1, abs=0.15)


def test_few_labels_make_it_modest():
    features, right = sample(4000, np.array([2.0, -1.0, 0.0]))
    far = np.array([4.0, -4.0, 4.0])
    small, large = Logistic(features[:48], right[:48]), Logistic(features, right)
    assert 0 < small.score(far) < large.score(far)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_labels_that_are_all_the_same_are_no_trouble(value):
    model = Logistic(np.ones((48, 3)), np.full(48, value))
    score = model.score(np.ones(3))
    assert math.isfinite(score)
    assert (score > 2) is bool(value)
    assert (score < -2) is not bool(value)


def test_labels_that_can_be_told_apart_without_error_do_not_run_away():
    features = np.concatenate((np.full((40, 1), -1e3), np.full((40, 1), 1e3)))
    model = Logistic(features, (features[:, 0] > 0).astype(float), start=np.array([-20.0, 5.0]))
    assert 2 < model.score(np.array([1e3])) < 20


def test_an_unseen_score_is_that_of_a_model_without_the_label():
    features, right = sample(60, np.array([1.5, -1.0]), seed=3)
    model = Logistic(features, right)
    others = [np.arange(60) != place for place in range(60)]
    without = [
        Logistic(features[rest], right[rest]).score(features[place])
        for place, rest in enumerate(others)
    ]
    with_it = [model.score(row) for row in features]
    unseen = model.unseen(features, right)
    assert np.abs(unseen - without).mean() < 0.3 * np.abs(np.array(with_it) - without).mean()


def test_a_window_holds_the_last_labels():
    window = Window()
    count = 3 * WINDOW + 7
    for place in range(count):
        window.add(
            np.full(len(FEATURES), place), None if place % 2 else place, right=place % 3 == 0
        )
    labels = window.last()
    expected = np.arange(count - WINDOW, count)
    assert window.count == count
    assert labels.features[:, 0].tolist() == expected.tolist()
    assert labels.right.tolist() == (expected % 3 == 0).tolist()
    assert np.isnan(labels.scores).tolist() == (expected % 2 == 1).tolist()


@given(st.integers(0, 2 * WINDOW), st.integers(0, 2 * WINDOW))
@settings(max_examples=20)
def test_labels_of_two_are_the_last_of_both(first, second):
    def some(count, start):
        scores = np.arange(start, start + count, dtype=np.float32)
        return Labels(np.zeros((count, len(FEATURES)), np.float32), scores, np.zeros(count, bool))

    together = some(first, 0).then(some(second, first))
    assert together.scores.tolist() == list(range(first + second))[-WINDOW:]
    assert len(together.features) == len(together.right) == len(together.scores)


def test_a_record_says_how_far_the_model_has_been_off():
    records = Records(10)
    assert records.lean(1) == 0
    for _ in range(8):
        records.note(1, 0.0, 0.75)
    assert records.lean(1) == pytest.approx(-6 / (8 * 0.1875 + 1))
    assert records.lean(2) == 0


def test_a_record_with_decay_forgets():
    records = Records(10, 0.5)
    for _ in range(20):
        records.note(1, 0.0, 0.5)
    for _ in range(20):
        records.note(1, 1.0, 0.5)
    assert records.lean(1) > 0


def test_the_record_that_was_not_used_for_longest_goes():
    records = Records(2)
    for key in (1, 2, 1, 3):
        records.note(key, 1.0, 0.5)
    assert len(records) == 2
    assert records.lean(2) == 0
    assert records.lean(1) > records.lean(3) > 0


def test_records_of_groups_that_become_one_add_up():
    records = Records(10)
    for key in (1, 2, 2):
        records.note(key, 1.0, 0.5)
    one = Records(10)
    for _ in range(3):
        one.note(1, 1.0, 0.5)
    records.join(2, 1)
    assert records.lean(1) == one.lean(1)
    assert records.lean(2) == 0


def test_the_records_of_others_count_beside_the_own_and_are_not_given_on():
    theirs, ours = Records(10), Records(10)
    theirs.note(1, 1.0, 0.5)
    theirs.note(2, 1.0, 0.5)
    ours.note(1, 1.0, 0.5)
    for _ in range(2):
        ours.take([theirs.table()], lambda key: {2: 8}.get(key, key))
    assert ours.lean(1) == pytest.approx(1.0 / (0.5 + 1))
    assert ours.lean(8) == pytest.approx(0.5 / (0.25 + 1))
    assert ours.table().keys.tolist() == [1]
    ours.take([], lambda key: key)
    assert ours.lean(8) == 0


def test_the_records_of_others_are_bounded_too():
    theirs, ours = Records(100), Records(10)
    for key in range(100):
        theirs.note(key, 1.0, 0.5)
    ours.take([theirs.table()], lambda key: key)
    assert ours.lean(89) == 0
    assert ours.lean(90) > 0
