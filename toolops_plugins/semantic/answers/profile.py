"""The reading of an answer in free text: its words, numbers and names, and its yes or no."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from toolops_plugins.semantic.answers import lists
from toolops_plugins.semantic.answers.values import Value, read_number, with_unit
from toolops_plugins.semantic.guards.stems import is_in_lists, key

__all__ = ["Profile", "read_answer", "shorten"]

_MOST: Final = 3_000
"""Characters of an answer that are read, three quarters of them at its beginning."""
_REFUSAL: Final = 400
"""Characters at the beginning of an answer in which a refusal stands."""
_FAR: Final = 9
"""A distance from the last number at which no unit belongs to it."""

_QUOTES: Final = str.maketrans(dict.fromkeys("’‘ʼ`´", "'"))  # noqa: RUF001 - quotes that models type
_LINE_NUMBER: Final = re.compile(r"^[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+", re.MULTILINE)
_CODE: Final = re.compile(r"```[a-z]*\n?(.*?)```|`([^`\n]+)`", re.DOTALL)
_QUOTED: Final = re.compile('["“”„«»「」]([^"“”„«»「」\n]{1,60})["“”„«»「」]')
_LINK: Final = re.compile(r"https?://[^\s)>\]]+|[\w.+-]+@[\w-]+\.[\w.]+")
_HALF_DAY: Final = re.compile(r"(?<=\d)\s?([ap])\.?m\b\.?")
_SENTENCE: Final = re.compile(r"(?<=[.!?:])\s+|\n+")
_SIGNS: Final = "[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
"""Signs of scripts that are written without spaces, or whose words are few signs long."""
_TOKEN: Final = re.compile(
    rf"\d{{1,2}}:\d{{2}}|\d+(?:[.,]\d+)*|{_SIGNS}"
    r"|[^\W\d_]+(?:'[^\W\d_]+)?\d*(?:[_-]\d+)*|[$€£¥₹%]"
)
_CODE_TOKEN: Final = re.compile(r"[\w.]+|[=<>!+*/%&|~^-]+")
_UNSPACED: Final = re.compile(_SIGNS)


class Profile(NamedTuple):
    """The parts of an answer that are compared.

    Args:
        words: The stems of its content words.
        grams: The parts of three letters of its content words.
        particles: Those of its small words that turn a verb into its opposite.
        origins: The stems of words after "from".
        targets: The stems of words after "to".
        values: Its numbers.
        names: Its names, identifiers, and words in code and quotes.
        negations: The number of its negators.
        reply: 1 if it begins with yes, -1 with no, else 0.
        refuses: Whether it says that it does not answer.
        size: Its length in words; two signs of a script without spaces are one.
    """

    words: frozenset[str]
    grams: frozenset[str]
    particles: frozenset[str]
    origins: frozenset[str]
    targets: frozenset[str]
    values: tuple[Value, ...]
    names: frozenset[str]
    negations: int
    reply: int
    refuses: bool
    size: int


class _Word(NamedTuple):
    """A lower-case word by itself."""

    stem: str
    grams: tuple[str, ...]
    is_empty: bool
    negates: bool
    is_known: bool  # in English, and not as a name
    is_unspaced: bool  # of a script without spaces
    has_digit: bool


class _Collector:
    """Collects the parts of a profile word by word."""

    def __init__(self) -> None:
        self.words: set[str] = set()
        self.grams: set[str] = set()
        self.particles: set[str] = set()
        self.roles: dict[str, set[str]] = {"from": set(), "to": set()}
        self.names: set[str] = set()
        self.marked: set[str] = set()
        self.values: list[Value] = []
        self.negations = 0
        self.size = 0
        self._capitals = 0
        self._gap = _FAR  # words since the last number
        self._role: set[str] | None = None  # that of the next word

    def take(self, token: str, *, first: bool) -> None:
        """Add the next token; ``first``: of its sentence."""
        low = token.casefold()
        if low in lists.SIGNS:
            self.words.add(_stem(low))
            self._gap = _FAR
            return
        number = lists.NUMBERS.get(low)
        if number is not None or low[0].isdecimal():
            self.values.append(read_number(low if number is None else number))
            self._gap = 0
            self.size += number is not None
            return
        self.size += 1
        self._gap += 1
        if self._gap <= 2:
            value = with_unit(self.values[-1], low, adjacent=self._gap == 1)
            if value is not None:
                self.values[-1], self._gap = value, _FAR
                return
        word = _word(low)
        self.negations += word.negates
        if low in lists.PARTICLES:
            self.particles.add(low)
        if not word.is_empty and not word.negates:
            self._add(word, capital=token[0] != low[0], first=first)
        if low not in lists.ARTICLES:
            self._role = self.roles.get(lists.ROLES.get(low, ""))

    def _add(self, word: _Word, *, capital: bool, first: bool) -> None:
        self.grams.update(word.grams)
        if word.is_unspaced:
            self.words.update(word.grams)
            self.size += len(word.grams) // 2
            return
        self.words.add(word.stem)
        if self._role is not None:
            self._role.add(word.stem)
        if word.has_digit:
            self.names.add(word.stem)
        elif capital and not (first and word.is_known):
            self.marked.add(word.stem)
            self._capitals += not first

    def finish(self) -> None:
        """Take the capitalised words as names, unless every noun has a capital, as in German."""
        if self._capitals * 4 <= self.size + 8:
            self.names |= self.marked


def shorten(text: str) -> str:
    """Return the beginning and the end of a long answer, a short one as it is."""
    return text if len(text) <= _MOST else f"{text[: _MOST * 3 // 4]}\n{text[-_MOST // 4 :]}"


@lru_cache(maxsize=256)
def read_answer(text: str) -> Profile:
    """Return the profile of an answer, cached for the 256 most recent ones."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    text = _HALF_DAY.sub(r" \1m ", _without_courtesy(text))
    low = text.translate(_QUOTES).casefold()
    collector = _Collector()
    names = collector.names
    for match in _CODE.finditer(text):
        names.update("c:" + token for token in _CODE_TOKEN.findall(match[1] or match[2] or ""))
    names.update(_LINK.findall(low))
    plain = _LINE_NUMBER.sub("", _LINK.sub(" ", text)).translate(_QUOTES)
    for match in _QUOTED.finditer(plain):
        quoted = (_word(token) for token in _TOKEN.findall(match[1].casefold()))
        names.update("q:" + word.stem for word in quoted if not word.is_empty)
    for sentence in _SENTENCE.split(plain.replace("*", "")):
        first = True
        for token in _TOKEN.findall(sentence):
            collector.take(token, first=first)
            first = False
    collector.finish()
    return Profile(
        frozenset(collector.words),
        frozenset(collector.grams),
        frozenset(collector.particles),
        frozenset(collector.roles["from"]),
        frozenset(collector.roles["to"]),
        tuple(dict.fromkeys(collector.values)),
        frozenset(names),
        collector.negations + sum(low.count(part) for part in lists.NEGATING_PARTS),
        _reply(low),
        any(part in low[:_REFUSAL] for part in lists.REFUSALS),
        collector.size,
    )


