"""Questions replayed through the parts of the semantic cache, under several settings at once.

The parts are the real ones: embedder, index in memory, guards and what decides. Nothing is written
anywhere. What does not depend on the setting is done once: a question is embedded once, a pair is
shown to the guards once, and all thresholds share one search. That search runs over all questions
that came before, of which each setting sees those that it has stored itself; it goes on until it
has seen enough of them. The default and the bounded policy look at all their neighbours and not
only at near ones, so each has an index of its own.
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
from toolops_plugins.semantic.lookup import NEIGHBOURS, Decider, Lookup, Question, Rule

__all__ = ["Replay", "Tell", "settings_around"]

Tell: TypeAlias = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is."""

_BATCH: Final = 256  # questions that are embedded, or searched for, at once
_DEPTH: Final = 64  # neighbours of a question that are searched for at first


def settings_around(
    thresholds: tuple[float, float] | float, bounds: Sequence[float], *, judged: bool
) -> tuple[Setting, list[Setting]]:
    """Return the setting to look at more closely, and all that are compared with it.

    Seven thresholds with and without guards: three steps of 0.05 down, and three quarters of the
    way up to 1. And each bound, where wrong answers can be known: without that there is nothing to
    learn from.

    Args:
        thresholds: Both thresholds of the default; or the one that was asked for.
        bounds: Shares of wrong answers that are allowed.
        judged: Whether wrong answers can be known.
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
    settings = [watched] if watched.default else []
    settings += [Setting("threshold", value, on) for on in (True, False) for value in values]
    if judged:
        settings += [Setting("bounded", bound) for bound in bounds]
    return watched, settings


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
        self._watched_setting = watched
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
        caches = [_Cache(log, tally, turn) for tally in self._tallies]
        watches = [
            self._watch if tally.setting == self._watched_setting and not turn else None
            for tally in self._tallies
        ]
        total = len(order) * max(1, len(self._orders))
        for start in range(0, len(order), _BATCH):
            tell("replaying", turn * len(order) + start, total)
            block = order[start : start + _BATCH]
            nears = log.nears(block)
            for cache, watch in zip(caches, watches, strict=True):
                for place, near in zip(block, nears, strict=True):
                    cache.ask(place, near, watch)

    def result(self, *, price: float, latency: float, bounds: Sequence[float]) -> Result:
        """Return what was counted.

        Args:
            price: Money that a call costs.
            latency: Seconds that it takes.
            bounds: Shares of wrong answers that are asked about.
        """
        watch = self._watch
        return Result(
            self._questions,
            self._embeddings.name,
            self._watched_setting,
            self._orders,
            price,
            latency,
            tuple(bounds),
            len(self._rows),
            self._tallies,
            watch.guarding,
            watch.wrong(),
            watch.doubtful(),
            watch.veto_pairs(),
            self._interrupted,
        )


class _Silent(Guards):
    """No guards; nor is asked what is alike, since a plain threshold is the same for all."""

    def weigh(self, question: str, candidate: str | Traits) -> tuple[Veto | None, bool]:  # noqa: ARG002 - as its base has it
        return None, False


class _Remembering(Guards):
    """Guards that see each pair once, until they forget; all settings ask about the same ones."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[str, str | Traits], tuple[Veto | None, bool]] = {}

    def weigh(self, question: str, candidate: str | Traits) -> tuple[Veto | None, bool]:
        pair = question, candidate
        if pair not in self._known:
            self._known[pair] = super().weigh(question, candidate)
        return self._known[pair]

    def forget(self) -> None:
        """Forget all pairs."""
        self._known.clear()


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
        self.guards = _Remembering()
        self.silent = _Silent([])
        self.number = {row.id: at for at, row in enumerate(rows)}
        self._seen = bytearray(len(rows))
        self._index = self.index()

    def index(self) -> MemoryIndex:
        """Return an empty index."""
        return MemoryIndex(self.vectors.shape[1], max_items=len(self.rows))

    def nears(self, block: Sequence[int]) -> list[_Near]:
        """Return the neighbours of some questions, which take their place among the seen ones."""
        self.guards.forget()  # a pair is asked for again within its block only
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
        """Return whether two questions want the same answer, as far as that is known."""
        answers = self.questions.answers
        return not answers or answers[place] == answers[other]


class _Near:
    """The neighbours of one question, nearest first, as many as are asked for."""

    __slots__ = ("_asked", "_index", "_neighbours", "_scope", "_x")

    def __init__(self, index: MemoryIndex, scope: bytes, x: Vector, found: Near) -> None:
        self._index = index
        self._scope = scope
        self._x = x
        self._neighbours = found
        self._asked = _DEPTH

    def __iter__(self) -> Iterator[tuple[Row, float]]:
        yield from self._neighbours
        told = {row.id for row, _ in self._neighbours}
        while len(self._neighbours) >= self._asked:
            self._asked *= 8
            self._neighbours = self._index.search(self._scope, self._x, self._asked, 0.0)
            more = [each for each in self._neighbours if each[0].id not in told]
            told.update(row.id for row, _ in more)
            yield from more


class _Cache:
    """What is stored under one setting, and how it answers.

    Args:
        log: What all settings share.
        tally: What is to be counted.
        seed: What chance starts from.
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
        # What can be served from far off needs all its neighbours, so an index of its own.
        own = setting.policy == "bounded" or setting.alike is not None
        self._index = log.index() if own else None
        learner = None
        if self._index is not None and setting.policy == "bounded":
            learner = Bounded(seed=seed, vector_of=self._index.vector)
        self._learner = learner
        self._guards = log.guards if setting.guarded else log.silent
        # A threshold asks no learner.
        self._decider = Decider(Bounded if learner is None else lambda: learner, self._guards)

    def ask(self, place: int, near: _Near, watch: Watch | None) -> None:
        """Ask a question, and store it if there is no answer to it."""
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
        """Return the stored neighbours of a question, as far as one of them might be served."""
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
        """Learn from a miss and store it, as the cache does once there is an answer."""
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
        """Let it be noted what was vetoed, and what was served after all."""
        vetoes = []
        for row, similarity in lookup.near:
            if row is lookup.row or similarity < self._rule.threshold:
                break
            veto, _ = self._guards.weigh(lookup.asked.text, row.text or "")
            if veto is not None:
                vetoes.append((self._held[row.id], similarity, veto))
        served = None if lookup.row is None else self._held[lookup.row.id]
        watch.note(place, vetoes, served, lookup.similarity)
