"""The decision to serve a near question's answer, and the threshold policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from toolops_plugins import check

__all__ = ["Decision", "Evidence", "Neighbour", "Threshold"]

Detail = float | int | bool | str


class Neighbour(NamedTuple):
    """A stored question near the given one.

    Args:
        id: The id of its entry.
        similarity: Cosine of the angle between the two questions' embeddings.
        vetoed: Whether a guard forbids this entry for this question. Default False.
        alike: Whether the guards have matched every word of both questions. Default False.
        doubt: The name of a guard with a veto that counts as evidence only; the bounded policy
            learns its weight. Default "": none.
        repeated: Whether it is the same question but for its writing. Default False.
        answer: The digest of its answer, by which the bounded policy knows entries that another
            process stored. Default b"": unknown.
    """

    id: str
    similarity: float
    vetoed: bool = False
    alike: bool = False
    doubt: str = ""
    repeated: bool = False
    answer: bytes = b""


class Evidence(Protocol):
    """The evidence of a decision."""

    def details(self) -> Mapping[str, Detail]:
        """Return the evidence by name, for people."""
        ...


class Decision(NamedTuple):
    """The decision of a policy on one request.

    Args:
        policy: "threshold" or "bounded".
        id: The entry to serve, or the candidate that was refused; None without one.
        serve: Whether to serve it.
        similarity: Its similarity to the question; 0 without a candidate.
        reason: "served", "below_threshold", "vetoed" or "nothing_near"; of the bounded policy also
            "too_risky", "audited" (good enough, but the call is made to learn from it),
            "unconfirmed" (such answers have turned out to be wrong of late) and "cold" (too few
            labels yet).
        evidence: The evidence, opaque to all but the policy.
    """

    policy: str
    id: str | None
    serve: bool
    similarity: float
    reason: str
    evidence: Evidence

    @property
    def details(self) -> Mapping[str, Detail]:
        """The evidence by name, computed on access."""
        return self.evidence.details()


class _Limit:
    """The evidence of the threshold policy: its thresholds."""

    __slots__ = ("alike", "threshold")

    def __init__(self, threshold: float, alike: float) -> None:
        self.threshold = threshold
        self.alike = alike

    def details(self) -> Mapping[str, Detail]:
        if self.alike == self.threshold:
            return {"threshold": self.threshold}
        return {"threshold": self.threshold, "alike_threshold": self.alike}


class Threshold:
    """Serve the nearest entry without a veto if it is similar enough.

    Typing errors and polite words change the embedding of a short text a lot, but do not mislead
    the guards. So there are two thresholds: one for questions without a veto, and a lower one for
    questions in which the guards have matched every word.

    Immutable, so safe to share between threads and event loops.

    Args:
        threshold: The least similarity, of (0, 1].
        alike: The least similarity of an entry that the guards call equivalent. None:
            ``threshold``.

    Raises:
        ConfigurationError: The threshold is not in (0, 1].
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
