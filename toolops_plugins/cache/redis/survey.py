"""What lies in Redis under a namespace, for whoever looks from outside."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from toolops_plugins.cache.redis.connection import READING, Command, Work, primaries, scan

__all__ = ["LIVES", "Shelf", "Survey", "survey"]

LIVES: Final = (60, 600, 3_600, 86_400)
"""Seconds that bound the groups by which the rest of entries' lives is counted."""

_NAME = re.compile(r"([^:]+):(?:([0-9a-f]{64})|(tag|key):[0-9a-f]{64}|space)")
_TOMBSTONE = 8  # bytes


@dataclass(slots=True)
class Shelf:
    """What one tier keeps.

    Args:
        entries: Results and remembered errors, those included that a tag has voided since.
        tombstones: Marks of deletions, which last ten minutes.
        tags: Tags that are known.
        nbytes: Bytes of memory that all of it takes, as the server tells; where it does not, the
            bytes of the values.
        lives: Entries by how many seconds they have left at most: one of :data:`LIVES`, or None for
            more than all of these.
    """

    entries: int = 0
    tombstones: int = 0
    tags: int = 0
    nbytes: int = 0
    lives: Counter[int | None] = field(default_factory=Counter)


@dataclass(slots=True)
class Survey:
    """What a namespace keeps.

    Args:
        shelves: By the label of the tier.
        foreign: Keys under the namespace that are none of ours.
        whole: Whether everything was seen; else there was no time for more.
    """

    shelves: dict[str, Shelf] = field(default_factory=dict)
    foreign: int = 0
    whole: bool = True


def survey(
    root: str, *, cluster: bool, seconds: float | None = None, measure: bool = True
) -> Work[Survey]:
    """Walk through all keys under ``root``, by SCAN, and tell what they are.

    Keys that come and go meanwhile may be missed, or counted twice.

    Args:
        root: What the keys of the namespace begin with, up to the label of the tier.
        cluster: Whether the servers form a cluster.
        seconds: When to stop, at least one round trip after the start. None: at the end.
        measure: Whether to ask for sizes and lives; else all keys of results count as entries.
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
    """Return length, memory and milliseconds left of keys; an error stands for what is unknown."""
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
    match = _NAME.fullmatch(name)
    if match is None or isinstance(length, Exception):
        found.foreign += 1
        return
    if left == -2:  # it is gone by now
        return
    shelf = found.shelves.setdefault(unquote(match[1], errors="replace"), Shelf())
    if isinstance(length, int):
        shelf.nbytes += memory if isinstance(memory, int) else length
    if match[2] is None:  # stamps, of which only those of tags tell anybody something
        shelf.tags += match[3] == "tag"
    elif length == _TOMBSTONE:
        shelf.tombstones += 1
    else:
        shelf.entries += 1
        if isinstance(left, int) and left >= 0:
            shelf.lives[next((life for life in LIVES if left <= life * 1000), None)] += 1
