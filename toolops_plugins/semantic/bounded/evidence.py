"""Features of a question's neighbours from which the bounded policy predicts a right answer."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from operator import attrgetter
from typing import Final

import numpy as np

from toolops_plugins.semantic.bounded.gram import Gram
from toolops_plugins.semantic.bounded.groups import Groups, Vector, key_of
from toolops_plugins.semantic.bounded.logistic import Floats
from toolops_plugins.semantic.decision import Neighbour

__all__ = ["FEATURES", "Candidate", "weigh"]

FEATURES: Final = (
    "nearness",  # -log of the distance between the question and the group's nearest entry
    "nearness_lead",  # its similarity less that of the nearest entry of another group
    "vote",  # logit of the group's share in the votes of the neighbours
    "centroid_lead",  # cosine with the group's centroid less the best of its rivals
    "belonging",  # what ridge regression says of its belonging to the group
    "belonging_lead",  # that less the best of its rivals
    "belonging_share",  # logit of its share in the sum over all of them
    "novelty",  # log of the question's leverage
    "doubted",  # share of the group's votes that are of entries against which a guard speaks
    "unread",  # share of those that the guards cannot read
    "vouched",  # share of those whose words the guards have all matched
    "group_record",  # how the model has been off for this group
    "scope_record",  # how it has been off of late in this scope
)
"""The features in order; the owner of the records fills in the last two."""

RECORDS: Final = 2

_BANDWIDTH: Final = 0.05  # similarity by which a vote falls to 1/e
_CONSIDERED: Final = 4  # groups with the most votes, from which the candidate is chosen
_LONE_LEAD: Final = 0.3  # lead of a group without rivals


class Candidate:
    """The group that is most likely right for a question.

    Args:
        key: The group's name.
        entry: Its nearest entry without a veto, one that repeats the question first; its nearest
            entry if all have a veto.
        features: Its features; the records are still 0.
    """

    __slots__ = ("entry", "features", "key")

    def __init__(self, key: int, entry: Neighbour, features: Floats) -> None:
        self.key = key
        self.entry = entry
        self.features = features


class _Near:
    """A group among the neighbours."""

    __slots__ = (
        "belonging",
        "best",
        "chance",
        "cosine",
        "doubted",
        "entry",
        "key",
        "unread",
        "vote",
        "vouched",
    )

    def __init__(self, key: int, entry: Neighbour) -> None:
        self.key = key
        self.entry = entry
        self.best = self.cosine = entry.similarity
        self.vote = self.belonging = self.chance = 0.0
        self.doubted = self.unread = self.vouched = 0.0


_BY_CHANCE = attrgetter("chance")


def weigh(
    x: Vector, neighbours: Sequence[Neighbour], groups: Groups, gram: Gram, scope: bytes
) -> Candidate | None:
    """Choose the candidate for a question and compute its features.

    A group's vote is the sum of exp(-(s_0 - s_j) / 0.05) over its entries among the neighbours,
    where s_j are their similarities and s_0 is the greatest of all. The candidate is the one of the
    four groups with the largest votes that is best by its votes and by ridge regression together,
    or the one in which the question is repeated in another writing.

    Args:
        x: The question's vector.
        neighbours: Its neighbours, nearest first.
        groups: The groups of entries with equal answers.
        gram: The Gram matrix of all entries.
        scope: The digest of the question's scope.

    Returns:
        The candidate, or None where no neighbour is known.
    """
    near: dict[int, _Near] = {}
    nearest = last = total = 0.0
    names = groups.names([neighbour.id for neighbour in neighbours])
    for name, neighbour in zip(names, neighbours, strict=True):
        if name is not None:
            key = name
        elif neighbour.answer:  # found on a server, where another process stored it
            key = groups.lead(key_of(scope, neighbour.answer))
        else:
            continue
        last = neighbour.similarity
        held = near.get(key)
        if held is None:
            nearest = nearest if near else last
            held = near[key] = _Near(key, neighbour)
        elif not neighbour.vetoed and (
            held.entry.vetoed or (neighbour.repeated and not held.entry.repeated)
        ):
            held.entry = neighbour
        vote = exp((last - nearest) / _BANDWIDTH)
        held.vote += vote
        total += vote
        if neighbour.doubt == "unread":
            held.unread += vote
        elif neighbour.doubt:
            held.doubted += vote
        elif neighbour.alike:
            held.vouched += vote
    if not near:
        return None
    order = sorted(near.values(), key=_by_vote, reverse=True)
    rest = [held.best for held in order[_CONSIDERED:]]
    del order[_CONSIDERED:]
    u = gram.whiten(x)
    for held in order:
        held.chance = log(held.vote / total + 0.02)
        s = groups.total(held.key)
        if s is not None:
            if groups.size(held.key) > 1:
                held.cosine = float(x @ s) / sqrt(float(s @ s) + 1e-12)
            if u is not None:
                held.belonging = max(float(u @ s[: len(u)]), 0.0)
                held.chance += 4.0 * held.belonging
    chosen = (
        order[0]
        if order[0].entry.repeated and not order[0].entry.vetoed
        else max(order, key=_BY_CHANCE)
    )
    rivals = [held for held in order if held is not chosen]
    rest += [held.best for held in rivals]
    belonging = chosen.belonging
    features = (
        -log(1.02 - min(chosen.best, 1.0)),
        chosen.best - (max(rest) if rest else last - 0.05),
        _logit(min(max(chosen.vote / total, 0.01), 0.99)),
        chosen.cosine - max([held.cosine for held in rivals]) if rivals else _LONE_LEAD,
        belonging,
        belonging - max([held.belonging for held in rivals], default=0.0),
        _logit((belonging + 0.005) / (sum([held.belonging for held in order]) + 0.01)),
        0.0 if u is None else log(max(float(u @ x[: len(u)]), 1e-6)),
        chosen.doubted / chosen.vote,
        chosen.unread / chosen.vote,
        chosen.vouched / chosen.vote,
        0.0,
        0.0,
    )
    return Candidate(chosen.key, chosen.entry, np.array(features))


def _by_vote(held: _Near) -> tuple[bool, float]:
    """Return the sort key of groups; one in which the question is repeated comes first."""
    return held.entry.repeated and not held.entry.vetoed, held.vote


def _logit(share: float) -> float:
    return log(share / (1 - share))
