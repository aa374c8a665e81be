"""Hits in memory: the time of a call whose result is cached.

Measured: the whole call through the decorator with one string as the argument, with the default
counting (``ops.stats()`` includes every call), and again with a sink that keeps the last event. The
argument cycles through a hundred strings. A coroutine function is awaited by one task; a plain
function is called by one thread. The values are a string and a small dict.

Not measured: contention between threads, the first call, and the work of a real sink. Peers differ
in what they do besides the lookup. All but functools.lru_cache expire entries. Only ToolOps Plugins
returns a dict that a caller may change without changing the next result; all others return the
stored object itself. ToolOps 1.0.0 starts an event loop for each call of a plain function.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import date, timedelta
from itertools import cycle
from typing import Any

import peers
from bodies import Body
from report import OURS, Goal, Row, Section, at_least, at_most
from timing import Effort, Laps, Turn, aturn_of, race, turn_of

from toolops_plugins import Cache, ToolOps

QUESTIONS = [f"what is the price of article {number}?" for number in range(100)]
DAYS = [date(2026, 1, 1) + timedelta(days) for days in range(len(QUESTIONS))]
SMALL_DICT = {"ticker": "ACME", "price": 12.5, "open": True, "venues": ["XETR", "XNYS"]}
VALUES: dict[str, Any] = {"a string": "The answer is 42.", "a small dict": SMALL_DICT}
SINK = f"{OURS}, one sink"
FRESH_KEY = f"{OURS}, new key"


def run(effort: Effort) -> list[Section]:
    """Measure both values, for coroutine functions and plain functions."""
    return [
        section(kind, name, value, effort)
        for kind in ("async", "sync")
        for name, value in VALUES.items()
    ]


def section(kind: str, title: str, value: Any, effort: Effort) -> Section:
    """Measure one value."""
    absent: dict[str, str] = {}
    bodies: dict[str, Body] = {}
    with asyncio.Runner() as runner:
        turns = contestants(kind, value, runner, bodies, absent)
        laps = race(turns, effort.rounds(40), effort.seconds(0.01))
    for name, body in bodies.items():
        body.prove(name, len(QUESTIONS))
    rows = [row(name, laps, absent) for name in (OURS, SINK, FRESH_KEY, *peers.MEMORY)]
    notes = ['"New key": the argument is a date, whose key is not remembered as that of a string.']
    return Section(
        f"Hit in memory, {kind}, {title}", ("best us", "median us", "x ours"), rows, notes
    )


def contestants(
    kind: str,
    value: Any,
    runner: asyncio.Runner,
    bodies: dict[str, Body],
    absent: dict[str, str],
) -> dict[str, Turn]:
    """Return the turns by name; fill ``bodies``, and ``absent`` with reasons."""
    cache = Cache(ttl=peers.TTL)
    events: deque[Any] = deque(maxlen=1)
    wraps: dict[str, Callable[..., Any]] = {
        OURS: ToolOps("hits").tool(cache=cache),
        SINK: ToolOps("hits", sinks=[events.append]).tool(cache=cache),
        FRESH_KEY: ToolOps("hits").tool(cache=cache),
        **peers.MEMORY,
    }
    turns: dict[str, Turn] = {}
    for name, wrap in wraps.items():
        body = Body(kind, value)
        try:
            call = wrap(body.call)
        except peers.Absent as why:
            absent[name] = str(why)
            continue
        arguments = cycle(DAYS if name == FRESH_KEY else QUESTIONS)
        turns[name] = (
            aturn_of(call, arguments, runner) if kind == "async" else turn_of(call, arguments)
        )
        # One call for every argument, so that all calls of a turn are hits.
        turns[name](len(QUESTIONS))
        bodies[name] = body
    return turns


def row(name: str, laps: Laps, absent: dict[str, str]) -> Row:
    """Return the row of a contestant."""
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
