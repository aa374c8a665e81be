"""Misses: the time that policies add to a call which no cache answers.

Measured: a function that does nothing, called with a number that never repeats, bare and wrapped;
every figure is the difference. Cases: one policy, six of them, and every policy: a full cache in
memory that evicts an entry for each new one, coalescing, retry with a budget, circuit breaker, time
limits for the attempt and in total, rate limit, bulkhead, and hedging whose second attempt never
starts (``least``), as with a healthy service. Each case is a contest of its own between ToolOps
Plugins and the peers that have its policies. The clock is that of the processor, or that of the
wall where threads hand over to each other.

Two units make figures comparable between machines: awaiting a task that does nothing, and handing
a function that does nothing to an idle thread of an executor and waiting for it. A plain function
under a time limit, or hedged, has to go to another thread and back: Python offers no other way to
stop waiting for it.

The last table, which a quick run leaves out, measures our policies one at a time: alone, on top of
a wrapper without any policy, and left out of all.

Not measured: retries, waits, rejections, and tiers beyond memory. The six are what nopanic and
pyresilience have too: cache with single flight, retry and budget, breaker, one limit for each
attempt, rate limit, bulkhead. ToolOps 1.0.0 has neither rate limit nor bulkhead. See ``peers`` for
what the peers promise less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter, process_time
from typing import Any

import peers
from bodies import Body
from overview import PEERS
from report import OURS, Line, Row, Section, figure
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
ATTEMPT, TOTAL = "timeout, attempt", "timeout, total"
POLICIES: dict[str, dict[str, Any]] = {
    "cache": {"cache": Cache(ttl=peers.TTL)},
    "coalesce": {"coalesce": True},
    "retry": {"retry": Retry()},
    "breaker": {"breaker": CircuitBreaker()},
    ATTEMPT: {},
    TOTAL: {},
    "rate limit": {"rate_limit": RateLimit(f"{peers.PER_SECOND}/s")},
    "bulkhead": {"bulkhead": Bulkhead(peers.SLOTS)},
    "hedge": {"hedge": Hedge(least=1)},
}
SIX = [name for name in POLICIES if name not in (TOTAL, "hedge")]
IN_THREADS = {ATTEMPT, TOTAL, "hedge"}
"""The policies that make a plain function go to another thread."""


@dataclass(frozen=True)
class Case:
    """Policies that are measured together.

    Args:
        policies: Names of ours.
        wraps: The peers that have the same policies.
        limits: By kind of call: the most that ours may add, as a ratio to a peer, or to the unit.
    """

    policies: Iterable[str]
    wraps: Mapping[str, Callable[..., Any]]
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


TWICE = {"async": {"nopanic": 2.0}, "sync": {"nopanic": 2.0}}
CASES = {
    "cache and single flight": Case(
        ("cache", "coalesce"),
        {name: wrap for name, wrap in peers.MEMORY.items() if not name.startswith("functools")},
        {"async": {"nopanic": 2.5}, "sync": {"nopanic": 2.0}},
    ),
    "breaker alone": Case(
        ("breaker",),
        {
            "nopanic": peers.nopanic_breaker,
            "pyresilience": peers.pyresilience_breaker,
            "interlock": peers.interlock_breaker,
        },
        TWICE,
    ),
    "rate limit alone": Case(
        ("rate limit",),
        {
            "nopanic": peers.nopanic_limit,
            "pyresilience": peers.pyresilience_limit,
            "throttled": peers.throttled_limit,
        },
        TWICE,
    ),
    "retry alone": Case(
        ("retry",),
        {"nopanic": peers.nopanic_retry, "pyresilience": peers.pyresilience_retry},
        TWICE,
    ),
    "timeout alone": Case(
        (ATTEMPT,),
        {
            "nopanic": peers.nopanic_timeout,
            "pyresilience": peers.pyresilience_timeout,
            "interlock": peers.interlock_timeout,
        },
    ),
    "all six": Case(
        SIX,
        {
            "nopanic": peers.nopanic_six,
            "pyresilience": peers.pyresilience_six,
            "ToolOps 1.0.0": peers.toolops_four,
        },
        {"async": {"nopanic": 1.5}, "sync": {"nopanic": 1.0, "pyresilience": 1.0}},
    ),
    "every policy": Case(
        tuple(POLICIES), {}, {"async": {UNITS["async"]: 7}, "sync": {UNITS["sync"]: 1.8}}
    ),
}


def run(effort: Effort) -> list[Section]:
    """Measure coroutine functions and plain functions."""
    found = [section(kind, effort) for kind in UNITS]
    if effort.details:
        found += [by_policy(kind, effort) for kind in UNITS]
    return found


def section(kind: str, effort: Effort) -> Section:
    """Measure all cases with one kind of call."""
    lines = [measure(kind, name, case, effort) for name, case in CASES.items()]
    rows = [row(name, line) for name, line in zip(CASES, lines, strict=True)]
    title = f"Miss, {kind}: what policies add to a call, in us"
    return Section(title, ("ours", *PEERS, "others"), rows, lines=lines)


def row(name: str, line: Line) -> Row:
    """Return the row of a case."""
    others = (f"{other} {figure(us)}" for other, us in line.others.items() if other not in PEERS)
    cells = line.ours, *(line.others.get(peer) for peer in PEERS), ", ".join(others)
    return Row(name, cells, line.goals())


def measure(kind: str, name: str, case: Case, effort: Effort) -> Line:
    """Measure a case, and return its line of the overview."""
    unit = UNITS[kind]
    wraps = {OURS: ours(case.policies), **case.wraps}
    with_unit = any(unit in limits for limits in case.limits.values())
    threads = kind == "sync" and not IN_THREADS.isdisjoint(case.policies)
    laps = contest(
        kind, wraps, effort.rounds(80), effort, threads=threads, fill="cache" in case.policies
    )
    others = {peer: overhead_us(laps, peer) for peer in case.wraps if peer in laps}
    if with_unit:
        others[unit] = laps.best(unit) * 1e6
    return Line(
        f"miss, {name}, {kind}",
        overhead_us(laps, OURS),
        others,
        case.limits.get(kind, {}),
    )


def overhead_us(laps: Laps, name: str) -> float:
    """Return what a contestant adds to the bare call, at least a nanosecond: it is divided by."""
    return max(laps.overhead(name, BARE) * 1e6, 1e-3)


def by_policy(kind: str, effort: Effort) -> Section:
    """Measure our policies one at a time."""
    whole, none = "every policy", "no policy"
    wraps = {whole: ours(POLICIES), none: ours(())}
    for name in POLICIES:
        wraps[f"only {name}"] = ours([name])
        wraps[f"all but {name}"] = ours(each for each in POLICIES if each != name)
    laps = contest(kind, wraps, effort.rounds(40), effort, threads=kind == "sync", fill=True)
    rows = [
        Row(
            name,
            (
                laps.overhead(f"only {name}", none) * 1e6,
                laps.overhead(whole, f"all but {name}") * 1e6,
            ),
        )
        for name in POLICIES
    ]
    nothing = Row("(none)", (laps.overhead(none, BARE) * 1e6, None))
    return Section(
        f"The same by policy of ours, {kind}",
        ("alone adds us", "left out saves us"),
        [nothing, *rows],
        ['"(none)": wrapped without any policy. Each line below is the time on top of that.'],
    )


def contest(
    kind: str,
    wraps: Mapping[str, Callable[..., Any]],
    rounds: int,
    effort: Effort,
    *,
    threads: bool,
    fill: bool,
) -> Laps:
    """Measure decorators beside the bare call and the unit; leave out the absent peers.

    Args:
        kind: "async" or "sync".
        wraps: The decorators by name.
        rounds: The number of rounds.
        effort: The share of seconds and of calls.
        threads: Take the clock of the wall.
        fill: Make so many calls first that every miss evicts an entry.
    """
    clock = perf_counter if threads else process_time
    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as executor:

        def turn(call: Callable[[int], Any], numbers: Iterator[int]) -> Turn:
            if kind == "async":
                return aturn_of(call, numbers, runner, clock)
            return turn_of(call, numbers, clock)

        turns = {UNITS[kind]: turn(unit_call(kind, executor), count())}
        proofs: list[tuple[str, Body, Iterator[int]]] = []
        for name, wrap in {BARE: bare, **wraps}.items():
            body, numbers = Body(kind), count()
            try:
                turns[name] = turn(wrap(body.call), numbers)
                turns[name](effort.calls(peers.ITEMS) if fill else 1)
            except peers.Absent:
                turns.pop(name, None)
                continue
            proofs.append((name, body, numbers))
        laps = race(turns, rounds, effort.seconds(0.005))
    for name, body, numbers in proofs:
        body.prove(name, next(numbers))
    return laps


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function itself."""
    return function


def unit_call(kind: str, executor: ThreadPoolExecutor) -> Callable[[int], Any]:
    """Return the call that makes figures comparable between machines."""

    async def noop() -> None:
        pass

    async def task(_: int) -> None:
        await asyncio.create_task(noop())

    def thread(_: int) -> None:
        executor.submit(int).result()

    return task if kind == "async" else thread


def ours(names: Iterable[str]) -> Callable[..., Any]:
    """Return our decorator with exactly these policies."""
    names = set(names)
    tiers = [Memory(max_items=peers.ITEMS)] if "cache" in names else None
    keywords: dict[str, Any] = {"coalesce": False}
    for name, policy in POLICIES.items():
        if name in names:
            keywords |= policy
    if names & {ATTEMPT, TOTAL}:
        keywords["timeout"] = Timeout(
            attempt=peers.LIMIT if ATTEMPT in names else None, total=30 if TOTAL in names else None
        )
    wrap: Callable[..., Any] = ToolOps("misses", tiers).tool(**keywords)
    return wrap
