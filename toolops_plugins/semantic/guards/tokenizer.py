"""From a text to its lower-case words, with short forms spelt out and values read."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from toolops_plugins.semantic.guards.function_words import CONTRACTIONS
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.phrases import phrases
from toolops_plugins.semantic.guards.spelling import MOST_SLIPS, correct, is_strange
from toolops_plugins.semantic.guards.values import read_token

__all__ = ["fold", "replace", "tokenize"]

_TOKEN = re.compile(
    r"(?:(?<![\w)])-(?=[$€£¥₹]?\d))?[$€£¥₹]?-?\w+(?:[.,'/:@\\_&-]+\w+)*"
    r"(?:%|°[cCfF]?|\+\+|#)?"
    r"|(?<=[\d)] )[-+*/^=<>×÷](?= [\d(])|[$€£¥₹%°.!?\n]"  # noqa: RUF001 - the sign is meant
)
_WARY = 120
"""Length of a text from which its unknown words are counted."""
_PLAIN = re.compile(r"[A-Za-z ,.?!']*")
_PLAIN_TOKEN = re.compile(r"[A-Za-z]+(?:[.,']+[A-Za-z]+)*|[.!?]")
"""What :data:`_TOKEN` finds in texts with no other characters, in half the time."""
_SUM = re.compile(r"(?<=[\d)])\s*([+*^×÷=<>])\s*(?=[\d(])")  # noqa: RUF001 - the sign is meant
_SIGNS = frozenset("+*^×÷=<>")  # noqa: RUF001 - the sign is meant
_STOPS = frozenset(".!?\n")
_QUOTES = str.maketrans(
    {
        **dict.fromkeys("’‘ʼ`´", "'"),  # noqa: RUF001 - quotes that people type
        **dict.fromkeys("–−‐‑", "-"),  # noqa: RUF001 - dashes that people type
        "—": " - ",
    }
)
_SIGNATURE = re.compile(
    r"(?:\b(?:[Kk]ind|[Bb]est|[Ww]arm) )?\b"
    r"(?:[Rr]egards|[Ss]incerely|[Cc]heers|[Ww]ishes|[Tt]hanks|[Tt]hx|[Tt]hank you"
    r"|[Yy]ours|[Ll]ove)"
    r"[,.!]*\s+[A-Z]\w*(?: [A-Z]\w*)?\W*$"
)
_MARK = re.compile("[\u0300-\u036f]")
_OPERATORS = {
    "+": "plus",
    "-": "minus",
    "*": "times",
    "×": "times",  # noqa: RUF001 - the sign is meant
    "/": "divided",
    "÷": "divided",
    "^": "power",
    "=": "equals",
    "<": "fewer",
    ">": "greater",
}
_SPLIT = re.compile(r"[-.,:&/\\']+")
_ENDINGS = frozenset(
    word_list(
        "com org net io dev edu gov de uk fr es it nl eu us co ai app txt md py js ts jsx tsx json "
        "yaml "
        "yml toml ini cfg conf csv tsv xls xlsx doc docx ppt pptx pdf png jpg jpeg gif "
        "svg html htm "
        "css "
        "xml sql sh bat exe dll zip tar gz log lock env java rs go rb php cpp hpp h c"
    )
)
_DOTTED = {
    "a.m": "am",
    "p.m": "pm",
    "u.s": "usa",
    "u.s.a": "usa",
    "u.k": "uk",
    "e.g": "",
    "i.e": "",
    "km/h": "kmh",
    "and/or": "or",
    "covid-19": "covid",
    "covid19": "covid",
    "per-cent": "percent",
}
_ASKING = frozenset(
    word_list("what where who when how why that there here it he she let i you they we")
)
_TAILS = {"re": "are", "ll": "will", "ve": "have", "m": "am", "d": "would"}
_HESITANT = frozenset(
    word_list(
        "please kindly just really actually basically simply maybe perhaps possibly "
        "quite very exactly "
        "honestly"
    )
)
"""Words that may stand inside any phrase and change nothing."""
_ROMAN = {
    numeral: f"#{number}"
    for number, numeral in enumerate(
        word_list("I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX XXI"),
        start=1,
    )
    if len(numeral) > 1
}
_ROMAN |= {
    numeral.lower(): _ROMAN[numeral] for numeral in word_list("II III VII VIII XII XIII XIV")
}


def fold(text: str) -> str:
    """Return a text in one form of Unicode, without accents and without the writer's signature."""
    if text[-1:] != "?":
        signed = _SIGNATURE.search(text, max(len(text) - 60, 0))
        if signed is not None:
            text = text[: signed.start()]
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    return _MARK.sub("", unicodedata.normalize("NFD", text))


