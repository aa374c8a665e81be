"""The replay of questions through the semantic cache, under several settings at once.

The replay uses the real embedder, memory index, guards and decision, and writes nothing. Work that
does not depend on the setting is done once: each question is embedded once, the guards see each
pair once, and all thresholds share one search. That search covers all earlier questions; each
setting filters those that it has stored itself, and the search continues until there are enough.
The bounded policy and the calibrated thresholds consider all neighbours, not only near ones, so
each has its own index.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Final, TypeAlias

import numpy as np

from toolops_plugins.audit.semantic_pairs import Watch
from toolops_plugins.audit.semantic_questions import Questions
from toolops_plugins.audit.semantic_result import Result, Setting, Tally
from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.semantic.embedding.cached import Embeddings
from toolops_plugins.semantic.embedding.embedders import Embedder, Matrix
from toolops_plugins.semantic.guards import Guards, Traits, Veto
from toolops_plugins.semantic.index.index import Near, Vector
from toolops_plugins.semantic.index.memory import MemoryIndex
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.semantic.lookup import (
    DEFAULT_MAX_ERROR,
    NEIGHBOURS,
    Decider,
    Lookup,
    Question,
    Rule,
)

__all__ = ["Replay", "Tell", "settings_around"]

Tell: TypeAlias = Callable[[str, int, int], None]
"""Receives the progress: the name of the step, the number of questions done, and the total."""

_BATCH: Final = 256  # questions that are embedded or searched together
_DEPTH: Final = 64  # neighbours of a question in the first search


def settings_around(
    thresholds: tuple[float, float] | float, bounds: Sequence[float], *, judged: bool
) -> tuple[Setting, list[Setting]]:
    """Return the inspected setting, and all settings to compare.

    If the log has true answers, these are the default and all bounds, since the bounded policy
    learns from answers; and seven thresholds with and without guards: the middle one, three steps
    of 0.05 below it, and three steps towards 1. Inspected is the threshold that the user asked for,
    else the default, or the calibrated thresholds where the default cannot learn.

    Args:
        thresholds: Both calibrated thresholds, or the one that the user asked for.
        bounds: Allowed shares of wrong answers.
        judged: Whether the log has true answers.
    """
    if isinstance(thresholds, tuple):
        threshold, alike = thresholds
        watched = Setting("threshold", threshold, alike=alike)
    else:
        threshold = round(thresholds, 4)
        watched = Setting("threshold", threshold)
    steps = [threshold - 0.05 * step for step in (3, 2, 1)]
    steps += [threshold, *(1 - (1 - threshold) * part for part in (0.75, 0.5, 0.25))]
    values = sorted({round(value, 4) for value in steps if 0 < value <= 1})
    settings = [watched] if watched.calibrated else []
    settings += [Setting("threshold", value, on) for on in (True, False) for value in values]
    if judged:
        every = sorted({DEFAULT_MAX_ERROR, *bounds})
        settings = [*(Setting("bounded", bound) for bound in every), *settings]
        if watched.calibrated:
            watched = Setting("bounded", DEFAULT_MAX_ERROR)
    return watched, settings


class Replay:
    """A replay of one log under several settings. Not thread-safe.

    Args:
        questions: The log.
        embedder: The embedder.
        watched: The inspected setting, whose hits are recorded; one of ``settings``. If it is not a
            threshold, vetoes are recorded under the calibrated ones.
        settings: All settings.
        orders: Seeds of the orders to replay. Default empty: the order of the log.
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
        calibrated = (each for each in settings if each.calibrated)
        vetoing = watched if watched.policy == "threshold" else next(calibrated, watched)
        self._watched, self._vetoing = watched, vetoing
        self._watches = {setting: Watch(questions) for setting in (watched, vetoing)}
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
        """Replay the log in all orders. Ctrl-C ends the replay early and keeps its counts.

        Raises:
            EmbeddingError: The embedder failed.
            KeyboardInterrupt: There were no counts yet.
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
        caches = [_Cache(log, tally, turn) for tally in self._tallies]
        watches = [None if turn else self._watches.get(tally.setting) for tally in self._tallies]
        total = len(order) * max(1, len(self._orders))
        for start in range(0, len(order), _BATCH):
            tell("replaying", turn * len(order) + start, total)
            block = order[start : start + _BATCH]
            nears = log.nears(block)
            for cache, watch in zip(caches, watches, strict=True):
                for place, near in zip(block, nears, strict=True):
                    cache.ask(place, near, watch)

    def result(self, *, price: float, latency: float, bounds: Sequence[float]) -> Result:
        """Return the result.

        Args:
            price: Cost of a call.
            latency: Duration of a call in seconds.
            bounds: Allowed shares of wrong answers.
        """
        watch, vetoing = self._watches[self._watched], self._watches[self._vetoing]
        return Result(
            self._questions,
            self._embeddings.name,
            self._watched,
            self._vetoing,
            self._orders,
            price,
            latency,
            tuple(bounds),
            len(self._rows),
            self._tallies,
            vetoing.guarding,
            watch.wrong(),
            watch.doubtful(),
            vetoing.veto_pairs(),
            self._interrupted,
        )


class _NoGuards(Guards):
    """No guards: no veto, and no pair is equivalent."""

    def weigh(self, question: str, candidate: str | Traits) -> tuple[Veto | None, bool]:  # noqa: ARG002 - as its base has it
        return None, False


class _CachedGuards(Guards):
    """Guards that cache their verdict on each pair, since all settings ask about the same pairs."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[str, str | Traits], tuple[Veto | None, bool]] = {}

    def weigh(self, question: str, candidate: str | Traits) -> tuple[Veto | None, bool]:
        pair = question, candidate
        if pair not in self._known:
            self._known[pair] = super().weigh(question, candidate)
        return self._known[pair]

    def forget(self) -> None:
        """Clear the cache."""
        self._known.clear()


