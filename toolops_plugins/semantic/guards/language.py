"""The language of a text, where it can be told with confidence.

English is told by the word lists of the guards, which on short questions are better evidence than
statistics of letters and cost a tenth of their time. A text is English if it has no more unknown
words than names and slips explain, and small words that other languages do not have. All else goes
to py3langid, whose verdict counts only where it is confident.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Any, Final, NamedTuple

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.guards.function_words import (
    ALSO_FOREIGN,
    CONTRACTIONS,
    DROPPED,
    FOREIGN,
    FOREIGN_NEGATORS,
    NEGATORS,
    PARTICLES,
    THIRD_PERSON,
)
from toolops_plugins.semantic.guards.languages.word_lists import LANGUAGES, word_lists
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.notation import SPECIAL_WORDS, is_notation, is_work_on_words
from toolops_plugins.semantic.guards.spelling import MOST_SLIPS, correct
from toolops_plugins.semantic.guards.stems import is_real

__all__ = [
    "Reading",
    "language_of",
    "likely_language",
    "load_identifier",
    "needs_identifier",
    "read_language",
]

_LONG = 400
"""Longest text, in characters, whose examination is cached."""

_SURE = 0.4
"""Least probability at which the verdict of py3langid counts. Of 11,590 short texts of user
interfaces in 70 other languages, 46 were taken for German, French, Spanish, Portuguese, Italian or
Dutch, and 34 of 1,174 in these six for another language, mostly Spanish for Galician or Catalan."""

_LIKELY = 0.15
"""The same where small words of the language agree, which brings 5 % more of Spanish and Italian
texts and one more error."""

_ENOUGH = 160
"""Characters by which the language of a longer text is told."""

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*-?")
_WORD_OR_STOP = re.compile(_WORD.pattern + r"|[.?!;:\n¿¡—]")
_STOPS = frozenset(".?!;:\n¿¡—")
_SMALL_WORDS = DROPPED | NEGATORS | PARTICLES | frozenset(THIRD_PERSON) | frozenset(CONTRACTIONS)
_EVIDENCE = _SMALL_WORDS - ALSO_FOREIGN - FOREIGN
_FOREIGN_WORDS = (FOREIGN | FOREIGN_NEGATORS) - _SMALL_WORDS
_ACCENTED = frozenset(
    word_list(
        "à açaí appliqué attaché blasé bébé brûlée café cafés château cliché clichés consommé "
        "coup crème crêpe crêpes déjà décor éclair éclairs emigré exposé façade fiancé fiancée "
        "flambé frappé jalapeño jalapeños jardinière maître matinée mêlée naïve née outré passé "
        "pâté piñata papier-mâché protégé purée résumé résumés rosé roué sauté sautéed señor "
        "soufflé soupçon touché vis-à-vis voilà über"
    )
)
"""Words with accents that English texts have."""

# The classes of words by what they say of the language of a text.
_SMALL: Final = 0
"""A small English word that other languages have too."""
_EVIDENT: Final = 1
"""A small English word that no other language has."""
_KNOWN: Final = 2
"""Another English word."""
_SINGLE: Final = 3
"""A single letter, which says nothing."""
_SLIP: Final = 4
"""A word that is English if a typing error in it is mended."""
_UNKNOWN: Final = 5
"""A word in no English list."""
_FOREIGN: Final = 6
"""A small word of other languages that English does not have."""
_NAME: Final = 7
"""A word in no English list with a capital that is not due."""


class Reading(NamedTuple):
    """The language and notation of a text, told before it is read.

    Args:
        language: The ISO 639-1 code of its language, or "" where it is not certain.
        notation: Whether it is code, a formula, a command, a query, a path or an address.
        strange: Its words that make it uncertain whether it is English; None where it is not for
            single words.
    """

    language: str
    notation: bool = False
    strange: frozenset[str] | None = None


class _Doubt(NamedTuple):
    """A text of which the word lists tell too little.

    Args:
        unsure: Its reading if nothing else tells more.
        words: Its words in lower case.
        small: How many of them are small English ones.
        evident: How many of these no other language has.
        likely: Whether it may be English.
    """

    unsure: Reading
    words: tuple[str, ...]
    small: int
    evident: int
    likely: bool


_ENGLISH = Reading("en")
_UNCERTAIN = Reading("")
_NOTATION = Reading("", notation=True)


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, or "" where it is not certain.

    It is not certain for mixed texts, code, formulas, commands, paths, addresses, texts about words
    ("translate 'perro'"), symbols, and short texts that may be in several languages. Only languages
    in Latin letters are told apart, since the guards have no resources for others.
    """
    return read_language(text).language


