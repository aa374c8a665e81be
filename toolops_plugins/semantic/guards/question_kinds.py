"""The kind of question that a text asks (English)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolops_plugins.semantic.guards.function_words import AUXILIARIES
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.stems import key

__all__ = ["IMPLIED", "MEASURED", "YES_OR_NO", "are_in_conflict", "kind_of"]

YES_OR_NO = "yes or no"
DEFINITION = "what is a"

_NOUNS = {
    "why": "reason cause why",
    "how": "way method step process procedure instruction",
    "when": "when time date day deadline hour year month week",
    "where": "where place location address country city area region",
    "who": "who person name people author inventor founder",
    "quantity": "price amount total quantity pay spend cost charge",
    "count": "number count total population",
    "duration": "duration length time period long minute hour day week month year",
    "often": "frequency frequently often interval",
    "distance": "distance far mile kilometer",
    "age": "age old year",
    "height": "height tall high",
    "size": "size dimension area big large",
    "speed": "speed fast velocity",
    "weight": "weight heavy",
    "depth": "depth deep",
    "width": "width wide",
    "temperature": "temperature hot cold warm",
}
IMPLIED = {
    kind: frozenset(key(noun) for noun in (kind, *nouns.split()))
    | frozenset(
        "u:" + unit for unit in ("h", "d", "wk", "mo", "y", "min") if kind in ("duration", "age")
    )
    for kind, nouns in _NOUNS.items()
}
"""Nouns that a kind of question asks for, so that it need not name them."""

_BY_NOUN = {
    key(noun): kind
    for kind, nouns in {
        "why": "reason cause",
        "when": "date deadline",
        "where": "place location address whereabouts",
        "who": "author inventor founder person",
        "quantity": "price amount quantity",
        "count": "population",
        "duration": "duration",
        "often": "frequency",
        "distance": "distance",
        "age": "age",
        "height": "height",
        "size": "size",
        "speed": "speed",
        "weight": "weight",
        "depth": "depth",
        "width": "width",
        "temperature": "temperature",
        "how": "way method process procedure step",
    }.items()
    for noun in nouns.split()
}
MEASURED = frozenset(
    word_list(
        "quantity count duration often distance age height size speed weight depth width "
        "temperature"
    )
)
"""Kinds of question for a measure, which are also the words that stand for "how many" and such."""
_WORDS = {
    "who": "who",
    "whom": "who",
    "whose": "who",
    "when": "when",
    "where": "where",
    "why": "why",
    "how": "how",
    "what": "what",
    "which": "what",
    **{kind: kind for kind in MEASURED},
}
_LOOSE = frozenset(("when", "where", "who", "which", "age", "height", "size", "speed", "weight"))
_LOOSE |= frozenset(("depth", "width", "temperature", "distance", "duration", "what", "how"))
"""Words that ask only where a verb of asking follows, or at the beginning."""


_SUBJECTS = frozenset(("i", "you", "we", "they", "he", "she", "it", "my", "your", "our"))
_CONJUNCTIONS = frozenset(("when", "where", "who"))


def kind_of(words: list[str], content: Mapping[str, Any]) -> str:
    """Return the kind of question, or an empty string if it cannot be told.

    Args:
        words: All words in lower case, phrases replaced.
        content: Its content words by key.
    """
    kind = ""
    last = len(words) - 1
    tentative = False
    for index, word in enumerate(words):
        found = _WORDS.get(word)
        if found is None:
            continue
        asks = index == last or words[index + 1] in AUXILIARIES
        if asks or index == 0 or tentative or word not in _LOOSE:
            if found == "what" and words[index + 2 : index + 3] in (["a"], ["an"]):
                found = DEFINITION
            clause = not asks and words[index + 1] in _SUBJECTS
            if clause and index == 0 and word == "when":
                continue  # "when I travel, am I insured" asks something else
            kind = found
            tentative = not asks and word in _CONJUNCTIONS
            if asks or (index == 0 and not tentative):
                break
    if kind in ("what", DEFINITION) or (not kind and content):
        for name in content:
            noun = _BY_NOUN.get(name)
            if noun is not None:
                return noun if kind else ""
    if not kind and words and words[0] in AUXILIARIES:
        return YES_OR_NO
    return kind


_APART = {
    "what": frozenset(("who", "when", "where", "why", "often", "duration", "count")),
    "how": frozenset(("who", "when", "where", "why", "often", "quantity", "count", "age"))
    | MEASURED,
    YES_OR_NO: frozenset(("who", "when", "where", "why")) | MEASURED,
}


def are_in_conflict(one: str, other: str) -> bool:
    """Return whether two kinds of question differ in their answers; unknown kinds do not."""
    if not one or not other or one == other:
        return False
    if {one, other} == {"what", DEFINITION}:
        return False
    for first, second in ((one, other), (other, one)):
        if first in _APART:
            return second in _APART[first]
    return True
