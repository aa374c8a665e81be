"""Misses: the time that every policy together adds to a call.

Measured: a function that does nothing, called with a number that never repeats, bare and wrapped,
and the difference. "Every policy" is a full cache in memory that evicts an entry for each new one,
coalescing, retry with a budget, circuit breaker, time limits for the attempt and in total, rate
limit, bulkhead, and hedging whose second attempt never starts (``least``), as with a healthy
service. The second table measures one policy at a time: alone, and left out of all.

Two units make figures comparable between machines: awaiting a task that does nothing, and handing
a function that does nothing to an idle thread of an executor and waiting for it. A plain function
under a time limit, or hedged, has to go to another thread and back: Python offers no other way to
stop waiting for it.

Not measured: retries, waits, rejections, and tiers beyond memory. pyresilience has no hedging and
one time limit, so it is compared with ToolOps Plugins with the same policies only: cache with
single flight, retry and budget, breaker over a window of 100 calls, one limit for each attempt,
rate limit, bulkhead. ToolOps 1.0.0 has cache, coalescing, retry, breaker and one time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import peers
from bodies import Body
from report import OURS, Goal, Row, Section, at_most
from timing import Effort, Laps, Turn, aturn_of, race, turn_of

from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    Hedge,
    Memory,
    RateLimit,
    Retry,
    Timeout,
    ToolOps,
)

BARE = "the bare call"
UNITS = {"async": "await create_task(noop())", "sync": "executor.submit(int).result()"}
ALIKE = f"{OURS}, as pyresilience"
THREADLESS = f"{OURS}, no limits or hedge"
ATTEMPT, TOTAL = "timeout, attempt", "timeout, total"
POLICIES: dict[str, dict[str, Any]] = {
    "cache": {"cache": Cache(ttl=peers.TTL)},
    "coalesce": {"coalesce": True},
    "retry": {"retry": Retry()},
    "breaker": {"breaker": CircuitBreaker()},
    ATTEMPT: {},
    TOTAL: {},
    "rate limit": {"rate_limit": RateLimit("1000000000/s")},
    "bulkhead": {"bulkhead": Bulkhead(1_000)},
    "hedge": {"hedge": Hedge(least=1)},
}
BY_PYRESILIENCE = [name for name in POLICIES if name not in (TOTAL, "hedge")]
IN_ONE_THREAD = [name for name in POLICIES if name not in (ATTEMPT, TOTAL, "hedge")]


def run(effort: Effort) -> list[Section]:
    """Measure coroutine functions and plain functions."""
    return [section for kind in ("async", "sync") for section in sections(kind, effort)]


def options(names: Iterable[str]) -> dict[str, Any]:
    """Return the decorator's keywords for exactly these policies."""
    names = set(names)
    whole: dict[str, Any] = {"coalesce": False}
    for name, keywords in POLICIES.items():
        if name in names:
            whole |= keywords
    if names & {ATTEMPT, TOTAL}:
        whole["timeout"] = Timeout(
            attempt=10 if ATTEMPT in names else None, total=30 if TOTAL in names else None
        )
    return whole


def sections(kind: str, effort: Effort) -> list[Section]:
    """Measure one kind of call."""
    absent: dict[str, str] = {}
    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as executor:
        turns: dict[str, Turn] = {}
        proofs: list[tuple[str, Body, Iterator[int]]] = []
        for name, wrap in wraps(kind, effort).items():
            body = Body(kind)
            try:
                call = wrap(body.call)
            except peers.Absent as why:
                absent[name] = str(why)
                continue
            numbers = count()
            turns[name] = turn(kind, call, numbers, runner)
            proofs.append((name, body, numbers))
        turns[UNITS[kind]] = turn(kind, unit(kind, executor), count(), runner)
        laps = race(turns, effort.rounds(25), effort.seconds(0.01))
    for name, body, numbers in proofs:
        body.prove(name, next(numbers))
    threadless = [THREADLESS] if kind == "sync" else []
    names = [BARE, UNITS[kind], OURS, *threadless, ALIKE, *peers.WHOLE]
    first = Section(
        f"Miss with every policy on, {kind}",
        ("best us", "adds us", "x unit", "x pyresilience"),
        [row(name, kind, laps, absent) for name in names],
        [
            f'"x unit": the added time, divided by that of {UNITS[kind]}.',
            '"x pyresilience": the added time, divided by that of pyresilience.',
        ],
    )
    second = Section(
        f"The same by policy, {kind}",
        ("alone adds us", "left out saves us"),
        [
            Row("(none)", (laps.overhead("only (none)", BARE) * 1e6, None)),
            *(
                Row(
                    name,
                    (
                        laps.overhead(f"only {name}", "only (none)") * 1e6,
                        laps.overhead(OURS, f"all but {name}") * 1e6,
                    ),
                )
                for name in POLICIES
            ),
        ],
        ['"(none)": wrapped without any policy. Each line below is the time on top of that.'],
    )
    return [first, second]


def turn(
    kind: str, call: Callable[[int], Any], numbers: Iterator[int], runner: asyncio.Runner
) -> Turn:
    """Return the turn of a contestant."""
    return aturn_of(call, numbers, runner) if kind == "async" else turn_of(call, numbers)


def unit(kind: str, executor: ThreadPoolExecutor) -> Callable[[int], Any]:
    """Return the call that makes figures comparable between machines."""

    async def noop() -> None:
        pass

    async def task(_: int) -> None:
        await asyncio.create_task(noop())

    def thread(_: int) -> None:
        executor.submit(int).result()

    return task if kind == "async" else thread


def wraps(kind: str, effort: Effort) -> dict[str, Callable[..., Any]]:
    """Return the decorator of each contestant by name."""
    items = effort.calls(peers.ITEMS)

    def ours(names: Iterable[str]) -> Callable[..., Any]:
        names = list(names)
        tiers = [full_memory(items)] if "cache" in names else None
        wrap: Callable[..., Any] = ToolOps("misses", tiers).tool(**options(names))
        return wrap

    contestants: dict[str, Callable[..., Any]] = {
        BARE: lambda function: function,
        OURS: ours(POLICIES),
        ALIKE: ours(BY_PYRESILIENCE),
        "only (none)": ours([]),
        **peers.WHOLE,
    }
    if kind == "sync":
        contestants[THREADLESS] = ours(IN_ONE_THREAD)
    for name in POLICIES:
        contestants[f"only {name}"] = ours([name])
        contestants[f"all but {name}"] = ours(each for each in POLICIES if each != name)
    return contestants


def full_memory(items: int) -> Memory:
    """Return a full tier, so that every miss evicts an entry."""
    memory = Memory(max_items=items)
    # In a namespace of its own, so that no measured call finds these entries.
    fill = ToolOps("fill", [memory]).tool(cache=Cache(ttl=peers.TTL))(Body("sync").call)
    for number in range(items):
        fill(number)
    return memory


def row(name: str, kind: str, laps: Laps, absent: dict[str, str]) -> Row:
    """Return the row of a contestant."""
    if name in absent:
        return Row(name, absent=absent[name])
    overhead = laps.overhead(name, BARE) * 1e6
    if name in (BARE, UNITS[kind]):
        return Row(name, (laps.best(name) * 1e6, None if name == BARE else overhead, None, None))
    goals: list[Goal] = [at_most(overhead, 25, " us")] if name == OURS else []
    units = overhead / (laps.best(UNITS[kind]) * 1e6)
    times = laps.ratio(name, "pyresilience", BARE) if "pyresilience" in laps else None
    return Row(name, (laps.best(name) * 1e6, overhead, units, times), goals)
