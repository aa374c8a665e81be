"""Texts that no guard can read are served to near repeats only, in any language or notation.

`pairs_anywhere.tsv` has one pair a line, written by hand: language or notation, "trap" or "same",
and the two texts. The "same" ones are near repeats, but for those in English.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolops_plugins import SemanticCache
from toolops_plugins.semantic.guards import GUARDS, Guards, Traits
from toolops_plugins.semantic.guards.near_repeats import are_near_repeats

PAIRS = [
    tuple(line.split("\t"))
    for line in Path(__file__).with_name("pairs_anywhere.tsv").read_text("utf-8").splitlines()
]
GUARD = Guards()


@pytest.mark.parametrize(("language", "kind", "one", "other"), PAIRS)
def test_traps_are_vetoed_and_near_repeats_pass_from_both_sides(language, kind, one, other):
    for question, candidate in ((one, other), (other, one)):
        stored = Traits.from_json(GUARD.hash_traits(candidate))
        for its in (candidate, stored):
            assert (GUARD.veto(question, its) is None) == (kind == "same")
            assert GUARD.repeats(question, its) <= (kind == "same")
            if language != "en":
                assert GUARD.repeats(question, its) == (kind == "same")


def test_no_trap_is_served_and_most_near_repeats_are(tmp_path):
    served: dict[str, list[bool]] = {"trap": [], "same": []}
    with SemanticCache(tmp_path) as cache:
        for number, (_, _, _, candidate) in enumerate(PAIRS):
            cache.put(candidate, "its answer", scope=number)
        for number, (_, kind, question, _) in enumerate(PAIRS):
            served[kind].append(cache.find(question, scope=number) is not None)
    assert not any(served["trap"])
    assert sum(served["same"]) > 0.9 * len(served["same"])


def test_there_are_pairs_in_many_languages_and_both_kinds():
    assert len({language for language, *_ in PAIRS}) > 50
    assert sum(kind == "trap" for _, kind, *_ in PAIRS) > 100
    assert sum(kind == "same" for _, kind, *_ in PAIRS) > 60


def test_unread_can_be_left_out():
    one, other = "Кредит картасын қалай алуға болады?", "Кредит картасын қалай жабуға болады?"
    veto = GUARD.veto(one, other)
    assert veto is not None
    assert veto.guard == "unread"
    assert Guards([name for name in GUARDS if name != "unread"]).veto(one, other) is None


def test_numbers_and_negations_veto_before_unread():
    for one, other, name in (
        ("Wetter am 3. Mai in Rom", "Wetter am 4. Mai in Rom", "numbers"),
        ("je veux un billet", "je ne veux pas un billet", "negation"),
        ("a + b", "a - b", "numbers"),
        ("👍", "👎", "numbers"),
    ):
        veto = GUARD.veto(one, other)
        assert veto is not None
        assert veto.guard == name


def test_the_reason_names_the_symbols_that_differ():
    veto = GUARD.veto("Which have a price < 100?", "Which have a price > 100?")
    assert veto is not None
    assert veto.reason == 'the symbols differ: "<" and ">"'
    stored = Traits.from_json(GUARD.hash_traits("Which have a price > 100?"))
    hashed = GUARD.veto("Which have a price < 100?", stored)
    assert hashed is not None
    assert hashed.reason == "the symbols differ"


ENGLISH = [
    ("wether in amsterdm tommorow", "weather in Amsterdam tomorrow"),
    ("eiffel tower height", "How tall is the Eiffel Tower?"),
    ("tour de france 2023 winner", "Who was the winner of the Tour de France in 2023?"),
    ("how do i resset my pasword", "How do I reset my password?"),
]


@pytest.mark.parametrize(("one", "other"), ENGLISH)
def test_english_that_is_misspelt_or_names_something_is_read(one, other):
    assert GUARD.veto(one, other) is None
    assert GUARD.veto(other, one) is None


TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from([text for *_, one, other in PAIRS for text in (one, other)]),
)


@given(TEXTS, TEXTS)
@example("", " ")
@example("\ud800", "\ud801")
@example("!", "?")
@example("bitte", "please")
def test_repeats_are_symmetric_and_the_same_of_stored_traits(one, other):
    repeats = GUARD.repeats(one, other)
    assert are_near_repeats(one, other) == repeats
    assert GUARD.repeats(other, one) == repeats
    assert GUARD.repeats(one, Traits.from_json(GUARD.hash_traits(other))) == repeats
    if repeats:
        assert GUARD.are_equivalent(one, other) or GUARD.veto(one, other) is not None


@given(TEXTS)
def test_a_text_repeats_itself_with_other_spaces(text):
    assert GUARD.repeats(text, text)
    assert GUARD.repeats(" ".join(text.split()), f"  {'  '.join(text.split())} ")


def test_a_long_text_repeats_itself_only():
    text = "Wie viele Einwohner hat die Stadt? " * 20
    assert GUARD.repeats(text, text.upper())
    assert not GUARD.repeats(text, text + "Bitte antworten.")
