"""What speaks for the answer of a question's neighbours, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from toolops_plugins.semantic.bounded.gram import Gram
from toolops_plugins.semantic.bounded.groups import Groups, Vector
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
    "negated",  # share that are of entries which are negated otherwise than the question
    "alike",  # share that are of entries which the guards call alike
    "group_record",  # how the model has been off for this group
    "scope_record",  # how it has been off of late in this scope
)
"""The features, in their order; the last two are added by whoever keeps the records."""

RECORDS: Final = 2

_NEGATION: Final = "negation"
"""The guard whose doubts weigh more than those of others."""

_BANDWIDTH: Final = 0.05
_CONSIDERED: Final = 4
_LONE_LEAD: Final = 0.3


class Candidate:
    """The group that is most likely right for a question.

    Args:
        key: The group's name.
        entry: Its nearest entry that no guard forbids; where all are forbidden, its nearest.
        features: What speaks for it; the records are still 0.
    """

    __slots__ = ("entry", "features", "key")

    def __init__(self, key: int, entry: Neighbour, features: Floats) -> None:
        self.key = key
        self.entry = entry
        self.features = features


class _Near:
    """A group among the neighbours."""

    __slots__ = ("alike", "best", "doubted", "entry", "key", "negated", "vote")

    def __init__(self, key: int, entry: Neighbour) -> None:
        self.key = key
        self.entry = entry
        self.best = entry.similarity
        self.vote = self.doubted = self.negated = self.alike = 0.0


def weigh(
    x: Vector, neighbours: Sequence[Neighbour], groups: Groups, gram: Gram
) -> Candidate | None:
    """Choose the candidate for a question, and gather what speaks for it.

    A group's vote is the sum of exp(-(s_0 - s_j) / 0.05) over its entries among the neighbours,
    where s_j are their similarities and s_0 is the greatest of all. The candidate is the one of the
    four groups with the largest votes that is best by its votes and by ridge regression together.

    Args:
        x: The question's vector.
        neighbours: Its neighbours, nearest first.
        groups: Which of them agree.
        gram: Which directions tell questions apart.

    Returns:
        The candidate, or None where no neighbour is known.
    """
    near: dict[int, _Near] = {}
    nearest = last = total = 0.0
    for neighbour in neighbours:
        own = groups.key(neighbour.id)
        if own is None:
            continue
        key = groups.lead(own)
        last = neighbour.similarity
        held = near.get(key)
        if held is None:
            nearest = nearest if near else last
            held = near[key] = _Near(key, neighbour)
        elif held.entry.vetoed and not neighbour.vetoed:
            held.entry = neighbour
        vote = math.exp((last - nearest) / _BANDWIDTH)
        held.vote += vote
        total += vote
        if neighbour.doubt:
            held.doubted += vote
            if neighbour.doubt == _NEGATION:
                held.negated += vote
        elif neighbour.alike:
            held.alike += vote
    if not near:
        return None
    order = sorted(near.values(), key=lambda each: -each.vote)[:_CONSIDERED]
    u = gram.whitened(x)
    cosines = [held.best for held in order]
    belongs = [0.0] * len(order)
    for i, held in enumerate(order):
        s = groups.total(held.key)
        if s is not None:
            if groups.size(held.key) > 1:
                cosines[i] = float(x @ s) / math.sqrt(float(s @ s) + 1e-12)
            if u is not None:
                belongs[i] = max(float(u @ s[: len(u)]), 0.0)
    c = max(
        range(len(order)), key=lambda i: math.log(order[i].vote / total + 0.02) + 4 * belongs[i]
    )
    chosen = order[c]
    rivals = [i for i in range(len(order)) if i != c]
    rest = max((each.best for each in near.values() if each is not chosen), default=last - 0.05)
    part = (belongs[c] + 0.005) / (sum(belongs) + 0.01)
    features = (
        -math.log(1.02 - min(chosen.best, 1.0)),
        chosen.best - rest,
        _logit(min(max(chosen.vote / total, 0.01), 0.99)),
        cosines[c] - max(cosines[i] for i in rivals) if rivals else _LONE_LEAD,
        belongs[c],
        belongs[c] - max((belongs[i] for i in rivals), default=0.0),
        _logit(part),
        0.0 if u is None else math.log(max(float(u @ x[: len(u)]), 1e-6)),
        chosen.doubted / chosen.vote,
        chosen.negated / chosen.vote,
        chosen.alike / chosen.vote,
        0.0,
        0.0,
    )
    return Candidate(chosen.key, chosen.entry, np.array(features))


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
