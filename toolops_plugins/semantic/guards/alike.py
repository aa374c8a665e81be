"""Whether two texts are surely the same question: everything in them understood and matched."""

from __future__ import annotations

from toolops_plugins.semantic.guards.kinds import DEFINITION
from toolops_plugins.semantic.guards.listing import listed
from toolops_plugins.semantic.guards.pairing import Pair
from toolops_plugins.semantic.guards.stems import key
from toolops_plugins.semantic.guards.traits import NAME, Traits

__all__ = ["alike"]

_HARMLESS = frozenset(
    map(
        key,
        listed(
            "know tell explain describe show give want need like wish look find help assist ask "
            "question answer info information detail understand see say share provide advise "
            "advice suggest idea figure clarify get go do make use take way method step process "
            "procedure manner exact exactly actual possible able list name let able allow"
        ),
    )
)
"""Keys of words that may stand in one of two texts and change nothing at all."""

_EXACT = listed("from than before after without instead minus divided against over under above below")
"""Roles that must be filled alike."""

_SHARED = listed("to by")
"""Roles that must be filled alike where both texts have them."""

_OPEN = frozenset(("", "what", DEFINITION))
"""Kinds of question that are one where all words agree."""


def alike(pair: Pair) -> bool:
    """Return whether every word, name, number and relation of one text has its like in the other.

    For texts that no guard vetoes; False in any doubt.
    """
    question, candidate = pair.question, pair.candidate
    if question.whole or candidate.whole:
        return question.whole == candidate.whole
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
    harmless = _HARMLESS if not question.hashed else frozenset(map(pair.digest, _HARMLESS))
    if any(name not in harmless for name in (*mine, *other)):
        return False
    return _in_order(pair, harmless) and _roles_agree(pair)


def _in_order(pair: Pair, harmless: frozenset[str]) -> bool:
    """Whether the words with content, of which there must be one, come in the same order."""
    ours = _sequence(pair.question, harmless, pair.found)
    theirs = _sequence(pair.candidate, harmless, {})
    if not ours:
        return False
    if ours == theirs:
        return True
    # "Weather in Paris" and "Paris weather": a name and what is asked about it.
    words = pair.candidate.words
    levels = [words[name].level for name in theirs if name in words]
    return len(ours) == len(theirs) == 2 and set(ours) == set(theirs) and levels.count(NAME) == 1


def _sequence(traits: Traits, harmless: frozenset[str], found: dict[str, str]) -> list[str]:
    names = [found.get(name, name) for name in traits.order if name not in harmless]
    return [name for name, before in zip(names, ["", *names], strict=False) if name != before]


def _roles_agree(pair: Pair) -> bool:
    mine, other = pair.question.roles, pair.candidate.roles
    for role in (*_EXACT, *_SHARED):
        ours = [pair.found.get(name, name) for name in mine.get(role, ())]
        theirs = list(other.get(role, ()))
        if ours != theirs and (role in _EXACT or (ours and theirs)):
            return False
    return [pair.found.get(name, name) for name in mine.get("if", ())] == list(other.get("if", ()))
