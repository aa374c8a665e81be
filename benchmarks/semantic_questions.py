"""Numbered entries and requests of the semantic benchmark, the same in every process.

The questions are those of banking77, from the folder of ``TOOLOPS_DATA`` (default: ``shared/data``
beside the project), or generated phrases if it is missing. There are fewer questions than entries,
so later entries differ by a remark. A request is a stored question with a greeting or thanks, whose
vector stays near enough (a cosine of 0.92 and more) for a hit by the default of every contestant.
No request repeats before all entries have had all greetings.

Questions of one intent with the same remark have one answer. Scopes stand for tenants, which partly
ask the same: with ten scopes or more, each question is stored in ten of them, with another answer
in each.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

DATA = Path(os.environ.get("TOOLOPS_DATA") or Path(__file__).parents[2] / "shared" / "data")
REMARKS = (
    "",
    " I am abroad.",
    " It is for my business.",
    " I use the old app.",
    " My wife would like to know.",
    " This was yesterday.",
    " I am a new customer.",
    " The card was a gift.",
    " I have two accounts.",
    " I am asking for my father.",
)
GREETINGS = (
    "Hi, {}", "Hello! {}", "{} Thanks", "Hey, {}", "Hi there, {}", "So, {}", "um, {}",
    "{} Thank you!", "Please: {}", "Hi, {} Thanks", "Hey, {} Thanks", "So, {} Thanks",
)  # fmt: skip
SHARED_BY = 10  # scopes that store the same question
PRIME = 7919  # spreads neighbouring requests over distant entries


class Entry(NamedTuple):
    """A question with its answer in a scope."""

    text: str
    value: str
    scope: str


@functools.cache
def questions() -> list[tuple[str, str]]:
    """Return the questions with their intents; one intent has one answer."""
    try:
        lines = (DATA / "banking77.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return list(_generate())
    rows = map(json.loads, lines)
    return [(each["question"], each["intent"]) for each in rows]


def source() -> str:
    """Return the source of the questions, for a note below a table."""
    all_questions = (DATA / "banking77.jsonl").exists()
    return (
        "questions of banking77" if all_questions else "generated questions: banking77 is missing"
    )


def entry(number: int, scopes: int) -> Entry:
    """Return the entry of a number."""
    scope = number % scopes
    group = min(SHARED_BY, scopes)
    which = scope // group + number // scopes * (scopes // group)
    all_questions = questions()
    remark, place = divmod(which, len(all_questions))
    text, intent = all_questions[place]
    remark %= len(REMARKS)
    # Many questions are in banking77 twice, in almost the same words: either answer is right.
    return Entry(text + REMARKS[remark], f"{intent} {remark} {scope}", f"tenant{scope}")


def request(number: int, entries: int, scopes: int) -> Entry:
    """Return a stored question, slightly rephrased, with its right answer."""
    turn, place = divmod(number, entries)
    target = entry(place * PRIME % entries, scopes)
    greeting = GREETINGS[(turn + place) % len(GREETINGS)]
    return target._replace(text=greeting.format(target.text))


def _generate() -> Iterator[tuple[str, str]]:
    openings = (
        "How do I", "How can I", "What must I do to", "I want to", "I would like to", "Can I",
        "Is there a way to", "Tell me how to", "Where do I go to", "Please let me", "I need to",
        "Could you help me to", "Is it possible to", "Am I allowed to", "Explain how to",
        "I am trying to", "Who helps me to",
    )  # fmt: skip
    verbs = (
        "open", "close", "change", "find", "share", "rename", "pay for", "renew", "lock",
        "unlock", "return",
    )  # fmt: skip
    things = ("my account", "a card", "the invoice", "my order", "a voucher", "a room", "my ticket")
    places = (
        "", " today", " by phone", " in the app", " at the counter", " for a friend", " abroad",
        " at night", " on Sundays", " by mail",
    )  # fmt: skip
    for place, opening, thing, verb in product(places, openings, things, verbs):
        yield f"{opening} {verb} {thing}{place}?", f"{verb} {thing}"
