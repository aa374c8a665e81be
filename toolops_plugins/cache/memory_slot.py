"""The slot: a compact in-memory record of an entry."""

from __future__ import annotations

import struct
from typing import Final, Literal

from toolops_plugins.cache.entry import Entry

__all__ = ["MAIN", "MOST", "OUT", "SMALL", "Slot", "hard_and_size"]

MOST: Final = 3
"""The largest hit count of a slot."""

OUT, SMALL, MAIN = range(3)
"""The queue of a slot."""

# Stored as objects, these fields would take two hundred bytes more for each entry.
_COLD: Final = struct.Struct("=dQdddB")
hard_and_size: Final = struct.Struct("=dQ").unpack_from
"""Unpacks ``hard`` and ``size`` from the ``cold`` bytes of a slot."""
_KINDS: Final[tuple[Literal["value", "error", "stream"], ...]] = ("value", "error", "stream")


class Slot:
    """An entry in memory; :meth:`Memory.peek` explains how to read it.

    The fields of the entry never change: a new write makes a new slot, so a reader always sees
    times and payload that belong together.

    Args:
        key: The key.
        entry: The entry.
        soft: Monotonic time until which the entry is fresh and too young for an early refresh.
        hard: Monotonic time at which the entry expires.
        seq: Mark of the last moment at which the tags were known to be valid.
        size: Bytes that the entry accounts for.

    Attributes:
        payload, took, price, tags: The fields of the entry.
        cold: The rarely used fields, packed.
        freq: Hit count, up to ``MOST``. A count lost to a race between threads does no harm.
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
        number = 0 if kind == "value" else _KINDS.index(kind)
        self.cold = _COLD.pack(hard, size, created, fresh_until, stale_until, number)

    @property
    def entry(self) -> Entry:
        """A new entry object. Reading single fields of the slot is cheaper."""
        _, _, created, fresh_until, stale_until, kind = _COLD.unpack(self.cold)
        return Entry(
            self.payload, created, fresh_until, stale_until, self.took, self.price, self.tags,
            _KINDS[kind],
        )  # fmt: skip
