"""Example data for ledgers: a month of calls of several tools, models, agents and processes."""

from __future__ import annotations

import math
import random
import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.ledger.levels import LEVELS
from toolops_plugins.telemetry.ledger.records import (
    BreakerReport,
    LimitReport,
    ProcessState,
    StoredNotice,
    TierState,
)
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore
from toolops_plugins.telemetry.ledger.store import Batch, Record, Store
from toolops_plugins.telemetry.ledger.sums import Cell, Decisions, Summary

__all__ = ["NAMESPACE", "fill", "fill_rows", "fill_sqlite", "write_states"]

NAMESPACE = "support"

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_CHANCE = random.Random(3)
_SPREAD = [_CHANCE.lognormvariate(0, 0.4) for _ in range(64)]
"""Factors of durations; most are near 1, and few are long."""


class _Source(NamedTuple):
    """One sort of calls, with its averages."""

    cell: Cell
    a_minute: float
    seconds: float
    hit_share: float = 0.5
    cost: float = 0.0
    tokens: tuple[int, int] = (0, 0)
    error_share: float = 0.01
    reason: str = ""
    semantic: bool = False


SOURCES = (
    _Source(Cell(NAMESPACE, "search_web", agent="researcher"), 40, 0.9, 0.62, 0.002),
    _Source(Cell(NAMESPACE, "search_web", agent="writer"), 9, 0.9, 0.55, 0.002),
    _Source(Cell(NAMESPACE, "get_quote", agent="researcher"), 25, 0.12, 0.81),
    _Source(Cell(NAMESPACE, "send_mail", agent="writer"), 3, 0.4, 0.0, error_share=0.06),
    _Source(
        Cell(NAMESPACE, "run_query"), 6, 1.7, 0.0, reason="not_canonical", error_share=0.02
    ),
    _Source(
        Cell(NAMESPACE, "answer", "chat", "gpt-4.1", "writer"),
        18, 2.6, 0.47, 0.0125, (900, 320), semantic=True,
    ),
    _Source(
        Cell(NAMESPACE, "answer", "chat", "claude-sonnet-4-5", "researcher"),
        7, 3.4, 0.31, 0.019, (1_600, 410), semantic=True,
    ),
    _Source(
        Cell(NAMESPACE, "embed", "embeddings", "text-embedding-3-small"),
        30, 0.18, 0.9, 0.00002, (240, 0),
    ),
)  # fmt: skip


def fill(
    store: Store,
    *,
    now: float | None = None,
    days: float = 30.0,
    hours: int = 1,
    seed: int = 1,
) -> dict[tuple[int, Cell], Record]:
    """Write example data to a store, and return the sums that were written, by minute and cell.

    Of the last three hours there is data for each minute, of the last two days for each ten, and
    for each hour of the rest.

    Args:
        store: A store that is open for writing.
        now: The present time. Default None: the store's.
        days: The length of the time with data.
        hours: Hours between two moments with data of the time before; more of them take less time.
        seed: The same seed and time make the same data.
    """
    present = store.now() if now is None else now
    chance = random.Random(seed)
    sums: dict[tuple[int, Cell], Record] = {}
    for at, minutes in _moments(present, days, hours):
        for source in SOURCES:
            record = _record(source, at, minutes, chance)
            if record:
                sums[at, source.cell] = record
    states = _states(present)
    for serial, state in enumerate(states, 1):
        mine = sums if serial == 1 else {}
        notices = _notices(present, days) if serial == 1 else ()
        store.add(Batch(state.id, serial, mine, notices, state))
    return sums


def fill_sqlite(path: Path, **options: Any) -> str:
    """Write example data to a new SQLite ledger, and return its URL; options as in :func:`fill`."""
    store = SQLiteStore(path)
    try:
        fill(store, **options)
    finally:
        store.close()
    return store.place


def write_states(path: Path, serial: int) -> None:
    """Write the states of the example's processes again, which are listed for two minutes.

    Args:
        path: A ledger that :func:`fill_sqlite` has filled.
        serial: A number that is larger than that of the call before; the first is 10 or more.
    """
    store = SQLiteStore(path)
    for state in _states(store.now()):
        store.add(Batch(state.id, serial, {}, (), state))
    store.close()


