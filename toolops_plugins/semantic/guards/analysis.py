"""Analysis of a text: its words, values, negations and roles."""

from __future__ import annotations

import hashlib
from functools import partial

from toolops_plugins.semantic.guards.courtesy import requests_in, strip_courtesy
from toolops_plugins.semantic.guards.function_words import (
    DROPPED,
    FOREIGN,
    FOREIGN_NEGATORS,
    NEGATORS,
)
from toolops_plugins.semantic.guards.gathering import gather_traits
from toolops_plugins.semantic.guards.language import read_language
from toolops_plugins.semantic.guards.languages import LANGUAGES, read_content
from toolops_plugins.semantic.guards.light_words import CATEGORY_NOUNS
from toolops_plugins.semantic.guards.literals import literals_in
from toolops_plugins.semantic.guards.near_repeats import normal_form
from toolops_plugins.semantic.guards.near_synonyms import degree_form
from toolops_plugins.semantic.guards.question_kinds import kind_of
from toolops_plugins.semantic.guards.scope import mark_scope
from toolops_plugins.semantic.guards.stems import key
from toolops_plugins.semantic.guards.symbols import symbols_in
from toolops_plugins.semantic.guards.tokenizer import fold, replace, tokenize
from toolops_plugins.semantic.guards.traits import Traits
from toolops_plugins.semantic.guards.values import VALUE_WORDS, read_values

__all__ = ["LONG", "read"]

LONG = 400
"""Longest text, in characters, that is analysed; longer ones are compared as a whole."""

_NOTHING: frozenset[str] = frozenset()
_ENGLISH = DROPPED | NEGATORS
_DEGREES = {"most": "est", "more": "er"}
_ADJECTIVAL = ("able", "ible", "ive", "ous", "ful", "ic", "ant", "ent", "ular", "al")


def read(text: str) -> Traits:
    """Return the traits of a text of any length; never raises."""
    if len(text) > LONG:
        whole = "\0".join((" ".join(text.casefold().split()), *literals_in(text, "en")))
        return Traits(whole=hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest())
    reading = read_language(text)
    literals = literals_in(text, reading.language)
    form = partial(normal_form, text, reading, literals)
    symbols = symbols_in(text) + literals
    if reading.language in LANGUAGES:
        traits = _read_other(text, reading.language)
        traits.set_form(form)
        traits.symbols = symbols
        return traits
    text = strip_courtesy(fold(text))
    lows, capitals = tokenize(text)
    english = reading.language == "en" or (
        not reading.language and _may_be_english(lows, plain=text.isascii())
    )
    if english:
        replace(lows, capitals)
        if "which" in lows or "what" in lows:
            _drop_category(lows, capitals)
        if "most" in lows or "more" in lows:
            _compare(lows, capitals)
        if "b" in lows:
            _name_variables(lows)
        mark_scope(lows, capitals)
    if not VALUE_WORDS.isdisjoint(lows) or any(low[0] == "#" for low in lows):
        lows, capitals = read_values(lows, capitals)
    requests = requests_in(text, lows) if english else _NOTHING
    traits, negations = gather_traits(lows, capitals, requests)
    traits.set_form(form)
    traits.language = reading.language
    traits.english = english
    if reading.strange is not None:
        traits.strange = frozenset(map(key, reading.strange))
    traits.symbols = symbols
    if not english:
        traits.negated = sum(low in FOREIGN_NEGATORS for low in lows) % 2 == 1
        return traits
    traits.negated = negations % 2 == 1
    traits.kind = kind_of(lows, traits.words)
    negated = traits.roles.get("not", ())
    if len(negated) < negations:  # as many as there are negations
        traits.roles["not"] = (*negated, *[""] * (negations - len(negated)))
    return traits


def _read_other(text: str, language: str) -> Traits:
    """Return the traits of a text in another language that has word lists."""
    content, numbers = read_content(text, language)
    words = fold(" ".join(content.units)).split()
    return Traits(
        language=language,
        english=False,
        content=content,
        values=numbers,
        negated=sum(word in FOREIGN_NEGATORS for word in words) % 2 == 1,
    )


def _compare(lows: list[str], capitals: list[bool]) -> None:
    """Replace "most affordable" by one word like "cheapest", in place."""
    for at in range(len(lows) - 2, -1, -1):
        ending = _DEGREES.get(lows[at])
        if ending is not None and lows[at + 1].endswith(_ADJECTIVAL):
            lows[at : at + 2] = [degree_form(lows[at + 1], ending)]
            del capitals[at]


def _name_variables(lows: list[str]) -> None:
    """Rename the variable "a", in place, where it is not the article: "turn a into b"."""
    for at, low in enumerate(lows):
        if low == "a" and (at + 1 == len(lows) or lows[at + 1] in DROPPED or lows[at + 1] == "b"):
            lows[at] = "a_"


def _drop_category(lows: list[str], capitals: list[bool]) -> None:
    """Replace "which city is the capital" by "what is the capital", in place."""
    for at in range(len(lows) - 4):
        if (
            lows[at] in ("which", "what")
            and lows[at + 1] in CATEGORY_NOUNS
            and lows[at + 2] in ("is", "was", "are", "were")
            and lows[at + 3] in ("the", "a", "an")
            and not _picks(lows[at + 4])
        ):
            lows[at] = "what"
            del lows[at + 1], capitals[at + 1]
            return


def _picks(low: str) -> bool:
    """Return whether a word selects one of many, such as "largest" or "only"."""
    return low.endswith("est") or low in ("most", "least", "only", "first", "last", "same", "next")


def _may_be_english(lows: list[str], *, plain: bool) -> bool:
    if plain and FOREIGN.isdisjoint(lows):
        return True
    english = sum(low in _ENGLISH for low in lows)
    foreign = sum(low in FOREIGN for low in lows)
    other = sum(low[0] > "\u024f" for low in lows)  # not a Latin letter
    return foreign <= english and other * 2 <= len(lows)
