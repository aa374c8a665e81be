"""Lookups and writes across the cache tiers, nearest tier first.

A hit in a far tier is copied to the nearer ones. A failing tier is a miss, and makes a notice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.tiers import SKIP, LookupResult, Tiers, is_newer

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

__all__ = ["find_entry", "store_entry"]


async def find_entry(
    driver: LoopDriver,
    tiers: Tiers,
    key: bytes,
    tags: Sequence[str],
    now: float,
    newer_than: float = -math.inf,
    earlier: Sequence[Mark] = (),
) -> LookupResult:
    """Ask one tier after the other for a fresh entry, and copy it to the nearer tiers.

    Args:
        driver: Does the I/O.
        tiers: The tiers.
        key: The key.
        tags: The tags of the call.
        now: The runtime's monotonic time.
        newer_than: Monotonic time. An entry computed then or earlier does not count as fresh; a
            refresh passes the time of the entry that it replaces.
        earlier: The marks of a lookup by the same call a moment ago. A tier that failed then and
            fails again is not reported a second time.
    """
    marks: list[Mark] = []
    best: Entry | None = None
    best_tier: str | None = None
    for tier in tiers.all:
        try:
            if tier.local:
                entry, mark = tier.get(key, tags)
            else:
                entry, mark = await driver.io(tier.aget, key, tags)
        except Exception as error:  # noqa: BLE001 - an error of the caller is raised again
            again = len(marks) < len(earlier) and earlier[len(marks)] is SKIP
            tiers.record_failure(tier, error, "read", again=again)
            marks.append(SKIP)
            continue
        if tiers.failing:
            tiers.record_success(tier, "read")
        if entry is not None and entry.fresh_until > now and is_newer(entry, newer_than):
            if marks:
                await store_entry(driver, tiers, key, entry, marks)
            return LookupResult(entry, tier.label, tuple(marks))
        marks.append(mark)
        if entry is not None and (best is None or entry.fresh_until > best.fresh_until):
            best, best_tier = entry, tier.label
    return LookupResult(best, best_tier, tuple(marks))


async def store_entry(
    driver: LoopDriver,
    tiers: Tiers,
    key: bytes,
    entry: Entry,
    marks: Sequence[Mark] | None = None,
) -> None:
    """Write an entry to every tier that has a mark; to all tiers if ``marks`` is None."""
    chosen = tiers.all if marks is None else tiers.all[: len(marks)]
    for tier, mark in zip(chosen, marks or [None] * len(chosen), strict=True):
        if mark is SKIP:
            continue
        try:
            if tier.local:
                tier.set(key, entry, mark)
            else:
                await driver.io(tier.aset, key, entry, mark)
        except Exception as error:  # noqa: BLE001 - an error of the caller is raised again
            tiers.record_failure(tier, error, "write")
        else:
            if tiers.failing:
                tiers.record_success(tier, "write")
