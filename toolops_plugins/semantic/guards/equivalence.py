"""The test for equivalent questions, in which every word is matched."""

from __future__ import annotations

from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.pairing import Pair
from toolops_plugins.semantic.guards.question_kinds import DEFINITION
from toolops_plugins.semantic.guards.relations import pairs_in
from toolops_plugins.semantic.guards.traits import HARMLESS, NAME, Traits

__all__ = ["are_equivalent"]

_EXACT = word_list(
    "from than before after without instead minus divided against over under above below"
)
"""Roles that must have the same words."""

_SHARED = word_list("to by")
"""Roles that must have the same words if both texts have them."""

_OPEN = frozenset(("", "what", DEFINITION))
"""Kinds of question that are equal where all words agree."""


def are_equivalent(pair: Pair) -> bool:
    """Return whether every word, name, number and relation of two texts is matched.

    For texts without a veto; False in any doubt.
    """
    question, candidate = pair.question, pair.candidate
    if question.whole or candidate.whole:
        return question.whole == candidate.whole
    if pair.has_equal_content():
        return True
    if not (question.english and candidate.english) or question.values != candidate.values:
        return False
    if question.negated != candidate.negated or question.trouble != candidate.trouble:
        return False
    if question.kind != candidate.kind and not {question.kind, candidate.kind} <= _OPEN:
        return False
    if question.persons - {"my"} != candidate.persons - {"my"}:
        return False
    if not question.particles ^ candidate.particles <= {"in", "on"}:
        return False
    mine, other = pair.left()
    if (mine and other) or any(
        word.level != HARMLESS for words in (mine, other) for word in words.values()
    ):
        return False
    return _in_order(pair) and _roles_agree(pair)


def _in_order(pair: Pair) -> bool:
    """Return whether the content words, at least one, come in the same order."""
    ours = _sequence(pair.question, pair.found)
    theirs = _sequence(pair.candidate, {})
    if not ours:
        return False
    if ours == theirs:
        return True
    if len(ours) != len(theirs) or set(ours) != set(theirs):
        return False
    if len(ours) == 2:  # "weather in Paris" and "Paris weather": a name and a noun
        return len(_names(pair) & set(ours)) == 1
    doers = pairs_in(pair.candidate.roles, "agent")
    things = pairs_in(pair.candidate.roles, "patient")
    return (
        bool(doers and things)
        and doers == _in_words_of_candidate(pair, pairs_in(pair.question.roles, "agent"))
        and things == _in_words_of_candidate(pair, pairs_in(pair.question.roles, "patient"))
    )


def _in_words_of_candidate(pair: Pair, pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    found = pair.found
    return {(found.get(verb, verb), found.get(name, name)) for verb, name in pairs}


def _names(pair: Pair) -> set[str]:
    """Return the words of the candidate that are names in either text."""
    ours, theirs = pair.question.words, pair.candidate.words
    names = {pair.found.get(name, name) for name, word in ours.items() if word.level == NAME}
    return names | {name for name, word in theirs.items() if word.level == NAME}


def _sequence(traits: Traits, found: dict[str, str]) -> list[str]:
    words = traits.words
    names = [
        found.get(name, name)
        for name in traits.order
        if name not in words or words[name].level != HARMLESS
    ]
    single = [name for name, before in zip(names, ["", *names], strict=False) if name != before]
    at = 0
    while at < len(single):  # the 2nd of June, June 2
        end = at
        while end < len(single) and single[end] in traits.values:
            end += 1
        single[at:end] = sorted(single[at:end])
        at = end + 1
    return single


def _roles_agree(pair: Pair) -> bool:
    mine, other = pair.question.roles, pair.candidate.roles
    for role in (*_EXACT, *_SHARED):
        ours = [pair.found.get(name, name) for name in mine.get(role, ())]
        theirs = list(other.get(role, ()))
        if ours != theirs and (role in _EXACT or (ours and theirs)):
            return False
    return [pair.found.get(name, name) for name in mine.get("if", ())] == list(other.get("if", ()))
