"""The measure of agreement, on pairs that were written by hand and on texts of every form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from toolops_plugins.keys.canonical import Canon
from toolops_plugins.semantic.answers.agreement import Agreement
from toolops_plugins.semantic.answers.equality import digest_of
from toolops_plugins.semantic.embedding.embedders import default_model

HERE = Path(__file__).parents[1]
FILES = ["answers_seen.jsonl", "answers_unseen.jsonl", "answers_more.jsonl"]
MEASURE = Agreement(default_model())
LONG_ANSWER = (
    "You can return unused items within 30 days of delivery. Open your orders, choose the item and "
    "print the label; the refund goes to your card within a week."
)
IN_OTHER_WORDS = (
    "Unused items can be returned up to 30 days after delivery: open your orders, select the item "
    "and print the label. The refund reaches your card within a week."
)


class Weather(BaseModel):
    place: str
    degrees: int
    text: str


@dataclass
class Price:
    amount: int
    note: str


def pairs_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", FILES)
def test_verdicts_are_hardly_ever_wrong_and_most_differences_are_seen(name):
    verdicts = [(MEASURE.compare(p["cached"], p["fresh"]), p["same"]) for p in pairs_of(name)]
    found_same = [same for verdict, same in verdicts if verdict is True]
    found_other = [same for verdict, same in verdicts if verdict is False]
    assert found_same.count(False) <= 0.01 * len(found_same)
    assert found_other.count(True) <= 0.03 * len(found_other)
    assert len(found_same) >= 0.38 * sum(same for _, same in verdicts)
    assert len(found_other) >= 0.65 * sum(not same for _, same in verdicts)


@pytest.mark.parametrize("name", FILES[1:])
def test_the_order_of_two_answers_does_not_count(name):
    for pair in pairs_of(name):
        one, other = pair["cached"], pair["fresh"]
        assert MEASURE.compare(one, other) == MEASURE.compare(other, one), (one, other)
        assert MEASURE.compare(one, one)


@pytest.mark.parametrize(
    ("cached", "fresh"),
    [
        ("Paris", "paris."),
        ("Yes.", "Yes, it does."),
        ("42 EUR", "42 euros"),
        (LONG_ANSWER, IN_OTHER_WORDS),
        (
            "退款通常在3到5个工作日内退回原支付账户,运费由我们承担。",
            "退款通常在3至5个工作日内退回到原支付账户,运费由我们承担。",
        ),
        (LONG_ANSWER, f"Sure! {IN_OTHER_WORDS} Let me know if you need anything else."),
        ('{"city": "Paris", "n": 1}', '{"n":1,"city":"Paris"}'),
        ('{"n": 1}', '```json\n{"n": 1}\n```'),
        (["", [["search", {"q": 1}]]], ["", [["search", {"q": 1}]]]),
        ({"text": LONG_ANSWER, "n": 1}, {"text": IN_OTHER_WORDS, "n": 1}),
        (
            Weather(place="Rome", degrees=31, text=LONG_ANSWER),
            Weather(place="Rome", degrees=31, text=IN_OTHER_WORDS),
        ),
        (Price(3, LONG_ANSWER), Price(3, IN_OTHER_WORDS)),
    ],
)
def test_the_same_in_other_words_is_the_same(cached, fresh):
    assert MEASURE.compare(cached, fresh) is True


@pytest.mark.parametrize(
    ("cached", "fresh"),
    [
        ("Paris", "London"),
        ("card_arrival", "card_linking"),
        ("Request refund", "Refund not showing up"),
        ("42 EUR", "44 EUR"),
        ("Yes, it is included in the price.", "No, it is not included in the price."),
        ("approved", "not approved"),
        (LONG_ANSWER, "I'm sorry, but I don't know the answer to that."),
        (
            LONG_ANSWER,
            "Our shops are open from Monday to Saturday between 9 am and 8 pm, also in May.",
        ),
        ('{"city": "Paris"}', '{"city": "Rome"}'),
        (
            '{"city": "Paris"}',
            "The city is Paris, as far as I can tell from what you have said here.",
        ),
        ({"n": 1}, {"n": 2}),
        ({"n": 1}, {"m": 1}),
        ([1, 2], [1]),
        ({"text": LONG_ANSWER, "n": 1}, {"text": IN_OTHER_WORDS, "n": 2}),
        (
            Weather(place="Rome", degrees=31, text=LONG_ANSWER),
            Weather(place="Rome", degrees=18, text=IN_OTHER_WORDS),
        ),
        ("1", 1),
    ],
)
def test_another_answer_is_another(cached, fresh):
    assert MEASURE.compare(cached, fresh) is False


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("30 days", "40 days"),
        ("Unused items can", "Unused items cannot"),
        ("a week", "three weeks"),
    ],
)
def test_one_difference_that_matters_is_never_the_same(one, other):
    assert one in IN_OTHER_WORDS
    assert MEASURE.compare(LONG_ANSWER, IN_OTHER_WORDS.replace(one, other)) is not True


@pytest.mark.parametrize(
    ("cached", "fresh"),
    [
        ("I'm sorry, I can't help with that.", "As an AI model I cannot help with this request."),
        ("Paris", "The capital is Paris."),
        (
            "To turn on the alarm, open Settings, choose Alarms, and tap the switch beside it.",
            "To turn off the alarm, open Settings, choose Alarms, and tap the switch beside it.",
        ),
        (
            "To move from Basic to Premium, open your profile, choose Plans and confirm it.",
            "To move from Premium to Basic, open your profile, choose Plans and confirm it.",
        ),
    ],
)
def test_where_it_cannot_be_told_nothing_is(cached, fresh):
    assert MEASURE.compare(cached, fresh) is None


def test_without_the_included_model_only_what_needs_none_is_told():
    bare = Agreement(None)
    assert bare.compare(LONG_ANSWER, IN_OTHER_WORDS) is None
    assert bare.compare("Paris", "London") is False
    assert bare.compare(LONG_ANSWER, f" {LONG_ANSWER.upper()} ") is True


def test_another_embedder_opens_what_is_in_doubt_and_no_contradiction():
    vague = "Send back new things only; for 30 days you can print a label for that in your orders."
    assert MEASURE.compare(LONG_ANSWER, vague) is None
    assert MEASURE.compare(LONG_ANSWER, vague, alike=True) is True
    other = IN_OTHER_WORDS.replace("30", "40")
    assert MEASURE.compare(LONG_ANSWER, other, alike=True) is None


def test_a_very_long_answer_takes_no_longer_than_a_long_one():
    words = "The refund reaches your card within a week. "
    assert MEASURE.compare(words * 30_000, words * 29_999 + "Really.") is not False


odd = st.text(st.characters(), max_size=80) | st.text(max_size=80)
pieces = st.lists(
    st.sampled_from(
        [
            *"-'./:@_,%$€`\"#&+*=(){}[]0123456789 \t\n",
            "½",
            "²",
            "٣",
            "é",
            "ß",
            "x",
            " am",
            "12:",
            "不",
        ]
    ),
    max_size=30,
).map("".join)


@given(odd | pieces, odd | pieces)
@example("\ud800", "\x00")
@example("", " ")
@example("1.2.3 days", "1,2,3 pm")
@example("٣:٤ pm", "99:99 am")
@example("9" * 400 + " days", "9" * 400 + " am")
@example("[1", "{}")
def test_no_text_is_too_odd(one, other):
    assert MEASURE.compare(one, one) is True
    long = f"{one} and so on, with a few more words, so that it is a free text of its own"
    for a, b in ((one, other), (long, other), (long, f"{other} {long}")):
        assert MEASURE.compare(a, b) in (True, False, None)
        assert MEASURE.compare(a, b) == MEASURE.compare(b, a)


def test_a_comparison_of_a_users_class_that_raises_is_a_difference():
    class Quarrelsome:
        def __eq__(self, other: object) -> bool:
            raise OSError

        __hash__ = None  # type: ignore[assignment]  # never put into a set

    assert MEASURE.compare(Quarrelsome(), Quarrelsome()) is False
    deep: list[Any] = []
    for _ in range(50):
        deep = [deep, LONG_ANSWER]
    assert MEASURE.compare(deep, [[deep], LONG_ANSWER]) in (False, None)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Paris", " paris.", True),
        ('{"a": 1, "b": [2]}', '{"b":[2],"a":1}', True),
        ('{"a": 1}', '{"a": 2}', False),
        ("C", "C+", False),
        ("5", ".5", False),
        ("{not json}", "{Not  JSON}", True),
    ],
)
def test_equal_answers_have_one_digest(one, other, equal):
    canon = Canon()
    digests = {digest_of(canon, text, text.encode(), None) for text in (one, other)}
    assert (len(digests) == 1) is equal