@lru_cache(maxsize=16_384)
def _word(low: str) -> _Word:
    base = low.removesuffix("'s")
    is_unspaced = _UNSPACED.fullmatch(base) is not None
    if is_unspaced:
        grams = [base[at : at + 2] for at in range(max(1, len(base) - 1))]
    else:
        spelt = f" {base}"
        grams = [spelt[at : at + 3] for at in range(max(1, len(spelt) - 2))]
    return _Word(
        _stem(base),
        tuple(grams),
        low in lists.EMPTY,
        low in lists.NEGATORS or low.endswith("n't"),
        low in lists.EMPTY or (low not in lists.NAMES and is_in_lists(low)),
        is_unspaced,
        any(map(str.isdigit, base)),
    )


def _stem(low: str) -> str:
    """Return the stem of a word: that of the guards in English, else its beginning.

    All forms of a unit or a currency have one.
    """
    if low in lists.UNITS:
        return "u:" + lists.UNITS[low]
    if low.isascii():
        return key(low)
    folded = "".join(c for c in unicodedata.normalize("NFD", low) if not unicodedata.combining(c))
    return folded[: max(5, len(folded) - 3)]


def _without_courtesy(text: str) -> str:
    """Return an answer without a courtesy at its beginning that looks like a yes or a no."""
    text = text.lstrip(" *_\"'\n")
    start = text[:40].lower()
    return next((text[len(each) :] for each in lists.COURTESIES if start.startswith(each)), text)


def _reply(low: str) -> int:
    first = re.match(r"\W*(\w+)", low[:40])
    word = "" if first is None else first[1]
    if word in lists.YES:
        return 1
    return -1 if word in lists.NO else 0
