"""Inflection: the common form of the forms of a word, by a few sure rules for each language.

The rules take off endings that tell number, case or the person that agrees with the noun, and
leave alone what changes an answer: tense, mood, comparison and gender. Stemmers merge these, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from toolops_plugins.semantic.guards.languages.word_lists import WordLists

__all__ = ["Form", "inflect", "verb_stem"]

_SHORT = 4


class Form(NamedTuple):
    """The common form of a word.

    Args:
        key: The form.
        plural: Whether the ending of a plural was taken off.
        they: Whether the ending of a verb's third person plural was taken off.
    """

    key: str
    plural: bool = False
    they: bool = False


@lru_cache(maxsize=16384)
def inflect(lists: WordLists, word: str) -> Form:
    """Return the common form of a word."""
    known = lists.forms.get(word)
    if known is not None:
        return Form(known, known != word)
    known = lists.agreement.get(word)
    if known is not None:
        return Form(known, they=word in lists.they)
    if len(word) < _SHORT or not word.isalpha():
        return Form(word)
    return _RULES[lists.code](word)


def _german(word: str) -> Form:
    if word.endswith(("te", "ten")):  # a past, or a noun such as Karte
        return Form(word.removesuffix("n"), word.endswith("n"))
    if word.endswith("en") and len(word) > _SHORT:
        return Form(word[:-2], plural=True)
    if word.endswith("e"):
        return Form(word[:-1], plural=True)
    if word.endswith("s") and len(word) > _SHORT + 1 and word[-2] not in "aeius":
        return Form(word[:-1], plural=True)
    return Form(word)


def _french(word: str) -> Form:
    if word.endswith("ent") and len(word) > _SHORT + 1 and not word.endswith("ment"):
        return Form(word[:-2], they=True)
    if word.endswith("s") and not word.endswith("ss"):
        return Form(word[:-1], plural=True)
    if word.endswith("eaux"):
        return Form(word[:-1], plural=True)
    return Form(word)


def _spanish(word: str) -> Form:
    if word.endswith(("ciones", "siones")):
        return Form(word[:-4] + "ión", plural=True)
    if word.endswith("s") and len(word) > _SHORT and word[-2] in "aeo":
        word = word[:-1]
        return Form(_without_e(word), plural=True)
    if word.endswith(("an", "en")) and len(word) > _SHORT:
        return Form(_without_e(word[:-1]), they=True)
    return Form(_without_e(word))


def _without_e(word: str) -> str:
    """Return a word without the e that its plural may have gained: hotel, hoteles."""
    return word[:-1] if len(word) > _SHORT and word[-1] == "e" and word[-2] in "lrnd" else word


_PORTUGUESE = (
    ("ções", "ção"),
    ("coes", "cao"),
    ("sões", "são"),
    ("ais", "al"),
    ("éis", "el"),
    ("óis", "ol"),
    ("ens", "em"),
    ("res", "r"),
    ("zes", "z"),
)


def _portuguese(word: str) -> Form:
    for plural, singular in _PORTUGUESE:
        if word.endswith(plural):
            return Form(word.removesuffix(plural) + singular, plural=True)
    if word.endswith("s") and len(word) > _SHORT and word[-2] in "aeou":
        return Form(_without_final_e(word[:-1]), plural=True)
    if word.endswith("am") and len(word) > _SHORT:
        return Form(word[:-1], they=True)
    return Form(_without_final_e(word))


def _without_final_e(word: str) -> str:
    return word[:-1] if len(word) > _SHORT and word.endswith(("re", "ze")) else word


_ITALIAN_E = ("ion", "or", "al", "bil", "ic", "ent", "ant", "es", "il", "ier")


def _italian(word: str) -> Form:
    if word.endswith(("ano", "ono")) and len(word) > _SHORT + 1:
        return Form(f"{word[:-3]}+a", they=True)
    ending, base = word[-1], word[:-1]
    if ending in "ei" and base.endswith(_ITALIAN_E):
        return Form(f"{base}+e", ending == "i")
    if ending in "oi":
        return Form(f"{base}+o", ending == "i")
    if ending in "ae":
        return Form(f"{base}+a", ending == "e")
    return Form(word)


_DOUBLE = re.compile(r"([bdfgklmnprst])\1$")
_LONG = re.compile(r"([aeou])\1([b-df-hj-np-tv-z])$")


def _dutch(word: str) -> Form:
    if word.endswith("s") and word[-2] in "elnr" and len(word) > _SHORT + 1:
        return Form(word[:-1], plural=True)
    return Form(word)


_RULES: dict[str, Callable[[str], Form]] = {
    "de": _german,
    "es": _spanish,
    "fr": _french,
    "it": _italian,
    "nl": _dutch,
    "pt": _portuguese,
}


def verb_stem(lists: WordLists, verb: str, endings: tuple[str, ...] = ()) -> str:
    """Return the stem of the verb of a question after "how", the same for "I", "one" and "to".

    Args:
        lists: The language.
        verb: The verb.
        endings: The endings of the romance languages, the longest first.
    """
    verb = lists.verbs.get(verb, verb)
    if lists.code == "de":
        for ending in ("en", "e", "t", "n"):
            if verb.endswith(ending) and len(verb) > len(ending) + 2:
                return verb.removesuffix(ending)
        return verb
    if lists.code == "nl":
        stem = verb.removesuffix("en") if len(verb) > _SHORT else verb
        stem = _LONG.sub(r"\1\2", _DOUBLE.sub(r"\1", stem))
        return re.sub("v$", "f", re.sub("z$", "s", stem))
    for ending in endings:
        if verb.endswith(ending) and len(verb) > len(ending) + 1:
            return verb.removesuffix(ending)
    return ""
