"""What the semantic benchmark stores and asks: numbered, so that every process makes the same.

The questions are those of banking77 where the folder of ``TOOLOPS_DATA`` (default: ``shared/data``
beside the project) holds them, and made up of phrases elsewhere. There are fewer of them than
entries, so the later ones are told apart by a remark. A request is a stored question with a
greeting or thanks, which leaves its vector near enough (a cosine of 0.92 and more) to be a hit by
the default of every contestant. No request comes twice before all entries have had all greetings.

Questions of one intent with the same remark have one answer. Scopes stand for tenants, who ask
partly the same: with ten scopes or more, each question is stored in ten of them, with another
answer in each.
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
PRIME = 7919  # so that neighbouring requests are for entries far apart


class Entry(NamedTuple):
    """A question with its answer, in a scope."""

    text: str
    value: str
    scope: str


@functools.cache
def questions() -> list[tuple[str, str]]:
    """Return the questions, each with its intent: those of one intent want one answer."""
    try:
        lines = (DATA / "banking77.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return list(_made_up())
    found = map(json.loads, lines)
    return [(each["question"], each["intent"]) for each in found]


def source() -> str:
    """Return where the questions come from, for a note below a table."""
    known = (DATA / "banking77.jsonl").exists()
    return "questions of banking77" if known else "made-up questions: banking77 is not there"


def entry(number: int, scopes: int) -> Entry:
    """Return an entry by its number."""
    scope = number % scopes
    sharing = min(SHARED_BY, scopes)
    which = scope // sharing + number // scopes * (scopes // sharing)
    known = questions()
    remark, place = divmod(which, len(known))
    text, intent = known[place]
    remark %= len(REMARKS)
    # Many questions are in banking77 twice, in hardly other words: either answer is right.
    return Entry(text + REMARKS[remark], f"{intent} {remark} {scope}", f"tenant{scope}")


def request(number: int, entries: int, scopes: int) -> Entry:
    """Return a stored question in slightly other words, with the answer that it wants."""
    turn, place = divmod(number, entries)
    wanted = entry(place * PRIME % entries, scopes)
    greeting = GREETINGS[(turn + place) % len(GREETINGS)]
    return wanted._replace(text=greeting.format(wanted.text))


def _made_up() -> Iterator[tuple[str, str]]:
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