class _Log:
    """The state of one pass through the questions that all settings share.

    Args:
        questions: The questions.
        entry: The index in ``rows`` of each question.
        rows: The distinct questions.
        vectors: The vectors of ``rows``.
    """

    def __init__(
        self, questions: Questions, entry: Sequence[int], rows: Sequence[Row], vectors: Matrix
    ) -> None:
        self.questions = questions
        self.entry = entry
        self.rows = rows
        self.vectors = vectors
        self.guards = _CachedGuards()
        self.no_guards = _NoGuards([])
        self.number = {row.id: at for at, row in enumerate(rows)}
        self._seen = bytearray(len(rows))
        self._index = self.index()

    def index(self) -> MemoryIndex:
        """Return an empty index."""
        return MemoryIndex(self.vectors.shape[1], max_items=len(self.rows))

    def nears(self, block: Sequence[int]) -> list[_Near]:
        """Return the neighbours of some questions, and add the questions to the index."""
        self.guards.forget()  # a pair is repeated within its block only
        asked = [self.entry[place] for place in block]
        new = [at for at in dict.fromkeys(asked) if not self._seen[at]]
        if new:
            self._index.add([self.rows[at] for at in new], self.vectors[new])
            for at in new:
                self._seen[at] = True
        scopes = [self.rows[at].scope for at in asked]
        found = self._index.search_many(scopes, self.vectors[asked], _DEPTH, 0.0)
        return [
            _Near(self._index, self.rows[at].scope, self.vectors[at], near)
            for at, near in zip(asked, found, strict=True)
        ]

    def same(self, place: int, other: int) -> bool:
        """Return whether two questions have the same answer; True if that is unknown."""
        answers = self.questions.answers
        return not answers or answers[place] == answers[other]


class _Near:
    """The neighbours of one question, nearest first, searched on demand."""

    __slots__ = ("_asked", "_index", "_neighbours", "_scope", "_x")

    def __init__(self, index: MemoryIndex, scope: bytes, x: Vector, found: Near) -> None:
        self._index = index
        self._scope = scope
        self._x = x
        self._neighbours = found
        self._asked = _DEPTH

    def __iter__(self) -> Iterator[tuple[Row, float]]:
        yield from self._neighbours
        seen = {row.id for row, _ in self._neighbours}
        while len(self._neighbours) >= self._asked:
            self._asked *= 8
            self._neighbours = self._index.search(self._scope, self._x, self._asked, 0.0)
            more = [each for each in self._neighbours if each[0].id not in seen]
            seen.update(row.id for row, _ in more)
            yield from more


