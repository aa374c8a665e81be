"""The bounded policy on real questions: its shares of hits and of wrong answers.

Each stream starts with an empty cache. The true answer of a missed question is learned from and
stored. The neighbours are the exact 16 nearest stored questions, so that the policy alone is
measured; the index and the flow have benchmarks of their own. Hits are shares of all requests.
Wrong answers, and the worst of all windows of 2,000 requests after the first 1,000, are multiples
of the bound. The last column is the best fixed threshold for the same share of wrong answers on the
same stream, chosen with hindsight.

    python benchmarks/bounded.py [--orders 5] [--quick] [--streams all]

Reads `banking77.jsonl` in TOOLOPS_DATA, or in `../shared/data` beside the repository.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wordllama

from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.semantic.decision import Neighbour, Threshold

ROOT = Path(__file__).resolve().parents[1]
NEIGHBOURS = 16
SCOPE = bytes(16)
WINDOW, FIRST, STEP = 2_000, 1_000, 50


@dataclass(frozen=True)
class Questions:
    """Vectors of questions, and the true answer of each as a number."""

    vectors: np.ndarray
    answers: np.ndarray

    def __len__(self) -> int:
        return len(self.answers)


def banking77() -> Questions:
    folder = Path(os.environ.get("TOOLOPS_DATA") or ROOT.parent / "shared" / "data")
    with (folder / "banking77.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    # Without cache_dir its loader does not find the tokenizer in the package.
    package = str(Path(wordllama.__file__).parent)
    model = wordllama.WordLlama.load(cache_dir=package, disable_download=True)
    vectors = model.embed([row["question"] for row in rows], norm=True)
    _, answers = np.unique([row["intent"] for row in rows], return_inverse=True)
    return Questions(vectors.astype(np.float32), answers)


class Entries:
    """Stored questions: the index of each in `Questions`, and its vector."""

    def __init__(self, questions: Questions, size: int) -> None:
        self.questions = questions
        self.vectors = np.empty((size, questions.vectors.shape[1]), np.float32)
        self.places: list[int] = []

    def near(self, x: np.ndarray, k: int = NEIGHBOURS) -> list[Neighbour]:
        count = len(self.places)
        similarities = self.vectors[:count] @ x
        if count > k:
            best = (
                np.argpartition(similarities, count - k)[-k:] if k > 1 else [similarities.argmax()]
            )
        else:
            best = np.arange(count)
        best = sorted(best, key=similarities.__getitem__, reverse=True)
        return [Neighbour(str(self.places[i]), float(similarities[i])) for i in best]

    def add(self, place: int) -> None:
        self.vectors[len(self.places)] = self.questions.vectors[place]
        self.places.append(place)

    def answer(self, id_: str) -> int:
        return int(self.questions.answers[int(id_)])

    def vector(self, id_: str) -> np.ndarray:
        return self.questions.vectors[int(id_)]


def simulate_bounded(
    questions: Questions, stream: np.ndarray, bound: float, seed: int
) -> np.ndarray:
    """Return two flags for each request: served, and served wrongly."""
    entries = Entries(questions, len(stream))
    learner = Bounded(seed=seed, vector_of=entries.vector)
    outcome = np.zeros((len(stream), 2), bool)
    known: set[int] = set()
    for at, place in enumerate(stream.tolist()):
        if place in known:
            learner.exact(bound)
            outcome[at] = True, False
            continue
        x, truth = questions.vectors[place], int(questions.answers[place])
        near = entries.near(x)
        decision = learner.decide(x, near, max_error=bound, scope=SCOPE)
        if decision.serve:
            outcome[at] = True, entries.answer(decision.id) != truth
            continue
        same_answer = {each.id for each in near if entries.answer(each.id) == truth}
        learner.learn(decision, same_answer)
        if not learner.redundant(decision, same_answer):
            entries.add(place)
            known.add(place)
            learner.add(str(place), x, truth.to_bytes(16, "big"), SCOPE, same_answer)
    return outcome


def simulate_threshold(questions: Questions, stream: np.ndarray, threshold: float) -> np.ndarray:
    """Return the same flags for the policy of a fixed threshold."""
    entries = Entries(questions, len(stream))
    policy = Threshold(threshold)
    outcome = np.zeros((len(stream), 2), bool)
    known: set[int] = set()
    for at, place in enumerate(stream.tolist()):
        if place in known:
            outcome[at] = True, False
            continue
        decision = policy.decide(entries.near(questions.vectors[place], 1))
        if decision.serve:
            outcome[at] = True, entries.answer(decision.id) != questions.answers[place]
        else:
            entries.add(place)
            known.add(place)
    return outcome


def find_best_threshold(questions: Questions, stream: np.ndarray, bound: float) -> np.ndarray:
    """Return the flags for the lowest threshold that keeps the bound on this stream."""
    low, high = 0.7, 1.0
    best = simulate_threshold(questions, stream, high)
    for _ in range(6):
        middle = (low + high) / 2
        outcome = simulate_threshold(questions, stream, middle)
        if outcome[:, 1].mean() <= bound:
            best, high = outcome, middle
        else:
            low = middle
    return best


def worst_window(wrong: np.ndarray) -> float:
    """Return the largest share of wrong answers in any window."""
    sums = np.concatenate(([0], np.cumsum(wrong)))
    starts = np.arange(FIRST, max(len(wrong) - WINDOW, FIRST) + 1, STEP)
    ends = np.minimum(starts + WINDOW, len(wrong))
    return float((sums[ends] - sums[starts]).max() / WINDOW)


Streams = Callable[[Questions, np.random.Generator], tuple[Questions, np.ndarray]]


def once(questions: Questions, rng: np.random.Generator) -> tuple[Questions, np.ndarray]:
    return questions, rng.permutation(len(questions))


def zipf(questions: Questions, rng: np.random.Generator) -> tuple[Questions, np.ndarray]:
    order = rng.permutation(len(questions))
    weight = 1 / np.arange(1, len(order) + 1)
    return questions, order[rng.choice(len(order), len(order), p=weight / weight.sum())]


def new_topics(questions: Questions, rng: np.random.Generator) -> tuple[Questions, np.ndarray]:
    order = rng.permutation(len(questions))
    first = np.isin(questions.answers, rng.permutation(questions.answers.max() + 1)[:38])
    return questions, np.concatenate((order[first[order]], order[~first[order]]))


def all_different(questions: Questions, rng: np.random.Generator) -> tuple[Questions, np.ndarray]:
    unlike = Questions(questions.vectors, np.arange(len(questions)))
    return unlike, rng.permutation(len(questions))


STREAMS: dict[str, Streams] = {
    "each once": once,
    "Zipf-repeated": zipf,
    "new topics": new_topics,
    "all different": all_different,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=5, help="shuffles of each stream")
    parser.add_argument(
        "--quick", action="store_true", help="2 %% only, 4,000 requests in two orders"
    )
    parser.add_argument("--bounds", default="0.01,0.02,0.05", help="values of max_error")
    parser.add_argument("--streams", default="each once", help="names, or all")
    parser.add_argument("--bare", action="store_true", help="without the threshold in hindsight")
    options = parser.parse_args()
    orders = 2 if options.quick else options.orders
    bounds = [0.02] if options.quick else [float(each) for each in options.bounds.split(",")]
    names = list(STREAMS) if options.streams == "all" else options.streams.split(",")
    questions = banking77()
    print(f"{len(questions):,} questions, {orders} orders; wrong answers in multiples of the bound")
    print(
        f"{'stream':14} {'bound':>6} {'hits':>7} {'lowest':>7} {'wrong':>6} {'highest':>7} "
        f"{'window':>6}   threshold in hindsight"
    )
    for name in names:
        for bound in bounds:
            results, fixed = [], []
            for order in range(orders):
                asked, stream = STREAMS[name](questions, np.random.default_rng(order))
                stream = stream[: 4_000 if options.quick else None]
                outcome = simulate_bounded(asked, stream, bound, seed=order)
                results.append((*outcome.mean(axis=0), worst_window(outcome[:, 1])))
                if not options.bare:
                    fixed.append(find_best_threshold(asked, stream, bound)[:, 0].mean())
            hits, wrong, window = np.array(results).T
            print(
                f"{name:14} {bound:6.3f} {hits.mean():7.1%} {hits.min():7.1%} "
                f"{wrong.mean() / bound:6.2f} {wrong.max() / bound:7.2f} "
                f"{window.max() / bound:6.2f}   {f'{np.mean(fixed):.1%}' if fixed else ''}",
                flush=True,
            )


if __name__ == "__main__":
    main()
