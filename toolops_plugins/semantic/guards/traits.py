"""The traits of a text, which the guards compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from toolops_plugins.semantic.guards.languages import Content
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.near_repeats import NO_FORM, NormalForm

__all__ = ["ACTING", "CONTENT", "GENERIC_WORD", "HARMLESS", "LIGHT", "NAME", "Traits", "Word"]

HARMLESS: Final = 0
"""A word without any content: tell, way, possible."""
GENERIC_WORD: Final = 1
"""A word of little content."""
ACTING: Final = 2
"""A verb of little content that no other such verb may replace: use, find."""
LIGHT: Final = 3
"""A word that hardly restricts, unless another word replaces it."""
CONTENT: Final = 4
"""A word with content."""
NAME: Final = 5
"""A name, or a word that no other word may replace."""

_OPEN_WORDS = frozenset(
    word_list("on off up down in out over under above below inside outside before after")
)
"""Particles, which reveal nothing and are not hashed."""


class Word(NamedTuple):
    """A content word of a text.

    Args:
        text: The word in lower case; empty where traits are hashed.
        level: One of :data:`HARMLESS`, :data:`GENERIC_WORD`, :data:`ACTING`, :data:`LIGHT`,
            :data:`CONTENT` and :data:`NAME`, in the order of their weight.
    """

    text: str
    level: int


class Traits:
    """The traits of a text, made by :meth:`Guards.traits` and immutable afterwards.

    Safe to share between threads.

    Attributes:
        hashed: Whether words and values are keyed digests.
        whole: A digest of all words of a text that is too long to be analysed; else empty.
        language: The ISO 639-1 code of its language, or "" where it is not certain.
        strange: The keys of words that make it uncertain whether it is English; None where it is
            certain, or uncertain for other reasons.
        english: Whether the text may be English; guards that only know English skip others.
        content: Its content in a language that has word lists; None for English and all others.
        values: Numbers, dates, units and identifiers, sorted, as often as they occur.
        symbols: Operators, flags and emoji, in the order of the text.
        one: Whether the word "one" occurs, which may or may not be a number.
        negated: Whether the text is negated an odd number of times.
        trouble: Whether it says that something does not work.
        kind: The kind of question ("when", "why", ...), "what", "yes or no", or empty if unknown.
        persons: Pronouns that name somebody: "my", "your", "he", "she".
        particles: Small words with opposites: on, off, before, after.
        words: Content words by key, in the order of the text.
        order: Keys and values in the order of the text, with repetitions.
        roles: The keys after "from", "to", "than", ..., by that word.
    """

    __slots__ = (
        "_form",
        "content",
        "english",
        "hashed",
        "kind",
        "language",
        "negated",
        "one",
        "order",
        "particles",
        "persons",
        "roles",
        "strange",
        "symbols",
        "trouble",
        "values",
        "whole",
        "words",
    )

    def __init__(
        self,
        *,
        hashed: bool = False,
        whole: str = "",
        language: str = "en",
        strange: frozenset[str] | None = None,
        english: bool = True,
        form: NormalForm = NO_FORM,
        content: Content | None = None,
        values: tuple[str, ...] = (),
        symbols: tuple[str, ...] = (),
        one: bool = False,
        negated: bool = False,
        trouble: bool = False,
        kind: str = "",
        persons: frozenset[str] = frozenset(),
        particles: frozenset[str] = frozenset(),
        words: dict[str, Word] | None = None,
        order: tuple[str, ...] = (),
        roles: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.hashed = hashed
        self.whole = whole
        self.language = language
        self.strange = strange
        self.english = english
        self._form: NormalForm | Callable[[], NormalForm] = form
        self.content = content
        self.values = values
        self.symbols = symbols
        self.one = one
        self.negated = negated
        self.trouble = trouble
        self.kind = kind
        self.persons = persons
        self.particles = particles
        self.words = words or {}
        self.order = order
        self.roles = roles or {}

    @property
    def form(self) -> NormalForm:
        """The normal form of the text, which near repeats share."""
        if not isinstance(self._form, NormalForm):
            self._form = self._form()
        return self._form

    def set_form(self, make: Callable[[], NormalForm]) -> None:
        """Set what makes the normal form when it is asked for, as guards on English rarely do."""
        self._form = make

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Traits) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def with_digests(self, digest: Callable[[str], str]) -> Traits:
        """Return a copy in which every word and value is its digest."""
        return Traits(
            hashed=True,
            whole=digest(self.whole) if self.whole else "",
            language=self.language,
            strange=None if self.strange is None else frozenset(map(digest, self.strange)),
            english=self.english,
            form=self.form.with_digests(digest),
            content=None if self.content is None else self.content.with_digests(digest),
            values=tuple(sorted(map(digest, self.values))),
            symbols=tuple(map(digest, self.symbols)),
            one=self.one,
            negated=self.negated,
            trouble=self.trouble,
            kind=self.kind,
            persons=self.persons,
            particles=self.particles,
            words={digest(key): Word("", word.level) for key, word in self.words.items()},
            order=tuple(map(digest, self.order)),
            roles={
                role: tuple(key if key in _OPEN_WORDS else digest(key) for key in keys)
                for role, keys in self.roles.items()
            },
        )

    def to_json(self) -> str:
        """Return the traits as JSON for :meth:`from_json`."""
        return json.dumps(
            {
                "hashed": self.hashed,
                "whole": self.whole,
                "language": self.language,
                "strange": None if self.strange is None else sorted(self.strange),
                "english": self.english,
                "form": self.form,
                "content": None if self.content is None else self.content.to_fields(),
                "values": self.values,
                "symbols": self.symbols,
                "one": self.one,
                "negated": self.negated,
                "trouble": self.trouble,
                "kind": self.kind,
                "persons": sorted(self.persons),
                "particles": sorted(self.particles),
                "words": [[key, *word] for key, word in self.words.items()],
                "order": self.order,
                "roles": self.roles,
            },
            separators=(",", ":"),
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Traits:
        """Return the traits from JSON by :meth:`to_json`.

        Raises:
            ValueError: The text is no such JSON.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            content = fields["content"]
            return cls(
                hashed=fields["hashed"],
                whole=fields["whole"],
                language=fields["language"],
                strange=None if fields["strange"] is None else frozenset(fields["strange"]),
                english=fields["english"],
                form=NormalForm(*fields["form"]),
                content=None if content is None else Content.from_fields(content),
                values=tuple(fields["values"]),
                symbols=tuple(fields["symbols"]),
                one=fields["one"],
                negated=fields["negated"],
                trouble=fields["trouble"],
                kind=fields["kind"],
                persons=frozenset(fields["persons"]),
                particles=frozenset(fields["particles"]),
                words={key: Word(word, level) for key, word, level in fields["words"]},
                order=tuple(fields["order"]),
                roles={role: tuple(keys) for role, keys in fields["roles"].items()},
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("no traits in JSON") from error
