"""Typing errors in the words that guards go by: teh, becuase, diference.

An index by left-out letters, as in SymSpell (Garbe 2012): two words within one error of each other
share a word that is one letter shorter than the longer of them.
"""

from __future__ import annotations

from functools import lru_cache

from toolops_plugins.semantic.guards.foreign import FOREIGN
from toolops_plugins.semantic.guards.function_words import (
    AUXILIARIES,
    CONTRACTIONS,
    DROPPED,
    NEGATORS,
)
from toolops_plugins.semantic.guards.opposites import OPPOSITES
from toolops_plugins.semantic.guards.phrases import PHRASE_WORDS
from toolops_plugins.semantic.guards.stems import is_real
from toolops_plugins.semantic.guards.synonyms import SYNONYMS
from toolops_plugins.semantic.guards.typos import is_typo

__all__ = ["corrected"]

_SMALL = DROPPED | NEGATORS | AUXILIARIES
_KNOWN = frozenset().union(_SMALL, CONTRACTIONS, PHRASE_WORDS, FOREIGN)


def _index() -> dict[str, tuple[str, ...]]:
    words = set(_KNOWN - FOREIGN)
    words.update(SYNONYMS.replace("|", " ").split())
    words.update(OPPOSITES.replace("/", " ").replace(",", " ").split())
    index: dict[str, list[str]] = {}
    for word in words:
        if word.isalpha() and len(word) > (2 if word in _SMALL else 4):
            for shorter in _shortened(word):
                index.setdefault(shorter, []).append(word)
    return {shorter: tuple(sorted(found)) for shorter, found in index.items()}


def _shortened(word: str) -> set[str]:
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


_INDEX = _index()


@lru_cache(maxsize=16384)
def corrected(word: str) -> str:
    """Return the known word of which a lower-case word is a typing error, or the word itself."""
    if len(word) < 3 or len(word) > 20 or word in _KNOWN or is_real(word) or not word.isalpha():
        return word
    found = {known for shorter in _shortened(word) for known in _INDEX.get(shorter, ())}
    if len(word) == 3:
        found = {known for known in found if _slipped(word, known)}
    else:
        found = {known for known in found if _slipped(word, known) or _likely(word, known)}
    if len(found) == 1:
        return next(iter(found))
    swapped = [known for known in found if sorted(known) == sorted(word)]
    return swapped[0] if len(swapped) == 1 else word  # which of several was meant, nobody knows


def _likely(word: str, known: str) -> bool:
    """Whether letters were swapped, left out or put in; a changed letter makes another word."""
    return (
        word[0] == known[0]
        and is_typo(word, known)
        and (len(word) != len(known) or sorted(word) == sorted(known))
    )


def _slipped(word: str, known: str) -> bool:
    """Whether a small word lacks a letter, or has two swapped, behind its first: teh, hav."""
    if known not in _SMALL or word[0] != known[0]:
        return False
    if len(word) == len(known):
        return sorted(word) == sorted(known)
    return len(known) == len(word) + 1 and any(
        known[:at] + known[at + 1 :] == word for at in range(1, len(known))
    )
