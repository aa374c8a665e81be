"""Near repeats: texts that differ in nothing that could change what is asked, in any language.

Only case, spacing, end punctuation, courtesies and typing accents may differ. The normal form of a
text is what remains of it without them, and two texts with one normal form are near repeats. It
needs no knowledge of a language beyond a list of its courtesies, so it holds for every text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from toolops_plugins.semantic.guards.accents import drop_typing_accents
from toolops_plugins.semantic.guards.language import Reading, likely_language, read_language
from toolops_plugins.semantic.guards.lexicon import courtesies
from toolops_plugins.semantic.guards.literals import literals_in, unify_quotes
from toolops_plugins.semantic.guards.notation import fold_keywords
from toolops_plugins.semantic.guards.symbols import has_factorial

__all__ = ["NO_FORM", "NormalForm", "are_near_repeats", "normal_form"]

_TYPED = str.maketrans(
    {
        **dict.fromkeys("’‘ʼ`´＇", "'"),  # noqa: RUF001 - quotes that people type
        **dict.fromkeys("“”„«»＂", '"'),  # noqa: RUF001 - as above
        **dict.fromkeys("–—−‐‑", "-"),  # noqa: RUF001 - dashes that people type
        **dict.fromkeys("¿¡\u00ad\u0640\u200b\u200e\u200f\ufe0e\ufe0f\ufeff", None),
        **dict.fromkeys(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))), None),
        **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
        "\u200c": " ",
        "\u3000": " ",
        "。": ".",
        "、": ",",
        "،": ",",
        "؛": ";",
        "؟": "?",
        "।": ".",
        "\u037e": "?",
        "…": "...",
        "≠": "!=",
        "≤": "<=",
        "≥": ">=",
    }
)
"""Characters that people type for one another, and those that nobody sees."""

_SPACED = re.compile(r"\s*([;!?()\"=+*<>]|(?<!\d)[,:]|[,:](?!\d))\s*")
"""Characters beside which a space means nothing, unlike that in ``rm -rf . /a``."""

_IN_FORMULA = re.compile(r" *([-+*=<>^(),]) *")

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff"
_BESIDE_UNSPACED = re.compile(rf"(?<=[{_UNSPACED}]) +| +(?=[{_UNSPACED}])")
"""Spaces beside letters of languages that are written without them."""

_BETWEEN_EMOJI = re.compile(
    r"(?<=[\u2600-\u27bf\U0001f300-\U0001faff]) +"
    r"(?=[\u2600-\u27bf\U0001f300-\U0001f3fa\U0001f400-\U0001faff])"
)

_ENDS = " .!?;:"
_FLAG = re.compile(r"(?:^|(?<=\s))--?[A-Za-z]\S*")
_WORDS = re.compile(r"[^\W_]")
_MOST = 4
"""Most courtesies at the beginning and the end that are left out."""

_NO_PREFIX = frozenset("假客求教示柬愿願辞辭罪安缨纓战戰")
"""Characters with which a Chinese "please" makes another word: leave, invite, request."""


class NormalForm(NamedTuple):
    """A digest of the normal form of a text.

    Args:
        exact: That of the text as it is.
        bare: That of the text without its accents; empty where they make other words.
    """

    exact: str
    bare: str

    def with_digests(self, digest: Callable[[str], str]) -> NormalForm:
        """Return a copy of which nobody can tell the text without the digest's key."""
        return NormalForm(*(each and digest(each) for each in self))

    def is_shared(self, other: NormalForm) -> bool:
        """Return whether the texts of both forms are near repeats."""
        if not self.exact or not other.exact:
            return False
        return self.exact in other or self.bare == other.exact


NO_FORM = NormalForm("", "")


def are_near_repeats(one: str, other: str) -> bool:
    """Return whether nothing differs that could change what is asked.

    Case, spacing, end punctuation and courtesies may differ, and accents where one of the texts has
    none at all and the language is one in which people leave them out.
    """
    return normal_form(one).is_shared(normal_form(other))


def normal_form(
    text: str, reading: Reading | None = None, literals: tuple[str, ...] | None = None
) -> NormalForm:
    """Return the normal form of a text, as digests.

    Args:
        text: The text.
        reading: Its language. None: it is told here.
        literals: Its parts of which every letter counts. None: they are found here.
    """
    reading = read_language(text) if reading is None else reading
    literals = literals_in(text, reading.language) if literals is None else literals
    form = _form_of(text, reading)
    exact = _digest(form, literals)
    if form.isascii() or any(letter > "\u024f" and letter.isalpha() for letter in form):
        return NormalForm(exact, "")
    bare = drop_typing_accents(form, likely_language(text))
    return NormalForm(exact, _digest(bare, literals) if bare else "")


