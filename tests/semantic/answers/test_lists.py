"""The word lists of the measure of agreement: sorted, unique, and one meaning to a word."""

from __future__ import annotations

import tomllib
from collections import Counter
from importlib.resources import files
from itertools import chain
from typing import Any

FILE = files("toolops_plugins.semantic.answers").joinpath("words.toml")
TABLES: dict[str, dict[str, Any]] = tomllib.loads(FILE.read_text("utf-8"))


def words_of(given: Any) -> list[str]:
    return given.split() if isinstance(given, str) else given


def test_every_list_is_sorted_and_unique():
    for name, table in TABLES.items():
        for key, given in table.items():
            words = words_of(given)
            assert words == sorted(set(words)), (name, key)


def test_no_word_has_two_values_or_roles():
    for name in ("numbers", "minutes", "roles"):
        counts = Counter(chain.from_iterable(map(words_of, TABLES[name].values())))
        assert set(counts.values()) == {1}, name
    numbers, minutes, negators = (
        set(chain.from_iterable(map(words_of, TABLES[name].values())))
        for name in ("numbers", "minutes", "negators")
    )
    assert numbers.isdisjoint(minutes | negators)
    assert minutes.isdisjoint(negators)
    yes, no = (set(words_of(TABLES["replies"][name])) for name in ("yes", "no"))
    assert yes.isdisjoint(no)