def read_language(text: str) -> Reading:
    """Return the language of a text, and whether it is notation; never raises."""
    try:
        found = _examine(text) if len(text) > _LONG else _examine_short(text)
        return found if isinstance(found, Reading) else _decide(text, found)
    except Exception:  # noqa: BLE001 - a text that cannot be read is in no language
        return _NOTATION


def likely_language(text: str) -> str:
    """Return the likeliest language of a text, certain or not."""
    return _identifier.identify(text)[0]


def needs_identifier(text: str) -> bool:
    """Return whether the language of a text can be told only after :func:`load_identifier`."""
    if _identifier.is_loaded or len(text) > _LONG:
        return False
    try:
        return isinstance(_examine_short(text), _Doubt)
    except Exception:  # noqa: BLE001 - a text that cannot be read is in no language
        return False


def _examine(text: str) -> Reading | _Doubt:
    """Return the language of a text as far as the word lists tell it."""
    if not text.isascii():
        text = text.replace("’", "'")  # noqa: RUF001 - an apostrophe that people type
    words, classes, mixed = _classify_words(text)
    if _is_plain_english(text, words, classes):
        return _ENGLISH
    evident, known = classes.count(_EVIDENT), classes.count(_KNOWN)
    small = evident + classes.count(_SMALL)
    slips, unknown = classes.count(_SLIP), classes.count(_UNKNOWN)
    read, doubtful, foreign = small + known, slips + unknown, _FOREIGN in classes
    if is_notation(text, words, read=read, evident=evident):
        return _NOTATION
    if mixed or not words or _has_other_letters(text):
        return _UNCERTAIN
    if is_work_on_words(text, words, unknown=doubtful > 0):
        return _UNCERTAIN
    if not foreign:
        if not doubtful and (read > 1 if evident else known > (read < 4)):
            return _ENGLISH
        if evident and read >= 4 * unknown + 2 * slips:
            return _ENGLISH
    unsure = Reading("", strange=_strange(words, classes))
    if sum(map(len, words)) < 8 or len(words) - classes.count(_SINGLE) < 2:
        return unsure  # too short for statistics of letters
    likely = read + slips > unknown and not foreign
    return _Doubt(unsure, tuple(words), small, evident, likely)


_examine_short = lru_cache(maxsize=2_048)(_examine)


def _decide(text: str, doubt: _Doubt) -> Reading:
    """Return the language of a text of which the word lists tell too little."""
    language, confidence = _identifier.identify(text)
    if language == "en":
        sure = doubt.likely and (doubt.small or confidence > _SURE)
        return _ENGLISH if sure else doubt.unsure
    if len(language) != 2 or doubt.evident > 1:
        return doubt.unsure
    if confidence < _SURE and (
        confidence < _LIKELY or doubt.evident or not _fits(doubt.words, language)
    ):
        return doubt.unsure
    return Reading(language)


def _is_plain_english(text: str, words: list[str], classes: list[int]) -> bool:
    """Return whether a text is beyond doubt, as most are, so that no more has to be looked at."""
    return (
        text.isascii()
        and classes.count(_EVIDENT) > 2
        and max(classes) <= _SINGLE
        and SPECIAL_WORDS.isdisjoint(words)
    )


def _fits(words: tuple[str, ...], language: str) -> bool:
    """Return whether a text has at least two small words of a language, a quarter of all."""
    if language not in LANGUAGES:
        return False
    small = _small_words(language)
    found = sum(word in small for word in words)
    return found > 1 and 4 * found >= len(words)


@cache
def _small_words(language: str) -> frozenset[str]:
    lists = word_lists(language)
    return frozenset().union(
        lists.articles,
        lists.prepositions,
        lists.questions,
        lists.possessives,
        lists.copulas,
        lists.can,
    )


