"""A lookup of a question in the semantic cache, and the decision on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.semantic.decision import Decision, Neighbour, Threshold
from toolops_plugins.semantic.guards import Guards, Traits, Veto
from toolops_plugins.semantic.index.index import Near, Vector
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.semantic.matches import Candidate, Detail, Explanation

__all__ = [
    "DEFAULT_MAX_ERROR",
    "NEIGHBOURS",
    "Decider",
    "Lookup",
    "Question",
    "Rule",
    "as_neighbour",
]

DEFAULT_MAX_ERROR = 0.01
"""Share of all requests of a tool that may get a wrong answer by default."""

NEIGHBOURS = 16
"""Nearest entries that a decision considers."""

_EVIDENCE = frozenset({"unread", "kind", "words", "order"})
"""Guards whose veto is only evidence under a bound: on BANKING77 four of five of their vetoes are
of right answers, unlike those on numbers and negation."""

_TRIED = 4
"""Neighbours below the threshold that are checked for equivalence; each takes about 50 us."""

_HARDLY = 0.5
"""Similarity below which no guard is asked, since no policy serves there."""


class Question(NamedTuple):
    """A question.

    Args:
        text: Its text.
        scope: 16 bytes, a digest of everything that must be identical.
        id: 32 hexadecimal digits, the id of its own entry.
    """

    text: str
    scope: bytes
    id: str


class Rule(NamedTuple):
    """The parameters of a decision.

    Args:
        threshold: Least similarity under the threshold policy.
        alike: Least similarity of a question that the guards call equivalent.
        max_error: Share of all requests that may get a wrong answer; None: the threshold decides.
        answer: Extracts the answer from a value; None: the whole value.
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
    """The neighbours of a question, and the decision.

    Args:
        asked: The question.
        rule: The parameters of the decision.
        mark: The mark of its start, for a later write.
        x: The question's vector.
        near: Its neighbours, nearest first.

    Attributes:
        on_check: Called with whether an answer that would have been served was right, if the call
            was made to learn that and somebody could tell. None: nobody asks.
    """

    __slots__ = ("asked", "decision", "mark", "near", "on_check", "row", "rule", "similarity", "x")

    def __init__(self, asked: Question, rule: Rule, mark: int, x: Vector, near: Near) -> None:
        self.asked = asked
        self.rule = rule
        self.mark = mark
        self.x = x
        self.near = near
        self.decision: Decision | None = None
        self.row: Row | None = None
        self.similarity = 0.0
        self.on_check: Callable[[bool], None] | None = None

    def report_check(self, agreeing: Collection[str]) -> None:
        """Report whether the answer that would have been served agrees with the function's own.

        Args:
            agreeing: The ids of the neighbours whose answers do.
        """
        decision = self.decision
        if self.on_check is not None and decision is not None and decision.reason == "audited":
            self.on_check(decision.id in agreeing)

    def serve(self, row: Row, similarity: float) -> None:
        """Record the entry to serve."""
        self.row = row
        self.similarity = similarity

    def refuse(self, reason: str) -> None:
        """Record that nothing is served after all."""
        self.row = None
        if self.decision is not None:
            self.decision = self.decision._replace(serve=False, reason=reason)

    @property
    def joinable(self) -> bool:
        """Return whether this call may join another; one that is made in order to learn may not."""
        return self.decision is None or self.decision.reason not in ("audited", "judge")

    @property
    def exact(self) -> bool:
        """Return whether the question itself was found."""
        return self.row is not None and self.row.id == self.asked.id

    @property
    def policy(self) -> str:
        """The policy that decided."""
        return "exact" if self.exact else self.rule.policy

    @property
    def verdict(self) -> str:
        """The decision in a word: "exact", or the reason of the policy's decision."""
        if self.exact:
            return "exact"
        return "nothing_near" if self.decision is None else self.decision.reason

    def details(self) -> dict[str, Detail]:
        """Return the evidence of the decision, for people."""
        return {} if self.decision is None else dict(self.decision.details)

    def describe(self) -> dict[str, Detail]:
        """Return the verdict, the policy, the similarity and the evidence, for the call's event."""
        marks = self.details()
        similarity = self.similarity
        if self.row is None and self.decision is not None:
            similarity = self.decision.similarity
        marks.update(verdict=self.verdict, policy=self.policy, similarity=similarity)
        return marks


