"""The bound on wrong answers, through a runtime, its flow and an index on Chroma.

    .venv/bin/python benchmarks/bounded_flow.py --orders 5 --bounds 0.01 0.02 0.05

Streams all of banking77 in shuffled orders through a decorated function, from an empty cache, and
prints the share of hits, that of wrong answers, and the worst window of 2,000 requests after the
first 1,000. `bounded.py` simulates the policy alone, with more streams, in less time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from toolops_plugins import Semantic, SemanticCache, ToolOps

WINDOW, FIRST = 2_000, 1_000


def rows() -> list[dict[str, str]]:
    """Return the questions."""
    default = Path(__file__).parents[1].parent / "shared" / "data"
    file = Path(os.environ.get("TOOLOPS_DATA") or default) / "banking77.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def stream(questions: list[dict[str, str]], bound: float) -> tuple[float, float, float, float]:
    """Return the shares of hits and of wrong answers, the worst window, and ms a request."""
    current: dict[str, Any] = {}
    hits = wrong = worst = 0
    window: deque[bool] = deque(maxlen=WINDOW)
    with (
        tempfile.TemporaryDirectory() as folder,
        ToolOps("bounded-flow", semantic=SemanticCache(folder)) as ops,
    ):

        @ops.readonly(ttl=None, retry=None, semantic=Semantic(on="question", max_error=bound))
        def ask(question: str) -> str:  # noqa: ARG001 - the key; the answer is in `current`
            current["called"] = True
            return current["truth"]

        start = time.perf_counter()
        for number, row in enumerate(questions):
            current.update(called=False, truth=row["intent"])
            is_wrong = ask(row["question"]) != row["intent"]
            hits += not current["called"]
            wrong += is_wrong
            if number >= FIRST:
                window.append(is_wrong)
                if len(window) == WINDOW and number % 100 == 0:
                    worst = max(worst, sum(window))
        seconds = time.perf_counter() - start
    count = len(questions)
    return hits / count, wrong / count, worst / WINDOW, seconds / count * 1_000


def main() -> None:
    """Run the streams that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--bounds", type=float, nargs="+", default=[0.01, 0.02, 0.05])
    options = parser.parse_args()
    print("bound  order   hits    wrong  of the bound  worst window  ms a request")
    for bound in options.bounds:
        for order in range(1, options.orders + 1):
            questions = rows()
            random.Random(order).shuffle(questions)
            hits, wrong, worst, cost = stream(questions, bound)
            print(
                f"{bound:5}  {order:5}  {hits:5.1%}  {wrong:6.2%}  {wrong / bound:12.2f}"
                f"  {worst / bound:12.2f}  {cost:12.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
