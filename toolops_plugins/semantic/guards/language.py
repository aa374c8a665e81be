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
from importlib import import_module
from typing import Any, NamedTuple

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
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.notation import is_notation, is_work_on_words
from toolops_plugins.semantic.guards.spelling import correct
from toolops_plugins.semantic.guards.stems import is_real

__all__ = ["Reading", "language_of", "likely_language", "read_language"]

_SURE = 0.4
"""Least probability at which the verdict of py3langid counts. Of 11,590 short texts of user
interfaces in 70 other languages, 46 were taken for German, French, Spanish, Portuguese, Italian or
Dutch, and 34 of 1,174 in these six for another language, mostly Spanish for Galician or Catalan."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")  # noqa: RUF001 - an apostrophe that people type
_SENTENCE = re.compile(r"[.?!;:\n¿¡—]+")
_SMALL = DROPPED | NEGATORS | PARTICLES | frozenset(THIRD_PERSON) | frozenset(CONTRACTIONS)
_EVIDENCE = _SMALL - ALSO_FOREIGN - FOREIGN
_FOREIGN = (FOREIGN | FOREIGN_NEGATORS) - _SMALL
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


class _Count(NamedTuple):
    """The words of a text by what they say of its language.

    Args:
        small: Small English words.
        evident: Those of them that no other language has.
        known: Other English words.
        slips: Words that are English if a typing error in them is mended.
        unknown: Words that are no names and in no English list.
        names: Words with a capital that is not due, in no English list.
        foreign: Small words of other languages that English does not have.
    """

    small: int
    evident: int
    known: int
    slips: int
    unknown: int
    names: int
    foreign: int


class Reading(NamedTuple):
    """What can be told of a text before it is read.

    Args:
        language: The ISO 639-1 code of its language, or "" where it is not certain.
        notation: Whether it is code, a formula, a command, a query, a path or an address.
    """

    language: str
    notation: bool


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
        return _read_language(text)
    except Exception:  # noqa: BLE001 - a text that cannot be read is in no language
        return Reading("", notation=True)


def likely_language(text: str) -> str:
    """Return the likeliest language of a text, certain or not."""
    return _identify(text)[0]


def _read_language(text: str) -> Reading:
    letters = [character for character in text if character.isalpha()]
    count = _count(text)
    read = count.small + count.known
    if is_notation(text, words=read, evident=count.evident):
        return Reading("", notation=True)
    if len(letters) < 3 or max(letters) > "\u024f" or _is_mixed(text):  # not a Latin letter
        return _UNCERTAIN
    if is_work_on_words(text, unknown=count.unknown + count.slips > 0):
        return _UNCERTAIN
    doubtful = count.unknown + count.slips
    if not count.foreign:
        if not doubtful and (read > 1 if count.evident else count.known > 1 or read > 3):
            return _ENGLISH
        if count.evident and read >= 4 * count.unknown + 2 * count.slips:
            return _ENGLISH
    if len(letters) < 8 or sum(count) - count.evident < 2:
        return _UNCERTAIN  # too short for statistics of letters
    language, confidence = _identify(text)
    if language == "en":
        known = read + count.slips > count.unknown and not count.foreign
        return _ENGLISH if known and (count.small or confidence > _SURE) else _UNCERTAIN
    if len(language) != 2 or confidence < _SURE or count.evident > 1:
        return _UNCERTAIN
    return Reading(language, notation=False)


_ENGLISH = Reading("en", notation=False)
_UNCERTAIN = Reading("", notation=False)


def _is_mixed(text: str) -> bool:
    """Return whether one sentence of several has mostly English words, and another has not."""
    sentences = [part for part in _SENTENCE.split(text) if part.count(" ") > 1]
    if len(sentences) < 2:
        return False
    counts = [_count(sentence) for sentence in sentences]
    strange = [
        each.unknown + each.foreign > each.small + each.known + each.slips for each in counts
    ]
    return any(strange) and not all(strange)


def _count(text: str) -> _Count:
    small = evident = known = slips = unknown = names = foreign = 0
    for number, match in enumerate(_WORD.finditer(text)):
        written = match[0].replace("’", "'")  # noqa: RUF001 - an apostrophe that people type
        low = written.lower()
        base = low.partition("'")[0]
        name = number > 0 and written[0].isupper()
        if not low.isascii():
            if low in _ACCENTED:
                known += 1
            elif name:
                names += 1
            else:
                unknown += 1
        elif low in _SMALL or base in _SMALL or low.endswith("n't"):
            small += 1
            evident += low in _EVIDENCE or "'" in low
        elif is_real(low) or is_real(base):
            known += 1
        elif low in _FOREIGN:
            foreign += not name and text[match.end() : match.end() + 1] != "-"  # non-toxic
        elif name:
            names += 1
        elif len(low) > 1:
            if correct(low) != low:
                slips += 1
            else:
                unknown += 1
    return _Count(small, evident, known, slips, unknown, names, foreign)


_lock = threading.Lock()
_classify: Callable[[str], tuple[str, float]] | None = None


def _identify(text: str) -> tuple[str, float]:
    """Return the likeliest language and its probability."""
    global _classify  # noqa: PLW0603 - loaded once, when a text needs it
    if _classify is None:
        with _lock:
            if _classify is None:
                _classify = _load()
    language, confidence = _classify(text.lower())  # capitals mislead the statistics
    return str(language), float(confidence)


def _load() -> Callable[[str], tuple[str, float]]:
    try:
        module: Any = import_module("py3langid.langid")
        identifier = module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)
    except Exception:  # noqa: BLE001 - not installed, or nowhere to unpack its model
        return lambda _text: ("", 0.0)
    classify: Callable[[str], tuple[str, float]] = identifier.classify
    return classify