def fill_rows(path: Path, rows: int = 1_000_000, *, now: float | None = None) -> str:
    """Add that many records of minutes to a SQLite ledger, and return its URL.

    They lie in the last two days, with the sums of longer levels. It takes some seconds.
    """
    present = time.time() if now is None else now
    store = SQLiteStore(path)
    state = _states(present)[0]
    store.add(Batch(state.id, 1, {}, (), state))
    store.close()
    minutes = 2 * _DAY // _MINUTE
    width = math.ceil(rows / minutes)
    cells = [Cell("load", f"tool {number}", agent=f"agent {number % 7}") for number in range(width)]
    chance = random.Random(5)
    sources = [_Source(cell, 10, 0.3, 0.5, 0.001) for cell in cells]
    records = [
        orjson.dumps(_record(sources[number % width], int(present), 1, chance))
        for number in range(4 * width)
    ]
    last = int(present) // _MINUTE * _MINUTE
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        ids = []
        for cell in cells:
            added = connection.execute(
                "INSERT INTO cell (namespace, tool, kind, model, agent) VALUES (?, ?, ?, ?, ?)",
                cell,
            )
            ids.append(added.lastrowid)
        for level in LEVELS:
            first = last - 2 * _DAY + _MINUTE
            times = sorted({at - at % level for at in range(first, last + 1, _MINUTE)})
            left = rows if level == _MINUTE else len(times) * width
            connection.executemany(
                "INSERT INTO sums VALUES (?, ?, ?, ?)",
                (
                    (level, at, ids[number], records[(at // level + number) % len(records)])
                    for place, at in enumerate(times)
                    for number in range(width)
                    if place * width + number < left
                ),
            )
    connection.close()
    return f"sqlite:///{path}"


def _moments(now: float, days: float, hours: int) -> Iterator[tuple[int, int]]:
    """Yield the minutes that get data, with the number of minutes that each stands for."""
    last = int(now) // _MINUTE * _MINUTE
    at = last - int(days * _DAY)
    at -= at % (hours * _HOUR)
    while at <= last:
        age = last - at
        width = 1 if age <= 3 * _HOUR else 10 if age <= 2 * _DAY else 60
        if at % (width * _MINUTE):
            width = 1 if at % (10 * _MINUTE) else 10
        yield at, width
        at += width * _MINUTE if width < 60 or age < 3 * _DAY else hours * _HOUR


def _record(source: _Source, at: int, minutes: int, chance: random.Random) -> Record:
    # Most is called in the working hours of a day, and a little more from week to week.
    day = 0.35 + max(0.0, math.sin((at % _DAY / _DAY - 0.25) * math.tau)) * 1.4
    mean = source.a_minute * minutes * day * (1 + (at % (90 * _DAY)) / (360 * _DAY))
    calls = max(0, round(chance.gauss(mean, math.sqrt(mean))))
    if not calls:
        return {}
    summary = Summary()
    errors = sum(chance.random() < source.error_share for _ in range(min(calls, 200)))
    hits = round(calls * source.hit_share * chance.uniform(0.9, 1.1)) if source.hit_share else 0
    hits = min(hits, calls - errors)
    coalesced = min(calls - errors - hits, calls // 40) if source.hit_share else 0
    ran = calls - errors - hits - coalesced
    summary.outcomes = {"error": errors, "hit": hits, "coalesced": coalesced}
    summary.outcomes["miss" if source.hit_share else "bypass"] = ran
    far = hits // 3
    semantic = hits // 5 if source.semantic else 0
    summary.tiers = {"L1": hits - far - semantic, "L2": far, "semantic": semantic}
    if source.reason:
        summary.reasons = {source.reason: ran}
    if errors:
        summary.errors = {"TimeoutError": errors - errors // 3, "ConnectionError": errors // 3}
    for count, middle, buckets in (
        (hits + coalesced - far, 2e-6, (summary.waited_buckets,)),
        (far, 4e-4, (summary.waited_buckets,)),
        (ran + errors, source.seconds, (summary.waited_buckets, summary.worked_buckets)),
    ):
        # Some durations stand for all, since there are millions of them.
        some = min(count, 12)
        for number in range(some):
            share = (count + number) // some
            bucket = _bucket(middle * _SPREAD[chance.randrange(len(_SPREAD))])
            for counts in buckets:
                counts[bucket] = counts.get(bucket, 0) + share
    summary.asked = calls if source.hit_share else 0
    summary.attempts = ran + errors + errors // 2
    summary.retried = errors // 2
    summary.hedged = ran // 50
    summary.saved_seconds = (hits + coalesced) * source.seconds
    summary.saved_cost = (hits + coalesced) * source.cost
    summary.spent_cost = ran * source.cost
    summary.input_tokens = ran * source.tokens[0]
    summary.output_tokens = ran * source.tokens[1]
    summary.saved_tokens = (hits + coalesced) * sum(source.tokens)
    for counts in (summary.outcomes, summary.tiers, summary.errors):
        for name in [name for name, count in counts.items() if not count]:
            del counts[name]
    record = summary.to_record()
    if source.semantic:
        record |= _decisions(semantic, ran, chance).to_record()
    return record


@cache
def _bucket(seconds: float) -> str:
    histogram = Quantiles()
    histogram.add(seconds)
    return next(iter(histogram.buckets()))


def _decisions(served: int, refused: int, chance: random.Random) -> Decisions:
    found = Decisions(bounds={"0.02": served + refused})
    for _ in range(served):
        percent = round(100 * chance.uniform(0.86, 1.0))
        found.served[percent] = found.served.get(percent, 0) + 1
        found.estimated += chance.uniform(0.001, 0.02)
    for _ in range(refused):
        percent = round(100 * chance.uniform(0.3, 0.93))
        found.refused[percent] = found.refused.get(percent, 0) + 1
    found.estimates = served
    found.checked = refused // 12
    found.wrong = sum(chance.random() < 0.012 for _ in range(found.checked))
    vetoed = refused // 4
    found.verdicts = {
        "served": served,
        "vetoed": vetoed,
        "audited": found.checked,
        "below_threshold": refused - vetoed - found.checked,
    }
    found.verdicts = {name: count for name, count in found.verdicts.items() if count > 0}
    return found


def _states(now: float) -> list[ProcessState]:
    def state(number: int, host: str, age: float, breaker: BreakerReport) -> ProcessState:
        return ProcessState(
            id=f"{host}-{4_000 + number}",
            host=host,
            pid=4_000 + number,
            namespace=NAMESPACE,
            version="0.1.0",
            started=now - age,
            seen=now,
            allow_commands=number != 3,
            breakers=(breaker, BreakerReport("get_quote", "closed", now - age)),
            limits=(LimitReport("search_web", used=7, limit=10, waiting=number, seconds=0.4),),
            bulkheads=(LimitReport("run_query", used=3, limit=4, waiting=0),),
            tiers=(
                TierState("L1", items=8_123, bytes=None, evictions=97, max_items=10_000),
                TierState("L2", up=number != 2),
            ),
            index={"entries": 5_310, "questions": 4_871},
            dropped={"Pager": 2} if number == 1 else {},
        )

    opened = BreakerReport("send_mail", "open", now - 95, "ConnectionError", 42)
    closed = BreakerReport("send_mail", "closed", now - 5_000)
    return [
        state(1, "web-1", 3 * _DAY, closed),
        state(2, "web-1", 7_200, opened),
        state(3, "web-2", 600, closed),
    ]


def _notices(now: float, days: float) -> list[StoredNotice]:
    def notice(kind: str, name: str, detail: str, age: float, **more: Any) -> StoredNotice:
        return StoredNotice(
            kind, name, detail, now - age, NAMESPACE, host="web-1", pid=4_001, **more
        )

    found = [
        notice("breaker", "send_mail", "closed -> open", 95, error="ConnectionError"),
        notice("tier_failed", "L2", "ConnectionError", 240, count=17),
        notice("bypass", "run_query", "not_canonical", 900, error="Client"),
        notice("not_encodable", "run_query", "socket at $.connection", 4_000, count=3),
        notice("breaker", "send_mail", "half_open -> closed", 5_000, calls=12),
        notice("tier_recovered", "L2", "", 9_000),
        notice("sink_failed", "Pager", "ValueError", 50_000),
        notice("threads_full", "run_query", "run_query holds 32 threads", 4 * _DAY),
        notice("refresh_failed", "search_web", "TimeoutError", 12 * _DAY),
    ]
    return [each for each in found if now - each.at <= days * _DAY]
