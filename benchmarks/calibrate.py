"""Calibrate the threshold of an embedder by its wrong and right answers.

    python benchmarks/calibrate.py wordllama
    python benchmarks/calibrate.py chroma --requests 5000

Printed by threshold, without and with the guards:

- *Traps* and *true*: the shares of served pairs among those with different answers and among those
  with the same answer (``tests/semantic/pairs_seen.jsonl``, or ``--pairs``).
- *Hit* and *wrong*: the shares of all requests that are served, and served the answer to another
  intent, when banking77 is streamed through an empty cache with the policy of a threshold: the
  nearest stored question that passes the guards answers, and a missed question is stored. Mean of
  ``--orders`` random orders. Its intents are narrow and its labels noisy, so *wrong* only serves to
  compare rows.

The numbers in ``toolops_plugins/semantic/embedding/embedders.py`` come from here.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toolops_plugins.semantic.embedding.embedders import embedder_of
from toolops_plugins.semantic.guards import Guards

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("TOOLOPS_DATA") or ROOT.parent / "shared" / "data")
PAIRS = ROOT / "tests" / "semantic" / "pairs_seen.jsonl"
NEAREST = 64  # earlier questions that are considered
WEIGHED = 16  # stored ones among them that the policy gets


def main() -> None:
    """Print the tables that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("embedder", choices=["wordllama", "chroma"])
    parser.add_argument("--pairs", type=Path, default=PAIRS, metavar="FILE")
    parser.add_argument("--stream", type=Path, default=DATA / "banking77.jsonl", metavar="FILE")
    parser.add_argument("--requests", type=int, default=9_000, help="of the stream, per order")
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--low", type=float, default=0.60, help="the lowest threshold")
    parser.add_argument("--high", type=float, default=0.98, help="the highest threshold")
    parser.add_argument("--step", type=float, default=0.02)
    options = parser.parse_args()
    embedder = embedder_of(options.embedder)
    thresholds = np.arange(options.low, options.high + 1e-9, options.step)
    guards = Guards()
    passes = memoize(lambda one, other: guards.veto(one, other) is None)

    pairs = [json.loads(line) for line in options.pairs.read_text("utf-8").splitlines()]
    sides = [embedder.embed([pair[side] for pair in pairs]) for side in ("question", "candidate")]
    similar = np.einsum("ij,ij->i", *sides)
    same = np.array([pair["same"] for pair in pairs])
    allowed = np.array([passes(pair["question"], pair["candidate"]) for pair in pairs])
    rows = {
        at: [
            share(similar[chosen_ones & let] >= at, chosen_ones.sum())
            for let in (np.ones_like(allowed), allowed)
            for chosen_ones in (~same, same)
        ]
        for at in thresholds
    }
    print(f"{embedder.name}: {(~same).sum()} traps and {same.sum()} true pairs, shares served")
    table(["traps", "true", "traps, guarded", "true, guarded"], rows)

    questions = [json.loads(line) for line in options.stream.read_text("utf-8").splitlines()]
    vectors = embedder.embed([each["question"] for each in questions])
    shares_by_threshold: dict[float, list[list[float]]] = {at: [] for at in thresholds}
    for seed in range(options.orders):
        order = np.random.default_rng(seed).permutation(len(questions))[: options.requests]
        texts = [questions[place]["question"] for place in order]
        intents = [questions[place]["intent"] for place in order]
        near = neighbours(vectors[order], thresholds[0])
        for at in thresholds:
            shares_by_threshold[at].append(
                [
                    *stream(texts, intents, near, at, lambda *_: True),
                    *stream(texts, intents, near, at, passes),
                ]
            )
    print(
        f"\n{len(texts)} requests of {options.stream.stem}, {options.orders} orders, shares of all"
    )
    means = {at: list(np.mean(each, axis=0)) for at, each in shares_by_threshold.items()}
    table(["hit", "wrong", "hit, guarded", "wrong, guarded"], means)


def share(served: np.ndarray, of: int) -> float:
    """Return the number of served pairs divided by ``of``."""
    return float(served.sum()) / of


def memoize(judge: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    """Return a judge that judges each pair once, since every threshold repeats the pairs."""
    known: dict[tuple[str, str], bool] = {}

    def judge_once(one: str, other: str) -> bool:
        pair = one, other
        if pair not in known:
            known[pair] = judge(one, other)
        return known[pair]

    return judge_once


def neighbours(vectors: np.ndarray, least: float) -> list[list[tuple[float, int]]]:
    """Return the nearest earlier texts of each text, nearest first."""
    near: list[list[tuple[float, int]]] = []
    for start in range(0, len(vectors), 500):
        block = vectors[start : start + 500] @ vectors[: start + 500].T
        for offset, similar in enumerate(block):
            earlier = similar[: start + offset]
            places = np.flatnonzero(earlier >= least)
            places = places[np.argsort(-earlier[places], kind="stable")][:NEAREST]
            near.append([(float(earlier[place]), int(place)) for place in places])
    return near


def stream(
    texts: list[str],
    intents: list[Any],
    near: list[list[tuple[float, int]]],
    threshold: float,
    passes: Callable[[str, str], bool],
) -> tuple[float, float]:
    """Return the shares of hits and of wrong answers."""
    stored = [False] * len(texts)
    hits = wrong = 0
    for number, candidates in enumerate(near):
        usable = [place for similar, place in candidates if similar >= threshold and stored[place]]
        place_served = next((p for p in usable[:WEIGHED] if passes(texts[number], texts[p])), None)
        if place_served is None:
            stored[number] = True
        else:
            hits += 1
            wrong += intents[place_served] != intents[number]
    return hits / len(texts), wrong / len(texts)


def table(heads: list[str], rows: dict[float, list[float]]) -> None:
    """Print a table in per cent."""
    print("threshold", *(f"{head:>16}" for head in heads))
    for at, shares in rows.items():
        print(f"{at:9.2f}", *(f"{each:15.1%} " for each in shares))


if __name__ == "__main__":
    main()