def tokenize(text: str) -> tuple[list[str], list[bool]]:
    """Return the words of a folded text, and which of them are capitalised.

    Values are written as :mod:`.values` says. Only a capital that is not due counts: not one at the
    beginning of a sentence, nor any in a text that has them everywhere.
    """
    words: list[str] = []
    capitals: list[bool] = []
    start = True
    wary = len(text) > _WARY
    unknown = 0
    mend = True
    for piece in _pieces(text):
        if piece in _STOPS:
            start = True
            continue
        if wary:
            strange = is_strange(piece.lower())
            unknown += strange
            mend = unknown <= MOST_SLIPS or not strange
        parts, first, second = _expand(piece, mend)
        if start:
            start = False
            if first and not second:
                parts, first, second = _expand(piece.lower(), mend)
        if len(parts) == 1:
            words.append(parts[0])
            capitals.append(first)
        else:
            words.extend(parts)
            capitals.extend([first] * len(parts))
    marked = sum(capitals)
    if marked and (marked * 2 > len(capitals) > 2 or (len(capitals) < 3 and text.isupper())):
        capitals = [False] * len(capitals)
    return words, capitals


def _pieces(text: str) -> list[str]:
    if _PLAIN.fullmatch(text) is not None:
        return _PLAIN_TOKEN.findall(text)
    return _TOKEN.findall(text if _SIGNS.isdisjoint(text) else _SUM.sub(r" \1 ", text))


@lru_cache(maxsize=16384)
def _expand(piece: str, mend: bool) -> tuple[tuple[str, ...], bool, bool]:  # noqa: FBT001 - hot
    """Return what a token stands for, and whether its first and its second letter are capitals.

    Args:
        piece: The token.
        mend: Whether a typing error in it is mended.
    """
    numeral = _ROMAN.get(piece)
    if numeral is not None:
        return (numeral,), False, False
    low = piece.lower()
    first = piece[0].isupper() and piece != "I" and not low.startswith("i'")
    parts = _parts(low)
    if mend and not first and len(parts) == 1 and low.isalpha():
        parts = tuple(part for word in correct(low).split() for part in _parts(word))
    return tuple(part for part in parts if part not in _HESITANT), first, piece[1:2].isupper()


def _parts(low: str) -> tuple[str, ...]:
    """Return what a lower-case token stands for that is more than letters, or is a short form."""
    known = CONTRACTIONS.get(low)
    if known is None:
        known = _DOTTED.get(low) or _OPERATORS.get(low)
    if known is not None:
        return tuple(known.split())
    if low.isalpha():
        return (low,)
    if any(character.isdigit() for character in low):
        try:
            return tuple(read_token(low))
        except ValueError:  # digits of a script in which they are no decimal ones
            return ("#id:" + low,)
    if "'" in low:
        return _apostrophe(low)
    if "@" in low or "_" in low or "://" in low or low.count("/") > 1 or low.count("\\") > 1:
        return ("#id:" + low.rstrip("/"),)
    if "." in low:
        pieces = [piece for piece in low.split(".") if piece]
        if pieces and all(len(piece) == 1 for piece in pieces):
            return ("".join(pieces),)
        if pieces and pieces[-1] in _ENDINGS:
            return ("#id:" + low,)
    if len(low) > 1 and low[-1] in "%°":
        return (low[:-1], low[-1])
    if low.startswith("non-"):
        return ("not", *_parts(low[4:]))
    if low[-1] in "+#":
        return (low,)
    return tuple(part for part in _SPLIT.split(low) if part)


def _apostrophe(low: str) -> tuple[str, ...]:
    base, _, tail = low.rpartition("'")
    if tail == "t" and base.endswith("n"):
        return (base[:-1], "not") if len(base) > 1 else ("not",)
    if tail == "s" and base:
        return (base, "is") if base in _ASKING else _parts(base)
    if tail in _TAILS and base.isalpha():
        return (base, _TAILS[tail])
    return tuple(part for part in _SPLIT.split(low) if part)


def replace(words: list[str], capitals: list[bool]) -> None:
    """Replace every phrase that :mod:`.phrases` knows by what it is read as, the longest first."""
    found: list[tuple[int, int, tuple[str, ...]]] = []
    first, end = phrases().get, len(words)
    begin = 0  # where the last phrase ended
    for index, word in enumerate(words):
        node = first(word)
        if node is None or index < begin:
            continue
        after, longest = index, None
        while node is not None:
            after += 1
            if node.reading is not None and (
                node.reading or after == index + 1 or True not in capitals[index + 1 : after]
            ):
                longest = (index, after, node.reading)
            node = node.following.get(words[after]) if after < end else None
        if longest is not None:
            found.append(longest)
            begin = longest[1]
    for index, after, reading in reversed(found):
        words[index:after] = reading
        capitals[index:after] = [False] * len(reading)
