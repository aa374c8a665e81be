"""Texts from all of Unicode, and words with every ending: nothing that reads them raises.

`make soak` reads 200,000 texts and all words.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from odd_texts import LISTED, check_cache, check_forms, check_texts

from toolops_plugins.semantic.guards import Guards

SEED = 7


def test_no_text_is_too_odd_for_the_guards_and_the_embedder() -> None:
    assert not check_texts(SEED, 1_000)  # `make soak` reads many more


@pytest.mark.parametrize(
    "options",
    [{}, {"store_text": False}, {"secret": "a secret"}, {"max_error": 0.05}],
    ids=["plain", "digests", "signed", "bounded"],
)
def test_no_text_is_too_odd_for_the_cache(options: dict[str, Any], tmp_path: Path) -> None:
    assert not check_cache(SEED, 300, tmp_path, **options)


def test_no_form_of_a_listed_word_is_too_odd_for_the_guards() -> None:
    assert not check_forms(random.Random(SEED).sample(LISTED, 60))


@pytest.mark.parametrize("text", ["n't", "n\u2019t", "Open it, n't?", "'t", "'s"])
def test_a_short_form_without_its_word_is_read(text: str) -> None:
    failures: list[Exception] = []
    guards = Guards(on_failure=lambda _, error: failures.append(error))
    assert guards.veto(text, text) is None
    assert guards.veto(text, "Open it, is it?") is not None
    assert not failures


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("1.000.000 billion", "1.000.001 billion"),
        ("1" * 310 + " and a half", "1" * 310),
        ("1" * 310 + " minutes past three", "1" * 311 + " minutes past three"),
        ("half past " + "9" * 310, "half past nine"),
    ],
)
def test_an_endless_number_is_read(text: str, other: str) -> None:
    failures: list[Exception] = []
    guards = Guards(on_failure=lambda _, error: failures.append(error))
    assert guards.veto(text, text) is None
    assert guards.veto(text, other) is not None
    assert not failures
