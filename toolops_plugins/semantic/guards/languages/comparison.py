"""The comparison of two readings."""

from __future__ import annotations

from toolops_plugins.semantic.guards.languages.content import Content

__all__ = ["are_equal"]


def are_equal(one: Content, other: Content) -> bool:
    """Return whether two texts ask the same: the same units, in the same order but for one move.

    A unit with a preposition and a time may stand elsewhere; all others tell by their order who
    does what. Two moves may exchange two units: "with Ann to Rome and with Tom to Bonn". A noun
    with an article of the other gender is another noun, and a verb in the plural alone has another
    subject. A text with accents is compared with one without any by what is left without accents.
    """
    if one.language != other.language:
        return False
    if _have_other_articles(one, other) or _have_other_articles(other, one):
        return False
    if one.they != other.they and one.plural == other.plural:
        return False
    free = one.free | other.free
    return _are_in_order(one.units, other.units, free) or (
        one.accents != other.accents and _are_in_order(one.folded, other.folded, free)
    )


def _have_other_articles(one: Content, other: Content) -> bool:
    """Return whether a noun has one kind of article in one text and the other in the other."""
    return not (one.one_article - one.other_article).isdisjoint(
        other.other_article - other.one_article
    )


def _are_in_order(mine: tuple[str, ...], its: tuple[str, ...], free: frozenset[str]) -> bool:
    """Return whether two sequences, not empty, are equal but for one move of a free unit."""
    if not mine or len(mine) != len(its):
        return False
    if mine == its:
        return True
    start, end = 0, len(mine)
    while mine[start] == its[start]:
        start += 1
    while mine[end - 1] == its[end - 1]:
        end -= 1
    ours, theirs = mine[start:end], its[start:end]
    return (ours[0] in free and ours == (theirs[-1], *theirs[:-1])) or (
        ours[-1] in free and ours == (*theirs[1:], theirs[0])
    )
