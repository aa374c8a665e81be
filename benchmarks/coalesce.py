"""Coalescing: many callers with the same arguments at the same time.

Measured on an event loop: 10,000 tasks, and 2,000, call a coroutine function with one argument. The
function waits until every task has had its first turn and then returns, so that the time is that of
starting the tasks, joining the flight and handing out the result, by the processor's clock.
Measured in threads, which a quick run leaves out: 64 threads, released together, call a plain
function that sleeps a tenth of a second, which is subtracted from the time on the wall.

The contestants take turns in some rounds, each with another argument; the figure is the best round,
and the first does not count. "Calls" is the largest number of executions in a round, "answered" the
smallest number of callers with a result. A quick run leaves out the two slowest peers.

pyresilience 0.4.1 runs the function for every task: its cache drops the lock of a key at each miss
(``AsyncResultCache.get``). The future that callers of ToolOps 1.0.0 share belongs to the event loop
of one of them, and its plain functions start a loop for each call, so that in threads all callers
but one get an error. Followers of nopanic get the stored object, and run the function again if the
leader is cancelled; ours get copies, and go on.

Not measured: processes, and cancelled callers.
"""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import peers
from report import OURS, Line, Row, Section, at_least, at_most
from timing import Effort, freeze_heap

from toolops_plugins import Cache, ToolOps

TASKS, FEWER_TASKS, THREADS = 10_000, 2_000, 64
WORK = 0.1  # seconds
SLOWEST = ("aiocache", "ToolOps 1.0.0")
LIMITS = dict.fromkeys(("async_lru", "cashews", "nopanic"), 1.0)
"""The most that 10,000 tasks may take, as ratios to the peers'."""

Round = Callable[[str], tuple[float, int, list[Any]]]
"""A function that asks one question and returns the seconds, the executions and all results."""


@dataclass
class Outcome:
    """Figures of all rounds."""

    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)

    def add(self, seconds: float, calls: int, results: list[Any]) -> None:
        self.seconds.append(seconds)
        self.calls.append(calls)
        self.answered.append(sum(result == "answer" for result in results))


def run(effort: Effort) -> list[Section]:
    """Measure tasks, then threads."""
    rounds = effort.rounds(6)
    sections = []
    with asyncio.Runner() as runner:

        def tasks(wrap: Callable[..., Any], callers: int) -> Round:
            return in_tasks(wrap, callers, runner)

        for full, limits in ((TASKS, LIMITS), (FEWER_TASKS, {})):
            callers = max(effort.calls(full), 10)
            title = f"{callers:,} tasks, one key"
            wraps = contestants(effort)
            sections.append(section(title, wraps, callers, rounds, tasks, limits))
    if effort.details:
        title, wraps = f"{THREADS} threads, one key", contestants(effort)
        sections.append(section(title, wraps, THREADS, rounds, in_threads))
    return sections


def contestants(effort: Effort) -> dict[str, Callable[..., Any]]:
    """Return the decorator of each contestant by name."""
    wraps: dict[str, Callable[..., Any]] = {
        OURS: ToolOps("coalesce").tool(cache=Cache(ttl=peers.TTL)),
        **peers.COALESCED,
    }
    if not effort.details:
        for name in SLOWEST:
            del wraps[name]
    return wraps


def section(
    title: str,
    wraps: Mapping[str, Callable[..., Any]],
    callers: int,
    rounds: int,
    start: Callable[[Callable[..., Any], int], Round],
    limits: Mapping[str, float] | None = None,
) -> Section:
    """Measure all contestants; with ``limits``, also for the overview."""
    asks: dict[str, Round] = {}
    absent: dict[str, str] = {}
    for name, wrap in wraps.items():
        try:
            asks[name] = start(wrap, callers)
        except peers.Absent as why:
            absent[name] = str(why)
    outcomes = take_turns(asks, rounds)
    best = {name: min(outcome.seconds) * 1e3 for name, outcome in outcomes.items()}
    others = {name: ms for name, ms in best.items() if name != OURS}
    line = Line(title, best[OURS], others, limits or {}, unit="ms")
    rows = []
    for name in wraps:
        if name in absent:
            rows.append(Row(name, absent=absent[name]))
            continue
        most, fewest = max(outcomes[name].calls), min(outcomes[name].answered)
        goals = []
        if name == OURS:
            goals = [
                *line.goals(),
                at_most(most, 1, " call"),
                at_least(fewest, callers, " answered"),
            ]
        rows.append(Row(name, (best[name], best[name] / callers * 1e3, most, fewest), goals))
    lines = [line] if limits is not None else []
    return Section(title, ("best ms", "us a caller", "calls", "answered"), rows, lines=lines)


def take_turns(asks: Mapping[str, Round], rounds: int) -> dict[str, Outcome]:
    """Let the contestants ask a new question in each round, in an order drawn anew."""
    outcomes = {name: Outcome() for name in asks}
    order = list(asks)
    draw = random.Random(1)
    for number in range(rounds + 1):
        draw.shuffle(order)
        for name in order:
            with freeze_heap():
                figures = asks[name](f"question {number}")
            if number:  # the first round is the warm-up
                outcomes[name].add(*figures)
    return outcomes


def in_tasks(wrap: Callable[..., Any], callers: int, runner: asyncio.Runner) -> Round:
    """Let tasks of one loop ask."""
    calls = 0
    gate: asyncio.Event

    async def body(text: str) -> str:  # noqa: ARG001 - part of the key
        nonlocal calls
        calls += 1
        await gate.wait()
        return "answer"

    call = wrap(body)

    async def ask(argument: str) -> tuple[float, int, list[Any]]:
        nonlocal calls, gate
        calls, gate = 0, asyncio.Event()
        start = time.process_time()
        tasks = [asyncio.create_task(call(argument)) for _ in range(callers)]
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return time.process_time() - start, calls, results

    return lambda argument: runner.run(ask(argument))


def in_threads(wrap: Callable[..., Any], callers: int) -> Round:
    """Let threads ask."""
    lock = threading.Lock()
    calls = 0

    def body(text: str) -> str:  # noqa: ARG001 - part of the key
        nonlocal calls
        with lock:
            calls += 1
        time.sleep(WORK)
        return "answer"

    call = wrap(body)

    def ask(argument: str) -> tuple[float, int, list[Any]]:
        nonlocal calls
        calls = 0
        results: list[Any] = []
        barrier = threading.Barrier(callers + 1)

        def caller() -> None:
            barrier.wait()
            try:
                results.append(call(argument))
            except Exception as error:  # noqa: BLE001 - counted as a caller without an answer
                results.append(error)

        threads = [threading.Thread(target=caller) for _ in range(callers)]
        for thread in threads:
            thread.start()
        gc.collect()
        barrier.wait()
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        return max(time.perf_counter() - start - WORK, 0.0), calls, results

    return ask