def _digest(form: str, literals: tuple[str, ...]) -> str:
    parts = "\0".join((form, *literals))
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _form_of(text: str, reading: Reading) -> str:
    factorial = "!" in text and has_factorial(text)
    if not reading.notation:
        text = unify_quotes(text)
    if not text.isascii() or "`" in text:
        text = unicodedata.normalize("NFC", text).translate(_TYPED)
    text = " ".join(text.split())
    if reading.notation:  # in code, every letter and every mark counts
        if text[-1:] == "!" and text[-2:-1].isdecimal() and not factorial:
            text = _strip_end(text)
        text = fold_keywords(text.removesuffix("?").rstrip())
        return text if _FLAG.search(text) else _IN_FORMULA.sub(r"\1", text)
    text = " ".join(_SPACED.sub(r" \1 ", _fold_case(text)).split())
    if not text.isascii():
        text = _BESIDE_UNSPACED.sub("", _BETWEEN_EMOJI.sub("", text))
    text = _strip_end(text, factorial=factorial)
    polite = _strip_courtesies(text, reading.language)
    return polite if _WORDS.search(polite) else text


def _fold_case(text: str) -> str:
    """Return a text in lower case, except for flags of commands."""
    if "-" not in text:
        return text.lower()
    flags = _FLAG.findall(text)
    if not flags:
        return text.lower()
    parts = _FLAG.split(text)
    return "".join(f"{part.lower()}{flag}" for part, flag in zip(parts, [*flags, ""], strict=True))


def _strip_end(text: str, *, factorial: bool = False) -> str:
    """Return a text without the punctuation at its end, except in ``2 + 5!``, a number."""
    end = text.rstrip(_ENDS)
    if not end:
        return text
    if factorial and end[-1].isdecimal() and "!" in text[len(end) :]:
        return f"{end} !"
    return end


class _Courtesies(NamedTuple):
    """Courtesies of one or all languages, as sequences of words, by their first or last word."""

    anywhere: dict[str, list[list[str]]]
    opening: dict[str, list[list[str]]]
    closing: dict[str, list[list[str]]]


@cache
def _courtesies_of(language: str) -> _Courtesies:
    """Return the courtesies of English, or of all languages."""
    tables = courtesies()
    chosen = [tables["en"]] if language == "en" else list(tables.values())
    found = _Courtesies({}, {}, {})
    for place, index in zip(found._fields, found, strict=True):
        for table in chosen:
            for phrase in table.get(place, ()):
                words = phrase.split()
                index.setdefault(words[-1 if place == "closing" else 0], []).append(words)
        for phrases in index.values():
            phrases.sort(key=len, reverse=True)
    return found


@cache
def _affixes() -> tuple[tuple[str, ...], tuple[str, ...]]:
    tables = courtesies().values()
    return tuple(
        tuple(sorted((each for table in tables for each in table.get(place, ())), key=len)[::-1])
        for place in ("prefixes", "suffixes")
    )  # type: ignore[return-value]  # two of them


def _strip_courtesies(text: str, language: str) -> str:
    known = _courtesies_of(language)
    words = text.split()
    words = _strip_anywhere(words, known)
    for _ in range(_MOST):
        if words:
            words = _strip_one(words, known)
    text = " ".join(words)
    return text if text.isascii() else _strip_affixes(text)


def _strip_anywhere(words: list[str], known: _Courtesies) -> list[str]:
    at = 0
    while at < len(words):
        for phrase in known.anywhere.get(words[at], ()):
            end = at + len(phrase)
            if words[at:end] == phrase:
                start = at - 1 if at and words[at - 1] == "," else at
                end += words[end : end + 1] == [","]
                words = words[:start] + words[end:]
                at = start - 1
                break
        at += 1
    return words


def _strip_one(words: list[str], known: _Courtesies) -> list[str]:
    """Return the words without one greeting at the beginning or one thanks at the end."""
    for phrase in known.opening.get(words[0], ()):
        if words[: len(phrase)] == phrase or _with_stop(words[: len(phrase)]) == phrase:
            rest = words[len(phrase) :]
            while rest and rest[0] in _STOPS:
                rest = rest[1:]
            return rest or words
    last = words[-1].strip(_ENDS)
    for phrase in known.closing.get(last, ()):
        if _with_stop(words[-len(phrase) :]) == phrase and len(phrase) < len(words):
            rest = words[: -len(phrase)]
            while rest and rest[-1] in _STOPS:
                rest = rest[:-1]
            if rest:
                return [*rest[:-1], rest[-1].rstrip(".") or rest[-1]]
    return words


_STOPS = frozenset(",.!?;:-")


def _with_stop(words: list[str]) -> list[str]:
    return [*words[:-1], words[-1].strip(_ENDS)]


def _strip_affixes(text: str) -> str:
    """Return a text in a language without spaces without the courtesies around it."""
    prefixes, suffixes = _affixes()
    for _ in range(_MOST):
        before = text
        for prefix in prefixes:
            rest = text[len(prefix) :].lstrip(" ,.!")
            if text.startswith(prefix) and rest and rest[0] not in _NO_PREFIX:
                text = rest
                break
        for suffix in suffixes:
            rest = text[: -len(suffix)].rstrip(" ,.!?")
            if text.endswith(suffix) and rest:
                text = rest
                break
        if text == before:
            break
    return text
