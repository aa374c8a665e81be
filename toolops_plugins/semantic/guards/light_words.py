"""Words that hardly restrict a question where the other text has no word instead.

"A claim" and "bring a claim", "the best laptop" and "the best laptop to buy", "Android" and "an
Android phone" ask the same. "Buy a house" and "sell a house" do not: there one word stands instead
of the other.
"""

from __future__ import annotations

from toolops_plugins.semantic.guards import lexicon
from toolops_plugins.semantic.guards.stems import key, stem

__all__ = ["ACTING_STEMS", "CATEGORIES", "CATEGORY_NOUNS", "HARMLESS_STEMS", "LIGHT_STEMS"]

_WORDS = lexicon.function_words()

LIGHT_STEMS = frozenset(map(stem, _WORDS["light"]))
"""Stems of verbs and nouns that say little beside the matter itself."""

HARMLESS_STEMS = frozenset(map(stem, _WORDS["harmless"]))
"""Stems of words that one of two texts may lack."""

ACTING_STEMS = frozenset(map(stem, _WORDS["acting"]))
"""Stems of verbs that may be missing, but do not stand for one another."""

CATEGORY_NOUNS = frozenset(_WORDS["category_nouns"])
"""Nouns for the kind of thing that a name names."""

CATEGORIES = frozenset(map(key, _WORDS["categories"]))
"""Keys of the nouns that add nothing beside a name: the company Siemens, an Android phone."""
