"""The bounded policy: serve as much as a bound on wrong answers allows, and learn from misses."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from toolops_plugins.clock import SYSTEM_CLOCK
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.bounded.budget import (
    EXACT,
    NOTHING,
    REPEATED,
    RISK_OF_REPEATED,
    RISK_OF_VOUCHED,
    VOUCHED,
    Budget,
)
from toolops_plugins.semantic.bounded.changes import Changes, Finding
from toolops_plugins.semantic.bounded.doubt_labels import DoubtLabels
from toolops_plugins.semantic.bounded.evidence import RECORDS, weigh
from toolops_plugins.semantic.bounded.gram import Gram
from toolops_plugins.semantic.bounded.groups import Groups, Vector, VectorOf, key_of
from toolops_plugins.semantic.bounded.labels import Labels, Window
from toolops_plugins.semantic.bounded.learner_evidence import LearnerEvidence
from toolops_plugins.semantic.bounded.logistic import Logistic
from toolops_plugins.semantic.bounded.records import Records
from toolops_plugins.semantic.bounded.risk import Risk, cell_of
from toolops_plugins.semantic.bounded.sharing import Pace, Share, State, dump, load, newest
from toolops_plugins.semantic.bounded.vouched import is_vouched, risk_of_vouched
from toolops_plugins.semantic.decision import Decision, Neighbour

__all__ = ["Bounded"]

_FIRST: Final = 48  # labels before the first fit
_EVERY: Final = 16  # labels from one fit to the next
_AUDIT: Final = 0.005  # share of sure candidates that is audited, ...
_AUDIT_AT_WORST: Final = 0.04  # ... the additional share of candidates near the threshold, ...
_AUDIT_ON_CHANGE: Final = 0.06  # ... and that by evidence for a change of answers
_AUDIT_OF_VOUCHED: Final = 0.05  # share of vouched candidates, once there is a budget for more
_LEAST_SIMILAR: Final = 0.5  # the guards are asked about more similar questions only
_YOUNG: Final = 300  # labels after which the model alone decides on vouched questions
_MOST_AUDITED: Final = 0.3
_SAME: Final = 0.995  # similarity of a repetition
_BUDGETS: Final = 64
_GROUP_RECORDS: Final = 4_096
_SCOPE_RECORDS: Final = 1_024
_SCOPE_DECAY: Final = 0.5 ** (1 / 200)


class Bounded:
    """Serve near questions within ``max_error``, and learn online which ones may be served.

    Every call that is made shows whether the candidate that was not served would have been right.
    The learner estimates three things from these labels: the probability that a candidate is right,
    by logistic regression over its features; the share of wrong candidates by score, by counting;
    and the least score that may be served. Every served answer is charged to an account with an
    upper estimate of its risk, and the account allows no more than keeps the wrong answers within
    1.5 times the bound at every request from the hundredth on, and within the bound from 2,000 on.
    Some candidates that are good enough are *audited* instead of served: the call is made, so that
    there are labels in the range that is served. Groups of answers that turn out to have changed
    are not served until they are right again.

    Before there are labels it serves only questions that are repeated in another writing, and a
    few for which the guards vouch word by word.

    The risks are estimates from the labels so far. They can be too low where questions of a new
    sort arrive or right answers change, until that is noticed; benchmarks/bounded.py measures it
    on streams of both sorts.

    One learner serves one index and embedder, for any number of bounds. Safe to use from any
    threads and event loops; no method blocks except for short computations. A decision
    took 66 to 160 us on a busy machine, learning 20; a fit every 16 labels takes about 1 ms, and
    3 ms where the index has grown by a tenth.

    Args:
        seed: Seed of the choice of audits. Default None: random.
        vector_of: Returns the vector of an entry by its id, or None if it is gone. Without it,
            small groups have no centroid. It is called under the learner's lock, and must not call
            the learner.
    """

    def __init__(self, *, seed: int | None = None, vector_of: VectorOf | None = None) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._random = random.Random(seed)  # noqa: S311 - which requests are audited is no secret
        self._vector_of = vector_of or _unknown
        self._source = secrets.token_hex(8)
        self._stamp = 0.0
        self._groups = Groups(self._vector_of, self._note_gone)
        self._gram = Gram()
        self._group_records = Records(_GROUP_RECORDS)
        self._scope_records = Records(_SCOPE_RECORDS, _SCOPE_DECAY)
        self._budgets: dict[float, Budget] = {}
        self._window = Window()
        self._model: Logistic | None = None
        self._risk: Risk | None = None
        self._vouched = RISK_OF_VOUCHED
        self._doubt_labels = DoubtLabels()
        self._changes = Changes()
        self._shares: dict[str, Share] = {}
        self._others = Labels.none()
        self._other_count = 0

    def decide(
        self,
        x: Vector,
        neighbours: Sequence[Neighbour],
        *,
        max_error: float,
        scope: bytes,
        dry: bool = False,
    ) -> Decision:
        """Decide on a question.

        Args:
            x: Its vector, of unit length.
            neighbours: Its neighbours in its scope, nearest first; 16 are a good number.
            max_error: The share of all requests that may get a wrong answer. Requests with one
                bound share a budget.
            scope: The digest of its scope.
            dry: Only return the decision: count and audit nothing. Default False.
        """
        with self._lock:
            budget = self._budget(max_error)
            weighed = LearnerEvidence(budget, self._labels_missing())
            candidate = weigh(x, neighbours, self._groups, self._gram, scope)
            if candidate is None:
                self._push(budget, NOTHING, dry=dry)
                return Decision(
                    "bounded",
                    None,
                    serve=False,
                    similarity=0.0,
                    reason="nothing_near",
                    evidence=weighed,
                )
            weighed.key, weighed.scope = candidate.key, key_of(scope)
            features = weighed.features = candidate.features
            features[-RECORDS] = self._group_records.lean(weighed.key)
            features[-RECORDS + 1] = self._scope_records.lean(weighed.scope)
            if self._model is not None and self._risk is not None:
                weighed.z = self._model.score(features)
                weighed.cell = cell_of(weighed.z)
                weighed.risk = float(self._risk.by_cell[weighed.cell])
            entry, cell = candidate.entry, weighed.cell
            reason = self._weigh_risk(entry, weighed, budget)
            if reason in ("vetoed", "unconfirmed"):
                cell = NOTHING
            if reason == "served" and not dry:
                if self._audits(weighed, budget):
                    weighed.audited = True
                    reason = "audited"
                else:
                    budget.account.serve(weighed.cell, weighed.key)
            self._push(budget, cell, dry=dry)
            return Decision(
                "bounded",
                entry.id,
                serve=reason == "served",
                similarity=entry.similarity,
                reason=reason,
                evidence=weighed,
            )

    def _labels_missing(self) -> int:
        """Return how many labels are missing for the first fit."""
        if self._model is not None:
            return 0
        return max(_FIRST - self._window.count - self._other_count, 0)

    def _weigh_risk(self, entry: Neighbour, weighed: LearnerEvidence, budget: Budget) -> str:
        """Return the reason to serve a candidate or not; note the cell of its risk."""
        if entry.vetoed:
            return "vetoed"
        if not self._changes.trusts(weighed.key):
            return "unconfirmed"
        if entry.repeated:
            weighed.basis = "repeated"
            weighed.cell, weighed.risk = REPEATED, RISK_OF_REPEATED
            return "served"
        if (
            weighed.z is not None
            and entry.similarity >= _LEAST_SIMILAR
            and (not entry.doubt or self._doubt_labels.suffice(unread=entry.doubt == "unread"))
            and budget.affords(weighed.cell, unread=entry.doubt == "unread")
        ):
            return "served"
        if (
            entry.alike
            and self._window.count + self._other_count < _YOUNG
            and weighed.features is not None
            and is_vouched(weighed.features)
            and budget.affords_vouched(self._vouched)
        ):
            weighed.basis = "vouched"
            weighed.cell, weighed.risk = VOUCHED, self._vouched
            return "served"
        return "cold" if weighed.z is None else "too_risky"

    def skip(self, decision: Decision) -> None:
        """Note a call of which nothing is learned, since its answer cannot be compared.

        Args:
            decision: The decision on its question. One by another policy is ignored.
        """
        weighed = decision.evidence
        if isinstance(weighed, LearnerEvidence) and weighed.features is not None:
            with self._lock:
                self._doubt_labels.note(weighed.features, compared=False)

    def _audits(self, weighed: LearnerEvidence, budget: Budget) -> bool:
        share = _AUDIT_ON_CHANGE * self._changes.attention
        if weighed.cell == VOUCHED:
            if not budget.is_starting(weighed.risk):
                share += _AUDIT_OF_VOUCHED
        elif weighed.cell != REPEATED:
            share += _AUDIT + _AUDIT_AT_WORST * weighed.risk / budget.worst
        return self._random.random() < min(share, _MOST_AUDITED)

    def serve(self, decision: Decision) -> None:
        """Charge an answer that is served after all, upon a decision that was dry.

        Args:
            decision: The decision. One by another policy is ignored.
        """
        weighed = decision.evidence
        if isinstance(weighed, LearnerEvidence):
            with self._lock:
                account = self._budget(weighed.max_error).account
                account.serve(weighed.cell, weighed.key)

    def take_back(self, decision: Decision) -> None:
        """Undo the charge of an answer that was not served after all, as by the judge's word.

        Args:
            decision: The decision to serve it. One by another policy is ignored.
        """
        weighed = decision.evidence
        if isinstance(weighed, LearnerEvidence):
            with self._lock:
                account = self._budget(weighed.max_error).account
                account.take_back(weighed.cell, weighed.key)

    def serve_again(self, served: Iterable[tuple[Decision, int]]) -> None:
        """Count requests that got copies of answers that were served before.

        Each is as likely wrong as the answer that was copied.

        Args:
            served: The decisions to serve these answers, and the number of requests since. Those by
                another policy are ignored.
        """
        with self._lock:
            for decision, count in served:
                weighed = decision.evidence
                if isinstance(weighed, LearnerEvidence):
                    budget = self._budget(weighed.max_error)
                    budget.account.serve(weighed.cell, weighed.key, count)
                    # The ring does not have those cells that only the account has.
                    budget.push(NOTHING if weighed.z is None else cell_of(weighed.z), count)
            for budget in self._budgets.values():
                self._settle(budget)

    def _budget(self, max_error: float) -> Budget:
        budget = self._budgets.pop(max_error, None)
        if budget is None:
            budget = Budget(max_error)
            self._recall(budget)
        self._budgets[max_error] = budget
        if len(self._budgets) > _BUDGETS:
            del self._budgets[next(iter(self._budgets))]
        return budget

    def _push(self, budget: Budget, cell: int, count: int = 1, *, dry: bool = False) -> None:
        if not dry and budget.push(cell, count):
            self._settle(budget)

    def _settle(self, budget: Budget) -> None:
        if self._risk is not None:
            count = self._window.count + self._other_count
            budget.settle(self._risk, self._vouched, count)

    def exact(self, max_error: float, count: int = 1) -> None:
        """Count exact hits under a bound: requests that are served and cannot be wrong.

        Args:
            max_error: The bound.
            count: How many there were. Default 1.
        """
        with self._lock:
            self._push(self._budget(max_error), EXACT, count)

    def learn(self, decision: Decision, agreeing: Collection[str]) -> None:
        """Learn from a call that was made.

        Args:
            decision: The decision on its question. One by another policy, or without a
                candidate, is ignored.
            agreeing: The ids of its neighbours whose answers agree with the fresh one.
        """
        weighed = decision.evidence
        if not isinstance(weighed, LearnerEvidence) or weighed.features is None:
            return
        right = decision.id in agreeing
        with self._lock:
            key = self._groups.lead(weighed.key)
            finding = self._changes.note(key, weighed.risk, right=right, new=not agreeing)
            if finding is not Finding.NONE:
                for budget in self._budgets.values():
                    budget.account.note(finding, key)
            if weighed.z is not None:
                p = 1.0 - weighed.risk
                self._group_records.note(key, float(right), p)
                self._scope_records.note(weighed.scope, float(right), p)
                self._budget(weighed.max_error).observe(weighed.risk, float(not right))
            self._window.add(weighed.features, weighed.z, right=right)
            self._stamp = SYSTEM_CLOCK.time()
            self._gram.refresh()
            count = self._window.count + self._other_count
            self._doubt_labels.note(weighed.features, compared=True)
            if is_vouched(weighed.features):
                self._vouched = risk_of_vouched(self._others.then(self._window.last()))
            if self._window.count % _EVERY == 0 or count == _FIRST:
                self._fit()

    def _fit(self) -> None:
        count = self._window.count + self._other_count
        if count < _FIRST:
            return
        labels = self._others.then(self._window.last())
        features = labels.features.astype(np.float64)
        right = labels.right.astype(np.float64)
        start = None if self._model is None else self._model.weights
        self._model = model = Logistic(features, right, start)
        scores = labels.scores.astype(np.float64)
        early = np.isnan(scores)
        if early.any():
            scores[early] = model.unseen(features, right)[early]
        self._risk = Risk(scores, 1.0 - right)
        self._vouched = risk_of_vouched(labels)
        self._doubt_labels.count_unread(labels)
        for budget in self._budgets.values():
            self._settle(budget)

    def redundant(self, decision: Decision, agreeing: Collection[str]) -> bool:
        """Return whether the question of a call need not be stored.

        True if its candidate was right and as near as a repetition.
        """
        return decision.id is not None and decision.similarity > _SAME and decision.id in agreeing

    def add(
        self,
        id: str,  # noqa: A002 - as rows call it
        x: Vector,
        answer: bytes,
        scope: bytes,
        agreeing: Collection[str] = (),
    ) -> None:
        """Note a stored entry; a known entry may agree with more entries now.

        Args:
            id: Its id.
            x: Its vector.
            answer: Equal for equal answers.
            scope: The digest of its scope.
            agreeing: Ids of entries in its scope whose answers agree with its own.
        """
        with self._lock:
            key = key_of(scope, answer)
            if not self._groups.size(key):
                self._changes.confirm(key)
            if self._groups.add(id, x, key):
                self._gram.add(x)
            for other in agreeing:
                theirs = self._groups.key(other)
                if theirs is not None:
                    self._join(key, theirs)

    def _join(self, one: int, other: int) -> None:
        joined = self._groups.join(one, other)
        if joined is not None:
            self._group_records.join(joined.former, joined.lead)
            self._changes.join(joined.former, joined.lead)

    def _note_gone(self, name: int, heir: int | None) -> None:
        if heir is None:
            self._changes.forget(name)
        else:
            self._group_records.join(name, heir)
            self._changes.join(name, heir)

    def remove(self, id: str, x: Vector | None = None) -> None:  # noqa: A002 - as rows call it
        """Note that an entry is gone.

        Args:
            id: Its id; unknown ones are ignored.
            x: Its vector. Default None: ``vector_of`` is asked; if it returns None, the centroid of
                its group stays as it is.
        """
        with self._lock:
            if x is None:
                x = self._vector_of(id)
            if self._groups.remove(id, x):
                self._gram.remove(x)

    def state(self) -> bytes:
        """Return everything learned, here and in merged states, as bytes."""
        with self._lock:
            joined = list(self._groups.keys_by_group())
            shares = list(self._shares.values())
            if self._window.count:
                shares.append(self._share())
        return dump(State(newest(shares), joined))

    def _share(self) -> Share:
        return Share(
            self._source,
            self._window.count,
            self._stamp,
            self._window.last().copy(),
            self._group_records.table(),
            self._scope_records.table(),
            {
                bound: Pace(budget.recent(), budget.account.requests, budget.account.hits)
                for bound, budget in self._budgets.items()
            },
            self._changes.doubts(),
        )

    def merge(self, state: bytes) -> bool:
        """Merge the state of another process or of an earlier one.

        States may come in any order and repeatedly; nothing is counted twice.

        Args:
            state: The result of :meth:`state` there.

        Returns:
            Whether it could be read; a broken state or one of another version is ignored.
        """
        read = load(state)
        if read is None:
            return False
        with self._lock:
            for keys in read.joined:
                ours = [key for key in keys if self._groups.size(key)]
                for one, other in pairwise(ours):
                    self._join(one, other)
            fresh = False
            for share in read.shares:
                known = self._shares.get(share.source)
                if share.source != self._source and (
                    known is None or known.learned < share.learned
                ):
                    self._shares[share.source] = share
                    fresh = True
            if fresh:
                self._pool()
        return True

    def _pool(self) -> None:
        shares = newest(self._shares.values())
        self._shares = {share.source: share for share in shares}
        self._others = Labels.none()
        for share in shares:
            self._others = self._others.then(share.labels)
        self._other_count = sum(share.learned for share in shares)
        self._group_records.take((share.groups for share in shares), self._groups.lead)
        self._scope_records.take((share.scopes for share in shares), _itself)
        if not self._window.count:  # what changed before is of the entries that are still stored
            self._changes.recall(shares[-1].doubts, self._groups.lead)
        for budget in self._budgets.values():
            self._recall(budget)
        self._gram.refresh()
        self._fit()

    def _recall(self, budget: Budget) -> None:
        """Start a budget with the requests of the last process."""
        for share in reversed(list(self._shares.values())):
            pace = share.paces.get(budget.max_error)
            if pace is not None:
                budget.recall(pace.ring, pace.requests, pace.hits)
                self._settle(budget)
                return


def _unknown(_: str) -> None:
    return None


def _itself(key: int) -> int:
    return key
