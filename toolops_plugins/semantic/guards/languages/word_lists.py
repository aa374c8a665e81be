"""The word lists of a language, from its TOML file beside this module.

The files are read when this module is imported, since guards also run on event loops, which file
reads would block. A file is parsed when the first text of its language is met.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any, Final

__all__ = ["LANGUAGES", "Phrases", "WordLists", "fold", "word_lists"]

LANGUAGES: Final = frozenset({"de", "es", "fr", "it", "nl", "pt"})
"""The languages that have word lists, by their ISO 639-1 codes."""

_FOLDER = files("toolops_plugins.semantic.guards.languages")
_TEXTS = {code: _FOLDER.joinpath(f"{code}.toml").read_text("utf-8") for code in sorted(LANGUAGES)}
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_TWENTY = 20
_EIGHT = 8


class Phrases:
    """Phrases with a reading each, of which the longest is found.

    Args:
        readings: Phrases, their words separated by spaces, and their readings.
    """

    __slots__ = ("_following",)

    def __init__(self, readings: Iterable[tuple[str, tuple[str, ...]]] = ()) -> None:
        self._following: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {}
        for phrase, reading in readings:
            words = tuple(phrase.split())
            if words:
                self._following.setdefault(words[0], {})[words] = reading

    def find(self, words: list[str], at: int) -> tuple[int, tuple[str, ...]] | None:
        """Return the length and the reading of the longest phrase at a place, or None."""
        best: tuple[int, tuple[str, ...]] | None = None
        for phrase, reading in self._following.get(words[at], {}).items():
            size = len(phrase)
            if (best is None or size > best[0]) and tuple(words[at : at + size]) == phrase:
                best = size, reading
        return best


class WordLists:
    """The word lists of one language.

    Args:
        code: The language.
        folded: Whether all words are without accents, for texts that are typed without.
    """

    def __init__(self, code: str, *, folded: bool = False) -> None:
        tables: dict[str, Any] = tomllib.loads(_TEXTS[code])
        spell: Callable[[str], str] = (lambda word: fold(word, code)) if folded else str
        self.code: Final = code
        # Words that a list has with accents only, so that a text without accents reads otherwise.
        self.bare = frozenset() if folded else frozenset(_bare_words(tables, code))

        def words(name: str) -> frozenset[str]:
            return frozenset(map(spell, tables.get(name, ())))

        def phrases(name: str) -> Phrases:
            return Phrases(
                (spell(phrase), ()) for each in tables.get(name, ()) for phrase in _expand(each)
            )

        self.one_article = words("one_article") | {"m_"}
        self.other_article = words("other_article") | {"f_"}
        self.articles = self.one_article | self.other_article | words("dropped")
        self.prepositions = words("prepositions")
        self.genitives = words("genitives")
        # Without its accent, "to be" is "and" in Portuguese and Italian: then it is not dropped.
        self.plural_copulas = words("plural_copulas")
        self.copulas = (words("copulas") - {"e"}) | self.plural_copulas
        self.states = words("states")
        self.questions = words("questions")
        self.how = words("how")
        self.can = words("can")
        self.where = words("where")
        self.anyone = words("anyone")
        self.possessives = words("possessives")
        self.particles = words("particles")
        self.times = words("times")
        self.scopes = words("scopes")
        self.degrees = words("degrees")
        self.clitics = words("clitics")
        self.reflexive = words("reflexive")
        self.gendered = words("gendered")
        self.speech = words("speech")
        self.accent_pairs = frozenset(tables.get("accent_pairs", ()))
        self.accent_safe = frozenset(tables.get("accent_safe", ()))
        self.verb_endings = tuple(sorted(tables.get("verb_endings", ()), key=len, reverse=True))
        self.impersonal_endings = tuple(tables.get("impersonal_endings", ()))
        self.please = phrases("please")
        self.greetings = phrases("greetings")
        self.lead_ins = phrases("lead_ins")
        self.endings = Phrases(
            (" ".join(reversed(spell(phrase).split())), ())
            for each in tables.get("endings", ())
            for phrase in _expand(each)
        )
        self.asks = phrases("asks")
        self.how_fillers = phrases("how_fillers")
        self.forms = _forms(tables.get("forms", ()), spell)
        self.agreement = _forms(tables.get("agreement", ()), spell)
        self.they = frozenset(spell(line.split()[1]) for line in tables.get("agreement", ()))
        self.verbs = _forms(tables.get("verbs", ()), spell) or self.agreement
        readings = [
            *_number_words(code, tables["numbers"]),
            *((phrase, reading) for phrase, reading in tables.get("readings", {}).items()),
        ]
        self.readings = Phrases(
            (spell(phrase), tuple(spell(reading).split())) for phrase, reading in readings
        )


@cache
def word_lists(code: str, *, folded: bool = False) -> WordLists:
    """Return the word lists of a language, parsed at the first call."""
    return WordLists(code, folded=folded)


def fold(text: str, code: str) -> str:
    """Return a text as it is typed without accents; in German, ä is typed as ae."""
    if text.isascii():
        return text
    if code == "de":
        text = text.translate(_GERMAN)
    return "".join(
        character
        for character in unicodedata.normalize("NFD", text)
        if not unicodedata.combining(character)
    )


def _expand(pattern: str) -> Iterator[str]:
    """Return the phrases of a pattern, whose alternatives a slash separates; a hyphen is none."""
    for choice in product(*(word.split("/") for word in pattern.split())):
        yield " ".join(word for word in choice if word != "-")


def _forms(lines: Iterable[str], spell: Callable[[str], str]) -> dict[str, str]:
    """Return the first word of a line by each of its words."""
    return {spell(form): spell(line.split()[0]) for line in lines for form in line.split()}


def _bare_words(table: Any, code: str) -> Iterator[str]:
    """Yield all words with accents of a table, without their accents."""
    if isinstance(table, str):
        for word in re.split(r"[ /]", table):
            if not word.isascii():
                yield fold(word, code)
    elif isinstance(table, dict):
        for key, value in table.items():
            yield from _bare_words(key, code)
            yield from _bare_words(value, code)
    elif isinstance(table, list):
        for each in table:
            yield from _bare_words(each, code)


def _number_words(code: str, numbers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the number words up to 99, and some more, with their values."""
    units: list[str] = numbers["units"]
    for value, word in enumerate(units):
        yield word, f"#{value}"
    for number, ten in enumerate(numbers["tens"]):
        value = _TWENTY + 10 * number
        yield ten, f"#{value}"
        for unit in range(1, 10):
            for word in _compounds(code, ten, unit, units):
                yield word, f"#{value + unit}"
    for word, value in numbers["more"].items():
        yield word, f"#{value}"


def _compounds(code: str, ten: str, unit: int, units: list[str]) -> Iterator[str]:
    """Yield the words for a ten and a unit."""
    word = units[unit]
    if code == "de":
        yield ("ein" if unit == 1 else word) + "und" + ten
    elif code == "nl":
        one = "een" if unit == 1 else word
        yield one + ("ën" if one.endswith("e") else "en") + ten
    elif code == "it":
        base = ten[:-1] if unit in (1, _EIGHT) else ten
        yield base + ("uno" if unit == 1 else "tré" if unit == 3 else word)
        if unit == 3:
            yield base + "tre"
    elif code == "fr":
        if ten.endswith(" dix"):  # soixante dix is followed by soixante et onze
            word = units[10 + unit]
            yield f"{ten.removesuffix(' dix')} {word}"
            if ten == "soixante dix" and unit == 1:
                yield "soixante et onze"
        elif unit == 1:
            yield f"{ten} et un"
            yield f"{ten} un"
        else:
            yield f"{ten} {word}"
    else:
        joint = "y" if code == "es" else "e"
        for one in ("un", "uno", "una", "um", "uma") if unit == 1 else (word,):
            yield f"{ten} {joint} {one}"
