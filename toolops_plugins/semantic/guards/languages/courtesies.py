"""Greetings, thanks and polite openings of the languages."""

from __future__ import annotations

from toolops_plugins.semantic.guards.languages.word_lists import Phrases, WordLists

__all__ = ["strip_courtesies"]

_STOPS = frozenset(".!?;…,")


def strip_courtesies(words: list[str], lists: WordLists) -> tuple[list[str], bool]:
    """Return the words without courtesies, and whether an opening such as "tell me" was one.

    Nothing is left out of a text that consists of courtesies, nor of a question about words: "how
    do I say please".
    """
    asked = False
    rest = words
    while rest:
        if rest[0] in _STOPS:
            rest = rest[1:]
            continue
        found = lists.lead_ins.find(rest, 0)
        if found is not None and _begins_question(rest, found[0], lists):
            asked = True
        else:
            found = lists.greetings.find(rest, 0)
            if found is None:
                break
        rest = rest[found[0] :]
    rest = _without_end(rest, lists.endings)
    rest = _without(rest, lists.please)
    if not any(word not in _STOPS for word in rest) or not lists.speech.isdisjoint(rest):
        return words, False
    return rest, asked


def _begins_question(words: list[str], at: int, lists: WordLists) -> bool:
    """Return whether a question or its object begins at a place, after a comma."""
    while at < len(words) and words[at] in _STOPS:
        at += 1
    if at == len(words):
        return False
    word = words[at]
    found = lists.readings.find(words, at)
    first = word if found is None or not found[1] else found[1][0]
    return {word, first} & (
        lists.questions | lists.articles | lists.possessives | lists.prepositions
    ) != set()


def _without_end(words: list[str], endings: Phrases) -> list[str]:
    """Return the words without thanks at the end."""
    backward = words[::-1]
    while backward:
        if backward[0] in _STOPS:
            after = 1
            while after < len(backward) and backward[after] in _STOPS:
                after += 1
            found = endings.find(backward, after) if after < len(backward) else None
            if found is None:
                break
            backward = backward[after + found[0] :]
            continue
        found = endings.find(backward, 0)
        if found is None:
            break
        backward = backward[found[0] :]
    return backward[::-1]


def _without(words: list[str], phrases: Phrases) -> list[str]:
    """Return the words without some phrases."""
    result: list[str] = []
    at = 0
    while at < len(words):
        found = phrases.find(words, at)
        if found is None:
            result.append(words[at])
        at += 1 if found is None else found[0]
    return result
