"""The word lists by which answers are compared, read from ``words.toml`` at import."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final

from toolops_plugins.semantic.guards.lexicon import units, word_set

__all__ = [
    "ARTICLES",
    "CLOCK",
    "COURTESIES",
    "EMPTY",
    "MINUTES",
    "NAMES",
    "NEGATING_PARTS",
    "NEGATORS",
    "NO",
    "NUMBERS",
    "PARTICLES",
    "REFUSALS",
    "ROLES",
    "SIGNS",
    "UNITS",
    "YES",
]

_FILE: Final = files("toolops_plugins.semantic.answers").joinpath("words.toml")
_LISTS: Final[dict[str, Any]] = tomllib.loads(_FILE.read_text("utf-8").casefold())

EMPTY: Final = frozenset(word for words in _LISTS["empty"].values() for word in words.split())
"""Words that say nothing of what an answer is about."""
NEGATORS: Final = frozenset(_LISTS["negators"]["words"].split())
NEGATING_PARTS: Final = tuple(_LISTS["negators"]["parts"].split())
"""Negators of languages without spaces."""
YES: Final = frozenset(_LISTS["replies"]["yes"].split())
NO: Final = frozenset(_LISTS["replies"]["no"].split())
COURTESIES: Final = tuple(_LISTS["replies"]["courtesies"])
"""Beginnings that look like a yes or a no, and are none."""
REFUSALS: Final = tuple(_LISTS["refusals"]["parts"])
NUMBERS: Final[dict[str, str]] = {
    form: number for number, forms in _LISTS["numbers"].items() for form in forms.split()
}
"""Number words, and their numbers in figures."""
MINUTES: Final[dict[str, int]] = {
    form: int(minutes) for minutes, forms in _LISTS["minutes"].items() for form in forms.split()
}
"""Units of time, and their minutes."""
CLOCK: Final = frozenset(("am", "pm", "uhr"))
"""Words that make the number before them a time of day."""
PARTICLES: Final = frozenset(_LISTS["particles"]["words"].split())
"""Small words that turn a verb into its opposite."""
ROLES: Final[dict[str, str]] = {
    word: role for role, words in _LISTS["roles"].items() for word in words.split()
}
"""Prepositions by the role of the word that follows: "from" or "to"."""
ARTICLES: Final = frozenset(_LISTS["articles"]["words"].split())
"""Words between a preposition and its noun."""
SIGNS: Final = frozenset("$€£¥₹%")
UNITS: Final = units()
"""Units and currencies by every form of theirs, signs included."""
NAMES: Final = word_set("proper_names.txt")
