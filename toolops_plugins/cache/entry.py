"""The cache entry, and the protocol that every tier implements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from toolops_plugins.codec import Payload

__all__ = ["Entry", "Mark", "Tier"]

Mark: TypeAlias = Any
"""The state of a key and its tags at a lookup. A write that passes it is dropped if the state
has changed since. Opaque to everything but the tier that made it."""


class Entry(NamedTuple):
    """A cached result. Immutable, so several tiers can share one object.

    It is a named tuple because a frozen dataclass of this size takes five times as long to make.

    Args:
        payload: The encoded result.
        created: When the result was computed. All times are seconds on the runtime's monotonic
            clock, so clocks of different hosts are never compared, and setting one changes nothing.
        fresh_until: End of the time in which the entry is fresh.
        stale_until: End of the time in which it may be served stale; not before ``fresh_until``.
        took: Seconds that the computation took.
        price: Money that the computation cost.
        tags: Tags that invalidate the entry, sorted.
        kind: "value"; "error" for a cached exception; "stream" for the items of a generator.
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

    A key is a digest of 32 bytes. ``tags`` are the tags of the call. A lookup misses if the tags of
    the entry differ from them, or if one of the tags was invalidated after the entry was computed.
    A lookup also returns a mark. A write that passes the mark is dropped if the key or a tag was
    invalidated since, so a result computed from old data never survives an invalidation. A write
    with mark None counts as computed now.

    Every method raises :class:`~toolops_plugins.errors.TierError` and nothing else. A tier is safe
    to use from any threads and event loops at once.
    """

    label: str
    ttl: float | None
    local: bool
    """True if no method blocks, so that an event loop may call the blocking methods."""

    def get(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """Return the entry, or None, and a mark for a later :meth:`set`."""
        ...

    def set(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """Store the entry for at most ``ttl`` seconds, never past its ``stale_until``."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the untagged entries among the keys."""
        ...

    def set_many(self, entries: Mapping[bytes, Entry]) -> None:
        """Store many entries, as computed now."""
        ...

    def delete(self, key: bytes) -> None:
        """Delete the entry, and void all earlier marks of the key."""
        ...

    def invalidate(self, tags: Sequence[str]) -> None:
        """Delete all entries with one of the tags, and void earlier marks of these tags."""
        ...

    def clear(self) -> None:
        """Delete all entries of this namespace, and void all earlier marks."""
        ...

    def close(self) -> None:
        """Release all resources. The next use acquires them again."""
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
