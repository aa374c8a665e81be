"""Hits in memory: what a call costs whose result is there already.

Measured: the whole way through the decorator, one string as the argument, counting as it is by
default (``ops.stats()`` sees every call), and once more with a sink that keeps the last event. A
hundred strings take turns. A coroutine function is awaited by one task, a plain one called by one
thread. The values are a string and a small dict.

Not measured: contention of threads, the first call, and the work of a real sink. What peers do
beside looking up differs. All but functools.lru_cache expire entries. Only ToolOps Plugins hands
out a dict that a caller may change without changing what the next one gets, and all the others
return the stored object itself. ToolOps 1.0.0 starts an event loop for each call of a plain
function.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import peers
from report import OURS, Goal, Row, Section, at_least, at_most
from timing import Effort, Laps, Turn, aturn_of, race, turn_of

from toolops_plugins import Cache, ToolOps

QUESTIONS = [f"what is the price of article {number}?" for number in range(100)]
SMALL_DICT = {"ticker": "ACME", "price": 12.5, "open": True, "venues": ["XETR", "XNYS"]}
VALUES: dict[str, Any] = {"a string": "The answer is 42.", "a small dict": SMALL_DICT}
SINK = f"{OURS}, one sink"
FRESH_KEY = f"{OURS}, key made anew"


def run(effort: Effort) -> list[Section]:
    """Measure both values, awaited and called."""
    return [
        section(kind, name, value, effort)
        for kind in ("async", "sync")
        for name, value in VALUES.items()
    ]


def section(kind: str, title: str, value: Any, effort: Effort) -> Section:
    """Measure one value."""
    absent: dict[str, str] = {}
    with asyncio.Runner() as runner:
        laps = race(
            turns(kind, value, runner, absent), effort.rounds(15), effort.seconds(0.02)
        )
    rows = [row(name, laps, absent) for name in (OURS, SINK, FRESH_KEY, *peers.MEMORY)]
    notes = [
        '"Key made anew": the argument is a number, of which no key is remembered as of a string.'
    ]
    return Section(
        f"Hit in memory, {kind}, {title}", ("best us", "median us", "x ours"), rows, notes
    )


def turns(
    kind: str, value: Any, runner: asyncio.Runner, absent: dict[str, str]
) -> dict[str, Turn]:
    """Return the contestants; why others are absent goes into ``absent``."""
    found: dict[str, Turn] = {}

    def enter(name: str, call: Callable[..., Any], arguments: Iterator[Any]) -> None:
        found[name] = (
            aturn_of(call, arguments, runner) if kind == "async" else turn_of(call, arguments)
        )

    cache = Cache(ttl=peers.TTL)
    heard: deque[Any] = deque(maxlen=1)
    enter(OURS, ToolOps("hits").tool(cache=cache)(function(kind, value)), cycle(QUESTIONS))
    with_sink = ToolOps("hits", sinks=[heard.append])
    enter(SINK, with_sink.tool(cache=cache)(function(kind, value)), cycle(QUESTIONS))
    enter(FRESH_KEY, ToolOps("hits").tool(cache=cache)(function(kind, value)), cycle(range(100)))
    for name, wrap in peers.MEMORY.items():
        try:
            enter(name, wrap(function(kind, value)), cycle(QUESTIONS))
        except peers.Absent as why:
            absent[name] = str(why)
    return found


def function(kind: str, value: Any) -> Callable[[Any], Any]:
    """Return a function that always returns the value."""

    async def acall(text: Any) -> Any:  # noqa: ARG001 - it makes the key
        return value

    def call(text: Any) -> Any:  # noqa: ARG001 - it makes the key
        return value

    return acall if kind == "async" else call


def row(name: str, laps: Laps, absent: dict[str, str]) -> Row:
    """Return a contestant's line."""
    if name in absent:
        return Row(name, absent=absent[name])
    best, times = laps.best(name) * 1e6, laps.ratio(name, OURS)
    goals: list[Goal] = []
    if name in (OURS, SINK):
        goals = [at_most(best, 3, " us")]
    elif name == "pyresilience":
        goals = [at_most(laps.ratio(OURS, name), 1.5, "x", "ours ")]
    elif name in ("cashews", "ToolOps 1.0.0"):
        goals = [at_least(times, 6 if name == "cashews" else 10, "x")]
    return Row(name, (best, laps.median(name) * 1e6, times), goals)
