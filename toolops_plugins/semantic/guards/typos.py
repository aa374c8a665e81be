"""Whether one word is a typing error of another.

The distance is that of Damerau (1964): letters put in, left out, mistaken or swapped with their
neighbour. How much of it is allowed grows with the length of the word, and two real words are never
typing errors of one another, however near they are.
"""

from __future__ import annotations

from functools import lru_cache

from toolops_plugins.semantic.guards.listing import listed
from toolops_plugins.semantic.guards.stems import are_siblings, is_real

__all__ = ["is_typo", "within"]

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SOUNDS = frozenset(
    frozenset(pair) for pair in listed("ck cs ks sz ie iy ea ao ou ei ey gj fv dt bp mn uo ai")
)


def _neighbours() -> frozenset[frozenset[str]]:
    pairs = set()
    for number, row in enumerate(_ROWS):
        for at, letter in enumerate(row):
            pairs.add(frozenset((letter, row[at - 1] if at else letter)))
            below = _ROWS[number + 1] if number < 2 else ""
            pairs.update(frozenset((letter, other)) for other in below[max(at - 1, 0) : at + 1])
    return frozenset(pairs)


_CLOSE = _neighbours() | _SOUNDS


def within(one: str, other: str, most: int) -> bool:
    """Whether two words are within a distance of each other (optimal string alignment)."""
    if abs(len(one) - len(other)) > most:
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        last, row, before = before, [i], row
        for j, mark in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != mark))
            if i > 1 and j > 1 and letter == other[j - 2] and mark == one[i - 2]:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return False
    return row[-1] <= most


@lru_cache(maxsize=8192)
def is_typo(one: str, other: str, *, names: bool = False) -> bool:
    """Whether two lower-case words differ by a typing error only.

    Args:
        one: A word.
        other: Another one.
        names: Whether both are names, of which many are near each other (Hansen, Hanson): then
            only swapped and doubled letters count as errors.
    """
    short, long = sorted((one, other), key=len)
    if len(short) < 4 or len(long) - len(short) > 2 or len(long) > 40:
        return False
    if (is_real(one) and is_real(other)) or are_siblings(one, other):
        return False
    if _swapped_or_doubled(short, long):
        return True
    if names or (one[0] != other[0] and len(short) < 6):
        return False
    if len(short) > 7 and within(one, other, 2):
        # Two errors are allowed, but not at the end, where words differ by their endings.
        return one[:3] == other[:3] or one[-3:] == other[-3:]
    return within(one, other, 1) and _plausible(short, long)


def _swapped_or_doubled(short: str, long: str) -> bool:
    if len(short) == len(long):
        wrong = [at for at in range(len(short)) if short[at] != long[at]]
        return (
            len(wrong) == 2
            and wrong[1] == wrong[0] + 1
            and short[wrong[0]] == long[wrong[1]]
            and short[wrong[1]] == long[wrong[0]]
        )
    if len(long) - len(short) != 1:
        return False
    return any(
        long[at] == long[at - 1] and long[:at] + long[at + 1 :] == short
        for at in range(1, len(long))
    )


def _plausible(short: str, long: str) -> bool:
    """Whether one changed letter looks like a slip: a letter beside it, or of the same sound."""
    if len(short) == len(long):
        at = next(at for at in range(len(short)) if short[at] != long[at])
        pair = frozenset((short[at], long[at]))
        if at == len(short) - 1 and len(short) < 6:
            return False
        known = is_real(short) or is_real(long)
        return pair in _CLOSE or (len(short) > 5 and known)
    at = next((at for at in range(len(short)) if short[at] != long[at]), len(short))
    # A letter more at the very end is an ending; inside, or before it, a slip.
    return at < len(short) or long[-1] not in "aeilnrsty" or is_real(long)
