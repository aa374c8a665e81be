"""The results of a lookup: matches, candidates and explanations."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    """

    question: str | None
    similarity: float
    verdicts: Mapping[str, Veto | None]
    id: str

    @property
    def veto(self) -> Veto | None:
        """The first veto, or None."""
        return next((veto for veto in self.verdicts.values() if veto is not None), None)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reasons for a hit or a miss, printed as a table.

    Args:
        question: The question.
        scope: The scope of the search, as given.
        served: Whether it is a hit.
        reason: The reason in a word: "exact", "served", "below_threshold", "vetoed", "too_risky",
            "audited", "cold", "nothing_near", "judge", "invalidated", "too_long".
        policy: "threshold" or "bounded".
        details: The evidence: the threshold, or features, risk and budget.
        candidates: The nearest stored questions of the scope, nearest first.
    """

    question: str
    scope: Any
    served: bool
    reason: str
    policy: str
    details: Mapping[str, Detail]
    candidates: Sequence[Candidate]

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            (
                f"{each.similarity:.3f}",
                "(not kept)" if each.question is None else each.question,
                "" if each.veto is None else f"{each.veto.guard}: {each.veto.reason}",
            )
            for each in self.candidates
        ]

    def _facts(self) -> str:
        return ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.details.items()
        )

    def __str__(self) -> str:
        verdict = "a hit" if self.served else "a miss"
        lines = [f"{self.question!r}: {verdict} ({self.policy}: {self.reason})"]
        if self.details:
            lines.append(f"  {self._facts()}")
        for similarity, question, veto in self._rows():
            lines.append(f"  {similarity}  {question}" + (f"  [vetoed, {veto}]" if veto else ""))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        cells = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        verdict = "hit" if self.served else "miss"
        return (
            f"<p><b>{html.escape(self.question)}</b>: {verdict} "
            f"({html.escape(self.policy)}: {html.escape(self.reason)})<br>"
            f"<small>{html.escape(self._facts())}</small></p><table><thead><tr>"
            f"<th>similarity</th><th>stored question</th><th>veto</th></tr></thead>"
            f"<tbody>{cells}</tbody></table>"
        )
