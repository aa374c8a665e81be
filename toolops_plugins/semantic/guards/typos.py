"""Detection of typing errors by a weighted edit distance.

The distance is a weighted one in the manner of Damerau (1964): letters put in, left out, mistaken
or swapped with their neighbour, where slips that people make often (a vowel for another, a doubled
letter, a key beside the right one, a letter of the same sound) cost less than others. How much of
it is allowed grows with the length of the word, and two real words are never typing errors of one
another, however near they are.
"""

from __future__ import annotations

import re
from functools import lru_cache

from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.stems import are_siblings, is_in_lists, is_real

__all__ = ["is_typo", "slip_cost", "sound"]

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWELS = frozenset("aeiou")
_NEVER = 9.0
_MOST = 2.4
"""The highest cost that any caller allows."""


def _neighbours() -> set[tuple[str, str]]:
    pairs = set()
    for number, row in enumerate(_ROWS):
        for at, letter in enumerate(row):
            pairs.add((letter, row[at - 1] if at else letter))
            below = _ROWS[number + 1] if number < 2 else ""
            pairs.update((letter, other) for other in below[max(at - 1, 0) : at + 1])
    return pairs


def _mistaken() -> dict[tuple[str, str], float]:
    """Return what it costs to type one letter for another; pairs not in it cost 1.2."""
    costs = {pair: 0.8 for pair in _neighbours() if pair[0] != pair[1]}
    costs |= {(pair[0], pair[1]): 0.6 for pair in word_list("ck cs ks sz gj fv iy ey qk xz wv td")}
    costs |= {(pair[0], pair[1]): 0.8 for pair in word_list("mn bp dt bv cx")}
    costs |= {(a, b): 0.5 for a in _VOWELS for b in _VOWELS if a != b}
    return costs | {(b, a): cost for (a, b), cost in costs.items()}


_MISTAKEN = _mistaken()
_ALLOWED = (0.0, 0.0, 0.0, 0.0, 0.7, 1.0, 1.3, 1.5, 1.8, 1.9, 2.2)
"""The cost that is allowed, by the length of the longer word; longer ones are allowed 2.4."""

_SOUNDS = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        ("ph", "f"),
        ("^kn|^gn|^pn", "n"),
        ("^wr", "r"),
        ("^ps", "s"),
        ("^wh", "w"),
        ("igh", "i"),
        ("ough$", "o"),
        ("gh", ""),
        ("sch", "sk"),
        ("tch", "ch"),
        ("[ts]io(?=n)", "sho"),
        ("ci(?=[ao])", "sh"),
        ("dge?", "j"),
        ("c(?=[eiy])", "s"),
        ("ch", "C"),
        ("ck|q|c", "k"),
        ("x", "ks"),
        ("z", "s"),
        ("(?<=[a-z])h(?=[^aeiou]|$)", ""),
        ("mb$", "m"),
        (r"(.)\1+", r"\1"),
        ("(?<=.)[aeiouy]+", "a"),
    )
)


@lru_cache(maxsize=4096)
def sound(word: str) -> str:
    """Return roughly how a word sounds, its vowels all alike, in the manner of Metaphone."""
    for pattern, by in _SOUNDS:
        word = pattern.sub(by, word)
    return word.removesuffix("a")


def slip_cost(one: str, other: str, most: float) -> float:
    """Return the weighted distance of two words, or 9 where it is above ``most``."""
    if abs(len(one) - len(other)) * 0.4 > most:
        return _NEVER
    if one[:2] == other[:2]:  # likely near, and asked for again
        cost = _distance(one, other, _MOST)
        return cost if cost <= most else _NEVER
    return _distance(one, other, most)


@lru_cache(maxsize=8192)
def _distance(one: str, other: str, most: float) -> float:
    drops, puts = _extras(one), _extras(other)
    last: list[float] = []
    before: list[float] = []
    row = [0.0]
    for put in puts:
        row.append(row[-1] + put)
    mistaken = _MISTAKEN.get
    for i, letter in enumerate(one):
        drop = drops[i]
        last, before, row = before, row, [row[0] + drop]
        cell = lowest = row[0]
        for j, mark in enumerate(other):
            cost = before[j]
            if letter != mark:
                cost += mistaken((letter, mark), 1.2)
                if i and j and letter == other[j - 1] and mark == one[i - 1]:
                    cost = min(cost, last[j - 1] + 0.5)
            # Comparisons, since a call of min takes longer than all else here.
            dropped = before[j + 1] + drop
            cell += puts[j]
            if cost < cell:  # noqa: PLR1730 - see above
                cell = cost
            if dropped < cell:  # noqa: PLR1730 - see above
                cell = dropped
            row.append(cell)
            if cell < lowest:  # noqa: PLR1730 - see above
                lowest = cell
        if lowest > most:
            return _NEVER
    return row[-1] if row[-1] <= most else _NEVER


@lru_cache(maxsize=8192)
def _extras(word: str) -> list[float]:
    """Return what it costs to put in, or leave out, each letter of a word."""
    return [
        0.4
        if (at and word[at - 1] == letter) or word[at + 1 : at + 2] == letter
        else 0.5
        if letter in _VOWELS
        else 0.6
        if letter in "hk" and at
        else 0.9
        for at, letter in enumerate(word)
    ]


@lru_cache(maxsize=8192)
def is_typo(one: str, other: str, *, names: bool = False) -> bool:
    """Return whether two lower-case words differ by a typing error only.

    Args:
        one: A word.
        other: Another one.
        names: Whether both are names, of which many are near each other (Hansen, Hanson): unless
            one of them is known, only swapped and doubled letters count as errors then.
    """
    short, long = sorted((one, other), key=len)
    size = len(long)
    if len(short) < 3 or size < 4 or size - len(short) > 3 or size > 30:
        return False
    if len(set(one) ^ set(other)) > 4:
        return False
    if are_siblings(one, other):
        return False
    known = is_real(one), is_real(other)
    if all(known):
        # Of words that are real by their endings only, a doubled letter is likelier a slip.
        listed_both = is_in_lists(one) and is_in_lists(other)
        return not listed_both and slip_cost(short, long, 0.45) <= 0.45
    if not any(known):
        # A name or a rare word: another one may be as near as a slip is.
        return slip_cost(short, long, 0.5) <= 0.5 and (
            sorted(one) == sorted(other) or (len(short) != size and _has_double_letter(short, long))
        )
    if size > 4 and not names and sound(one) == sound(other):
        return True
    allowed = _ALLOWED[size] if size < len(_ALLOWED) else 2.4
    if names:
        allowed = min(allowed, 0.9)
    if one[0] != other[0]:
        if one[:2] != other[1::-1] and (size < 6 or names):
            return False
        allowed = min(allowed, 0.9)
    if one[-1] != other[-1] and size < 7 and not one.startswith(other[:-1]):
        allowed -= 0.2  # words differ by their endings
    return slip_cost(one, other, allowed) <= allowed


def _has_double_letter(short: str, long: str) -> bool:
    return any(
        long[at] == long[at - 1] and long[:at] + long[at + 1 :] == short
        for at in range(1, len(long))
    )
