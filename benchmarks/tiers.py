"""Eviction: the hit rate of the memory tier for a number of entries.

Measured: a trace of requests for 100,000 items whose popularity follows Zipf's law, interrupted by
scans: runs of items that are requested once and never again, as when a program reads through an
archive. Every request is a lookup, followed by a write after a miss. ``Memory`` (S3-FIFO; Yang et
al., SOSP 2023) is compared with ``functools.lru_cache`` of the same number of entries, which is
LRU. The trace is the same for both and in every run (a fixed seed).

Not measured: expiry, sizes in bytes, and traces of real agents: Zipf with scans is the usual
stand-in in the literature. There is no target; below 1 S3-FIFO would be the wrong choice.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Iterator
from itertools import accumulate

from report import Row, Section
from timing import Effort

from toolops_plugins import Codec, Memory
from toolops_plugins.cache.entry import Entry

THINGS, REQUESTS = 100_000, 200_000
SCAN_EVERY = 20_000  # requests between two scans
SHARES = (0.01, 0.1)  # sizes of the cache, as shares of the items


def run(effort: Effort) -> list[Section]:
    """Measure traces with and without scans."""
    things, requests = effort.calls(THINGS), effort.calls(REQUESTS)
    rows = []
    for exponent in (0.8, 1.0):
        for scan in (0, SCAN_EVERY // 4):
            trace = list(make_trace(things, requests, exponent, effort.calls(scan) if scan else 0))
            for share in SHARES:
                room = max(1, round(things * share))
                ours, lru = hits_of_memory(trace, room), hits_of_lru(trace, room)
                name = f"Zipf {exponent}, {'scans' if scan else 'no scans'}, room for {room:,}"
                rows.append(
                    Row(name, (100 * ours / len(trace), 100 * lru / len(trace), ours / max(lru, 1)))
                )
    notes = [f"{requests:,} requests for {things:,} items, besides those of the scans."]
    return [Section("Hits of S3-FIFO and LRU", ("ours %", "LRU %", "ours / LRU"), rows, notes)]


def make_trace(things: int, requests: int, exponent: float, scan: int) -> Iterator[int]:
    """Yield the trace; items of a scan have numbers of their own."""
    draw = random.Random(7)
    weights = list(accumulate(1 / rank**exponent for rank in range(1, things + 1)))
    popular = draw.choices(range(things), cum_weights=weights, k=requests)
    pause = max(1, requests * SCAN_EVERY // REQUESTS)
    fresh = things
    for number, thing in enumerate(popular, 1):
        yield thing
        if scan and number % pause == 0:
            yield from range(fresh, fresh + scan)
            fresh += scan


def hits_of_memory(trace: list[int], room: int) -> int:
    """Count the hits of our tier."""
    memory = Memory(max_items=room)
    now = time.monotonic()
    entry = Entry(Codec().encode("answer"), now, now + 3_600, now + 3_600)
    hits = 0
    for thing in trace:
        key = thing.to_bytes(32, "big")
        if memory.get(key)[0] is None:
            memory.set(key, entry)
        else:
            hits += 1
    return hits


def hits_of_lru(trace: list[int], room: int) -> int:
    """Count the hits of LRU."""

    @functools.lru_cache(maxsize=room)
    def ask(thing: int) -> int:
        return thing

    for thing in trace:
        ask(thing)
    return ask.cache_info().hits
