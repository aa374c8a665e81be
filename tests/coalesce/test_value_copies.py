"""Copies of results for followers, and which values can be copied without effect."""

from __future__ import annotations

import uuid
from decimal import Decimal
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toolops_plugins.coalesce.flight import RecentKeys
from toolops_plugins.coalesce.value_copies import copy_value, count_parts


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ([int, dict], 3),
        ([Decimal("1.5"), uuid.UUID(int=1), PurePath("a")], 4),
        (np.arange(5), 1),
        (SimpleNamespace(a=[1], b=2), 6),
    ],
)
def test_values_that_followers_get_copies_of(value: Any, parts: int) -> None:
    assert count_parts(value) == parts
    copy = copy_value(value)
    assert type(copy) is type(value)
    assert repr(copy) == repr(value)


@pytest.mark.parametrize(
    "value",
    [np.array([object()]), iter([1]), (n for n in range(3)), open],
    ids=["objects in an array", "iterator", "generator", "function in C"],
)
def test_values_whose_copies_may_have_an_effect(value: Any) -> None:
    assert count_parts(value) is None


def test_recent_keys_drop_the_oldest() -> None:
    keys = RecentKeys(2)
    for key in (b"a", b"b", b"a", b"c"):
        keys.add(key)
    assert [key in keys for key in (b"a", b"b", b"c")] == [False, True, True]
    keys.discard(b"b")
    keys.discard(b"z")
    assert [key in keys for key in (b"b", b"c")] == [False, True]
