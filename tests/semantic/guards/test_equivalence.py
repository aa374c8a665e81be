"""Pairs of questions that the guards call equivalent, and pairs that they do not."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from questions import TEN_WAYS

from toolops_plugins.semantic.guards import Guards, Traits, Veto

ALL = Guards(secret=b"a key")


@pytest.mark.parametrize(("question", "candidate"), list(product(TEN_WAYS, TEN_WAYS)))
def test_ten_ways_to_ask_one_thing_are_alike_hashed_or_not(question, candidate):
    assert ALL.are_equivalent(question, candidate)
    assert ALL.are_equivalent(question, Traits.from_json(ALL.hash_traits(candidate)))


@pytest.mark.parametrize("other", ["Germany", "Frankfurt", "Guinea"])
def test_none_of_the_ten_is_alike_to_the_same_of_another_country(other):
    for question, candidate in product(TEN_WAYS, TEN_WAYS):
        assert not ALL.are_equivalent(question, candidate.replace("France", other))


ALIKE = [
    ("how do I cancle my subscribtion", "How do I cancel my subscription?"),
    ("flights on the 2nd of June", "flights on June 2"),
    ("who was Caesar killed by", "who killed Caesar"),
    ("When did Germany invade Poland", "When was Poland invaded by Germany"),
    ("Sorry if this has been asked before, but can rabbits eat celery?", "Can rabbits eat celery?"),
    ("How do I fix a torn sail?", "How do I mend a ripped sail?"),
    ("weather in Paris", "Paris weather"),
    ("how do I silence notifications", "how do I mute notifications"),
    ("symptoms of numonia", "symptoms of pneumonia"),
    ("hello!", "Hello"),
    ("Wie ist das Wetter in Rom?", "wie ist bitte das Wetter in Rom"),
]

NOT_ALIKE = [
    ("Is parking free?", "Is parking free today?"),  # the guards let that pass, for it may do
    ("does my dog like your cat", "does my cat like your dog"),
    ("what is the largest city", "what is the largest country"),
    ("where can I use my card", "where can I find my card"),
    ("is it open", "when is it open"),
    ("how do I find a formula in Excel", "how do I name a formula in Excel"),
    ("show the history of your orders", "show the history of orders"),
    ("why did he leave", "why did she leave"),
    ("how do I get a loan", "how do I give a loan"),
    ("a is a tuple, how do I turn a into the type of b", "a is a tuple, how do I turn b into a"),
]


@pytest.mark.parametrize(("question", "candidate"), ALIKE)
def test_what_is_understood_and_matched_is_alike_from_both_sides(question, candidate):
    assert ALL.are_equivalent(question, candidate)
    assert ALL.are_equivalent(candidate, question)


@pytest.mark.parametrize(("question", "candidate"), NOT_ALIKE)
def test_in_any_doubt_two_texts_are_not_alike(question, candidate):
    assert not ALL.are_equivalent(question, candidate)
    assert not ALL.are_equivalent(candidate, question)


def test_weighing_gives_the_first_veto_and_whether_the_two_are_alike():
    assert ALL.weigh("hotels in Oslo", "hotels in Oslo, please") == (None, True)
    assert ALL.weigh("hotels in Oslo", "see hotels in Oslo yourself") == (None, False)
    veto, same = ALL.weigh("hotels in Oslo", "hotels in Bergen")
    assert veto == ALL.veto("hotels in Oslo", "hotels in Bergen") is not None
    assert not same


def test_guards_that_are_switched_off_still_keep_texts_from_being_alike():
    guards = Guards([])
    assert guards.weigh("hotels in Oslo", "hotels in Bergen") == (None, False)
    assert guards.weigh("open at 5pm", "open at 6pm") == (None, False)
    assert guards.weigh("who was Caesar killed by", "who was killed by Caesar") == (None, False)
    assert guards.are_equivalent("hotels in Oslo", "hotels in Oslo")


def test_a_users_veto_keeps_texts_from_being_alike():
    guards = Guards([lambda question, candidate: Veto("mine", "no")])
    assert guards.weigh("hotels in Oslo", "hotels in Oslo") == (Veto("mine", "no"), False)


def test_long_texts_are_alike_only_if_they_are_the_same():
    text = "Summarise: " + "the quick brown fox jumps over it. " * 20
    assert ALL.are_equivalent(text, text.upper())
    assert not ALL.are_equivalent(text, text + "not")


WORDS = """
how do I what is the a my your not without cancel renew open close buy sell order flight ticket
hotel Paris London 5 20 5pm tomorrow Monday from to by before after on off who when why children
password reset $20 two price cheaper beat did captial recieve please thanks if use find
"""
questions = st.builds(" ".join, st.lists(st.sampled_from(WORDS.split()), max_size=8))


@given(questions, questions)
def test_alike_is_the_same_from_both_sides_and_never_despite_a_veto(one, other):
    veto, alike = ALL.weigh(one, other)
    assert (veto, alike) == (ALL.veto(one, other), ALL.are_equivalent(one, other))
    assert alike == ALL.are_equivalent(other, one)
    assert not (veto and alike)


@given(questions, questions)
def test_hashed_traits_are_alike_only_where_plain_ones_are(one, other):
    if ALL.are_equivalent(one, Traits.from_json(ALL.hash_traits(other))):
        assert ALL.are_equivalent(one, other)