class _Cache:
    """The semantic cache under one setting.

    Args:
        log: The state that all settings share.
        tally: The counts of the setting.
        seed: The random seed of the learner.
    """

    def __init__(self, log: _Log, tally: Tally, seed: int) -> None:
        setting = tally.setting
        self._log = log
        self._tally = tally
        self._held: dict[str, int] = {}  # the question that an entry was stored for, by its id
        least = setting.value
        if setting.policy == "bounded":
            self._rule = Rule(1.0, 1.0, setting.value)
        else:
            self._rule = Rule(least, least if setting.alike is None else setting.alike)
        # A setting that may serve distant neighbours needs its own index of all its entries.
        own = setting.policy == "bounded" or setting.alike is not None
        self._index = log.index() if own else None
        learner = None
        if self._index is not None and setting.policy == "bounded":
            learner = Bounded(seed=seed, vector_of=self._index.vector)
        self._learner = learner
        self._guards = log.guards if setting.guarded else log.no_guards
        # A threshold does not use the learner.
        self._decider = Decider(Bounded if learner is None else lambda: learner, self._guards)

    def ask(self, place: int, near: _Near, watch: Watch | None) -> None:
        """Look up a question, and store it on a miss."""
        log, tally, learner = self._log, self._tally, self._learner
        at = log.entry[place]
        row, x = log.rows[at], log.vectors[at]
        tally.requests += 1
        held = self._held.get(row.id)
        if held is not None:
            tally.exact += 1
            tally.exact_wrong += self._hit(place, held)
            if learner is not None:
                learner.exact(tally.setting.value)
            return
        found = self._neighbours(row, x, near)
        lookup = Lookup(Question(row.text or "", row.scope, row.id), self._rule, 0, x, found)
        self._decider.decide(lookup)
        if watch is not None:
            self._note_pairs(watch, place, lookup)
        if lookup.row is not None:
            self._hit(place, self._held[lookup.row.id])
        else:
            self._record_miss(place, lookup, row)

    def _neighbours(self, row: Row, x: Vector, near: _Near) -> Near:
        """Return the stored neighbours of a question that may be served."""
        if self._index is not None:
            return self._index.search(row.scope, x, NEIGHBOURS, 0.0)
        close = takewhile(lambda each: each[1] >= self._rule.threshold, near)
        return list(islice((each for each in close if each[0].id in self._held), NEIGHBOURS))

    def _hit(self, place: int, held: int) -> bool:
        """Count a hit; return whether the answer was wrong."""
        wrong = not self._log.same(place, held)
        self._tally.hits += 1
        self._tally.wrong += wrong
        return wrong

    def _record_miss(self, place: int, lookup: Lookup, row: Row) -> None:
        """Learn from a miss and store the question, as the cache does once it has the answer."""
        log, learner, decision = self._log, self._learner, lookup.decision
        same: list[str] = []
        if learner is not None and decision is not None:
            same = [row.id for row, _ in lookup.near if log.same(place, self._held[row.id])]
            learner.learn(decision, same)
            if learner.redundant(decision, same):
                return
        self._held[row.id] = place
        if self._index is not None:
            self._index.add([row], lookup.x[None])
        if learner is not None:
            learner.add(row.id, lookup.x, log.questions.answers[place], row.scope, same)

    def _note_pairs(self, watch: Watch, place: int, lookup: Lookup) -> None:
        """Record the vetoed pairs and the served pair of a lookup."""
        vetoes = []
        for row, similarity in lookup.near:
            if row is lookup.row or similarity < self._rule.threshold:
                break
            veto, _ = self._guards.weigh(lookup.asked.text, row.text or "")
            if veto is not None:
                vetoes.append((self._held[row.id], similarity, veto))
        served = None if lookup.row is None else self._held[lookup.row.id]
        watch.note(place, vetoes, served, lookup.similarity)
