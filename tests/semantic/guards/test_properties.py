"""Properties of the guards that hold for any text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from odd_texts import ENDINGS, LISTED, SHORT

import toolops_plugins.semantic.guards as room
from toolops_plugins.semantic.guards import GUARDS, Guards, Traits
from toolops_plugins.semantic.guards.stems import forms_of, is_real, key, stem, without_un

GUARD = Guards(secret=b"a key")

anything = st.text(st.characters(), max_size=200) | st.text(max_size=200)
"""Also lone surrogates, right-to-left scripts, emoji and control characters."""

WORDS = """
how do I what is the a my your not without cancel renew open close buy sell order flight ticket
hotel Paris London usd eur 5 20 3.11 5pm tomorrow Monday from to by before after on off who when why
children password reset $20 20% two A-1042 can't isn't increase price than cheaper beat did
"""
questions = st.builds(
    " ".join,
    st.lists(
        st.sampled_from(WORDS.split()),
        max_size=9,
    ),
)
pieces = st.lists(
    st.sampled_from(
        [*"-'./:@_,%$€#&+*=()0123456789 \t\n", "½", "²", "٣", "é", "İ", "ß", "x", "am"]
    ),
    max_size=30,
).map("".join)
"""Pieces of texts with values."""


@given(anything | questions | pieces)
def test_a_text_never_vetoes_itself(text):
    assert GUARD.veto(text, text) is None
    assert GUARD.veto(text, Traits.from_json(GUARD.hash_traits(text))) is None


@given(anything | questions | pieces, anything | questions | pieces)
def test_no_pair_of_texts_raises_and_the_first_veto_is_that_of_the_verdicts(one, other):
    verdicts = GUARD.verdicts(one, other)
    assert tuple(verdicts) == GUARDS
    assert GUARD.veto(one, other) == next((v for v in verdicts.values() if v is not None), None)
    GUARD.veto(one, Traits.from_json(GUARD.hash_traits(other)))


@given(questions, questions)
def test_whether_two_questions_share_an_answer_does_not_depend_on_which_was_first(one, other):
    assert {name: veto is None for name, veto in GUARD.verdicts(one, other).items()} == {
        name: veto is None for name, veto in GUARD.verdicts(other, one).items()
    }


@given(questions, questions)
def test_hashed_traits_judge_as_plain_ones_where_nothing_is_misspelt(one, other):
    hashed = Traits.from_json(GUARD.hash_traits(other))
    assert {name: veto is None for name, veto in GUARD.verdicts(one, other).items()} == {
        name: veto is None for name, veto in GUARD.verdicts(one, hashed).items()
    }


@given(anything | questions)
def test_traits_survive_json(text):
    traits = GUARD.traits(text)
    assert Traits.from_json(traits.to_json()) == traits


# Words that no list was made for: whatever an ending is taken off, something must be left to read.

inflected = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "un", "re", "non"]),
    st.sampled_from([*SHORT, *LISTED]),
    st.sampled_from(ENDINGS),
)


def test_no_short_word_is_too_short_for_an_ending():
    for word, ending in itertools.product(SHORT, ENDINGS):
        for ask in (stem, key, is_real, without_un, forms_of):
            ask(word + ending)


@given(st.lists(inflected | st.text(max_size=8), max_size=6).map(" ".join), questions)
@example("How many human beings have ever lived?", "How many people have ever lived?")
@example("How many human beings have ever lived?", "How many human beings live now?")
def test_no_word_is_too_odd_to_be_compared(one, other):
    assert tuple(GUARD.verdicts(one, other)) == GUARDS
    assert GUARD.veto(one, one) is None
    GUARD.weigh(other, one)
    GUARD.are_equivalent(one, Traits.from_json(GUARD.hash_traits(other)))


@pytest.mark.parametrize("trouble", [IndexError, RecursionError, MemoryError, UnicodeError])
def test_a_text_that_cannot_be_read_is_vetoed_by_every_guard(trouble, monkeypatch):
    guards = Guards()

    def read(text: str) -> Traits:
        raise trouble

    monkeypatch.setattr(guards, "_read", read)
    verdicts = guards.verdicts("one text", "one text")
    assert [veto.guard for veto in verdicts.values()] == list(GUARDS)
    assert guards.veto("one text", "one text") is not None
    assert guards.weigh("one text", "one text")[1] is False


@pytest.mark.parametrize("trouble", [IndexError, RecursionError, MemoryError, UnicodeError])
def test_a_guard_that_raises_has_not_said_yes(trouble, monkeypatch):
    def fail(pair: object) -> None:
        raise trouble

    monkeypatch.setitem(room.guards.BUILT_IN, "words", fail)
    guards = Guards()
    veto = guards.veto("the same", "the same")
    assert veto is not None
    assert veto.guard == "words"
    # One that was not chosen is asked about likeness alone.
    assert Guards(["numbers"]).weigh("the same", "the same") == (None, False)
