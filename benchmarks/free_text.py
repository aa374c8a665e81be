"""The bound on wrong answers where a model never answers twice in the same words.

    .venv/bin/python benchmarks/free_text.py --orders 3 --bounds 0.01 0.02

Streams the questions of 36 intents of banking77 through a `SemanticCache`, from an empty one. Each
miss is answered by sentences that are drawn at random from wordings written by hand
(`free_text_answers.json`). The last rows are for answers that are the intent's name, which are
compared by equality: as well as can be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from toolops_plugins import SemanticCache

HERE = Path(__file__).parent


def rows(intents: dict[str, Any]) -> list[dict[str, str]]:
    """Return the questions of the intents."""
    folder = Path(os.environ.get("TOOLOPS_DATA") or HERE.parents[1] / "shared" / "data")
    with (folder / "banking77.jsonl").open(encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["intent"] in intents]


def make_answer(wordings: dict[str, Any], intent: str, chance: random.Random) -> str:
    """Return an answer in words that hardly ever repeat."""
    sentences = [chance.choice(slot) for slot in wordings["answers"][intent]]
    before, after = chance.choice(wordings["before"]), chance.choice(wordings["after"])
    return f"{before}{' '.join(sentences)}{after}"


async def stream(
    wordings: dict[str, Any], bound: float, order: int, *, free: bool
) -> tuple[float, float, float]:
    """Return the shares of hits and of wrong answers, and ms a request."""
    chance = random.Random(order)
    questions = rows(wordings["answers"])
    chance.shuffle(questions)
    intents: dict[str, str] = {}  # by answer
    hits = wrong = 0
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        cache = SemanticCache(folder, max_error=bound)
        for row in questions:
            question, intent = row["question"], row["intent"]
            match = await cache.afind(question)
            if match is not None:
                hits += 1
                wrong += intents[match.value] != intent
                continue
            answer = make_answer(wordings, intent, chance) if free else intent
            intents[answer] = intent
            await cache.aput(question, answer)
        await cache.aclose()
    seconds = time.perf_counter() - start
    count = len(questions)
    return hits / count, wrong / count, seconds / count * 1_000


def main() -> None:
    """Run the streams that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--bounds", type=float, nargs="+", default=[0.01, 0.02])
    options = parser.parse_args()
    wordings = json.loads((HERE / "free_text_answers.json").read_text("utf-8"))
    print("answers    bound  order   hits    wrong  ms a request")
    for free in (True, False):
        for bound in options.bounds:
            for order in range(1, options.orders + 1):
                hits, wrong, cost = asyncio.run(stream(wordings, bound, order, free=free))
                name = "free text" if free else "intent"
                print(
                    f"{name:9}  {bound:5}  {order:5}  {hits:5.1%}  {wrong:6.2%}  {cost:12.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
