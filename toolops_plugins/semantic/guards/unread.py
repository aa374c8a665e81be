"""Pairs of texts that the guards can read, which all others must be near repeats to be served."""

from __future__ import annotations

from toolops_plugins.semantic.guards.equivalence import are_equivalent
from toolops_plugins.semantic.guards.pairing import Pair

__all__ = ["READABLE", "is_readable"]

READABLE = frozenset({"en"})
"""Languages for which the guards have word lists."""


def is_readable(pair: Pair) -> bool:
    """Return whether the guards can tell whether the texts of a pair ask the same.

    They can where both are in one readable language, and where one is English and the other may be:
    each word of it that is not English stands in both, or is a typing error of one there.
    """
    question, candidate = pair.question, pair.candidate
    if question.whole or candidate.whole:
        return True  # compared as a whole by another guard
    if question.language == candidate.language:
        return question.language in READABLE or pair.has_equal_content()
    if {question.language, candidate.language} != {"en", ""}:
        return False
    unsure, other = (question, candidate) if candidate.language else (candidate, question)
    if unsure.strange is None:
        return False
    return unsure.strange <= other.words.keys() or are_equivalent(pair)
