"""How a contest is timed.

Contestants take turns, in an order that is drawn anew for every round, so that whatever else the
machine does falls on all of them alike. A turn is as many calls as take a few hundredths of a
second, made in a loop by one task or thread, on the wall clock. Before the first round each
contestant makes its calls until their number is found: that is its warm-up too.

- *Best* is the quickest turn: noise only ever adds time (see the documentation of ``timeit``).
- *Median* is the median of all turns.
- *Ratios* are the medians of the ratios within each round, in which both stood in the same noise.

The collector is on, as it is where the code is used; before every turn it is run by hand, so that
nobody pays for another's garbage, and what was there before the contest is frozen out of its sight.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

Turn = Callable[[int], float]
"""Makes that many calls and returns the seconds that they took together."""

CALLS_MOST = 1_000_000


@dataclass(frozen=True)
class Effort:
    """How much is done: shares of the rounds of a contest, and of the calls that are counted."""

    rounds_share: float = 1.0
    calls_share: float = 1.0

    def rounds(self, full: int) -> int:
        return max(3, round(full * self.rounds_share))

    def calls(self, full: int) -> int:
        return max(1, round(full * self.calls_share))

    def seconds(self, full: float) -> float:
        return full * self.calls_share


FULL = Effort()
QUICK = Effort(rounds_share=0.25)
TINY = Effort(rounds_share=0.0, calls_share=0.01)


class Laps:
    """Seconds per call of every contestant, round by round."""

    def __init__(self, laps: Mapping[str, Sequence[float]]) -> None:
        self.laps = laps

    def __contains__(self, name: str) -> bool:
        return name in self.laps

    def best(self, name: str) -> float:
        return min(self.laps[name])

    def median(self, name: str) -> float:
        return median(self.laps[name])

    def ratio(self, name: str, other: str, less: str | None = None) -> float:
        """Return how many times as long as the other it took, each less what a third took."""
        floor = self.laps[less] if less else [0.0] * len(self.laps[name])
        rounds = zip(self.laps[name], self.laps[other], floor, strict=True)
        return median((mine - bare) / max(its - bare, 1e-12) for mine, its, bare in rounds)

    def added(self, name: str, to: str) -> float:
        """Return the seconds by which the best turn is longer than the best of another."""
        return self.best(name) - self.best(to)


def race(turns: Mapping[str, Turn], rounds: int, seconds: float) -> Laps:
    """Let every contestant make ``rounds`` turns of about ``seconds``."""
    calls = {name: _calls_in(turn, seconds) for name, turn in turns.items()}
    laps: dict[str, list[float]] = {name: [] for name in turns}
    order = list(turns)
    draw = random.Random(1)
    gc.collect()
    gc.freeze()
    try:
        for _ in range(rounds):
            draw.shuffle(order)
            for name in order:
                gc.collect()
                laps[name].append(turns[name](calls[name]) / calls[name])
    finally:
        gc.unfreeze()
    return Laps(laps)


def _calls_in(turn: Turn, seconds: float) -> int:
    calls = 1
    while True:
        # One sample may be an interruption; then the turns would be a few calls, all of them cold.
        took = min(turn(calls) for _ in range(3))
        if took >= seconds / 4 or calls >= CALLS_MOST:
            return max(1, min(CALLS_MOST, round(calls * seconds / max(took, 1e-9))))
        calls *= 4


def turn_of(call: Callable[[Any], Any], arguments: Iterator[Any]) -> Turn:
    """Return the turns of a plain function of one argument."""

    def turn(calls: int) -> float:
        began = perf_counter()
        for _ in range(calls):
            call(next(arguments))
        return perf_counter() - began

    return turn


def aturn_of(
    call: Callable[[Any], Awaitable[Any]], arguments: Iterator[Any], runner: asyncio.Runner
) -> Turn:
    """Return the turns of a coroutine function of one argument; all of a runner share its loop."""

    async def turn(calls: int) -> float:
        began = perf_counter()
        for _ in range(calls):
            await call(next(arguments))
        return perf_counter() - began

    return lambda calls: runner.run(turn(calls))
