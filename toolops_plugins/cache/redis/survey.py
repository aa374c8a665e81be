"""Counts of the keys that a namespace has in Redis."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from toolops_plugins.cache.redis.connection import READING, Command, Work, primaries, scan

__all__ = ["LIVES", "Survey", "TierCounts", "survey"]

LIVES: Final = (60, 600, 3_600, 86_400)
"""Upper bounds, in seconds, of the groups by which remaining lifetimes are counted."""

_NAME = re.compile(r"([^:]+):(?:([0-9a-f]{64})|(tag|key):[0-9a-f]{64}|space)")
_TOMBSTONE = 8  # bytes
_RECORD = "void"  # the record of invalidations


@dataclass(slots=True)
class TierCounts:
    """The keys of one tier.

    Args:
        entries: Results and cached errors, including those that an invalidated tag has voided.
        tombstones: Marks of deletions, which last ten minutes.
        tags: Known tags.
        nbytes: Memory of all keys in bytes, as the server reports it, else the size of the values.
        lives: Number of entries by remaining lifetime: at most one of :data:`LIVES` seconds, or
            None for longer.
    """

    entries: int = 0
    tombstones: int = 0
    tags: int = 0
    nbytes: int = 0
    lives: Counter[int | None] = field(default_factory=Counter)


@dataclass(slots=True)
class Survey:
    """The keys of a namespace.

    Args:
        tiers: The counts of each tier, by label.
        foreign: Keys under the namespace that this package did not write.
        whole: Whether all keys were counted. False: the time was over.
    """

    tiers: dict[str, TierCounts] = field(default_factory=dict)
    foreign: int = 0
    whole: bool = True


def survey(
    root: str, *, cluster: bool, seconds: float | None = None, measure: bool = True
) -> Work[Survey]:
    """Count all keys under ``root`` with SCAN.

    Keys that are added or removed meanwhile may be missed or counted twice.

    Args:
        root: The common prefix of the namespace's keys, up to the label of the tier.
        cluster: Whether the servers form a cluster.
        seconds: Time limit in seconds; at least one round trip is made. Default None: no limit.
        measure: Whether to request sizes and lifetimes. False: every result key counts as an entry.
    """
    found = Survey()
    end = None if seconds is None else time.monotonic() + seconds
    nodes = (yield READING, primaries, None) if cluster else [None]
    for node in nodes:
        cursor = -1
        while cursor:
            if end is not None and cursor > 0 and time.monotonic() >= end:
                found.whole = False
                return found
            cursor, names = yield READING, scan, (max(cursor, 0), f"{root}*", node)
            if isinstance(cursor, dict):  # a cluster's client answers by node
                cursor = next(iter(cursor.values()))
            facts: Any = [(None, None, None)] * len(names)
            if measure and names:
                facts = yield READING, _facts, names
            for name, fact in zip(names, facts, strict=True):
                _sort(found, name.decode("utf-8", "replace").removeprefix(root), *fact)
    return found


def _facts(client: Any, names: list[Any]) -> tuple[tuple[Any, Any, Any], ...]:
    """Return length, memory and remaining milliseconds of each key, or an error in their place."""
    pipeline = client.pipeline(transaction=False)
    commands: list[Command] = [
        command
        for name in names
        for command in (("STRLEN", name), ("MEMORY USAGE", name), ("PTTL", name))
    ]
    for command in commands:
        pipeline.execute_command(*command)
    replies = iter(pipeline.execute(raise_on_error=False))
    return tuple(zip(replies, replies, replies, strict=True))


def _sort(found: Survey, name: str, length: Any, memory: Any, left: Any) -> None:
    if name == _RECORD:
        return
    match = _NAME.fullmatch(name)
    if match is None or isinstance(length, Exception):
        found.foreign += 1
        return
    if left == -2:  # the key has expired meanwhile
        return
    tier = found.tiers.setdefault(unquote(match[1], errors="replace"), TierCounts())
    if isinstance(length, int):
        tier.nbytes += memory if isinstance(memory, int) else length
    if match[2] is None:  # a stamp; only those of tags are counted
        tier.tags += match[3] == "tag"
    elif length == _TOMBSTONE:
        tier.tombstones += 1
    else:
        tier.entries += 1
        if isinstance(left, int) and left >= 0:
            tier.lives[next((life for life in LIVES if left <= life * 1000), None)] += 1
