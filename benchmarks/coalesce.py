"""Coalescing: many callers that ask for the same thing at the same time.

Measured, on an event loop: 10,000 tasks call a coroutine function with one argument. Its body waits
until every task has had its first turn, and returns at once then; so the time is what it takes to
start the tasks, to board, and to hand out the result, and nothing else. In threads: 64 of them,
released together, call a plain function whose body sleeps a tenth of a second, which is taken off.
The best of some repetitions, each with an argument of its own. "Calls" is how often the body ran in
the worst repetition, "answered" how many callers got the result in the worst.

pyresilience 0.4.1 runs the body for every task: its cache drops the lock of a key at each miss
(``AsyncResultCache.get``). The future that callers of ToolOps 1.0.0 share belongs to the event loop
of one of them, and its plain functions start a loop for each call, so that in threads all but one
caller get an error.

Not measured: processes, and callers that are cancelled meanwhile.
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
class Found:
    """What the repetitions brought."""

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
    """Return what coalesces by name: each takes a function and returns it wrapped."""
    ours = ToolOps("coalesce").tool(cache=Cache(ttl=peers.TTL))
    return {OURS: ours, **peers.COALESCED}


def section(
    title: str,
    wraps: Mapping[str, Callable[..., Any]],
    callers: int,
    repeats: int,
    measure: Callable[[Callable[..., Any], int, int], Found],
) -> Section:
    """Measure all contestants, one after the other."""
    rows = []
    for name, wrap in wraps.items():
        try:
            found = measure(wrap, callers, repeats)
        except peers.Absent as why:
            rows.append(Row(name, absent=str(why)))
            continue
        best = min(found.seconds)
        goals = []
        if name == OURS:
            goals = [
                at_most(best, 1, " s"),
                at_most(max(found.calls), 1, " call"),
                at_least(min(found.answered), callers, " answered"),
            ]
        cells = (best * 1e3, best / callers * 1e6, max(found.calls), min(found.answered))
        rows.append(Row(name, cells, goals))
    return Section(title, ("best ms", "us a caller", "calls", "answered"), rows)


def in_tasks(wrap: Callable[..., Any], callers: int, repeats: int) -> Found:
    """Measure tasks of one loop."""
    found = Found()
    calls = 0
    gate: asyncio.Event

    async def body(text: str) -> str:  # noqa: ARG001 - it makes the key
        nonlocal calls
        calls += 1
        await gate.wait()
        return "answer"

    async def once(call: Callable[[str], Any], argument: str) -> None:
        nonlocal calls, gate
        calls, gate = 0, asyncio.Event()
        gc.collect()
        began = time.perf_counter()
        tasks = [asyncio.create_task(call(argument)) for _ in range(callers)]
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        found.add(time.perf_counter() - began, calls, results)

    call = wrap(body)
    with asyncio.Runner() as runner:
        for number in range(repeats):
            runner.run(once(call, f"question {number}"))
    return found


def in_threads(wrap: Callable[..., Any], callers: int, repeats: int) -> Found:
    """Measure threads."""
    found = Found()
    lock = threading.Lock()
    calls = 0

    def body(text: str) -> str:  # noqa: ARG001 - it makes the key
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
        began = time.perf_counter()
        for thread in threads:
            thread.join()
        found.add(max(time.perf_counter() - began - WORK, 0.0), calls, results)
    return found
