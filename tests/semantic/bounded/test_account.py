from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.semantic.bounded.account import Account, allowed_errors
from toolops_plugins.semantic.bounded.changes import Finding

RISKS = np.array([0.2, 0.01])


def poisson_tail(mean, count):
    """Return the chance of more than ``count`` events."""
    below = sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(count + 1))
    return 1 - below


@pytest.mark.parametrize("count", [1, 2, 5, 20, 90])
def test_more_errors_than_may_happen_are_improbable(count):
    assert 0.0002 < poisson_tail(allowed_errors(count, 3.0), count) < 0.0016


@given(st.floats(0, 500), st.floats(0, 500))
def test_more_errors_may_happen_where_more_are_expected(one, other):
    low, high = sorted((one, other))
    assert 0 <= allowed_errors(low, 3.0) <= allowed_errors(high, 3.0) <= high + 1


def make_account(bound=0.02):
    account = Account(bound, len(RISKS))
    account.price(RISKS)
    return account


def test_what_is_allowed_grows_with_the_requests():
    account = make_account()
    allowed = []
    for _ in range(200):
        account.requests += 50
        allowed.append(account.allowed)
    assert allowed == sorted(allowed)
    assert allowed[-1] == pytest.approx(allowed_errors(200, 2.6))


def test_what_is_spent_is_priced_anew():
    account = make_account()
    for key in range(10):
        account.serve(0, key)
    assert account.spent == pytest.approx(2.0)
    account.price(np.array([0.4, 0.01]))
    assert account.spent == pytest.approx(4.0)
    assert account.hits == 10


def test_what_was_not_served_after_all_is_not_charged():
    account = make_account()
    account.note(Finding.QUIET, 0)
    for key in (1, 2, 1):
        account.serve(0, key)
    account.take_back(0, 1)
    assert (account.hits, account.spent) == (2, pytest.approx(0.4))
    account.note(Finding.ALARM, 1)
    assert account.spent == pytest.approx(1.4)
    for _ in range(9):
        account.take_back(0, 7)
    assert account.spent == pytest.approx(1.0)


def test_it_affords_what_is_left_and_no_more():
    account = make_account()
    account.requests = 1_000
    served = 0
    while account.affords(0.2):
        account.serve(0, served)
        served += 1
    assert account.allowed <= account.spent <= account.allowed + 0.5 * math.sqrt(20)
    account.requests = 3_000
    assert account.affords(0.2)


def test_a_long_life_saves_no_more_than_what_2000_requests_give():
    account = make_account()
    account.requests = 1_000_000
    account.price(RISKS)
    assert account.allowed - account.spent == pytest.approx(0.02 * 2_000)
    assert account.rate() <= 0.02 * 2


def test_old_answers_are_not_priced_anew_forever():
    account = make_account()
    account.requests = 10_000_000
    for _ in range(20):
        for key in range(5_000):
            account.serve(1, key)
        account.price(RISKS)
    before = account.spent
    account.price(RISKS * 2)
    assert account.spent - before < 20_000 * 0.01


def test_answers_that_were_served_while_they_changed_are_charged_once_that_is_known():
    account = make_account()
    account.note(Finding.QUIET, 0)
    for key in (1, 1, 2, 3, 3, 3):
        account.serve(1, key)
    before = account.spent
    account.note(Finding.ALARM, 1)
    assert account.spent == pytest.approx(before + 2)
    account.note(Finding.CONFIRMED, 2)
    account.note(Finding.REFUTED, 2)
    assert account.spent == pytest.approx(before + 2)
    account.note(Finding.REFUTED, 3)
    account.note(Finding.REFUTED, 3)
    assert account.spent == pytest.approx(before + 5)


def test_what_an_alarm_has_charged_is_given_back_if_it_was_false():
    account = make_account()
    for key in (1, 1, 2, 3):
        account.serve(1, key)
    before = account.spent
    account.note(Finding.ALARM, 1)
    account.note(Finding.REFUTED, 2)
    assert account.spent == pytest.approx(before + 3)
    account.note(Finding.FALSE_ALARM, 3)
    assert account.spent == pytest.approx(before)
    account.note(Finding.REFUTED, 3)
    account.note(Finding.FALSE_ALARM, 3)
    assert account.spent == pytest.approx(before)


def test_what_was_served_in_quiet_times_is_not_charged_for_a_change():
    account = make_account()
    account.serve(1, 1)
    account.note(Finding.QUIET, 5)
    before = account.spent
    account.note(Finding.ALARM, 1)
    assert account.spent == before


def test_a_process_goes_on_at_the_pace_of_the_last_one():
    account = make_account()
    account.resume(50_000, 20_000)
    assert account.spent == pytest.approx(account.allowed - 0.02 * 20)
    fresh = make_account()
    assert account.rate_of_hits() > fresh.rate_of_hits()
