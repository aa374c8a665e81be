"""A cached result with what is known of it, and the contract of every tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from toolops_plugins.codec import Payload

__all__ = ["Entry", "Mark", "Tier"]

Mark: TypeAlias = Any
"""What a tier must find unchanged for a later write to count; opaque to everybody else."""


class Entry(NamedTuple):
    """A result as it is kept; immutable, so one object may stand in several tiers.

    A named tuple, since a frozen dataclass of this size takes five times as long to make.

    Args:
        payload: The encoded result.
        kind: "value"; "error" for a remembered exception; "stream" for the items of a generator.
        created: When it was computed, on the runtime's monotonic clock, as all times here: no two
            hosts' clocks are ever compared, and setting one changes nothing.
        fresh_until: Until when it is fresh.
        stale_until: Until when it may be served stale; at or after ``fresh_until``.
        took: Seconds that computing it took.
        price: Money that computing it cost.
        tags: The tags under which it can be invalidated, sorted.
    """

    payload: Payload
    created: float
    fresh_until: float
    stale_until: float
    took: float = 0.0
    price: float = 0.0
    tags: tuple[str, ...] = ()
    kind: Literal["value", "error", "stream"] = "value"


class Tier(Protocol):
    """One level of the cache.

    A key is a digest of 32 bytes. ``tags`` are those of the call: an entry whose own tags differ,
    or of which a tag was invalidated after it was computed, is not found. A lookup also returns
    a mark; a write that passes it is dropped if the key or a tag was invalidated since the mark
    was taken, so that a result computed from old data never survives an invalidation. A write with
    mark None counts as computed now. Every method may raise
    :class:`~toolops_plugins.errors.TierError`, and nothing else. A tier is safe to use from any
    threads and event loops at once.
    """

    label: str
    ttl: float | None
    local: bool
    """True: nothing blocks, so the plain methods may be called on an event loop."""

    def get(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """Return the entry, or None, and a mark for a later :meth:`set`."""
        ...

    def set(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """Keep the entry for ``ttl`` seconds, but never past its ``stale_until``."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the untagged entries among the keys."""
        ...

    def set_many(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep many entries, as of now."""
        ...

    def delete(self, key: bytes) -> None:
        """Forget the key, and void every earlier mark of it."""
        ...

    def invalidate(self, tags: Sequence[str]) -> None:
        """Forget every entry that carries one of the tags, and void earlier marks."""
        ...

    def clear(self) -> None:
        """Forget everything of this namespace, and void every earlier mark."""
        ...

    def close(self) -> None:
        """Release what is held; the tier may be used again and then reopens it."""
        ...

    async def aget(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """As :meth:`get`."""
        ...

    async def aset(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """As :meth:`set`."""
        ...

    async def aget_many(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """As :meth:`get_many`."""
        ...

    async def aset_many(self, entries: Mapping[bytes, Entry]) -> None:
        """As :meth:`set_many`."""
        ...

    async def adelete(self, key: bytes) -> None:
        """As :meth:`delete`."""
        ...

    async def ainvalidate(self, tags: Sequence[str]) -> None:
        """As :meth:`invalidate`."""
        ...

    async def aclear(self) -> None:
        """As :meth:`clear`."""
        ...

    async def aclose(self) -> None:
        """As :meth:`close`."""
        ...
