"""Coalescing: many callers with the same arguments at the same time.

Measured on an event loop: 10,000 tasks call a coroutine function with one argument. The function
waits until every task has had its first turn and then returns, so that the time is that of starting
the tasks, joining the flight and handing out the result. Measured in threads: 64 threads, released
together, call a plain function that sleeps a tenth of a second, which is subtracted. The best of
some repetitions, each with another argument. "Calls" is the largest number of executions in a
repetition, "answered" the smallest number of callers with a result.

pyresilience 0.4.1 runs the function for every task: its cache drops the lock of a key at each miss
(``AsyncResultCache.get``). The future that callers of ToolOps 1.0.0 share belongs to the event loop
of one of them, and its plain functions start a loop for each call, so that in threads all callers
but one get an error.

Not measured: processes, and cancelled callers.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import peers
from report import OURS, Row, Section, at_least, at_most
from timing import Effort

from toolops_plugins import Cache, ToolOps

TASKS, THREADS = 10_000, 64
WORK = 0.1  # seconds


@dataclass
class Outcome:
    """Figures of all repetitions."""

    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)

    def add(self, seconds: float, calls: int, results: list[Any]) -> None:
        self.seconds.append(seconds)
        self.calls.append(calls)
        self.answered.append(sum(result == "answer" for result in results))


def run(effort: Effort) -> list[Section]:
    """Measure tasks, then threads."""
    tasks = max(effort.calls(TASKS), 10)
    repeats = effort.rounds(3)
    return [
        section(f"{tasks:,} tasks, one key", contestants(), tasks, repeats, in_tasks),
        section(f"{THREADS} threads, one key", contestants(), THREADS, repeats, in_threads),
    ]


def contestants() -> Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """Return the decorator of each contestant by name."""
    ours = ToolOps("coalesce").tool(cache=Cache(ttl=peers.TTL))
    return {OURS: ours, **peers.COALESCED}


def section(
    title: str,
    wraps: Mapping[str, Callable[..., Any]],
    callers: int,
    repeats: int,
    measure: Callable[[Callable[..., Any], int, int], Outcome],
) -> Section:
    """Measure all contestants, one after the other."""
    rows = []
    for name, wrap in wraps.items():
        try:
            outcome = measure(wrap, callers, repeats)
        except peers.Absent as why:
            rows.append(Row(name, absent=str(why)))
            continue
        best = min(outcome.seconds)
        goals = []
        if name == OURS:
            goals = [
                at_most(best, 1, " s"),
                at_most(max(outcome.calls), 1, " call"),
                at_least(min(outcome.answered), callers, " answered"),
            ]
        cells = (best * 1e3, best / callers * 1e6, max(outcome.calls), min(outcome.answered))
        rows.append(Row(name, cells, goals))
    return Section(title, ("best ms", "us a caller", "calls", "answered"), rows)


def in_tasks(wrap: Callable[..., Any], callers: int, repeats: int) -> Outcome:
    """Measure tasks of one loop."""
    outcome = Outcome()
    calls = 0
    gate: asyncio.Event

    async def body(text: str) -> str:  # noqa: ARG001 - part of the key
        nonlocal calls
        calls += 1
        await gate.wait()
        return "answer"

    async def once(call: Callable[[str], Any], argument: str) -> None:
        nonlocal calls, gate
        calls, gate = 0, asyncio.Event()
        gc.collect()
        start = time.perf_counter()
        tasks = [asyncio.create_task(call(argument)) for _ in range(callers)]
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        outcome.add(time.perf_counter() - start, calls, results)

    call = wrap(body)
    with asyncio.Runner() as runner:
        for number in range(repeats):
            runner.run(once(call, f"question {number}"))
    return outcome


def in_threads(wrap: Callable[..., Any], callers: int, repeats: int) -> Outcome:
    """Measure threads."""
    outcome = Outcome()
    lock = threading.Lock()
    calls = 0

    def body(text: str) -> str:  # noqa: ARG001 - part of the key
        nonlocal calls
        with lock:
            calls += 1
        time.sleep(WORK)
        return "answer"

    call = wrap(body)
    for number in range(repeats):
        calls = 0
        results: list[Any] = []
        barrier = threading.Barrier(callers + 1)

        def ask(
            argument: str = f"question {number}",
            barrier: threading.Barrier = barrier,
            results: list[Any] = results,
        ) -> None:
            barrier.wait()
            try:
                results.append(call(argument))
            except Exception as error:  # noqa: BLE001 - counted as a caller without an answer
                results.append(error)

        threads = [threading.Thread(target=ask) for _ in range(callers)]
        for thread in threads:
            thread.start()
        gc.collect()
        barrier.wait()
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        outcome.add(max(time.perf_counter() - start - WORK, 0.0), calls, results)
    return outcome
