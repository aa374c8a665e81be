"""The pairs of questions that the report of a semantic replay shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolops_plugins.audit.semantic_questions import Questions
from toolops_plugins.audit.semantic_result import Guarding, Pair
from toolops_plugins.semantic.guards import Veto

__all__ = ["Watch"]


class Watch:
    """A recorder of the served and vetoed pairs under one setting. Not thread-safe.

    Args:
        questions: The questions.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._served: list[tuple[float, int, int]] = []
        self._wrong: list[tuple[float, int, int]] = []
        self._vetoed: list[tuple[float, int, int, Veto]] = []
        self.guarding: dict[str, Guarding] = {}

    def note(
        self,
        place: int,
        vetoes: Sequence[tuple[int, float, Veto]],
        matched: int | None,
        similarity: float,
    ) -> None:
        """Record the lookup of a question.

        Args:
            place: The index of the question in the log.
            vetoes: Index, similarity and veto of each vetoed question, nearest first.
            matched: The index of the question whose answer was served, or None.
            similarity: The similarity of that question.
        """
        answers = self._questions.answers
        for other, _, veto in vetoes:
            guarding = self.guarding.setdefault(veto.guard, Guarding())
            guarding.vetoes += 1
            guarding.right += bool(answers) and answers[place] != answers[other]
        if matched is not None:
            self._served.append((similarity, place, matched))
            if answers and answers[place] != answers[matched]:
                self._wrong.append((similarity, place, matched))
        elif vetoes:
            other, near, veto = vetoes[0]
            self._vetoed.append((near, place, other, veto))

    def wrong(self) -> list[Pair]:
        """Return the wrong hits, the most similar first; each stored question once."""
        ordered = sorted(self._wrong, key=lambda each: (-each[0], each[1]))
        return [self._pair(*each) for each in _once(ordered)]

    def doubtful(self) -> list[Pair]:
        """Return the hits, the least similar first; each stored question once."""
        return [self._pair(*each) for each in _once(sorted(self._served))]

    def veto_pairs(self) -> list[Pair]:
        """Return the vetoed pairs, the most similar first, alternating between guards."""
        by_guard: dict[str, list[Pair]] = {}
        for near, place, other, veto in sorted(self._vetoed, key=lambda each: (-each[0], each[1])):
            pair = self._pair(near, place, other)._replace(guard=veto.guard, reason=veto.reason)
            by_guard.setdefault(veto.guard, []).append(pair)
        turns = [(turn, pair) for pairs in by_guard.values() for turn, pair in enumerate(pairs)]
        return [pair for _, pair in sorted(turns, key=lambda each: (each[0], -each[1].similarity))]

    def _pair(self, similarity: float, place: int, other: int) -> Pair:
        log = self._questions
        truths = (log.truth(place), log.truth(other)) if log.answers else (None, None)
        return Pair(
            log.lines[place], log.texts[place], truths[0],
            log.lines[other], log.texts[other], truths[1],
            similarity,
        )  # fmt: skip


def _once(pairs: Sequence[tuple[float, int, int]]) -> Iterator[tuple[float, int, int]]:
    """Yield the first pair of each stored question."""
    seen: set[int] = set()
    for pair in pairs:
        if pair[2] not in seen:
            seen.add(pair[2])
            yield pair
