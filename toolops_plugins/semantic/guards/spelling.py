"""Typing errors in the words that guards go by: teh, becuase, diference, ofthe.

An index by left-out letters, as in SymSpell (Garbe 2012): two words within one error of each other
share a word that is one letter shorter than the longer of them.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from toolops_plugins.semantic.guards.function_words import (
    AUXILIARIES,
    CONTRACTIONS,
    DROPPED,
    FOREIGN,
    GENERIC,
    NEGATORS,
)
from toolops_plugins.semantic.guards.lexicon import entries, synonyms, word_list
from toolops_plugins.semantic.guards.phrases import phrase_words
from toolops_plugins.semantic.guards.stems import is_real, key
from toolops_plugins.semantic.guards.typos import is_typo, slip_cost
from toolops_plugins.semantic.guards.units import UNITS
from toolops_plugins.semantic.guards.values import VALUE_WORDS

__all__ = ["MOST_SLIPS", "correct", "is_strange"]

MOST_SLIPS = 12
"""Unknown words of a text that may be slips; in a text with more of them the others are left as
they are, since each takes longer than all else in a text."""

_SMALL = DROPPED | NEGATORS | AUXILIARIES | frozenset(word_list("far much many long old big tall"))
_RUN = re.compile(r"(.)\1\1+")
_GLUED = frozenset(
    word_list("the my is of for how what can you and are does your with from this to")
)
"""Small words that are written together with their neighbours when the space is missed."""
_TINY = frozenset(word_list("in on at it if as by we be do so a"))
"""Those that begin or end many words, and are parted from other small ones only."""
_MINE = frozenset(
    word_list(
        "do did can could should am will would if when how have had need want lost got get bought "
        "know paid was forgot think like found use made saw sent tried must may where what why"
    )
)
"""Words that are written together with the word i."""


@cache
def _correct_words() -> frozenset[str]:
    return frozenset().union(_SMALL, CONTRACTIONS, phrase_words(), FOREIGN, VALUE_WORDS, UNITS)


@cache
def _index() -> dict[str, tuple[str, ...]]:
    words = set(_correct_words() - FOREIGN) | GENERIC
    words.update(*synonyms())
    words.update(*((word, *others.split()) for word, others in entries("opposites.txt")))
    grammar = phrase_words()
    index: dict[str, list[str]] = {}
    for word in words:
        if word.isalpha() and len(word) > (2 if word in _SMALL else 3 if word in grammar else 4):
            for shorter in _deletions(word):
                index.setdefault(shorter, []).append(word)
    return {shorter: tuple(sorted(found)) for shorter, found in index.items()}


def _deletions(word: str) -> set[str]:
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


@lru_cache(maxsize=16384)
def correct(word: str) -> str:
    """Return the known word of which a lower-case word is a typing error, or the word itself.

    Two words that were written as one come back with a space between them.
    """
    if len(word) > 3 and not is_real(word):
        word = _RUN.sub(r"\1\1", word)
    if (
        len(word) < 3
        or len(word) > 20
        or word in _correct_words()
        or is_real(word)
        or not word.isalpha()
    ):
        return word
    index = _index()
    found = {known for shorter in _deletions(word) for known in index.get(shorter, ())}
    if len(word) == 3:
        if word[1] == word[2] and word[:2] in _SMALL:
            return word[:2]
        found = {known for known in found if _is_slip(word, known)}
    else:
        found = {known for known in found if _is_slip(word, known) or _likely(word, known)}
    if found:
        costs = sorted((_cost(word, known), known) for known in found)
        best, name = costs[0]
        if all(cost > best + 0.2 or key(known) == key(name) for cost, known in costs[1:]):
            return name
        return word  # which of several was meant, nobody knows
    return _split(word)


def is_strange(word: str) -> bool:
    """Return whether a lower-case word is in no list, so that it may be a slip."""
    return word.isalpha() and not is_real(word) and word not in _correct_words()


def _cost(word: str, known: str) -> float:
    """Return how unlikely it is that a word was meant; grammar and numbers are likelier."""
    cost = slip_cost(word, known, 2.4) + (word[0] != known[0]) * 0.3
    return cost - 0.15 if known in _correct_words() else cost


def _likely(word: str, known: str) -> bool:
    """Return whether letters are swapped, missing or added; a changed letter is another word."""
    if word[0] != known[0] or not is_typo(word, known):
        return False
    if len(word) != len(known) or sorted(word) == sorted(known):
        return True
    return len(word) > 5 and slip_cost(word, known, 0.6) <= 0.6


def _is_slip(word: str, known: str) -> bool:
    """Return whether a small word lacks a letter or has two swapped after its first: teh, hav."""
    if known not in _SMALL:
        return False
    if len(word) == len(known):
        return sorted(word) == sorted(known) and (word[0] == known[0] or word[:2] == known[1::-1])
    if word[0] != known[0]:
        return False
    short, long = sorted((word, known), key=len)
    if len(short) == len(word):
        return any(long[:at] + long[at + 1 :] == short for at in range(1, len(long)))
    return any(
        long[at] == long[at - 1] and long[:at] + long[at + 1 :] == short
        for at in range(1, len(long))
    )


def _split(word: str) -> str:
    """Return two words that were written as one: whatis, ofthe, myaccount."""
    if word[0] == "i" and word[1:] in _MINE:
        return f"i {word[1:]}"
    if word[-1] == "i" and word[:-1] in _MINE:
        return f"{word[:-1]} i"
    grammar = phrase_words()
    for at in range(2, len(word) - 1):
        left, right = word[:at], word[at:]
        if (left in _TINY and right in _GLUED) or (right in _TINY and left in _GLUED):
            return f"{left} {right}"
        if len(left) > 2 < len(right) and left in grammar and right in grammar:
            return f"{left} {right}"
        if left in _GLUED and (right in _GLUED or (len(right) > 3 and is_real(right))):
            return f"{left} {right}"
        if right in _GLUED and len(left) > 3 and is_real(left):
            return f"{left} {right}"
    return word
