"""Misses: what is added to a call that has to be made, with every policy on.

Measured: a function that does nothing, called with a number that never comes again, bare and
wrapped, and the difference. "Every policy" is a cache in memory that is full and so lets an entry
go for each that it takes, coalescing, retry with a budget, circuit breaker, time limits for attempt
and for all, rate limit, bulkhead, and hedging whose second attempt is never due (``least``), as in
a service that is well. The second table takes one policy at a time: alone, and out of all.

Two units make the figures comparable between machines: awaiting a task that does nothing, and
handing a function that does nothing to a ready thread of an executor and waiting for it. A plain
function under a time limit, or hedged, has to go to another thread and back: Python offers no other
way to stop waiting for it.

Not measured: retries that happen, waits, rejections, and tiers beyond memory. pyresilience has no
hedging and one time limit, so it is held against ToolOps Plugins with just what it has: cache with
single flight, retry and budget, breaker over a window of 100 calls, one limit for each attempt,
rate limit, bulkhead. ToolOps 1.0.0 has cache, coalescing, retry, breaker and one time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import peers
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
UNITS = {"async": "await create_task(noop())", "sync": "executor.submit(noop).result()"}
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
    """Measure awaited and blocking calls."""
    return [section for kind in ("async", "sync") for section in sections(kind, effort)]


def options(names: Iterable[str]) -> dict[str, Any]:
    """Return the keywords of the decorator that ask for these policies and no others."""
    names = set(names)
    whole: dict[str, Any] = {"coalesce": False}
    for name in POLICIES:
        if name in names:
            whole |= POLICIES[name]
    if names & {ATTEMPT, TOTAL}:
        whole["timeout"] = Timeout(
            attempt=10 if ATTEMPT in names else None, total=30 if TOTAL in names else None
        )
    return whole


def sections(kind: str, effort: Effort) -> list[Section]:
    """Measure one kind of call."""
    absent: dict[str, str] = {}
    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as executor:
        contestants = calls(kind, executor, effort, absent)
        turns: dict[str, Turn] = {
            name: aturn_of(call, count(), runner) if kind == "async" else turn_of(call, count())
            for name, call in contestants.items()
        }
        laps = race(turns, effort.rounds(15), effort.seconds(0.02))
    names = [BARE, UNITS[kind], OURS, ALIKE, *([THREADLESS] if kind == "sync" else []), *peers.WHOLE]
    first = Section(
        f"Miss with every policy on, {kind}",
        ("best us", "adds us", "x unit", "x ours"),
        [row(name, kind, laps, absent) for name in names],
        [
            f'"x unit": what it adds, by what {UNITS[kind]} takes. "x ours": what it adds, by what '
            "ToolOps Plugins adds with every policy."
        ],
    )
    second = Section(
        f"The same by policy, {kind}",
        ("alone adds us", "left out saves us"),
        [
            Row("(none)", (laps.added("only (none)", BARE) * 1e6, None)),
            *(
                Row(
                    name,
                    (
                        laps.added(f"only {name}", "only (none)") * 1e6,
                        laps.added(OURS, f"all but {name}") * 1e6,
                    ),
                )
                for name in POLICIES
            ),
        ],
        ['"(none)": wrapped, and nothing asked for. Each line below is what comes on top.'],
    )
    return [first, second]


def calls(
    kind: str, executor: ThreadPoolExecutor, effort: Effort, absent: dict[str, str]
) -> dict[str, Callable[[int], Any]]:
    """Return the contestants by name."""
    items = effort.calls(peers.ITEMS)

    def wrapped(names: Iterable[str]) -> Callable[..., Any]:
        memory = Memory(max_items=items)
        ops = ToolOps("misses", [memory])
        tool = ops.tool(**options(names))(function(kind))
        if "cache" in names:
            fill(tool, kind, items)
        return tool

    async def task(_: int) -> None:
        await asyncio.create_task(anoop(_))

    def thread(_: int) -> None:
        executor.submit(noop, _).result()

    found: dict[str, Callable[[int], Any]] = {
        BARE: function(kind),
        UNITS[kind]: task if kind == "async" else thread,
        OURS: wrapped(POLICIES),
        ALIKE: wrapped(BY_PYRESILIENCE),
        "only (none)": wrapped([]),
    }
    if kind == "sync":
        found[THREADLESS] = wrapped(IN_ONE_THREAD)
    for name in POLICIES:
        found[f"only {name}"] = wrapped([name])
        found[f"all but {name}"] = wrapped([each for each in POLICIES if each != name])
    for name, wrap in peers.WHOLE.items():
        try:
            found[name] = wrap(function(kind))
        except peers.Absent as why:
            absent[name] = str(why)
    return found


def fill(tool: Callable[[int], Any], kind: str, items: int) -> None:
    """Make the cache full, of calls that never come again."""

    async def afill() -> None:
        for number in range(-items, 0):
            await tool(number)

    if kind == "async":
        asyncio.run(afill())
        return
    for number in range(-items, 0):
        tool(number)


async def anoop(number: int) -> None:
    """Do nothing."""


def noop(number: int) -> None:
    """Do nothing."""


def function(kind: str) -> Callable[[int], Any]:
    """Return a function that does nothing, and is no other's."""

    async def acall(number: int) -> str:  # noqa: ARG001 - it makes the key
        return "done"

    def call(number: int) -> str:  # noqa: ARG001 - it makes the key
        return "done"

    return acall if kind == "async" else call


def row(name: str, kind: str, laps: Laps, absent: dict[str, str]) -> Row:
    """Return a contestant's line."""
    if name in absent:
        return Row(name, absent=absent[name])
    added = laps.added(name, BARE) * 1e6
    if name in (BARE, UNITS[kind]):
        return Row(name, (laps.best(name) * 1e6, None if name == BARE else added, None, None))
    goals: list[Goal] = [at_most(added, 25, " us")] if name in (OURS, THREADLESS) else []
    units = added / (laps.best(UNITS[kind]) * 1e6)
    return Row(name, (laps.best(name) * 1e6, added, units, laps.ratio(name, OURS, BARE)), goals)
