"""The results of a lookup: matches, candidates and explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolops_plugins.semantic.guards import Veto

__all__ = ["Candidate", "Detail", "Explanation", "Match"]

Detail = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Match:
    """An answer that may be served for a question.

    Args:
        value: The answer, a copy that the caller may change.
        similarity: Cosine of the two questions; 1 for the same text.
        question: The question that the answer was stored for; None where only digests are kept.
        policy: The policy that decided: "exact" for the same text, else "threshold" or "bounded".
        details: The evidence of the decision, such as the threshold or the risk.
        created: Seconds since the epoch at which the answer was computed.
        expires: Seconds since the epoch until which it may be served; infinite for no end.
        tags: The tags under which it can be invalidated.
    """

    value: Any
    similarity: float
    question: str | None
    policy: str
    details: Mapping[str, Detail] = field(default_factory=dict)
    created: float = 0.0
    expires: float = float("inf")
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored question near the given one.

    Args:
        question: Its text; None where only digests are kept.
        similarity: Cosine of the two questions.
        verdicts: The verdict of each guard by name; None without a veto.
        id: The id of its entry.
        outcome: What the decision says of it: the reason of the decision where it is about this
            candidate, such as "served" or "too_risky"; "vetoed"; "doubted", where a veto is one
            part of the evidence; "below_threshold"; or "near".
    """

    question: str | None
    similarity: float
    verdicts: Mapping[str, Veto | None]
    id: str
    outcome: str = "near"

    @property
    def veto(self) -> Veto | None:
        """The first veto, or None."""
        return next((veto for veto in self.verdicts.values() if veto is not None), None)

    def to_dict(self) -> dict[str, Any]:
        """Return it in types that JSON knows."""
        return {
            "question": self.question,
            "similarity": self.similarity,
            "outcome": self.outcome,
            "guards": {
                name: None if veto is None else veto.reason for name, veto in self.verdicts.items()
            },
            "id": self.id,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """The reasons for a hit or a miss: a table as text, a picture in notebooks, and JSON.

    Args:
        question: The question; "" for a tool that compares no question by meaning.
        scope: Where the search looked: the scope as given, or the other arguments of a tool's call
            by name. Of these only numbers and short texts are shown, and no secret ones.
        served: Whether it is a hit.
        reason: The reason in a word, such as "exact", "served", "below_threshold", "vetoed",
            "too_risky", "cold" or "nothing_near"; ``because`` is the sentence.
        policy: "threshold" or "bounded"; "exact" where nothing is compared by meaning.
        details: The evidence: the threshold, or features, risk and budget.
        candidates: The nearest stored questions of the scope, nearest first.
        tool: The name of the tool or model; "" for a cache that is used alone.
        tier: The label of the tier that holds the answer to exactly this call, or "".
        note: Advice, or "".
    """

    question: str
    scope: Any
    served: bool
    reason: str
    policy: str
    details: Mapping[str, Detail]
    candidates: Sequence[Candidate]
    tool: str = ""
    tier: str = ""
    note: str = ""

    @property
    def because(self) -> str:
        """The reason as a sentence."""
        from toolops_plugins.semantic.explanation_text import sentence  # noqa: PLC0415 - rarely needed

        return sentence(self)

    def __repr__(self) -> str:
        from toolops_plugins.semantic.explanation_text import text_of  # noqa: PLC0415 - as above

        return text_of(self)

    def _repr_html_(self) -> str:
        """Return a picture for notebooks: self-contained, and in the page's own colours."""
        from toolops_plugins.semantic.explanation_html import html_of  # noqa: PLC0415 - as above

        return html_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Return it in types that JSON knows; a number that is not finite becomes None."""
        from toolops_plugins.semantic.explanation_text import plain_value  # noqa: PLC0415 - as above

        return {
            "tool": self.tool,
            "question": self.question,
            "scope": plain_value(self.scope),
            "served": self.served,
            "reason": self.reason,
            "because": self.because,
            "policy": self.policy,
            "tier": self.tier,
            "note": self.note,
            "details": plain_value(self.details),
            "candidates": [plain_value(each.to_dict()) for each in self.candidates],
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return it as JSON.

        Args:
            indent: Spaces of indentation. None: all in one line.
        """
        import json  # noqa: PLC0415 - as above

        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)
