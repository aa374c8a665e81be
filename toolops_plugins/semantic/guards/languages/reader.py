"""From a text to its reading: its content, each word in a form that can be compared.

Left out are courtesies, articles, "to be" in the present, and the "I can" of "how can I". All other
words count: negators, opposites, prepositions, question words, quantifiers, names, numbers and
units, and every word that is in no list.
"""

from __future__ import annotations

import re
import unicodedata

from toolops_plugins.semantic.guards.languages.content import Content
from toolops_plugins.semantic.guards.languages.courtesies import strip_courtesies
from toolops_plugins.semantic.guards.languages.units import STOPS, Units, units_of
from toolops_plugins.semantic.guards.languages.word_lists import WordLists, fold, word_lists

__all__ = ["read_content"]

_QUOTES = str.maketrans(dict.fromkeys("’‘ʼ`´", "'"))  # noqa: RUF001 - quotes that people type
_ELISION = r"(?:'(?=\w))?"
_TOKEN = re.compile(
    r"\w*\d\w*(?:[.,:/'-]\w*\d\w*)*|[^\W\d_]+" + _ELISION + r"|[.!?;…\n,]"
    r"|[\s\"«»„“”()¿¡:–—']|(?<=\w)-(?=[^\W\d_])|-(?=\s)|\S"  # noqa: RUF001 - typed dashes
)
_WHOLE = re.compile(_TOKEN.pattern.replace(_ELISION, r"(?:'[^\W\d_]+)?", 1))
"""The same for Dutch, which does not elide articles: foto's."""
_SKIPPED = frozenset(" \t\r\"«»„“”()¿¡:–—'-")  # noqa: RUF001 - dashes and quotes that people type
_STRESSED = {"es": "áéíó", "it": "àéìò", "pt": "áéêí"}
"""Last letters of verbs that are another form of the verb without the accent."""
_SAFE_ENDINGS = ("tà", "tù", "ción", "sión")
_PARTICIPLES = ("é", "és", "ée", "ées")


def read_content(text: str, code: str) -> tuple[Content, tuple[str, ...]]:
    """Return the reading of a text, and its numbers in sorted order.

    Args:
        text: The text, of a few hundred characters.
        code: Its language, one of ``LANGUAGES``.
    """
    lists = word_lists(code)
    words = _tokenize(unicodedata.normalize("NFC", text).translate(_QUOTES), lists)
    asks = "?" in text
    content, opened = _prepare(words, lists)
    units = _units(content, lists, asks=asks, opened=opened)
    parts = [units]
    folded: tuple[str, ...] = ()
    accents = not all(map(str.isascii, words))
    if not accents and lists.bare.isdisjoint(words):
        folded = tuple(units.units)
    elif not any(
        _is_ambiguous(word, lists)
        for at, word in enumerate(content)
        if at or word not in lists.questions  # nobody begins a question with "ou"
    ):
        bare = word_lists(code, folded=True)
        plain, opened = _prepare(
            [bare_word for word in words if (bare_word := fold(word, code))], bare
        )
        parts.append(_units(plain, bare, asks=asks, opened=opened))
        folded = tuple(parts[1].units)
    reading = Content(
        code,
        tuple(units.units),
        folded,
        accents,
        free=frozenset[str]().union(*(part.free for part in parts)),
        one_article=frozenset[str]().union(*(part.one_article for part in parts)),
        other_article=frozenset[str]().union(*(part.other_article for part in parts)),
        plural=frozenset(units.plural),
        they=frozenset(units.they),
    )
    return reading, tuple(sorted(units.values))


def _tokenize(text: str, lists: WordLists) -> list[str]:
    """Return the words of a text in lower case, its signs, and the stops between its clauses."""
    words: list[str] = []
    for match in (_WHOLE if lists.code == "nl" else _TOKEN).finditer(text):
        word = match[0].lower()
        if word == "\n":
            word = "."
        if word in _SKIPPED and not (word == "-" and _is_sign(text, match.start())):
            continue
        if word in lists.clitics and match.start() and text[match.start() - 1] == "-":
            word = "-" + word
        words.append(word)
    return words


def _is_sign(text: str, at: int) -> bool:
    """Return whether a hyphen is a minus."""
    return text[at + 1 : at + 2].isdigit()


def _prepare(words: list[str], lists: WordLists) -> tuple[list[str], bool]:
    """Return the words without courtesies and with their readings.

    And whether a courtesy was left out on which the question depends: "can you tell me".
    """
    words, opened = strip_courtesies(words, lists)
    result: list[str] = []
    at = 0
    while at < len(words):
        found = lists.readings.find(words, at)
        if found is None:
            result.append(words[at])
            at += 1
        else:
            result.extend(found[1])
            at += found[0]
    return result, opened


def _units(words: list[str], lists: WordLists, *, asks: bool, opened: bool) -> Units:
    """Return the units of prepared words, without "what is" at the beginning."""
    while words and words[-1] in STOPS:
        words = words[:-1]
    asks = asks or opened or not lists.questions.isdisjoint(words)
    if len(words) > 1:
        size = 0
        found = lists.asks.find(words, 0)
        if found is not None:
            size = found[0]
        elif opened and words[-1] in lists.copulas:  # "tell me what the capital is"
            size = lists.asks.find([words[0], words[-1]], 0) is not None
        if words[size : size + 1] and words[size] in lists.articles | lists.possessives:
            words = words[size:]
    return units_of(words, lists, asks=asks, opened=opened)


def _is_ambiguous(word: str, lists: WordLists) -> bool:
    """Return whether a word may be another word when its accents are left out."""
    if word.isascii():
        return False
    if word in lists.accent_pairs:
        return True
    if word in lists.accent_safe or word in lists.questions or word in lists.prepositions:
        return False
    if word in lists.articles or word in lists.copulas or word in STOPS:
        return False
    if lists.code == "fr":
        return word.endswith(_PARTICIPLES)
    stressed = _STRESSED.get(lists.code, "")
    return word[-1] in stressed and not word.endswith(_SAFE_ENDINGS)
