"""The agreement of two answers: the same, different, or not to be told.

Models hardly ever answer twice in the same words. A logistic score weighs how much two texts share;
what must not differ in a right answer (numbers, names, negations, yes and no) can only lower it.
Where the score is in the middle, nothing is told. The weights were fitted to pairs of answers in
``tests/semantic/answers_seen.jsonl`` and measured on ``answers_unseen.jsonl``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from operator import mul
from typing import Any, Final, NamedTuple, TypeAlias

from toolops_plugins.semantic.answers.equality import FEW_WORDS, as_fields, fold, read_json
from toolops_plugins.semantic.answers.profile import Profile, read_answer, shorten
from toolops_plugins.semantic.embedding.embedders import Embedder
from toolops_plugins.semantic.guards import Guards
from toolops_plugins.semantic.guards.stems import are_siblings, opposites_of

__all__ = ["Agreement", "Verdict"]

Verdict: TypeAlias = bool | None
"""Whether two answers are the same; None if that cannot be told."""

_LABEL: Final = 3
"""Words of a short answer that is a label or a name, which is the same or is not."""
_SAME: Final = 2.0
_DIFFERENT: Final = -2.25
_TERSE: Final = 25
"""Words of an answer, at most, in which one negator more changes everything."""
_ALMOST: Final = 0.75
"""Share of letters that two answers have in common, from which their words are almost the same."""
_AS_LONG: Final = 0.7
_NEAR: Final = 0.6
"""Share of letters that two short answers have in common, from which they may be the same."""
_DEEP: Final = 8
"""Levels of lists and dictionaries that are compared."""


class _Features(NamedTuple):
    """The measures of what two answers share.

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
        model: The included model, for which the measure was calibrated. None: it is not installed,
            and nothing is told of free texts.
    """

    def __init__(self, model: Embedder | None) -> None:
        self._model = model
        self._guards = Guards()

    def compare(self, cached: Any, fresh: Any, *, alike: bool = False) -> Verdict:
        """Return whether two answers are the same, or None if that cannot be told.

        Structured answers are compared part by part; where only their free texts differ, these
        decide.

        Args:
            cached: The stored answer, or the part of it that counts.
            fresh: The new one.
            alike: Whether another embedder finds two texts alike, which then are the same unless
                they contradict each other. Default False.
        """
        if isinstance(cached, str) and isinstance(fresh, str):
            return self._compare_texts(cached, fresh, alike=alike)
        return self._compare_parts(cached, fresh, _DEEP)

    def _compare_parts(self, one: Any, other: Any, depth: int) -> Verdict:
        if isinstance(one, str) and isinstance(other, str):
            return self._compare_texts(one, other)
        if depth == 0:
            return None
        one, other = as_fields(one), as_fields(other)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if one.keys() != other.keys():
                return False
            return self._compare_all([(one[name], other[name]) for name in one], depth)
        if isinstance(one, list | tuple) and isinstance(other, list | tuple):
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
            part = self._compare_parts(one, other, depth - 1)
            if part is False:
                return False
            verdict = verdict and part
        return verdict

    def _compare_texts(self, one: str, other: str, *, alike: bool = False) -> Verdict:
        if fold(one) == fold(other):
            return True
        data = read_json(one), read_json(other)
        if data != (None, None):
            return None not in data and self._compare_parts(*data, _DEEP)
        one, other = shorten(one), shorten(other)
        a, b = read_answer(one), read_answer(other)
        if a.refuses or b.refuses:
            # Two refusals say nothing of their questions.
            return None if a.refuses and b.refuses else False
        if a.reply * b.reply < 0:
            return False
        if max(a.size, b.size) <= FEW_WORDS:
            return self._compare_short(one, other, a, b)
        return self._compare_free(one, other, a, b, alike=alike)

    def _compare_short(self, one: str, other: str, a: Profile, b: Profile) -> Verdict:
        if max(a.size, b.size) <= _LABEL and not (a.values or b.values):
            same_words = a.words == b.words and a.negations == b.negations
            return same_words or self._guards.are_equivalent(one, other)
        shared, mine, theirs = _split_values(a, b)
        if mine or theirs:
            return False if (mine and theirs) or a.values == () or b.values == () else None
        if bool(a.negations) != bool(b.negations):
            return False
        if a.words == b.words and (a.words or shared):
            return True
        if self._guards.are_equivalent(one, other):
            return True
        return None if max(_overlaps(a.grams, b.grams)) >= _NEAR or shared else False

    def _compare_free(
        self, one: str, other: str, a: Profile, b: Profile, *, alike: bool
    ) -> Verdict:
        if self._model is None:
            return None
        x, y = self._model.embed([one, other])
        features = _read_features(a, b, float(x @ y))
        score = _INTERCEPT + fsum(map(mul, _WEIGHTS, features))
        if score <= _DIFFERENT and not alike:
            return False
        return True if (score >= _SAME or alike) and not _contradict(a, b) else None


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


def _contradict(a: Profile, b: Profile) -> bool:
    """Return whether something differs that makes another answer of the same words."""
    _, mine, theirs = _split_values(a, b)
    small, large = sorted((a.size, b.size))
    # A longer answer has more numbers in it, one of the same length another one.
    if (mine and theirs) or ((mine or theirs) and small > _AS_LONG * large):
        return True
    if small <= _TERSE and bool(a.negations) != bool(b.negations):
        return True
    if small <= _TERSE and a.particles != b.particles:
        return True
    if a.negations != b.negations and _overlaps(a.grams, b.grams)[0] >= _ALMOST:
        return True
    if _change_places(a, b):
        return True
    return bool(a.names - b.names and b.names - a.names) or _have_opposites(a, b)


def _change_places(a: Profile, b: Profile) -> bool:
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
