"""Questions replayed through the parts of the semantic cache, under several settings at once.

The parts are the real ones: embedder, index in memory, guards and the two policies. Nothing is
written anywhere. What does not depend on the setting is done once: a question is embedded once, a
pair is shown to the guards once, and all thresholds share one search. That search runs over all
questions that came before, of which each setting sees those that it has stored itself; it goes on
until it has seen enough of them. The bounded policy, which needs all its neighbours and not only
the near ones, has an index of its own for each bound.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, TypeAlias

import numpy as np

from toolops_plugins.audit_questions import Questions
from toolops_plugins.audit_semantic_result import Result, Setting, Tally
from toolops_plugins.audit_watch import Watch
from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.semantic.decision import Neighbour, Threshold
from toolops_plugins.semantic.embedders import Embedder, Matrix
from toolops_plugins.semantic.embeddings import Embeddings
from toolops_plugins.semantic.guards import Guards, Veto
from toolops_plugins.semantic.lookup import NEIGHBOURS
from toolops_plugins.semantic.resident import Resident
from toolops_plugins.semantic.rows import Row

__all__ = ["Replay", "Tell", "settings_around"]

Tell: TypeAlias = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is."""

_Found: TypeAlias = list[tuple[int, float]]
"""Entries with their similarity, the nearest first."""

_BATCH: Final = 256  # questions that are embedded, or searched for, at once
_DEPTH: Final = 64  # neighbours of a question that are searched for at first
_HARDLY: Final = 0.5  # similarity under which the cache asks no guard: see Decider


def settings_around(
    threshold: float, bounds: Sequence[float], *, judged: bool
) -> tuple[Setting, list[Setting]]:
    """Return the setting of a threshold, and all that are compared with it.

    Seven thresholds with and without guards: three steps of 0.05 down, and three quarters of the
    way up to 1. And each bound, where wrong answers can be known: without that there is nothing to
    learn from.
    """
    steps = [threshold - 0.05 * step for step in (3, 2, 1)]
    steps += [threshold, *(1 - (1 - threshold) * part for part in (0.75, 0.5, 0.25))]
    values = sorted({round(value, 4) for value in steps if 0 < value <= 1})
    settings = [Setting("threshold", value, on) for on in (True, False) for value in values]
    if judged:
        settings += [Setting("bounded", bound) for bound in bounds]
    return Setting("threshold", round(threshold, 4)), settings


class Replay:
    """One log under several settings. Not thread-safe.

    Args:
        questions: The log.
        embedder: What turns questions into vectors.
        watched: The setting whose hits and vetoes are kept to be looked at; one of ``settings``.
        settings: All settings.
        orders: Seeds of the orders to replay the log in. Empty: its own.
    """

    def __init__(
        self,
        questions: Questions,
        embedder: Embedder,
        watched: Setting,
        settings: Sequence[Setting],
        orders: Sequence[int] = (),
    ) -> None:
        self._questions = questions
        self._embeddings = Embeddings(embedder, cache_items=0)
        self._orders = tuple(orders)
        self._tallies = [Tally(each, max(1, len(self._orders))) for each in settings]
        self._watched = watched
        self._watch = Watch(questions)
        entries: dict[tuple[bytes, str], int] = {}
        self._entry = [
            entries.setdefault(key, len(entries))
            for key in zip(questions.scopes, questions.texts, strict=True)
        ]
        self._rows = [
            Row(f"{at:032x}", scope, text, "", b"", b"", 0.0)
            for at, (scope, text) in enumerate(entries)
        ]
        self._interrupted = False

    def run(self, tell: Tell) -> None:
        """Replay the log in all orders. Ctrl-C ends that early, with what was counted by then.

        Raises:
            EmbeddingError: The embedder failed.
            KeyboardInterrupt: Nothing was counted by then.
        """
        vectors = self._embed(tell)
        places = range(len(self._questions))
        try:
            for turn, seed in enumerate(self._orders or (None,)):
                order = list(places)
                if seed is not None:
                    random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
                self._stream(order, vectors, turn, tell)
        except KeyboardInterrupt:
            if not all(tally.requests for tally in self._tallies):
                raise
            self._interrupted = True

    def _embed(self, tell: Tell) -> Matrix:
        texts = [row.text or "" for row in self._rows]
        parts = []
        for start in range(0, len(texts), _BATCH):
            tell("embedding", start, len(texts))
            parts.append(self._embeddings.many(texts[start : start + _BATCH]))
        return np.concatenate(parts)

    def _stream(self, order: Sequence[int], vectors: Matrix, turn: int, tell: Tell) -> None:
        log = _Log(self._questions, self._entry, self._rows, vectors)
        caches = [
            _ByBound(log, tally, turn)
            if tally.setting.policy == "bounded"
            else _ByThreshold(
                log, tally, self._watch if tally.setting == self._watched and not turn else None
            )
            for tally in self._tallies
        ]
        total = len(order) * max(1, len(self._orders))
        for start in range(0, len(order), _BATCH):
            tell("replaying", turn * len(order) + start, total)
            block = order[start : start + _BATCH]
            nears = log.nears(block)
            for cache in caches:
                for place, near in zip(block, nears, strict=True):
                    cache.ask(place, near)

    def result(
        self,
        origin: Literal["default", "given"],
        *,
        price: float,
        latency: float,
        bounds: Sequence[float],
    ) -> Result:
        """Return what was counted.

        Args:
            origin: Where the watched setting's threshold is from.
            price: Money that a call costs.
            latency: Seconds that it takes.
            bounds: Shares of wrong answers that are asked about.
        """
        watch = self._watch
        return Result(
            self._questions,
            self._embeddings.name,
            self._watched,
            origin,
            self._orders,
            price,
            latency,
            tuple(bounds),
            len(self._rows),
            self._tallies,
            watch.guarding,
            watch.wrong(),
            watch.doubtful(),
            watch.vetoed(),
            self._interrupted,
        )


