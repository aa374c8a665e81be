"""Whether a near question's answer may be served: the terms, and the policy of a fixed threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from toolops_plugins import check

__all__ = ["Decision", "Evidence", "Neighbour", "Threshold"]

Detail = float | int | bool | str


class Neighbour(NamedTuple):
    """A stored question near the one asked.

    Args:
        id: The id of its entry.
        similarity: Cosine of the angle between the two questions' embeddings.
        vetoed: Whether a guard forbids to serve this entry for this question. Default False.
    """

    id: str
    similarity: float
    vetoed: bool = False


class Evidence(Protocol):
    """What a policy based its decision on."""

    def details(self) -> Mapping[str, Detail]:
        """Return it by name, for people."""
        ...


class Decision(NamedTuple):
    """What a policy says of one request.

    Args:
        policy: "threshold" or "bounded".
        id: The entry to serve, or the one that was weighed; None where there was none.
        serve: Whether to serve it.
        similarity: Its similarity to the question; 0 where there was none.
        reason: "served", "below_threshold", "vetoed" or "nothing_near"; of the bounded policy also
            "too_risky", "audited" (good enough, but the call is made to learn from it) and "cold"
            (too little is known yet).
        evidence: What the decision rests on; opaque to all but its policy.
    """

    policy: str
    id: str | None
    serve: bool
    similarity: float
    reason: str
    evidence: Evidence

    @property
    def details(self) -> Mapping[str, Detail]:
        """What the decision rests on, by name; made when it is asked for."""
        return self.evidence.details()


class _Limit:
    """The evidence of a threshold is the threshold."""

    __slots__ = ("threshold",)

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def details(self) -> Mapping[str, Detail]:
        return {"threshold": self.threshold}


class Threshold:
    """Serve the nearest entry that no guard forbids, if it is at least this similar.

    Safe to share between threads and event loops: it never changes.

    Args:
        threshold: The least similarity, of (0, 1].

    Raises:
        ConfigurationError: The threshold is no share of one.
    """

    __slots__ = ("_limit",)

    def __init__(self, threshold: float) -> None:
        self._limit = _Limit(check.share("threshold", threshold))

    @property
    def threshold(self) -> float:
        """The least similarity."""
        return self._limit.threshold

    def decide(self, neighbours: Sequence[Neighbour]) -> Decision:
        """Decide on a question by its neighbours, nearest first."""
        limit = self._limit
        best: Neighbour | None = None
        for neighbour in neighbours:
            if neighbour.similarity < limit.threshold:
                break
            if not neighbour.vetoed:
                return Decision(
                    "threshold", neighbour.id, True, neighbour.similarity, "served", limit
                )
            best = best or neighbour
        if best is not None:
            return Decision("threshold", best.id, False, best.similarity, "vetoed", limit)
        if not neighbours:
            return Decision("threshold", None, False, 0.0, "nothing_near", limit)
        best = neighbours[0]
        return Decision("threshold", best.id, False, best.similarity, "below_threshold", limit)
