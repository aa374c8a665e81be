"""Near synonyms, which replace one another in some questions but not in all (English).

Synonyms share a class and are compared as one word. Near synonyms, called kin here, pair only when
both are left over, one in either text: "a quick answer" and "a short answer" agree. A word may
belong to many groups, and being kin is not transitive.
"""

from __future__ import annotations

from functools import cache

from toolops_plugins.semantic.guards.lexicon import class_lists, synonyms
from toolops_plugins.semantic.guards.stems import key, opposites_of

__all__ = ["degree_form", "kin_of"]

_LONG = ("able", "ible", "ive", "ous", "ful", "ic", "ant", "ent", "ular", "al")
"""Endings of long adjectives that have degrees."""
_NOTHING: frozenset[str] = frozenset()


@cache
def _kin() -> dict[str, frozenset[str]]:
    kin: dict[str, set[str]] = {}
    by_degree = class_lists("near_synonyms_by_degree.txt")
    for words in (*class_lists("near_synonyms.txt"), *by_degree):
        _join(kin, [key(word) for word in words])
    for words in (*by_degree, *synonyms()):
        graded = [word for word in words if len(word) < 8 or word.endswith(_LONG)]
        for ending in ("er", "est"):
            _join(kin, [key(degree_form(word, ending)) for word in graded])
    return {name: frozenset(others - {name} - opposites_of(name)) for name, others in kin.items()}


def _join(kin: dict[str, set[str]], names: list[str]) -> None:
    for name in names:
        kin.setdefault(name, set()).update(names)


def degree_form(word: str, ending: str) -> str:
    """Return the comparative or superlative of an adjective by the rule."""
    if word.endswith("y"):
        word = word[:-1] + "i"
    return word + ending[word.endswith("e") :]


def kin_of(name: str) -> frozenset[str]:
    """Return the keys of the kin of a word, given by its key."""
    return _kin().get(name, _NOTHING)