class _Log:
    """One pass through the questions: what all settings share.

    Args:
        questions: The questions.
        entry: For each, the number of its text in its scope.
        rows: The texts.
        vectors: Their vectors.
    """

    def __init__(
        self, questions: Questions, entry: Sequence[int], rows: Sequence[Row], vectors: Matrix
    ) -> None:
        self.questions = questions
        self.entry = entry
        self.rows = rows
        self.vectors = vectors
        self._place = {row.id: at for at, row in enumerate(rows)}
        self._seen = bytearray(len(rows))
        self._index = self.index()
        self._guards = Guards()
        self._vetoes: dict[tuple[int, int], Veto | None] = {}

    def index(self) -> Resident:
        """Return an empty index."""
        return Resident(self.vectors.shape[1], max_items=len(self.rows))

    def found(self, index: Resident, at: int, depth: int) -> _Found:
        """Return the entries of an index that are nearest to one, by their numbers."""
        near = index.search(self.rows[at].scope, self.vectors[at], depth, 0.0)
        return [(self._place[row.id], s) for row, s in near]

    def nears(self, block: Sequence[int]) -> list[_Near]:
        """Return the neighbours of some questions, which take their place among the seen ones."""
        self._vetoes.clear()  # a pair is asked for again within its block only
        asked = [self.entry[place] for place in block]
        new = [at for at in dict.fromkeys(asked) if not self._seen[at]]
        if new:
            self._index.add([self.rows[at] for at in new], self.vectors[new])
            for at in new:
                self._seen[at] = True
        scopes = [self.rows[at].scope for at in asked]
        near = self._index.search_many(scopes, self.vectors[asked], _DEPTH, 0.0)
        return [
            _Near(self, self._index, at, [(self._place[row.id], s) for row, s in found])
            for at, found in zip(asked, near, strict=True)
        ]

    def veto(self, at: int, other: int) -> Veto | None:
        """Return what the guards say to serving one entry's answer for another's question."""
        pair = at, other
        if pair not in self._vetoes:
            texts = self.rows[at].text or "", self.rows[other].text or ""
            self._vetoes[pair] = self._guards.veto(*texts)
        return self._vetoes[pair]

    def same(self, place: int, other: int) -> bool:
        """Return whether two questions want the same answer, as far as that is known."""
        answers = self.questions.answers
        return not answers or answers[place] == answers[other]