class Decider:
    """The decision by guards and policies. Safe to use from any threads and event loops.

    Args:
        learner: Returns the learner; called only under a rule with a bound.
        guards: May veto.
    """

    def __init__(self, learner: Callable[[], Bounded], guards: Guards) -> None:
        self._learner = learner
        self._guards = guards

    def decide(self, lookup: Lookup, *, dry: bool = False) -> None:
        """Decide on a lookup.

        Args:
            lookup: The lookup; the decision is recorded in it.
            dry: True: to explain only, so nothing is counted.
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

    def refuse(self, lookup: Lookup, reason: str) -> None:
        """Serve nothing after all, and charge nothing for it."""
        if lookup.decision is not None and lookup.rule.max_error is not None:
            self._learner().take_back(lookup.decision)
        lookup.refuse(reason)

    def joinable(self, lookup: Lookup, aboard: Near) -> str | None:
        """Return the id of a question in flight whose answer may be shared, or None."""
        near = [*aboard, *lookup.near]
        near.sort(key=lambda each: -each[1])
        decision = self._decision_on(
            lookup.asked, lookup.x, near[:NEIGHBOURS], lookup.rule, dry=True
        )
        if decision.serve and any(row.id == decision.id for row, _ in aboard):
            if lookup.rule.max_error is not None:
                self._learner().serve(decision)
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
                    break  # all others are farther
            if not neighbours:
                neighbours = [Neighbour(row.id, similarity) for row, similarity in near[:1]]
            return Threshold(rule.threshold, rule.alike).decide(neighbours)
        neighbours = [
            as_neighbour(self._guards, asked.text, _comparable(row), row.id, similarity, row.answer)
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

    def explain(self, lookup: Lookup, scope: Any) -> Explanation:
        """Return the explanation of a lookup."""
        reason = "exact" if lookup.decision is None else lookup.decision.reason
        return Explanation(
            lookup.asked.text,
            scope,
            lookup.row is not None,
            reason,
            lookup.rule.policy,
            lookup.details(),
            self._candidates(lookup, reason),
        )

    def _candidates(self, lookup: Lookup, reason: str) -> Sequence[Candidate]:
        """Return the neighbours of a question with all verdicts on them."""
        text, decision = lookup.asked.text, lookup.decision
        chosen = lookup.asked.id if decision is None else decision.id
        found = []
        for row, similarity in lookup.near:
            known = _comparable(row)
            if known is None:
                continue
            verdicts = self._guards.verdicts(text, known)
            outcome = reason
            if row.id != chosen:
                outcome = self._outcome(lookup.rule, text, known, similarity, verdicts)
            found.append(Candidate(row.text, similarity, verdicts, row.id, outcome))
        return found

    def _outcome(
        self,
        rule: Rule,
        text: str,
        known: str | Traits,
        similarity: float,
        verdicts: Mapping[str, Veto | None],
    ) -> str:
        """Return what speaks against a neighbour that the decision is not about, or "near"."""
        vetoes = [veto for veto in verdicts.values() if veto is not None]
        if rule.max_error is not None:
            if not vetoes:
                return "near"
            return "doubted" if vetoes[0].guard in _EVIDENCE else "vetoed"
        if similarity < rule.alike:
            return "below_threshold"
        if vetoes:
            return "vetoed"
        if similarity >= rule.threshold or self._guards.are_equivalent(text, known):
            return "near"
        return "below_threshold"


def _comparable(row: Row) -> str | Traits | None:
    """Return a stored question as the guards take it, or None if it cannot be read."""
    if row.text is not None:
        return row.text
    try:
        return Traits.from_json(row.traits or "")
    except ValueError:  # not written by this library
        return None


def as_neighbour(
    guards: Guards,
    question: str,
    known: str | Traits | None,
    id_: str,
    similarity: float,
    answer: bytes = b"",
) -> Neighbour:
    """Return a stored question as a neighbour for the policy that learns the guards' weight.

    Args:
        guards: The guards; none is asked where no policy serves anyway.
        question: The question.
        known: The stored question, or None if it cannot be read.
        id_: The id of its entry.
        similarity: Their similarity.
        answer: The digest of the stored answer. Default b"": unknown.
    """
    if similarity < _HARDLY:
        return Neighbour(id_, similarity, answer=answer)
    if known is None:
        return Neighbour(id_, similarity, vetoed=True, answer=answer)
    veto, alike = guards.weigh(question, known)
    if veto is None:
        repeated = alike and guards.repeats(question, known)
        return Neighbour(id_, similarity, alike=alike, repeated=repeated, answer=answer)
    if veto.guard in _EVIDENCE:
        return Neighbour(id_, similarity, doubt=veto.guard, answer=answer)
    return Neighbour(id_, similarity, vetoed=True, answer=answer)
