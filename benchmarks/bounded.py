"""The bounded policy on real questions: its shares of hits and of wrong answers.

Each stream starts with an empty cache. The answer to a missed question is learned from and stored.
The neighbours are the exact 16 nearest stored questions, and the guards are asked about each, so
that the policy alone is measured; the index and the flow have benchmarks of their own.

Hits are shares of all requests. Wrong answers are multiples of the bound: in the whole run; at the
worst request from the 100th to the 2,000th ("early", promised: 1.5), at the worst one from the
2,000th on ("late", promised: 1), and in the worst window of 2,000 requests ("window", promised
after answers change: 3). "of hits" is the largest share of wrong answers among the hits of the
first 1,000 requests. The last column is the best fixed threshold for the same share of wrong
answers on the same stream, chosen with hindsight.

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
from toolops_plugins.semantic.guards import Guards
from toolops_plugins.semantic.lookup import as_neighbour

ROOT = Path(__file__).resolve().parents[1]
NEIGHBOURS = 16
SCOPE = bytes(16)
FIRST, EARLY, WINDOW, STEP = 100, 2_000, 2_000, 25
CHANGED = 1_000
"""Added to the number of an answer that changes."""


@dataclass(frozen=True)
class Questions:
    """Vectors of questions, the true answer of each as a number, and their texts."""

    vectors: np.ndarray
    answers: np.ndarray
    texts: list[str]

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
    return Questions(vectors.astype(np.float32), answers, [row["question"] for row in rows])


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

    def vector(self, id_: str) -> np.ndarray:
        return self.questions.vectors[int(id_)]


def simulate_bounded(questions: Questions, stream: Stream, bound: float, seed: int) -> np.ndarray:
    """Return two flags for each request: served, and served wrongly."""
    entries = Entries(questions, len(stream.order))
    guards = Guards()
    told: dict[str, int] = {}
    learner = Bounded(seed=seed, vector_of=entries.vector)
    outcome = np.zeros((len(stream.order), 2), bool)
    known: set[int] = set()
    requests = zip(stream.order.tolist(), stream.truth.tolist(), stream.told.tolist(), strict=True)
    for at, (place, truth, answer) in enumerate(requests):
        if place in known:
            learner.exact(bound)
            outcome[at] = True, False
            continue
        x, text = questions.vectors[place], questions.texts[place]
        near = [
            as_neighbour(guards, text, questions.texts[int(each.id)], each.id, each.similarity)
            for each in entries.near(x)
        ]
        decision = learner.decide(x, near, max_error=bound, scope=SCOPE)
        if decision.serve:
            outcome[at] = True, told[decision.id] != truth
            continue
        same_answer = {each.id for each in near if told[each.id] == answer}
        learner.learn(decision, same_answer)
        if not learner.redundant(decision, same_answer):
            entries.add(place)
            known.add(place)
            told[str(place)] = answer
            learner.add(str(place), x, answer.to_bytes(16, "big"), SCOPE, same_answer)
    return outcome


def simulate_threshold(questions: Questions, stream: Stream, threshold: float) -> np.ndarray:
    """Return the same flags for the policy of a fixed threshold."""
    entries = Entries(questions, len(stream.order))
    policy = Threshold(threshold)
    told: dict[str, int] = {}
    outcome = np.zeros((len(stream.order), 2), bool)
    requests = zip(stream.order.tolist(), stream.truth.tolist(), stream.told.tolist(), strict=True)
    for at, (place, truth, answer) in enumerate(requests):
        if str(place) in told:
            outcome[at] = True, False
            continue
        decision = policy.decide(entries.near(questions.vectors[place], 1))
        if decision.serve:
            outcome[at] = True, told[decision.id] != truth
        else:
            entries.add(place)
            told[str(place)] = answer
    return outcome


def find_best_threshold(questions: Questions, stream: Stream, bound: float) -> np.ndarray:
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


@dataclass(frozen=True)
class Result:
    """The outcome of one run; wrong answers are multiples of the bound."""

    hits: float
    wrong: float
    early: float
    late: float
    window: float
    wrong_of_hits: float

    def breaks(self) -> bool:
        return self.early > 1.5 or self.late > 1 or self.window > 3


def result_of(outcome: np.ndarray, bound: float) -> Result:
    hits, wrong = outcome.T
    sums = np.concatenate(([0], np.cumsum(wrong)))
    shares = sums[1:] / np.arange(1, len(wrong) + 1) / bound
    starts = np.arange(0, max(len(wrong) - WINDOW, 0) + 1, STEP)
    windows = sums[np.minimum(starts + WINDOW, len(wrong))] - sums[starts]
    return Result(
        hits=float(hits.mean()),
        wrong=float(shares[-1]),
        early=float(shares[FIRST - 1 : EARLY - 1].max()),
        late=float(shares[EARLY - 1 :].max(initial=0)),
        window=float(windows.max()) / WINDOW / bound,
        wrong_of_hits=float(wrong[:1_000].sum()) / max(int(hits[:1_000].sum()), 1),
    )


@dataclass(frozen=True)
class Stream:
    """Requests: the number of each question, its true answer, and what its call returns."""

    order: np.ndarray
    truth: np.ndarray
    told: np.ndarray


def stream_of(questions: Questions, order: np.ndarray) -> Stream:
    answers = questions.answers[order]
    return Stream(order, answers, answers)


def once(questions: Questions, rng: np.random.Generator, count: int) -> Stream:
    return stream_of(questions, rng.permutation(len(questions))[:count])


def zipf(questions: Questions, rng: np.random.Generator, count: int) -> Stream:
    order = rng.permutation(len(questions))
    weight = 1 / np.arange(1, len(order) + 1)
    return stream_of(questions, order[rng.choice(len(order), count, p=weight / weight.sum())])


def new_topics(questions: Questions, rng: np.random.Generator, count: int) -> Stream:
    """Half of all intents come first, and then only the others."""
    order = rng.permutation(len(questions))
    first = np.isin(questions.answers, rng.permutation(questions.answers.max() + 1)[:38])[order]
    return stream_of(
        questions, np.concatenate((order[first][: count // 2], order[~first][: count - count // 2]))
    )


def drifting_topics(questions: Questions, rng: np.random.Generator, count: int) -> Stream:
    """30 of 77 intents come mostly at first, the others mostly later."""
    order = rng.permutation(len(questions))
    late = (questions.answers[order] >= 30) + 1.2 * rng.random(len(order))
    return stream_of(questions, order[np.argsort(late, kind="stable")][:count])


def changed_answers(questions: Questions, rng: np.random.Generator, count: int) -> Stream:
    """30 % of all intents have another answer from the middle on."""
    order = rng.permutation(len(questions))[:count]
    changed = np.isin(questions.answers[order], rng.permutation(questions.answers.max() + 1)[:23])
    late = np.arange(count) >= count // 2
    answers = questions.answers[order] + CHANGED * (changed & late)
    return Stream(order, answers, answers)


def noisy_answers(questions: Questions, rng: np.random.Generator, count: int) -> Stream:
    """5 % of all calls return the answer of a random intent."""
    order = rng.permutation(len(questions))[:count]
    truth = questions.answers[order]
    noise = rng.random(count) < 0.05
    told = np.where(noise, rng.integers(0, truth.max() + 1, count), truth)
    return Stream(order, truth, told)


def all_different(questions: Questions, rng: np.random.Generator, count: int) -> Stream:
    order = rng.permutation(len(questions))[:count]
    return Stream(order, order, order)


STREAMS: dict[str, Callable[[Questions, np.random.Generator, int], Stream]] = {
    "each once": once,
    "Zipf-repeated": zipf,
    "new topics": new_topics,
    "drifting topics": drifting_topics,
    "changed answers": changed_answers,
    "noisy answers": noisy_answers,
    "all different": all_different,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=5, help="shuffles of each stream")
    parser.add_argument(
        "--quick", action="store_true", help="2 %% only, 4,000 requests in two orders"
    )
    parser.add_argument("--requests", type=int, default=9_000, help="requests of a stream")
    parser.add_argument("--bounds", default="0.01,0.02,0.05", help="values of max_error")
    parser.add_argument("--streams", default="each once", help="names, or all")
    parser.add_argument("--bare", action="store_true", help="without the threshold in hindsight")
    options = parser.parse_args()
    orders = 2 if options.quick else options.orders
    requests = 4_000 if options.quick else options.requests
    bounds = [0.02] if options.quick else [float(each) for each in options.bounds.split(",")]
    names = list(STREAMS) if options.streams == "all" else options.streams.split(",")
    questions = banking77()
    print(f"{requests:,} requests, {orders} orders; wrong answers in multiples of the bound")
    print(
        f"{'stream':16} {'bound':>6} {'hits':>7} {'lowest':>7} {'wrong':>6} {'highest':>7} "
        f"{'early':>6} {'late':>6} {'window':>6} {'of hits':>7} {'broken':>6}   best threshold"
    )
    for name in names:
        for bound in bounds:
            results, fixed = [], []
            for order in range(orders):
                stream = STREAMS[name](questions, np.random.default_rng(order), requests)
                results.append(result_of(simulate_bounded(questions, stream, bound, order), bound))
                if not options.bare:
                    fixed.append(find_best_threshold(questions, stream, bound)[:, 0].mean())
            hits = [each.hits for each in results]
            wrong = [each.wrong for each in results]
            print(
                f"{name:16} {bound:6.3f} {np.mean(hits):7.1%} {min(hits):7.1%} "
                f"{np.mean(wrong):6.2f} {max(wrong):7.2f} "
                f"{max(each.early for each in results):6.2f} "
                f"{max(each.late for each in results):6.2f} "
                f"{max(each.window for each in results):6.2f} "
                f"{max(each.wrong_of_hits for each in results):7.1%} "
                f"{sum(each.breaks() for each in results):6}   "
                f"{f'{np.mean(fixed):.1%}' if fixed else ''}",
                flush=True,
            )


if __name__ == "__main__":
    main()