def _has_other_letters(text: str) -> bool:
    """Return whether a text has letters that are not Latin."""
    return not text.isascii() and any(letter > "\u024f" and letter.isalpha() for letter in text)


def _classify_words(text: str) -> tuple[list[str], list[int], bool]:
    """Return the words in lower case, the class of each, and whether languages are mixed.

    They are where one sentence of several has mostly English words, and another has not.
    """
    words = _WORD.findall(text.lower())
    classes = list(map(_class_of, words))
    if not words or max(classes) <= _SINGLE:  # most texts
        return words, classes, False
    words, classes, starts = [], [], [0]
    doubtful = 0
    for written in _WORD_OR_STOP.findall(text):
        if written in _STOPS:
            starts.append(len(words))
            continue
        low = written.lower()
        found = _class_of(low)
        if found == _UNKNOWN and low.isascii():
            doubtful += 1
            if doubtful <= MOST_SLIPS and _is_slip(low):
                found = _SLIP
        if found > _SINGLE and words and written[0].isupper():
            found = _NAME
        words.append(low)
        classes.append(found)
    if len(starts) == 1:
        return words, classes, False
    sentences = [classes[start:end] for start, end in pairwise([*starts, len(words)])]
    strange = {_is_strange(each) for each in sentences if len(each) > 2}
    return words, classes, len(strange) == 2


def _is_strange(classes: list[int]) -> bool:
    strange = classes.count(_UNKNOWN) + classes.count(_FOREIGN)
    return 2 * strange > len(classes) - classes.count(_SINGLE) - classes.count(_NAME)


@lru_cache(maxsize=16384)
def _class_of(low: str) -> int:
    if low[-1] == "-":
        if low in ("non-", "e-"):
            return _KNOWN
        low = low[:-1]
    if not low.isascii():
        return _KNOWN if low in _ACCENTED else _UNKNOWN
    base = low.partition("'")[0]
    if low in _SMALL_WORDS or base in _SMALL_WORDS or low.endswith("n't"):
        return _EVIDENT if low in _EVIDENCE or base != low else _SMALL
    if is_real(low) or is_real(base) or (low[-1] == "s" and is_real(low[:-1])):
        return _KNOWN
    if low in _FOREIGN_WORDS:
        return _FOREIGN
    if len(low) == 1:
        return _SINGLE
    return _UNKNOWN  # or a slip


def _is_slip(low: str) -> bool:
    low = low.removesuffix("-")
    return correct(low) != low


def _strange(words: list[str], classes: list[int]) -> frozenset[str]:
    """Return the words that are no English ones, those that are slips mended."""
    strange: set[str] = set()
    for word, found in zip(words, classes, strict=True):
        if _SINGLE < found < _NAME:
            base = word.removesuffix("-")
            mended = base if found == _UNKNOWN and base.isascii() else correct(base)
            strange.update(mended.split())
    return frozenset(strange)


class _Identifier:
    """The identifier py3langid, loaded when the first text needs it. Safe to use from any threads.

    Its model takes half a second to load and 100 MB of memory.
    """

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._classify: Callable[[str], tuple[str, float]] | None = None

    @property
    def is_loaded(self) -> bool:
        """Return whether it answers at once."""
        return self._classify is not None

    def load(self) -> Callable[[str], tuple[str, float]]:
        """Return the function that tells languages."""
        with self._lock:
            if self._classify is None:
                self._classify = _load()
            return self._classify

    def identify(self, text: str) -> tuple[str, float]:
        """Return the likeliest language and its probability."""
        classify = self._classify or self.load()
        # Capitals mislead the statistics, which take longer the longer the text is.
        language, confidence = classify(text[:_ENOUGH].lower())
        return str(language), float(confidence)


def _load() -> Callable[[str], tuple[str, float]]:
    try:
        module: Any = import_module("py3langid.langid")
        identifier = module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)
    except Exception:  # noqa: BLE001 - not installed, or nowhere to unpack its model
        return lambda _text: ("", 0.0)
    classify: Callable[[str], tuple[str, float]] = identifier.classify
    return classify


_identifier = _Identifier()


def load_identifier() -> None:
    """Load what tells languages that the word lists do not, unless it is loaded."""
    _identifier.load()