class _Near:
    """The neighbours of one question, nearest first, as many as are asked for."""

    __slots__ = ("_asked", "_at", "_found", "_index", "_log")

    def __init__(self, log: _Log, index: Resident, at: int, found: _Found) -> None:
        self._log = log
        self._index = index
        self._at = at
        self._found = found
        self._asked = _DEPTH

    def __iter__(self) -> Iterator[tuple[int, float]]:
        yield from self._found
        told = {at for at, _ in self._found}
        while len(self._found) >= self._asked:
            self._asked *= 8
            self._found = self._log.found(self._index, self._at, self._asked)
            more = [each for each in self._found if each[0] not in told]
            told.update(at for at, _ in more)
            yield from more


class _Cache:
    """What is stored under one setting."""

    def __init__(self, log: _Log, tally: Tally) -> None:
        self._log = log
        self._tally = tally
        self._held: dict[int, int] = {}  # the question that an entry was stored for

    def ask(self, place: int, near: _Near) -> None:
        """Ask a question."""
        raise NotImplementedError

    def _is_exact(self, place: int) -> bool:
        """Count a request; return whether it was stored in the same words, and answered so."""
        tally = self._tally
        tally.requests += 1
        held = self._held.get(self._log.entry[place])
        if held is None:
            return False
        tally.exact += 1
        tally.exact_wrong += self._hit(place, held)
        return True

    def _hit(self, place: int, held: int) -> bool:
        """Count a hit; return whether the answer was wrong."""
        wrong = not self._log.same(place, held)
        self._tally.hits += 1
        self._tally.wrong += wrong
        return wrong


class _ByThreshold(_Cache):
    def __init__(self, log: _Log, tally: Tally, watch: Watch | None) -> None:
        super().__init__(log, tally)
        self._policy = Threshold(tally.setting.value)
        self._guarded = tally.setting.guarded
        self._watch = watch

    def ask(self, place: int, near: _Near) -> None:
        if self._is_exact(place):
            return
        log, held, least = self._log, self._held, self._policy.threshold
        at = log.entry[place]
        neighbours: list[Neighbour] = []
        vetoes: list[tuple[int, float, Veto]] = []
        for other, similarity in near:
            if similarity < least:
                break
            if other not in held:
                continue
            veto = log.veto(at, other) if self._guarded else None
            neighbours.append(Neighbour(log.rows[other].id, similarity, veto is not None))
            # The policy takes the first that is not vetoed; what comes after is of no concern.
            if veto is None or len(neighbours) == NEIGHBOURS:
                break
            vetoes.append((held[other], similarity, veto))
        decision = self._policy.decide(neighbours)
        matched = held[other] if decision.serve else None  # the last that was looked at
        if matched is None:
            held[at] = place
        else:
            self._hit(place, matched)
        if self._watch is not None:
            self._watch.note(place, vetoes, matched, decision.similarity)


class _ByBound(_Cache):
    def __init__(self, log: _Log, tally: Tally, seed: int) -> None:
        super().__init__(log, tally)
        self._index = log.index()
        self._learner = Bounded(seed=seed, vector_of=self._index.vector)

    def ask(self, place: int, near: _Near) -> None:  # noqa: ARG002 - it has an index of its own
        learner, bound = self._learner, self._tally.setting.value
        if self._is_exact(place):
            learner.exact(bound)
            return
        log, held = self._log, self._held
        at = log.entry[place]
        row, x = log.rows[at], log.vectors[at]
        found = log.found(self._index, at, NEIGHBOURS)
        neighbours = [
            Neighbour(
                log.rows[other].id,
                similarity,
                similarity >= _HARDLY and log.veto(at, other) is not None,
            )
            for other, similarity in found
        ]
        decision = learner.decide(x, neighbours, max_error=bound, scope=row.scope)
        if decision.serve:
            served = next(other for other, _ in found if log.rows[other].id == decision.id)
            self._hit(place, held[served])
            return
        agreeing = [log.rows[other].id for other, _ in found if log.same(place, held[other])]
        learner.learn(decision, agreeing)
        if not learner.redundant(decision, agreeing):
            held[at] = place
            self._index.add([row], x[None])
            learner.add(row.id, x, log.questions.answers[place], row.scope, agreeing)
