"""What speaks for the nearest group of entries, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.semantic.bounded.gram import Gram
from toolops_plugins.semantic.bounded.groups import Groups, Vector
from toolops_plugins.semantic.decision import Neighbour

__all__ = ["FEATURES", "Candidate", "weigh"]

Floats: TypeAlias = NDArray[np.float64]

FEATURES: Final = (
    "nearness",
    "lead",
    "vote",
    "centroid_lead",
    "belonging",
    "belonging_lead",
    "belonging_share",
    "novelty",
    "group_record",
    "scope_record",
)
_BANDWIDTH: Final = 0.05
_RIVALS: Final = 3
_LONE: Final = 0.3


class Candidate:
    """The group that is most likely right for a question.

    Args:
        key: What stands for its answer.
        entry: Its nearest entry that no guard forbids; else its nearest.
        features: What speaks for it, in the order of FEATURES; the records are still 0.
    """

    __slots__ = ("entry", "features", "key")

    def __init__(self, key: int, entry: Neighbour, features: Floats) -> None:
        self.key = key
        self.entry = entry
        self.features = features


class _Near:
    __slots__ = ("best", "entry", "vote")

    def __init__(self, entry: Neighbour) -> None:
        self.entry = entry
        self.best = entry.similarity
        self.vote = 0.0


def weigh(x: Vector, neighbours: Sequence[Neighbour], groups: Groups, gram: Gram) -> Candidate | None:
    near: dict[int, _Near] = {}
    top = last = total = 0.0
    for neighbour in neighbours:
        key = groups.key(neighbour.id)
        if key is None:
            continue
        key = groups.lead(key)
        last = neighbour.similarity
        if not near:
            top = last
        held = near.get(key)
        if held is None:
            held = near[key] = _Near(neighbour)
        elif held.entry.vetoed and not neighbour.vetoed:
            held.entry = neighbour
        vote = math.exp((last - top) / _BANDWIDTH)
        held.vote += vote
        total += vote
    if not near:
        return None
    order = sorted(near.items(), key=lambda each: -each[1].vote)[: _RIVALS + 1]
    cosines = np.array([held.best for _, held in order])
    belongs = np.zeros(len(order))
    novelty = 0.0
    u = gram.whitened(x)
    if u is not None:
        novelty = math.log(max(float(u @ x[: len(u)]), 1e-6))
    for i, (key, _) in enumerate(order):
        s = groups.total(key)
        if s is None:
            continue
        if groups.size(key) > 1:
            cosines[i] = float(x @ s) / math.sqrt(float(s @ s) + 1e-12)
        if u is not None:
            belongs[i] = float(u @ s[: len(u)])
    shares = np.array([held.vote for _, held in order]) / total
    c = int(np.argmax(np.log(shares + 0.02) + 4 * belongs))
    key, held = order[c]
    rivals = [i for i in range(len(order)) if i != c]
    rest = max((h.best for k, h in near.items() if k != key), default=last - 0.05)
    share = min(max(float(shares[c]), 0.01), 0.99)
    positive = np.maximum(belongs, 0.0)
    belonging_share = (float(positive[c]) + 0.005) / (float(positive.sum()) + 0.01)
    features = np.array(
        [
            -math.log(1.02 - min(held.best, 1.0)),
            held.best - rest,
            math.log(share / (1 - share)),
            float(cosines[c] - max(cosines[i] for i in rivals)) if rivals else _LONE,
            float(belongs[c]),
            float(belongs[c] - max(positive[i] for i in rivals)) if rivals else float(belongs[c]),
            math.log(belonging_share / (1.0 - belonging_share)),
            novelty,
            0.0,
            0.0,
        ]
    )
    return Candidate(key, held.entry, features)
