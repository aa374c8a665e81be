"""Keys by which words are compared: the stem, or the class of synonyms (English).

The stemmer is a light one in the manner of Porter (1980) and of Krovetz (1993): inflections and the
few derivations that do not change what is asked for (cancel, cancellation), no agents (print,
printer) and no negating endings (use, useless).
"""

from __future__ import annotations

from functools import cache, lru_cache

from toolops_plugins.semantic.guards import lexicon

__all__ = [
    "PAST",
    "are_siblings",
    "forms_of",
    "in_family",
    "is_in_lists",
    "is_real",
    "key",
    "opposites_of",
    "stem",
    "without_un",
]

_IRREGULAR = lexicon.irregular_forms()
PAST = {
    form: base
    for form, base in _IRREGULAR.items()
    if form != base and not form.endswith(("s", "g"))
}
"""Irregular forms that may be past participles, and what they are forms of."""
_INVARIABLE = lexicon.word_set("invariable_words.txt")
"""Words whose endings are no inflections."""
_VOWELS = frozenset("aeiouy")
_BEGINNINGS = ("re", "un", "pre", "over", "mis", "non", "dis", "under", "out", "super", "anti")
_ENDINGS = ("ly", "er", "est", "ness", "able", "less", "ful", "y")
"""Endings, beside inflections, that make a real word of a real one."""


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """Return the stem of a lower-case word, for comparison only."""
    known = _IRREGULAR.get(word)
    if known is not None:
        return known
    if len(word) < 4 or word in _INVARIABLE or not word.isalpha():
        return word
    root = _strip_inflection(word)
    known = _IRREGULAR.get(root)
    if known is not None:
        return known
    return root if root in _INVARIABLE else _strip_derivation(root)


@cache
def _irregular_by_base() -> dict[str, list[str]]:
    forms: dict[str, list[str]] = {}
    for form, base in _IRREGULAR.items():
        forms.setdefault(base, []).append(form)
    return forms


def forms_of(verb: str) -> tuple[str, ...]:
    """Return the forms of a verb that may begin a phrase, itself first."""
    soft = verb.removesuffix("e")
    twice = soft + soft[-1] if soft == verb and _short(verb) else soft
    regular = (verb, verb + "s", twice + "ing", twice + "ed", soft + "ing", soft + "ed")
    return tuple(dict.fromkeys((*regular, *_irregular_by_base().get(verb, ()))))


@lru_cache(maxsize=16384)
def _strip_inflection(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes", "oes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
        if word in _INVARIABLE:
            return word
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) > 1 and not _VOWELS.isdisjoint(rest):
            if rest.endswith("e"):  # agreed, freeing
                return rest + "e" if ending == "ed" else rest
            if len(rest) > 2 and rest[-1] == rest[-2] and rest[-1] not in "aeiou":
                return rest[:-1]  # planning; the double l of selling goes from sell as well
            return rest + "e" if _short(rest) else rest
    return word


def _short(rest: str) -> bool:
    """Return whether a stem lost an e with its ending: mak(ing), clos(ing), us(ing)."""
    return (
        1 < len(rest) < 5
        and rest[-1] not in "aeiouwxy"
        and rest[-2] in _VOWELS
        and sum(letter in _VOWELS for letter in rest) == 1
    )


def _strip_derivation(word: str) -> str:
    if word.endswith("ly") and len(word) > 5:
        word = word[:-2]
    elif (word.endswith("ness") and len(word) > 6) or (word.endswith("ment") and len(word) > 6):
        word = word[:-4]
    elif word.endswith("ion") and len(word) > 7:
        word = word[:-3]
    if word.endswith("our") and len(word) > 5:
        word = word[:-3] + "or"
    if len(word) > 2 and word.endswith("e") and word[-2] != "e" and not _short(word[:-1]):
        word = word[:-1]
    if word.endswith("is") and len(word) > 5:
        word = word[:-2] + "iz"
    elif word.endswith("ys") and len(word) > 5:
        word = word[:-2] + "yz"
    if word.endswith("at") and len(word) > 6:
        word = word[:-2]
    if word.endswith("iz") and len(word) > 6:
        word = word[:-2] + "iz"
    if word.endswith("y") and len(word) > 3 and word[-2] not in _VOWELS:
        word = word[:-1] + "i"
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word


