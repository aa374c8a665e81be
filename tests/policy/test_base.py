"""The base of all policies: their fields are set once."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest

from toolops_plugins import Cache, Policy, RateLimit, Retry


@pytest.mark.parametrize("policy", [Cache(ttl=60), Retry(3), RateLimit("60/min"), Policy()])
def test_policies_are_immutable(policy):
    before = repr(policy)
    for name in [field.name for field in fields(policy)] + ["unknown"]:
        with pytest.raises(FrozenInstanceError):
            setattr(policy, name, 1)
        with pytest.raises(FrozenInstanceError):
            delattr(policy, name)
    assert repr(policy) == before


def test_copies_are_equal_and_immutable():
    policy = Retry(attempts=5)
    for same in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy)), replace(policy)):
        assert same == policy
        assert hash(same) == hash(policy)
        with pytest.raises(FrozenInstanceError):
            same.attempts = 1


def test_users_derive_frozen_policies_of_their_own():
    @dataclass(frozen=True)
    class Patient(Retry):
        attempts: int = 9

    assert Patient().attempts == 9
    with pytest.raises(FrozenInstanceError):
        Patient().attempts = 1
