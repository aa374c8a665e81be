"""Symbols that carry meaning: operators, flags of commands, emoji.

They are compared as words are, one by one and in their order. Symbols that :mod:`.tokenizer` reads
as words or as parts of values are none of these: ``20%``, ``$5``, ``2 + 2``, ``C++``, ``#4``.
"""

from __future__ import annotations

import re
import unicodedata

from toolops_plugins.semantic.guards.lexicon import word_list

__all__ = ["has_factorial", "symbols_in"]

_ANY = re.compile(r"[-+*/^=<>~#@|\\%&$!]")
_READ = re.compile(
    r"\b[a-z]{2,10}://\S+|(?<![\w.+-])[\w.+-]+@[\w-]+\.\w+"
    r"|(?:(?<=\s)|^)[~.]?(?:/[\w.-]+)+/?|(?<!\w)\w+(?:/[\w.-]+){2,}/?"
    r"|(?<=[\d)])\s*[-+*/^=<>×÷]\s*(?=[\d(])"  # noqa: RUF001 - sums, which are read as words
    r"|(?<=\w)(?:\+\+|#)(?![\w+#])|(?<=\d)\s*[%€£¥₹$]|#(?=\d)|(?<=\w)[/@\\&](?=\w)|(?<!&)&(?!&)"
    r"|[$€£¥₹](?=-?\d)|\*(?=\w[^*]*\w\*)|(?<=\w)\*(?!\w|\s*\w)"
)
_BETWEEN_LETTERS = re.compile(r"(?<![\w/&.'-])[^\W\d_]([/&])\w(?![\w/&'])")
_ABBREVIATIONS = frozenset(
    word_list(
        "a&e a/b a/c b&b b&w b/c c&a c/o d&d h&m i/o k/d m&a m&s m/s n/a o&m p&l p/e q&a r&b r&d "
        "s&p t&c t&e w/o y/n"
    )
)
"""What is no operation on two letters."""
_OPERATOR = re.compile(r"!(?=[=~])[=~]+|[+*/^=<>~#@|\\%&$]+(?:-(?=>))?>?|<-|->")
_FLAG = re.compile(r"(?:^|(?<=\s))(?:-[A-Za-z]\b|--[A-Za-z][\w-]*)")
_MINUS = re.compile(r"(?<![\w'’-])[^\W\d]\s*-\s*[^\W\d](?![\w'’-])")  # noqa: RUF001 - typed so
_SAME = {
    "≠": "!=",
    "<>": "!=",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "←": "<-",
    "∧": "&&",
    "∨": "||",  # noqa: RUF001 - the sign is meant
    "×": "*",  # noqa: RUF001 - the sign is meant
    "∙": "*",
    "÷": "/",
    "−": "-",  # noqa: RUF001 - the sign is meant
}
_UNITS = re.compile(r"(?:\b|\d)(?:[cdkm]?m|ft|in|yd|mi)[²³]")
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼ⁿ₀₁₂₃₄₅₆₇₈₉₊₋₌", "0123456789+-=n0123456789+-=", strict=True))
_SILENT = frozenset("°™®©•§")
_POLITE = frozenset("🙏😊🙂😀😃😄😁😅🤗❤💛👋✨")
"""Emoji that are courtesies at the beginning and the end of a text."""


_FACTORIAL = re.compile(
    r"(?:[+*^(=×÷√]|\s[-/]|\b(?:berechne|bereken|calcola|calcul\w*|comput\w*|c[oó]mo es|divided by"  # noqa: RUF001 - the sign is meant
    r"|equals?|es|est|evaluat\w*|factorials?|fait|is|ist|minus|of|plus|resolve|simplify|solve|times|é|è))"
    r"\s*\d+!(?![!\w])|\d!\s*[-+*/^=)×÷<>]",  # noqa: RUF001 - the sign is meant
    re.IGNORECASE,
)
"""A factorial in a formula, or after a word that asks for a value."""
_END_MARK = re.compile(r"\d!(?![!\w])")
_LETTERS = re.compile(r"[^\W\d_]{2}|[^\W\d_a-zA-Z]")


def has_factorial(text: str) -> bool:
    """Return whether "!" after a number is a factorial, and not the end mark of a sentence."""
    if _END_MARK.search(text) is None:
        return False
    if _FACTORIAL.search(text) is not None:
        return True
    return _LETTERS.search(text) is None


def symbols_in(text: str) -> tuple[str, ...]:
    """Return the symbols of a text that carry meaning, in their order; emoji come last."""
    plain = text.isascii()
    if plain and _ANY.search(text) is None:
        return ()
    found = []
    rest = _READ.sub(" ", text)
    if "-" in rest:
        found += [flag.strip() for flag in _FLAG.findall(rest)]
        found += ["-"] * len(_MINUS.findall(rest))
        rest = _FLAG.sub(" ", rest)
    found += [_SAME.get(sign, sign) for sign in _OPERATOR.findall(rest)]
    if "!" in text and has_factorial(text):
        found.append("!" * len(_END_MARK.findall(text)))
    if "/" in text or "&" in text:
        found += [
            match[1]
            for match in _BETWEEN_LETTERS.finditer(text)
            if match[0].lower() not in _ABBREVIATIONS
        ]
    if not plain:
        found += _superscripts_in(text)
        found += _emoji_in(rest)
    return tuple(found)


def _superscripts_in(text: str) -> list[str]:
    """Return superscripts and subscripts, which are read as plain digits after units only."""
    raised = [letter for letter in _UNITS.sub("", text) if letter in _RAISED]
    return [f"{'_' if '₀' <= letter <= '₌' else '^'}{_RAISED[letter]}" for letter in raised]


def _emoji_in(text: str) -> list[str]:
    """Return signs outside of ASCII and emoji, each emoji with its modifiers."""
    found: list[str] = []
    joins = False
    for letter in text.strip():
        if letter.isascii() or letter.isalnum() or letter in _SILENT:
            joins = False
        elif letter == "\u200d":
            joins = bool(found)
        elif "\U0001f3fb" <= letter <= "\U0001f3ff" or "\U000e0020" <= letter <= "\U000e007f":
            if found:
                found[-1] += letter
        elif unicodedata.category(letter) in ("So", "Sm", "Sc", "Me"):
            sign = _SAME.get(letter, letter)
            if (joins or letter == "\u20e3") and found:
                found[-1] += sign
            else:
                found.append(sign)
            joins = False
    while found and found[-1] in _POLITE and text.rstrip("\ufe0f .!?)").endswith(found[-1]):
        text = text.rstrip("\ufe0f .!?)").removesuffix(found.pop())
    return found
