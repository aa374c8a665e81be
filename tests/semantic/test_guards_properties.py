"""What the guards hold for any text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from toolops_plugins.semantic.guards import GUARDS, Guards, Traits

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
"""What the reading of values has to do with."""


@settings(max_examples=400, deadline=None)
@given(anything | questions | pieces)
def test_a_text_never_vetoes_itself(text):
    assert GUARD.veto(text, text) is None
    assert GUARD.veto(text, Traits.from_json(GUARD.hashed(text))) is None


@settings(max_examples=400, deadline=None)
@given(anything | questions | pieces, anything | questions | pieces)
def test_no_pair_of_texts_raises_and_the_first_veto_is_that_of_the_verdicts(one, other):
    verdicts = GUARD.verdicts(one, other)
    assert tuple(verdicts) == GUARDS
    assert GUARD.veto(one, other) == next((v for v in verdicts.values() if v is not None), None)
    GUARD.veto(one, Traits.from_json(GUARD.hashed(other)))


@settings(max_examples=600, deadline=None)
@given(questions, questions)
def test_whether_two_questions_share_an_answer_does_not_depend_on_which_was_first(one, other):
    assert {name: veto is None for name, veto in GUARD.verdicts(one, other).items()} == {
        name: veto is None for name, veto in GUARD.verdicts(other, one).items()
    }


@settings(max_examples=600, deadline=None)
@given(questions, questions)
def test_hashed_traits_judge_as_plain_ones_where_nothing_is_misspelt(one, other):
    hashed = Traits.from_json(GUARD.hashed(other))
    assert {name: veto is None for name, veto in GUARD.verdicts(one, other).items()} == {
        name: veto is None for name, veto in GUARD.verdicts(one, hashed).items()
    }


@settings(max_examples=200, deadline=None)
@given(anything | questions)
def test_traits_survive_json(text):
    traits = GUARD.traits(text)
    assert Traits.from_json(traits.to_json()) == traits
