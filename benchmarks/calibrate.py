"""Calibrates the threshold of an embedder: how many wrong and right answers it would serve.

    python benchmarks/calibrate.py wordllama
    python benchmarks/calibrate.py chroma --requests 5000

Printed by threshold, without and with the guards:

- *Traps* and *true*: the shares of pairs that would be served, of those whose answers differ and of
  those whose answer is the same (``tests/semantic/pairs_seen.jsonl``, or ``--pairs``).
- *Hit* and *wrong*: the shares of all requests that are served, and served the answer to another
  intent, when banking77 is streamed through an empty cache in the policy of the threshold: the
  nearest stored question that no guard forbids answers, and what is not served is stored. Mean of
  ``--orders`` random orders. Its intents are narrow and its labels noisy, so read *wrong* as a
  comparison between rows.

The shipped numbers in ``toolops_plugins/semantic/embedding/embedders.py`` are from here.
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
NEAREST = 64  # earlier questions that are looked at
WEIGHED = 16  # stored ones of them that the policy gets


def main() -> None:
    """Print the tables that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("embedder", choices=["wordllama", "chroma"])
    parser.add_argument("--pairs", type=Path, default=PAIRS, metavar="FILE")
    parser.add_argument("--stream", type=Path, default=DATA / "banking77.jsonl", metavar="FILE")
    parser.add_argument("--requests", type=int, default=9_000, help="of the stream, per order")
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--low", type=float, default=0.60, help="the lowest threshold")
    parser.add_argument("--high", type=float, default=0.98, help="the highest threshold")
    parser.add_argument("--step", type=float, default=0.02)
    chosen = parser.parse_args()
    embedder = embedder_of(chosen.embedder)
    thresholds = np.arange(chosen.low, chosen.high + 1e-9, chosen.step)
    guards = Guards()
    passes = remembering(lambda one, other: guards.veto(one, other) is None)

    pairs = [json.loads(line) for line in chosen.pairs.read_text("utf-8").splitlines()]
    sides = [embedder.embed([pair[side] for pair in pairs]) for side in ("question", "candidate")]
    similar = np.einsum("ij,ij->i", *sides)
    same = np.array([pair["same"] for pair in pairs])
    passed = np.array([passes(pair["question"], pair["candidate"]) for pair in pairs])
    rows = {
        at: [
            share(similar[chosen_ones & let] >= at, chosen_ones.sum())
            for let in (np.ones_like(passed), passed)
            for chosen_ones in (~same, same)
        ]
        for at in thresholds
    }
    print(f"{embedder.name}: {(~same).sum()} traps and {same.sum()} true pairs, shares served")
    table(["traps", "true", "traps, guarded", "true, guarded"], rows)

    questions = [json.loads(line) for line in chosen.stream.read_text("utf-8").splitlines()]
    vectors = embedder.embed([each["question"] for each in questions])
    found: dict[float, list[list[float]]] = {at: [] for at in thresholds}
    for seed in range(chosen.orders):
        order = np.random.default_rng(seed).permutation(len(questions))[: chosen.requests]
        texts = [questions[place]["question"] for place in order]
        intents = [questions[place]["intent"] for place in order]
        near = neighbours(vectors[order], thresholds[0])
        for at in thresholds:
            found[at].append(
                [
                    *stream(texts, intents, near, at, lambda *_: True),
                    *stream(texts, intents, near, at, passes),
                ]
            )
    print(
        f"\n{len(texts)} requests of {chosen.stream.stem} in {chosen.orders} orders, shares of all"
    )
    means = {at: list(np.mean(each, axis=0)) for at, each in found.items()}
    table(["hit", "wrong", "hit, guarded", "wrong, guarded"], means)


def share(served: np.ndarray, of: int) -> float:
    """Return the share of those that are served."""
    return float(served.sum()) / of


def remembering(judge: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    """Return a judge that judges each pair once; it is asked again for every threshold."""
    known: dict[tuple[str, str], bool] = {}

    def judged(one: str, other: str) -> bool:
        pair = one, other
        if pair not in known:
            known[pair] = judge(one, other)
        return known[pair]

    return judged


def neighbours(vectors: np.ndarray, least: float) -> list[list[tuple[float, int]]]:
    """Return the nearest earlier texts of each, nearest first."""
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
    for asked, candidates in enumerate(near):
        kept = [place for similar, place in candidates if similar >= threshold and stored[place]]
        served = next((p for p in kept[:WEIGHED] if passes(texts[asked], texts[p])), None)
        if served is None:
            stored[asked] = True
        else:
            hits += 1
            wrong += intents[served] != intents[asked]
    return hits / len(texts), wrong / len(texts)


def table(heads: list[str], rows: dict[float, list[float]]) -> None:
    """Print a table in per cent."""
    print("threshold", *(f"{head:>16}" for head in heads))
    for at, shares in rows.items():
        print(f"{at:9.2f}", *(f"{each:15.1%} " for each in shares))


if __name__ == "__main__":
    main()