@cache
def _classes() -> dict[str, str]:
    return {
        stem(word): stem(words[0].rstrip("*"))
        for words in lexicon.class_lists("synonyms.txt")
        for word in words
        if word[-1] != "*"
    }


@lru_cache(maxsize=8192)
def key(word: str) -> str:
    """Return the key of a lower-case word: the name of its class of synonyms, or its stem."""
    root = stem(word)
    return _classes().get(root, root)


@cache
def _opposites() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for word, others in lexicon.entries("opposites.txt"):
        one = key(word)
        for other in map(key, others.split()):
            table.setdefault(one, set()).add(other)
            table.setdefault(other, set()).add(one)
    return {word: frozenset(others - {word}) for word, others in table.items()}


@cache
def _families() -> dict[str, set[int]]:
    families: dict[str, set[int]] = {}
    for number, words in enumerate(lexicon.class_lists("word_families.txt")):
        for word in words:
            families.setdefault(word, set()).add(number)
            families.setdefault(stem(word), set()).add(number)
    return families


@cache
def _real() -> frozenset[str]:
    """Return every word of the lists that say what a word means."""
    numbers = lexicon.number_words()
    lists = (
        *lexicon.class_lists("near_synonyms.txt"),
        *lexicon.class_lists("near_synonyms_by_degree.txt"),
        *lexicon.class_lists("word_families.txt"),
        *lexicon.synonyms(),
        *((word, *others.split()) for word, others in lexicon.entries("opposites.txt")),
    )
    return lexicon.word_set("words.txt").union(
        lexicon.word_set("proper_names.txt"),
        lexicon.units(),
        numbers["numbers"],
        numbers["scales"],
        *lists,
    )


_NOTHING: frozenset[str] = frozenset()


def opposites_of(name: str) -> frozenset[str]:
    """Return the keys of the opposites of a word, given by its key."""
    return _opposites().get(name, _NOTHING)


def are_siblings(one: str, other: str) -> bool:
    """Return whether two lower-case words are different members of one family: red and blue."""
    families = _families()
    ones = families.get(one) or families.get(stem(one))
    if ones is None:
        return False
    others = families.get(other) or families.get(stem(other))
    return others is not None and not ones.isdisjoint(others) and key(one) != key(other)


def in_family(word: str) -> bool:
    """Return whether a lower-case word has siblings: a name, a colour, a part of the body."""
    return word in _families()


@lru_cache(maxsize=8192)
def is_in_lists(word: str) -> bool:
    """Return whether a lower-case word, or what it is an inflection of, is in the lists here."""
    real = _real()
    if word in real or word in _IRREGULAR:
        return True
    root = _strip_inflection(word)
    return root in real or (root + "e" in real and word.endswith(("ing", "ed")))


@lru_cache(maxsize=8192)
def is_real(word: str) -> bool:
    """Return whether a lower-case word is known to be no typing error."""
    if is_in_lists(word):
        return True
    real = _real()
    for ending in _ENDINGS if word.endswith(_ENDINGS) else ():
        if word.endswith(ending):
            rest = word[: -len(ending)]
            if len(rest) > 2 and (
                rest in real
                or (ending[0] in "aey" and rest + "e" in real)
                or (rest[-1] == "i" and rest[:-1] + "y" in real)
            ):
                return True
    for beginning in _BEGINNINGS if word.startswith(_BEGINNINGS) else ():
        rest = word.removeprefix(beginning)
        if 3 < len(rest) < len(word) and (rest in real or _strip_inflection(rest) in real):
            return True
    return any(
        word[:at] in real and word[at:] in real for at in range(4, len(word) - 3)
    )  # a compound: deadlock


def without_un(word: str) -> str | None:
    """Return the rest of a word that begins with a negating un-, or None."""
    rest = word[2:]
    if word.startswith("un") and len(rest) > 3 and stem(word) not in _classes() and is_real(rest):
        return None if key(word) in _opposites() or word in _real() else rest
    return None
