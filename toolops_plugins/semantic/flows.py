"""The flows of the semantic cache, without I/O: look up, decide, store and learn.

The drivers of a runtime run the flows; where the cache is used alone,
:func:`toolops_plugins.steps.walk` does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from toolops_plugins.codec import Codec, Payload
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.concurrency.to_thread import run_in_pool
from toolops_plugins.errors import CodecError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.semantic.answers.agreement import Agreement, Verdict
from toolops_plugins.semantic.answers.equality import digest_of, is_categorical, is_free_text
from toolops_plugins.semantic.answers.profile import shorten
from toolops_plugins.semantic.decision import Decision
from toolops_plugins.semantic.guards import Guards
from toolops_plugins.semantic.in_flight import InFlight
from toolops_plugins.semantic.index.index import Index
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.semantic.judge import Judge
from toolops_plugins.semantic.lookup import NEIGHBOURS, Decider, Lookup, Question, Rule
from toolops_plugins.semantic.matches import Explanation
from toolops_plugins.steps import Io

__all__ = ["Learning", "SemanticFlows"]

_OTHERS = 3
"""Neighbours beside the candidate whose answers are compared, for the groups of equal answers."""

Learning: TypeAlias = Callable[[], Generator[Io, Any, None]]


class SemanticFlows:
    """The flows of one semantic cache. Safe to use from any threads and event loops.

    Args:
        index: The entries.
        codec: Turns answers into bytes.
        guards: The guards, which may veto.
        judge: The user's judge, or None.
        judge_band: Width of the band above the threshold in which the judge is asked before
            serving.
        agreement: Compares answers where there is no judge.
        answers_alike: Least cosine, by the index's embedder, of two free-text answers that count as
            the same unless they contradict each other. None: the embedder is not asked.
        pool: The pool in which blocking work of asynchronous callers runs.
        store_text: Whether questions are kept as text.
        secret: Key of all digests, or None.
        on_failure: Called with the parameter's name and the error when a user's function fails.
    """

    def __init__(
        self,
        index: Index,
        codec: Codec,
        guards: Guards,
        *,
        judge: Judge | None,
        judge_band: float,
        agreement: Agreement,
        answers_alike: float | None,
        pool: Pool,
        store_text: bool,
        secret: bytes | None,
        on_failure: Callable[[str, Exception], None],
    ) -> None:
        self.index = index
        self.decider = Decider(index.learned.learner, guards)
        self.in_flight = InFlight(
            self.decider, index.learned, store_text=store_text, is_void=index.is_void
        )
        self.codec = codec
        self._guards = guards
        self._judge = judge
        self._judge_band = judge_band
        self._agreement = agreement
        self._answers_alike = answers_alike
        self._pool = pool
        self._store_text = store_text
        self._secret = secret
        self._on_failure = on_failure
        self._canon = Canon()

    def lookup(
        self, asked: Question, rule: Rule, *, dry: bool = False
    ) -> Generator[Io, Any, Lookup]:
        """Look a question up and decide.

        Args:
            asked: The question.
            rule: The thresholds or the bound.
            dry: True: to explain only, so nothing is counted and no judge is asked.

        Raises:
            ConfigurationError: The index is of another embedder, or open in another process.
            TierError: The index could not be reached, or the embedder failed.
        """
        index = self.index
        if not index.ready:
            yield Io(index.open, index.aopen)
        mark = index.mark()
        x = yield Io(index.embeddings.one, index.embeddings.aone, asked.text)
        near = yield from index.search(asked.scope, x, NEIGHBOURS)
        lookup = Lookup(asked, rule, mark, x, near)
        load = self._guards.load
        if self._guards.must_load(asked.text):
            yield Io(load, partial(run_in_pool, self._pool, load))
        self.decider.decide(lookup, dry=dry)
        if dry:
            return lookup
        if lookup.row is not None and self._judge is not None and self._is_unsure(lookup):
            yield from self._ask_to_serve(self._judge, lookup, lookup.row)
        if lookup.row is not None and not index.may_answer(asked.id, lookup.row, mark):
            self.decider.refuse(lookup, "invalidated")
        if lookup.row is not None:
            index.note_hit(lookup.row)
        return lookup

    def _is_unsure(self, lookup: Lookup) -> bool:
        rule = lookup.rule
        if lookup.exact:
            return False
        if rule.max_error is None:
            return lookup.similarity < rule.threshold + self._judge_band
        return float(lookup.details().get("risk", 0.0)) > rule.max_error

    def _ask_to_serve(self, judge: Judge, lookup: Lookup, row: Row) -> Generator[Io, Any, None]:
        try:
            answer = self._answer(lookup.rule, self.value_of(row))
        except CodecError:
            agreed = False
        else:
            agreed = yield Io(judge.ask, judge.aask, lookup.asked.text, answer, None)
        if not agreed:
            self.decider.refuse(lookup, "judge")

    def value_of(self, row: Row) -> Any:
        """Return a new copy of an entry's answer.

        Raises:
            CodecError: This process cannot read it.
        """
        return self.codec.decode(self.codec.load(row.codec, row.data))

    def explain(self, lookup: Lookup, scope: Any) -> Explanation:
        """Return the explanation of a dry lookup."""
        explanation = self.decider.explain(lookup, scope)
        row = lookup.row
        if row is None:
            return explanation
        if self.index.is_void(lookup.asked.id, row):
            return replace(explanation, served=False, reason="invalidated")
        try:
            self.value_of(row)
        except CodecError:
            return replace(explanation, served=False, reason="unreadable")
        if self._judge is not None and self._is_unsure(lookup):
            note = "The judge is asked first, and has the last word."
            return replace(explanation, note=note)
        return explanation

    def keep(
        self,
        asked: Question,
        rule: Rule,
        lookup: Lookup | None,
        value: Any,
        payload: Payload,
        *,
        mark: int,
        expires: float,
        tags: tuple[str, ...] = (),
        took: float = 0.0,
        price: float = 0.0,
    ) -> Learning | None:
        """Store an answer, searchable at once, and learn from it after a lookup.

        Args:
            asked: The question.
            rule: Extracts the answer from the value.
            lookup: The lookup that was a miss, or None.
            value: The value.
            payload: The encoded value.
            mark: The mark of the moment at which the answer holds.
            expires: Seconds since the epoch until which it may be served.
            tags: The tags under which it can be invalidated, sorted.
            took: Seconds that computing it took.
            price: Money that it cost.

        Returns:
            A flow that compares answers by I/O and learns from that, or None.

        Raises:
            CodecError: The answer cannot be encoded.
        """
        index = self.index
        data = self.codec.data(payload)
        value = self._answer(rule, value)
        digest = digest_of(self._canon, value, data, self._secret)
        row = Row(
            asked.id,
            asked.scope,
            asked.text if self._store_text else None,
            payload.codec,
            data,
            digest,
            index.row_time(),
            expires,
            tags,
            took,
            price,
            None if self._store_text else self._guards.hash_traits(asked.text),
        )
        if lookup is None:
            index.put_text(row, asked.text, mark)
            return None
        decision = lookup.decision
        if decision is None or lookup.rule.max_error is None:
            index.put(row, lookup.x, mark)
            return None
        agreeing = [each.id for each, _ in lookup.near if each.answer == digest]
        candidate = next((each for each, _ in lookup.near if each.id == decision.id), None)
        if candidate is not None and candidate.id not in agreeing and self._may_agree(value):
            index.put(row, lookup.x, mark, agreeing)
            return partial(self._compare_and_learn, lookup, candidate, value, digest)
        lookup.report_check(agreeing)
        if self._learn(decision, agreeing):
            index.put(row, lookup.x, mark, agreeing)
        return None

    def _learn(self, decision: Decision, agreeing: list[str]) -> bool:
        """Learn from an answer; return whether it is to be stored."""
        try:
            learner = self.index.learned.learner()
            learner.learn(decision, agreeing)
            self.index.learned.note_change()
            return not learner.redundant(decision, agreeing)
        except Exception as error:  # noqa: BLE001 - the answer is right, whatever is learned of it
            self._on_failure("learning", error)
            return True

    def _answer(self, rule: Rule, value: Any) -> Any:
        """Return the part of a value that is compared with other answers."""
        if rule.answer is None:
            return value
        try:
            return rule.answer(value)
        except Exception as error:  # noqa: BLE001 - the user's; the value is compared whole
            self._on_failure("answer", error)
            return value

    def _may_agree(self, value: Any) -> bool:
        return self._judge is not None or not is_categorical(value)

    def _compare_and_learn(
        self, lookup: Lookup, candidate: Row, value: Any, digest: bytes
    ) -> Generator[Io, Any, None]:
        """Compare the fresh answer with those of neighbours, and learn from the verdicts.

        Where nobody can tell whether the candidate's answer was right, nothing is learned of it.
        """
        rows = [candidate]
        if self._judge is not None:
            verdict = yield from self._ask_to_learn(self._judge, lookup, candidate, value)
            verdicts = [verdict]
        else:
            rows += _others(lookup, candidate, digest)
            alike = yield from self._are_alike(lookup.rule, candidate, value)
            compare = partial(self._compare, lookup.rule, rows, value, alike=alike)
            verdicts = yield Io(compare, partial(run_in_pool, self._pool, compare))
            verdict = verdicts[0]
            if verdict is None and _repeat_exactly(lookup, value, digest):
                verdict = False
        agreeing = [row.id for row, _ in lookup.near if row.answer == digest]
        same = [row.id for row, agrees in zip(rows, verdicts, strict=True) if agrees]
        if same:
            agreeing += same
            self.index.learned.agree(lookup.asked.id, agreeing)
        if lookup.decision is None:
            return
        learner = self.index.learned.learner()
        if verdict is None:
            learner.skip(lookup.decision)
        else:
            lookup.report_check(agreeing)
            learner.learn(lookup.decision, agreeing)
            self.index.learned.note_change()

    def _ask_to_learn(
        self, judge: Judge, lookup: Lookup, candidate: Row, value: Any
    ) -> Generator[Io, Any, Verdict]:
        try:
            cached = self._answer(lookup.rule, self.value_of(candidate))
        except CodecError:
            return None
        verdict: Verdict = yield Io(judge.ask, judge.aask, lookup.asked.text, cached, value)
        return verdict

    def _are_alike(self, rule: Rule, row: Row, value: Any) -> Generator[Io, Any, bool]:
        """Return whether the index's own embedder finds two free texts alike, if it is asked."""
        if self._answers_alike is None or not is_free_text(value):
            return False
        try:
            cached = self._answer(rule, self.value_of(row))
        except CodecError:
            return False
        if not is_free_text(cached):
            return False
        embeddings = self.index.embeddings
        texts = [shorten(cached), shorten(value)]
        a, b = yield Io(embeddings.many, embeddings.amany, texts)
        return float(a @ b) >= self._answers_alike

    def _compare(self, rule: Rule, rows: list[Row], value: Any, *, alike: bool) -> list[Verdict]:
        """Return the verdict on the answer of each row; ``alike`` is that of the first."""
        verdicts: list[Verdict] = []
        for row in rows:
            try:
                cached = self._answer(rule, self.value_of(row))
            except CodecError:
                verdicts.append(None)
            else:
                first = not verdicts
                verdicts.append(self._agreement.compare(cached, value, alike=alike and first))
        return verdicts


def _others(lookup: Lookup, candidate: Row, digest: bytes) -> list[Row]:
    """Return the nearest neighbours with other answers than the candidate's and the fresh one."""
    found: dict[bytes, Row] = {}
    for row, _ in lookup.near:
        if row.answer not in (candidate.answer, digest):
            found.setdefault(row.answer, row)
    return list(found.values())[:_OTHERS]


def _repeat_exactly(lookup: Lookup, value: Any, digest: bytes) -> bool:
    """Return whether short answers repeat word for word here, so that other words are another."""
    if not isinstance(value, str) or is_free_text(value):
        return False
    answers = [row.answer for row, _ in lookup.near]
    return digest in answers or len(set(answers)) < len(answers)
