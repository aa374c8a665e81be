"""Timing of contestants that take turns.

The order of the turns is drawn anew for every round, so that other load on the machine affects all
contestants alike. A turn makes as many calls as take a few thousandths of a second, in a loop, in
one task or thread. Its clock is that of the wall, or that of the processor where no contestant
waits for anything outside the process: other load then takes no part. Before the first round each
contestant finds its number of calls; that also warms it up.

- *Best* is the fastest turn: noise only ever adds time (see the documentation of ``timeit``).
- *Median* is the median of all turns.
- *Ratios* are ratios of the best turns. Turns are short and many, so that each contestant has some
  without an interruption.

The garbage collector is on, as in production. It is run by hand before every turn, so that no
contestant pays for the garbage of another, and objects older than the contest are frozen.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

Turn = Callable[[int], float]
"""A function that makes a number of calls and returns the seconds that they took together."""

Clock = Callable[[], float]

CALLS_MOST = 1_000_000


@dataclass(frozen=True)
class Effort:
    """Shares of the full number of rounds, and of the full number of calls.

    Args:
        rounds_share: The share of rounds.
        calls_share: The share of calls in a round, and of seconds.
        details: Measure also what the overview does not show.
    """

    rounds_share: float = 1.0
    calls_share: float = 1.0
    details: bool = True

    def rounds(self, full: int) -> int:
        return max(3, round(full * self.rounds_share))

    def calls(self, full: int) -> int:
        return max(1, round(full * self.calls_share))

    def seconds(self, full: float) -> float:
        return full * self.calls_share


FULL = Effort()
QUICK = Effort(rounds_share=0.5, details=False)
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

    def ratio(self, name: str, other: str) -> float:
        """Return the ratio of the best turns of two contestants."""
        return self.best(name) / self.best(other)

    def overhead(self, name: str, over: str) -> float:
        """Return the seconds by which the best turn is longer than that of another contestant."""
        return self.best(name) - self.best(over)


def race(turns: Mapping[str, Turn], rounds: int, seconds: float) -> Laps:
    """Time ``rounds`` turns of about ``seconds`` for every contestant."""
    calls = {name: _calls_in(turn, seconds) for name, turn in turns.items()}
    laps: dict[str, list[float]] = {name: [] for name in turns}
    order = list(turns)
    draw = random.Random(1)
    with freeze_heap():
        for _ in range(rounds):
            draw.shuffle(order)
            for name in order:
                gc.collect()
                laps[name].append(turns[name](calls[name]) / calls[name])
    return Laps(laps)


@contextmanager
def freeze_heap() -> Iterator[None]:
    """Hide the objects that exist already from the garbage collector."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _calls_in(turn: Turn, seconds: float) -> int:
    calls = 1
    while True:
        # A single interrupted sample would make the turns too short.
        elapsed = min(turn(calls) for _ in range(3))
        if elapsed >= seconds / 4 or calls >= CALLS_MOST:
            return max(1, min(CALLS_MOST, round(calls * seconds / max(elapsed, 1e-9))))
        calls *= 4


def turn_of(
    call: Callable[[Any], Any], arguments: Iterator[Any], clock: Clock = perf_counter
) -> Turn:
    """Return a turn that calls a plain function of one argument."""

    def turn(calls: int) -> float:
        start = clock()
        for _ in range(calls):
            call(next(arguments))
        return clock() - start

    return turn


def aturn_of(
    call: Callable[[Any], Awaitable[Any]],
    arguments: Iterator[Any],
    runner: asyncio.Runner,
    clock: Clock = perf_counter,
) -> Turn:
    """Return a turn that awaits a coroutine function of one argument on the runner's loop."""

    async def turn(calls: int) -> float:
        start = clock()
        for _ in range(calls):
            await call(next(arguments))
        return clock() - start

    return lambda calls: runner.run(turn(calls))
