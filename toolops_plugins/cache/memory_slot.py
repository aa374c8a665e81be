"""An entry in its place in memory, in as few bytes as Python allows."""

from __future__ import annotations

import struct
from typing import Final, Literal

from toolops_plugins.cache.entry import Entry

__all__ = ["MAIN", "MOST", "OUT", "SMALL", "Slot", "hard_and_size"]

MOST: Final = 3
"""Hits that a slot counts at most."""

OUT, SMALL, MAIN = range(3)
"""The queue that a slot stands in."""

# As objects, these would take two hundred bytes more of each entry.
_COLD: Final = struct.Struct("=dQdddB")
hard_and_size: Final = struct.Struct("=dQ").unpack_from
"""Takes the ``cold`` of a slot and returns its ``hard`` and its ``size``."""
_KINDS: Final[tuple[Literal["value", "error", "stream"], ...]] = ("value", "error", "stream")


class Slot:
    """An entry in its place in memory; :meth:`Memory.peek` tells how to read it.

    What it tells of the entry never changes: a new write makes a new slot, so that whoever holds
    one sees times that belong to its payload.

    Args:
        key: The key.
        entry: The entry.
        soft: Monotonic time before which it is plainly fresh: a value, not worth a thought of
            early refresh.
        hard: Monotonic time from which it is dead.
        seq: Mark of the moment at which its tags were last known to be valid.
        size: Bytes that it accounts for.

    Attributes:
        payload, took, price, tags: Those of the entry.
        cold: What is rarely needed of it, packed.
        freq: Hits counted, up to ``MOST``; a count lost to another thread does no harm.
    """

    __slots__ = (
        "cold",
        "freq",
        "key",
        "newer",
        "older",
        "payload",
        "price",
        "queue",
        "seq",
        "soft",
        "tags",
        "took",
    )

    older: Slot
    newer: Slot

    def __init__(
        self, key: bytes, entry: Entry, soft: float, hard: float, seq: int, size: int
    ) -> None:
        payload, created, fresh_until, stale_until, took, price, tags, kind = entry
        self.key = key
        self.payload = payload
        self.soft = soft
        self.took = took
        self.price = price
        self.tags = tags
        self.seq = seq
        self.freq = 0
        self.queue = OUT
        self.cold = _COLD.pack(hard, size, created, fresh_until, stale_until, _KINDS.index(kind))

    @property
    def entry(self) -> Entry:
        """The entry, put together anew; its parts are cheaper."""
        _, _, created, fresh_until, stale_until, kind = _COLD.unpack(self.cold)
        return Entry(
            self.payload, created, fresh_until, stale_until, self.took, self.price, self.tags,
            _KINDS[kind],
        )  # fmt: skip
