from __future__ import annotations

import numpy as np
import pytest

from toolops_plugins.semantic.bounded.changes import Changes, Finding


def run(changes, labels, *, changed, groups=40, seed=0, news=0.2):
    """Note labels of random risks; return the number of labels before an alarm, or None."""
    rng = np.random.default_rng(seed)
    for count in range(labels):
        risk = float(rng.uniform(0.01, 0.4))
        different = rng.random() < changed
        right = not different and rng.random() >= risk
        new = not right and (different or rng.random() < news)
        if changes.note(int(rng.integers(groups)), risk, right=right, new=new) is Finding.ALARM:
            return count
    return None


def test_alarms_are_rare_while_answers_are_wrong_as_often_as_expected():
    alarms = [run(Changes(), 1_500, changed=0.0, seed=seed) is not None for seed in range(8)]
    assert sum(alarms) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_a_change_of_many_answers_is_noticed_soon(seed):
    changes = Changes()
    run(changes, 500, changed=0.0, seed=seed)
    found = run(changes, 500, changed=0.3, seed=seed)
    assert found is not None
    assert found < 120


def test_noise_that_is_expected_is_no_change():
    """Wrong answers unlike all others are common here, and the risks say so."""
    assert run(Changes(), 2_000, changed=0.0, news=0.9) is None


def test_after_an_alarm_every_group_is_in_doubt_until_it_was_right():
    changes = Changes()
    assert changes.trusts(1)
    for _ in range(60):
        finding = changes.note(1, 0.3, right=False, new=True)
        if finding is Finding.ALARM:
            break
    assert finding is Finding.ALARM
    assert not changes.trusts(1)
    assert not changes.trusts(2)
    assert changes.note(2, 0.3, right=True, new=False) is Finding.CONFIRMED
    assert changes.trusts(2)
    changes.confirm(3)  # a new group
    assert changes.trusts(3)
    assert changes.note(1, 0.05, right=False, new=True) is Finding.REFUTED


def raise_alarm(changes):
    while changes.note(-1, 0.3, right=False, new=True) is not Finding.ALARM:
        changes.confirm(-1)


def note_first_labels(changes, *, changed, seed, labels=1_000):
    """Note the labels of many groups that an alarm has put in doubt, each asked for once.

    Return what they meant.
    """
    rng = np.random.default_rng(seed)
    findings = []
    for key in range(labels):
        risk = float(rng.uniform(0.01, 0.4))
        different = rng.random() < changed
        right = not different and rng.random() >= risk
        new = not right and (different or rng.random() < 0.4)
        findings.append(changes.note(key, risk, right=right, new=new))
    return findings


@pytest.mark.parametrize("seed", range(5))
def test_a_false_alarm_ends_for_all_groups_at_once(seed):
    changes = Changes()
    raise_alarm(changes)
    assert not changes.trusts(5_000)
    assert Finding.FALSE_ALARM in note_first_labels(changes, changed=0.0, seed=seed)
    assert changes.trusts(5_000)


@pytest.mark.parametrize("changed", [0.2, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_a_true_alarm_ends_for_each_group_alone(seed, changed):
    changes = Changes()
    raise_alarm(changes)
    assert Finding.FALSE_ALARM not in note_first_labels(changes, changed=changed, seed=seed)
    assert not changes.trusts(5_000)


def test_what_was_wrong_after_an_alarm_stays_in_doubt_when_the_alarm_ends():
    changes = Changes()
    raise_alarm(changes)
    changes.note(7_000, 0.3, right=False, new=True)
    note_first_labels(changes, changed=0.0, seed=0)
    assert changes.trusts(5_000)
    assert not changes.trusts(7_000)


def test_an_alarm_after_a_false_one_puts_all_groups_in_doubt_again():
    changes = Changes()
    raise_alarm(changes)
    note_first_labels(changes, changed=0.0, seed=0)
    assert changes.trusts(3)
    changes.confirm(-1)
    raise_alarm(changes)
    assert not any(map(changes.trusts, range(1_000)))


def test_a_surprise_puts_one_group_in_doubt():
    changes = Changes()
    changes.note(1, 0.02, right=False, new=False)
    assert not changes.trusts(1)
    assert changes.trusts(2)
    assert changes.note(1, 0.02, right=True, new=False) is Finding.CONFIRMED
    assert changes.trusts(1)


def test_what_was_risky_is_no_surprise():
    changes = Changes()
    changes.note(1, 0.4, right=False, new=False)
    assert changes.trusts(1)


def test_more_attention_is_paid_while_something_speaks_for_a_change():
    changes = Changes()
    assert changes.attention == 0
    changes.note(1, 0.02, right=False, new=True)
    assert changes.attention > 0
    for _ in range(40):
        finding = changes.note(2, 0.1, right=True, new=False)
    assert finding is Finding.QUIET
    assert changes.attention == 0


def test_a_group_that_is_joined_with_another_brings_its_doubt_along():
    changes = Changes()
    changes.note(1, 0.02, right=False, new=False)
    changes.join(1, 2)
    assert not changes.trusts(2)
    changes.note(2, 0.02, right=True, new=False)
    assert changes.trusts(2)
