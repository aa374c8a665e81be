"""Phrases that are read as one word, or as nothing (English)."""

from __future__ import annotations

from functools import cache
from itertools import chain

from toolops_plugins.semantic.guards.lexicon import entries, expand_phrase, lines
from toolops_plugins.semantic.guards.phrasal_verbs import phrase_forms

__all__ = ["Node", "phrase_words", "phrases"]


class Node:
    """A word inside phrases: the words that may follow, and the reading if a phrase ends here."""

    __slots__ = ("following", "reading")

    def __init__(self) -> None:
        self.following: dict[str, Node] = {}
        self.reading: tuple[str, ...] | None = None


@cache
def phrases() -> dict[str, Node]:
    """Return the phrases as a tree of words, by their first words."""
    root = Node()
    for phrase, reading in phrase_forms():
        node = root
        for word in phrase.split():
            node = node.following.setdefault(word, Node())
        node.reading = node.reading or (reading,)
    fillers = chain.from_iterable(map(expand_phrase, lines("filler_phrases.txt")))
    for reading, phrase in (*(("", filler) for filler in fillers), *entries("phrases.txt")):
        node = root
        for word in phrase.split():
            node = node.following.setdefault(word, Node())
        node.reading = tuple(reading.split())
    return root.following


def _words(nodes: dict[str, Node]) -> frozenset[str]:
    return frozenset(nodes).union(*(_words(node.following) for node in nodes.values()))


@cache
def phrase_words() -> frozenset[str]:
    """Return every word of a phrase."""
    return _words(phrases())
