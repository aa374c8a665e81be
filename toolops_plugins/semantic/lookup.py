"""One question on its way through the semantic cache, and the decision on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.semantic.decision import Decision, Neighbour, Threshold
from toolops_plugins.semantic.guards import Guards, Traits
from toolops_plugins.semantic.index.index import Near, Vector
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.semantic.matches import Candidate, Detail, Explanation

__all__ = ["NEIGHBOURS", "Decider", "Lookup", "Question", "Rule"]

NEIGHBOURS = 16
"""Nearest entries that a decision looks at."""

_EVIDENCE = frozenset({"kind", "words", "order"})
"""Guards that do not forbid under a bound. On BANKING77 four of five of their vetoes are of right
answers, and a veto of theirs is worth more as a feature; one on numbers or negation is not."""

_TRIED = 4
"""Neighbours under the threshold that are looked at in case they are alike word for word; each
takes some 50 microseconds."""

_HARDLY = 0.5
"""Similarity under which no guard is asked: no policy serves there."""


class Question(NamedTuple):
    """A question.

    Args:
        text: Its words.
        scope: 16 bytes, a digest of all that must be identical.
        id: 32 hexadecimal digits under which its own answer is kept.
    """

    text: str
    scope: bytes
    id: str


class Rule(NamedTuple):
    """What a caller asks of the decision.

    Args:
        threshold: Least similarity, where that decides.
        alike: Least similarity of a question that the guards call alike.
        max_error: Share of all requests that may get a wrong answer; None: the threshold decides.
        answer: What of a value is its answer; None: all of it.
    """

    threshold: float
    alike: float
    max_error: float | None = None
    answer: Callable[[Any], Any] | None = None

    @property
    def policy(self) -> str:
        """The name of the policy."""
        return "threshold" if self.max_error is None else "bounded"


class Lookup:
    """What was found for a question, and what was decided.

    Args:
        asked: The question.
        rule: What the caller asked for.
        mark: When the lookup began, for a later write.
        x: The question's vector.
        near: Its neighbours, nearest first.
    """

    __slots__ = ("asked", "decision", "mark", "near", "row", "rule", "similarity", "x")

    def __init__(self, asked: Question, rule: Rule, mark: int, x: Vector, near: Near) -> None:
        self.asked = asked
        self.rule = rule
        self.mark = mark
        self.x = x
        self.near = near
        self.decision: Decision | None = None
        self.row: Row | None = None
        self.similarity = 0.0

    def serve(self, row: Row, similarity: float) -> None:
        """Note the entry to serve."""
        self.row = row
        self.similarity = similarity

    def refuse(self, reason: str) -> None:
        """Note that nothing is to be served after all."""
        self.row = None
        if self.decision is not None:
            self.decision = self.decision._replace(serve=False, reason=reason)

    @property
    def joinable(self) -> bool:
        """Whether this call may wait for another: not if it is made in order to learn."""
        return self.decision is None or self.decision.reason not in ("audited", "judge")

    @property
    def exact(self) -> bool:
        """Whether the very question was found."""
        return self.row is not None and self.row.id == self.asked.id

    @property
    def policy(self) -> str:
        """What decided."""
        return "exact" if self.exact else self.rule.policy

    def details(self) -> dict[str, Detail]:
        """Return what the decision stood on, for people."""
        return {} if self.decision is None else dict(self.decision.details)


class Decider:
    """Asks guards and policies. Safe to use from any threads and event loops.

    Args:
        learner: Returns what has learned; called only under a rule with a bound.
        guards: May veto.
    """

    def __init__(self, learner: Callable[[], Bounded], guards: Guards) -> None:
        self._learner = learner
        self._guards = guards

    def decide(self, lookup: Lookup, *, dry: bool = False) -> None:
        """Decide on a lookup.

        Args:
            lookup: The lookup; the decision is noted there.
            dry: True: only to explain, so that nothing is counted.
        """
        asked, near, rule = lookup.asked, lookup.near, lookup.rule
        if near and near[0][0].id == asked.id:
            lookup.serve(*near[0])
            if rule.max_error is not None and not dry:
                self._learner().exact(rule.max_error)
            return
        decision = self._decision_on(asked, lookup.x, near, rule, dry=dry)
        lookup.decision = decision
        if decision.serve:
            lookup.serve(*next(each for each in near if each[0].id == decision.id))

    def joinable(self, lookup: Lookup, aboard: Near) -> str | None:
        """Return the id of a question under way whose answer may be shared, or None."""
        near = [*aboard, *lookup.near]
        near.sort(key=lambda each: -each[1])
        decision = self._decision_on(
            lookup.asked, lookup.x, near[:NEIGHBOURS], lookup.rule, dry=True
        )
        if decision.serve and any(row.id == decision.id for row, _ in aboard):
            return decision.id
        return None

    def _decision_on(
        self, asked: Question, x: Vector, near: Near, rule: Rule, *, dry: bool
    ) -> Decision:
        if rule.max_error is None:
            neighbours = []
            for number, (row, similarity) in enumerate(near):
                if similarity < (rule.alike if number < _TRIED else rule.threshold):
                    break
                neighbours.append(self._neighbour(asked.text, row, similarity))
                if not neighbours[-1].vetoed and similarity >= rule.threshold:
                    break  # none of the rest would be preferred to it
            if not neighbours:
                neighbours = [Neighbour(row.id, similarity) for row, similarity in near[:1]]
            return Threshold(rule.threshold, rule.alike).decide(neighbours)
        neighbours = [
            self._neighbour_with_doubt(asked.text, row, similarity)
            if similarity >= _HARDLY
            else Neighbour(row.id, similarity)
            for row, similarity in near
        ]
        return self._learner().decide(
            x, neighbours, max_error=rule.max_error, scope=asked.scope, dry=dry
        )

    def _neighbour(self, text: str, row: Row, similarity: float) -> Neighbour:
        known = _comparable(row)
        if known is None:
            return Neighbour(row.id, similarity, vetoed=True)
        veto, alike = self._guards.weigh(text, known)
        return Neighbour(row.id, similarity, veto is not None, alike)

    def _neighbour_with_doubt(self, text: str, row: Row, similarity: float) -> Neighbour:
        """As :meth:`_neighbour`, for a policy that learns what most guards are worth."""
        known = _comparable(row)
        if known is None:
            return Neighbour(row.id, similarity, vetoed=True)
        veto = self._guards.veto(text, known)
        if veto is None:
            return Neighbour(row.id, similarity)
        if veto.guard in _EVIDENCE:
            return Neighbour(row.id, similarity, doubt=veto.guard)
        return Neighbour(row.id, similarity, vetoed=True)

    def explain(self, lookup: Lookup, scope: Any) -> Explanation:
        """Return the story of a lookup that was decided."""
        reason = "exact" if lookup.decision is None else lookup.decision.reason
        return Explanation(
            lookup.asked.text,
            scope,
            lookup.row is not None,
            reason,
            lookup.rule.policy,
            lookup.details(),
            self.candidates(lookup.asked.text, lookup.near),
        )

    def candidates(self, text: str, near: Near) -> Sequence[Candidate]:
        """Return the neighbours of a question with all verdicts on them."""
        return [
            Candidate(row.text, similarity, self._guards.verdicts(text, known), row.id)
            for row, similarity in near
            if (known := _comparable(row)) is not None
        ]


def _comparable(row: Row) -> str | Traits | None:
    """Return what the guards may know of a stored question; None if that cannot be read."""
    if row.text is not None:
        return row.text
    try:
        return Traits.from_json(row.traits or "")
    except ValueError:  # another hand has written it
        return None
