"""The agreement of two answers: the same, different, or not to be told.

Models hardly ever answer twice in the same words. A logistic score weighs how much two texts share;
what must not differ in a right answer (numbers, names, negations, yes and no) can only lower it.
Where the score is in the middle, nothing is told. The weights were fitted to pairs of answers in
``tests/semantic/answers_seen.jsonl`` and measured on ``answers_unseen.jsonl``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from toolops_plugins.semantic.answers.profile import Profile, read_answer, shorten
from toolops_plugins.semantic.guards import Guards
from toolops_plugins.semantic.guards.stems import are_siblings, opposites_of

__all__ = ["FEW_WORDS", "Agreement", "Embed", "Verdict", "is_categorical"]

Embed: TypeAlias = Callable[[list[str]], NDArray[np.float32]]
Verdict: TypeAlias = bool | None
"""Whether two answers are the same; None if that cannot be told."""

FEW_WORDS: Final = 12
"""Longer texts, in words, are free text: two right answers are hardly ever identical."""
_LABEL: Final = 3
"""Words of a short answer that is a label or a name, which is the same or is not."""
_SAME: Final = 2.0
_DIFFERENT: Final = -2.25
_TERSE: Final = 25
"""Words of an answer, at most, in which one negator more changes everything."""
_AS_LONG: Final = 0.7
_NEAR: Final = 0.6
"""Share of letters that two short answers have in common, from which they may be the same."""
_DEEP: Final = 8
"""Levels of lists and dictionaries that are compared."""


class _Features(NamedTuple):
    """How much two answers share.

    Args:
        similarity: Cosine of their embeddings.
        letters: Share of the letters that are in both, of all.
        covered: Share of the letters that are in both, of the shorter one.
        numbers: Share of the numbers that are in both, of all.
        other_numbers: Share of the numbers that only one has where both have such, of the fewer.
        other_names: Whether each has a name that the other lacks.
        names: Share of the names that are in both, of all.
    """

    similarity: float
    letters: float
    covered: float
    numbers: float
    other_numbers: float
    other_names: float
    names: float


_WEIGHTS: Final = _Features(5.4, 2.4, 2.1, 1.5, -5.5, -2.9, 1.4)
_INTERCEPT: Final = -6.1


class Agreement:
    """The measure of agreement of two answers. Safe to use from any threads.

    It computes, for at most some milliseconds, and is not called on event loops.

    Args:
        embed: Embeds texts with the included model, for which the measure was calibrated. None:
            there is none, and free texts are never found to be the same.
    """

    def __init__(self, embed: Embed | None) -> None:
        self._embed = embed
        self._guards = Guards()

    def compare(self, cached: Any, fresh: Any) -> Verdict:
        """Return whether two answers are the same, or None if that cannot be told.

        Args:
            cached: The stored answer, or the part of it that counts.
            fresh: The new one.
        """
        return self._compare(cached, fresh, _DEEP)

    def _compare(self, one: Any, other: Any, depth: int) -> Verdict:
        if isinstance(one, str) and isinstance(other, str):
            return self._compare_texts(one, other)
        if depth == 0 or isinstance(one, str) or isinstance(other, str):
            return None if depth == 0 else False
        one, other = _as_plain(one), _as_plain(other)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if one.keys() != other.keys():
                return False
            return self._compare_all([(one[name], other[name]) for name in one], depth)
        if _is_list(one) and _is_list(other):
            if len(one) != len(other):
                return False
            return self._compare_all(list(zip(one, other, strict=True)), depth)
        try:
            return bool(one == other)
        except Exception:  # noqa: BLE001 - a comparison of a user's class may raise anything
            return False

    def _compare_all(self, pairs: Sequence[tuple[Any, Any]], depth: int) -> Verdict:
        """Compare the parts of structured answers: one that differs is enough."""
        verdict: Verdict = True
        for one, other in pairs:
            part = self._compare(one, other, depth - 1)
            if part is False:
                return False
            verdict = verdict and part
        return verdict

    def _compare_texts(self, one: str, other: str) -> Verdict:
        if _fold(one) == _fold(other):
            return True
        data = _as_json(one), _as_json(other)
        if data != (None, None):
            return None not in data and data[0] == data[1]
        one, other = shorten(one), shorten(other)
        a, b = read_answer(one), read_answer(other)
        if a.refuses or b.refuses:
            # Two refusals say nothing of their questions.
            return None if a.refuses and b.refuses else False
        if a.reply * b.reply < 0:
            return False
        if max(a.size, b.size) <= FEW_WORDS:
            return self._compare_short(one, other, a, b)
        return self._compare_free(one, other, a, b)

    def _compare_short(self, one: str, other: str, a: Profile, b: Profile) -> Verdict:
        if max(a.size, b.size) <= _LABEL and not (a.values or b.values):
            same_words = a.words == b.words and a.negates == b.negates
            return same_words or self._guards.are_equivalent(one, other)
        shared, mine, theirs = _split_values(a, b)
        if mine or theirs:
            return False if (mine and theirs) or a.values == () or b.values == () else None
        if a.negates != b.negates:
            return False
        if a.words == b.words and (a.words or shared):
            return True
        if self._guards.are_equivalent(one, other):
            return True
        return None if max(_overlaps(a.grams, b.grams)) >= _NEAR or shared else False

    def _compare_free(self, one: str, other: str, a: Profile, b: Profile) -> Verdict:
        if self._embed is None:
            return None
        x, y = self._embed([one, other])
        features = _read_features(a, b, float(x @ y))
        score = _INTERCEPT + fsum(map(float.__mul__, _WEIGHTS, features))
        if score <= _DIFFERENT:
            return False
        return True if score >= _SAME and not _is_contested(a, b) else None


def is_categorical(value: Any) -> bool:
    """Return whether equality is all that there is to compare, as with numbers and words."""
    if isinstance(value, str):
        return not value.strip() or len(value.split(maxsplit=1)) == 1
    return value is None or isinstance(value, bool | int | float | bytes)


def _read_features(a: Profile, b: Profile, similarity: float) -> _Features:
    shared, mine, theirs = _split_values(a, b)
    others = min(mine, theirs)
    names, both = a.names | b.names, a.names & b.names
    letters, covered = _overlaps(a.grams, b.grams)
    return _Features(
        similarity,
        letters,
        covered,
        shared / max(1, shared + mine + theirs),
        others / max(1, shared + others),
        float(a.names > both and b.names > both),
        len(both) / max(1, len(names)),
    )


def _is_contested(a: Profile, b: Profile) -> bool:
    """Return whether something differs that makes another answer of the same words."""
    _, mine, theirs = _split_values(a, b)
    small, large = sorted((a.size, b.size))
    # A longer answer has more numbers in it, one of the same length another one.
    if (mine and theirs) or ((mine or theirs) and small > _AS_LONG * large):
        return True
    if small <= _TERSE and (a.negates != b.negates or a.particles != b.particles):
        return True
    if _are_swapped(a, b):
        return True
    return bool(a.names - b.names and b.names - a.names) or _have_opposites(a, b)


def _are_swapped(a: Profile, b: Profile) -> bool:
    """Return whether two words change places: from A to B, and from B to A."""
    if a.origins & b.targets or a.targets & b.origins:
        return True
    both = a.words & b.words
    return any(
        not both.isdisjoint(one - other) and not both.isdisjoint(other - one)
        for one, other in ((a.origins, b.origins), (a.targets, b.targets))
    )


def _split_values(a: Profile, b: Profile) -> tuple[int, int, int]:
    """Return how many numbers both have, only the one, and only the other."""
    mine = sum(not any(map(value.agrees, b.values)) for value in a.values)
    theirs = sum(not any(map(value.agrees, a.values)) for value in b.values)
    return len(a.values) - mine, mine, theirs


def _overlaps(one: frozenset[str], other: frozenset[str]) -> tuple[float, float]:
    """Return the share of what is in both, of all and of the smaller one."""
    both = len(one & other)
    return 2 * both / max(1, len(one) + len(other)), both / max(1, min(len(one), len(other)))


def _have_opposites(a: Profile, b: Profile) -> bool:
    """Return whether one has a word that the other lacks, and the other its opposite.

    In a short text that is also so of two of one family, such as two cities or colours.
    """
    mine, theirs = a.words - b.words, b.words - a.words
    if any(not theirs.isdisjoint(opposites_of(word)) for word in mine):
        return True
    if min(a.size, b.size) > _TERSE:
        return False
    return any(are_siblings(one, other) for one in mine for other in theirs)


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold().strip(" .!")


def _as_plain(value: Any) -> Any:
    """Return a model of pydantic or a dataclass as a dictionary of its fields, others as they are."""
    fields = getattr(type(value), "model_fields", None) or getattr(
        type(value), "__dataclass_fields__", None
    )
    if not isinstance(fields, Mapping):
        return value
    return {name: getattr(value, name, None) for name in fields}


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _as_json(text: str) -> Any:
    """Return the object or list that a text is in JSON, also within a fence; else None."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").strip()
    if bare[:1] not in ("{", "[") or bare[-1:] not in ("}", "]"):
        return None
    try:
        return orjson.loads(bare)
    except orjson.JSONDecodeError:
        return None
