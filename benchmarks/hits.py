"""Hits in memory: the time of a call whose result is cached.

Measured: the whole call through the decorator with one string as the argument, with the default
counting (``ops.stats()`` includes every call), and again with a sink that keeps the last event. The
argument cycles through a hundred strings. A coroutine function is awaited by one task; a plain
function is called by one thread. The values are a string and a small dict. The clock is that of the
processor.

Not measured: contention between threads, the first call, and the work of a real sink. Peers differ
in what they do besides the lookup (see ``peers``). All but functools.lru_cache expire entries. Only
ToolOps Plugins returns a dict that a caller may change without changing the next result; all others
return the stored object itself. ToolOps 1.0.0 starts an event loop for each call of a plain
function.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import date, timedelta
from itertools import cycle
from time import process_time
from typing import Any

import peers
from bodies import Body
from report import OURS, Line, Row, Section
from timing import Effort, Laps, Turn, aturn_of, race, turn_of

from toolops_plugins import Cache, ToolOps

QUESTIONS = [f"what is the price of article {number}?" for number in range(100)]
DAYS = [date(2026, 1, 1) + timedelta(days) for days in range(len(QUESTIONS))]
SMALL_DICT = {"ticker": "ACME", "price": 12.5, "open": True, "venues": ["XETR", "XNYS"]}
VALUES: dict[str, Any] = {"a string": "The answer is 42.", "a small dict": SMALL_DICT}
SINK = f"{OURS}, one sink"
FRESH_KEY = f"{OURS}, new key"
WITHOUT_SINK = "ours without a sink"
LIMITS = {"a string": 1.0, "a small dict": 1.3}
"""The most that a hit may take, as a ratio to nopanic's, which does not copy the dict."""
SINK_LIMIT = 1.7
"""The same for a hit with a sink, as a ratio to ours without one."""


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
        turns = contestants(kind, value, runner, bodies, absent, effort)
        laps = race(turns, effort.rounds(80), effort.seconds(0.005))
    for name, body in bodies.items():
        body.prove(name, len(QUESTIONS))
    lines = {OURS: line(kind, title, laps), SINK: sink_line(kind, title, laps)}
    rows = [row(name, laps, absent, lines.get(name)) for name in (*ours(effort), *peers.MEMORY)]
    notes = ['"New key": the argument is a date, whose key is not remembered as that of a string.']
    return Section(
        f"Hit in memory, {kind}, {title}",
        ("best us", "median us", "x ours"),
        rows,
        notes if effort.details else (),
        list(lines.values()),
    )


def ours(effort: Effort) -> list[str]:
    """Return our contestants' names."""
    return [OURS, SINK, FRESH_KEY] if effort.details else [OURS, SINK]


def line(kind: str, title: str, laps: Laps) -> Line:
    """Return the line of the overview for a hit."""
    others = {name: laps.best(name) * 1e6 for name in peers.MEMORY if name in laps}
    limits = {"nopanic": LIMITS[title]}
    return Line(f"hit in memory, {kind}, {title}", laps.best(OURS) * 1e6, others, limits)


def sink_line(kind: str, title: str, laps: Laps) -> Line:
    """Return the line of the overview for a hit with a sink."""
    others = {WITHOUT_SINK: laps.best(OURS) * 1e6}
    limits = {WITHOUT_SINK: SINK_LIMIT}
    return Line(f"the same with a sink, {kind}, {title}", laps.best(SINK) * 1e6, others, limits)


def contestants(
    kind: str,
    value: Any,
    runner: asyncio.Runner,
    bodies: dict[str, Body],
    absent: dict[str, str],
    effort: Effort,
) -> dict[str, Turn]:
    """Return the turns by name; fill ``bodies``, and ``absent`` with reasons."""
    cache = Cache(ttl=peers.TTL)
    events: deque[Any] = deque(maxlen=1)
    wraps: dict[str, Callable[..., Any]] = {
        **{
            name: ToolOps("hits", sinks=[events.append] if name == SINK else []).tool(cache=cache)
            for name in ours(effort)
        },
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
            aturn_of(call, arguments, runner, process_time)
            if kind == "async"
            else turn_of(call, arguments, process_time)
        )
        # One call for every argument, so that all calls of a turn are hits.
        turns[name](len(QUESTIONS))
        bodies[name] = body
    return turns


def row(name: str, laps: Laps, absent: dict[str, str], line: Line | None) -> Row:
    """Return the row of a contestant."""
    if name in absent:
        return Row(name, absent=absent[name])
    cells = laps.best(name) * 1e6, laps.median(name) * 1e6, laps.ratio(name, OURS)
    return Row(name, cells, line.goals() if line else ())
