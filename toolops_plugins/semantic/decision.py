"""Whether a near question's answer may be served: the terms, and the policy of a threshold."""

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
        alike: Whether the guards have understood both questions, and found nothing that differs.
            Default False.
        doubt: The name of a guard that speaks against it without forbidding it; the bounded policy
            learns what to make of that. Default "": none.
    """

    id: str
    similarity: float
    vetoed: bool = False
    alike: bool = False
    doubt: str = ""


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

    __slots__ = ("alike", "threshold")

    def __init__(self, threshold: float, alike: float) -> None:
        self.threshold = threshold
        self.alike = alike

    def details(self) -> Mapping[str, Detail]:
        if self.alike == self.threshold:
            return {"threshold": self.threshold}
        return {"threshold": self.threshold, "alike_threshold": self.alike}


class Threshold:
    """Serve the nearest entry that no guard forbids, if it is at least this similar.

    Embeddings of short texts suffer badly from typing errors and from a word or two of courtesy,
    which guards see through; so two thresholds: one for what the guards merely let pass, and a
    lower one for questions in which they have paired every word.

    Safe to share between threads and event loops: it never changes.

    Args:
        threshold: The least similarity, of (0, 1].
        alike: The least similarity of an entry that the guards call alike. None: ``threshold``.

    Raises:
        ConfigurationError: The threshold is no share of one.
    """

    __slots__ = ("_limit",)

    def __init__(self, threshold: float, alike: float | None = None) -> None:
        least = check.share("threshold", threshold)
        self._limit = _Limit(least, least if alike is None else check.share("alike", alike))

    @property
    def threshold(self) -> float:
        """The least similarity."""
        return self._limit.threshold

    def decide(self, neighbours: Sequence[Neighbour]) -> Decision:
        """Decide on a question by its neighbours, nearest first."""
        limit = self._limit
        vetoed: Neighbour | None = None
        for neighbour in neighbours:
            if neighbour.similarity >= (limit.alike if neighbour.alike else limit.threshold):
                if not neighbour.vetoed:
                    return _decision(neighbour, "served", limit)
                vetoed = vetoed or neighbour
        if vetoed is not None:
            return _decision(vetoed, "vetoed", limit)
        if neighbours:
            return _decision(neighbours[0], "below_threshold", limit)
        return _decision(None, "nothing_near", limit)


def _decision(weighed: Neighbour | None, reason: str, limit: _Limit) -> Decision:
    return Decision(
        "threshold",
        None if weighed is None else weighed.id,
        serve=reason == "served",
        similarity=0.0 if weighed is None else weighed.similarity,
        reason=reason,
        evidence=limit,
    )
