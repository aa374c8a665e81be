"""The content of a text of one of the languages, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Content"]


class Content(NamedTuple):
    """The content of a text.

    Args:
        language: Its ISO 639-1 code.
        units: Its content words in their order, each with its preposition and possessive.
        folded: The same of the text without its accents; empty where a word of it is another
            word without its accent.
        accents: Whether the text has accents.
        free: Units that may stand anywhere: those with a preposition, and times.
        one_article: Nouns with a masculine article; in German, with one of the nominative.
        other_article: Nouns with a feminine article; in German, with one of another case.
        plural: Words whose plural ending was taken off.
        they: Verbs whose ending of the third person plural was taken off.
    """

    language: str
    units: tuple[str, ...]
    folded: tuple[str, ...] = ()
    accents: bool = False
    free: frozenset[str] = frozenset()
    one_article: frozenset[str] = frozenset()
    other_article: frozenset[str] = frozenset()
    plural: frozenset[str] = frozenset()
    they: frozenset[str] = frozenset()

    def with_digests(self, digest: Callable[[str], str]) -> Content:
        """Return a copy in which every word is its digest."""
        return Content(
            self.language,
            tuple(map(digest, self.units)),
            tuple(map(digest, self.folded)),
            self.accents,
            *(frozenset(map(digest, words)) for words in self[4:]),
        )

    def to_fields(self) -> list[Any]:
        """Return it as lists for JSON, and :meth:`from_fields`."""
        return [*self[:4], *map(sorted, self[4:])]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Content:
        """Return it from lists by :meth:`to_fields`."""
        language, units, folded, accents, *rest = fields
        return cls(language, tuple(units), tuple(folded), accents, *map(frozenset, rest))
