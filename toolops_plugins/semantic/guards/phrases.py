"""Phrases that are replaced by one word or by nothing (English)."""

from __future__ import annotations

from functools import cache
from itertools import chain

from toolops_plugins.semantic.guards.lexicon import entries, expand_phrase, lines
from toolops_plugins.semantic.guards.phrasal_verbs import phrase_forms

__all__ = ["Node", "phrase_words", "phrases"]


class Node:
    """A word in the tree of phrases: the next words, and the reading if a phrase ends here."""

    __slots__ = ("following", "reading")

    def __init__(self) -> None:
        self.following: dict[str, Node] = {}
        self.reading: tuple[str, ...] | None = None


@cache
def phrases() -> dict[str, Node]:
    """Return the phrases as a tree, by first word."""
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
    """Return the words of all phrases."""
    return _words(phrases())
