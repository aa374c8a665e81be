"""The memory tier: bounded by items and by bytes, with S3-FIFO eviction.

S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023)
has three queues. A new entry enters the *small* queue, which has a tenth of the capacity. At its
end, an entry with two hits or more moves to the *main* queue. Any other entry is evicted, and the
*ghost* queue stores its key; if the key is written again while it is there, the entry enters the
main queue directly. At the end of the main queue an entry is evicted unless it was hit since; each
hit, up to three, gives it one more pass. So entries used once never displace entries used often. A
hit only increments a counter and moves nothing, so readers need no lock.
"""

from __future__ import annotations

import math
import sys
import threading
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from sys import getsizeof
from typing import Any, Final

from toolops_plugins import check
from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.memory_slot import MAIN, MOST, OUT, SMALL, Slot, hard_and_size
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.codec import Payload
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.invalidation import Invalidations

__all__ = ["MOST", "Memory", "Slot"]

_UNTAGGED: Final = sys.maxsize  # a deletion removes the slot, so only tags can void it later
_OVERHEAD: Final = 480  # bytes for an entry besides its payload, as measured
_TAG_OVERHEAD: Final = 32  # bytes of a tag besides its text
_PROMOTION_HITS: Final = 2  # hits that move a slot from the small queue to the main queue
_SWEEPS: Final = 2  # slots that each write checks for expiry; each write adds one at most
_PATIENCE: Final = 256  # slots that may be requeued before one is evicted; bounds a write
_GHOSTS: Final = 1 << 20  # ghost keys at most, at 8 bytes each
_NO_GHOST: Final = -1  # no hash is -1
_EARLY: Final = 20.0  # in computation times; with beta 1 an early refresh has odds of 2e-9


class _Place:
    """The type of the default label, which depends on the position of the tier."""

    def __reduce__(self) -> str:
        return "_PLACE"


_PLACE: Final = _Place()


class Memory:
    """A tier in the memory of this process.

    Safe for use from any threads and event loops: lookups never wait, and writes wait only for
    each other. Every operation takes constant time, amortised over the writes, except ``clear`` and
    ``close``, which release every entry.

    Args:
        max_items: Largest number of entries. Default 10,000.
        ttl: Longest lifetime of an entry, in seconds or as a timedelta. Default None: the lifetime
            of the entry itself.
        max_bytes: Largest size of all entries in bytes, payloads and overhead. A single entry that
            is larger is not stored. Default 256 MiB.
        label: The name of the tier in policies and events. Default: its position among the tiers
            of the runtime, "L1" for the nearest.
        clock: The source of time. Default None: the clock of the runtime.

    Attributes:
        era: See ``peek``.
        evictions: Number of live entries that were evicted for lack of space.
        named: Whether the user or a runtime has set the label.
        expired: Number of entries that were dropped because they expired or a tag was invalidated.
        peek: Takes a key and returns its :class:`Slot` or None, live or expired, for the price of a
            dictionary lookup. Before serving from the slot, check ``now < slot.soft and slot.seq >=
            memory.era``. True: the entry is a fresh value, and none of its tags was invalidated.
            False: call :meth:`get`, which decides and updates ``seq``. Then count the hit: ``if
            slot.freq < MOST: slot.freq += 1``.

    Raises:
        ConfigurationError: A value is invalid. The error names the parameter.
    """

    local = True

    def __init__(
        self,
        max_items: int = 10_000,
        ttl: float | timedelta | None = None,
        max_bytes: int = 256 * 1024 * 1024,
        *,
        label: str | _Place = _PLACE,
        clock: Clock | None = None,
    ) -> None:
        self.max_items = check.count("max_items", max_items)
        self.ttl = None if ttl is None else check.seconds("ttl", ttl, zero=False)
        self.max_bytes = check.count("max_bytes", max_bytes)
        self.named = not isinstance(label, _Place)
        self.label = "L1" if isinstance(label, _Place) else label
        if not isinstance(self.label, str) or not self.label:
            raise ConfigurationError("label", f"must be a non-empty string, not {label!r}")
        self.era = 0
        self.evictions = 0
        self.expired = 0
        self._clock = clock
        self._set_clock(clock or SYSTEM_CLOCK)
        self._invalidations = Invalidations()
        # Reentrant: the garbage collector may run a finalizer that uses this tier at any point.
        # Links are changed by plain assignments, between which CPython runs no other code.
        self._lock = fork_safe(self, threading.RLock())
        self._slots: dict[bytes, Slot] = {}
        self.peek: Callable[[bytes], Slot | None] = self._slots.get
        nothing = Entry(Payload("", b""), 0.0, 0.0, math.inf)
        self._small, self._main = (
            Slot(b"", nothing, -math.inf, math.inf, _UNTAGGED, 0) for _ in range(2)
        )
        self._reset_queues()

    def bind(self, clock: Clock, label: str | None = None) -> None:
        """Use the clock of a runtime.

        Args:
            clock: The clock of the runtime.
            label: The name of the tier, if neither the user nor another runtime has set one.

        Raises:
            ConfigurationError: The tier has another clock already.
        """
        if self._clock not in (None, clock):
            raise ConfigurationError(
                "tiers", f"{self.label} has another clock than the runtime; give both the same"
            )
        self._clock = clock
        if label is not None and not self.named:
            self.label, self.named = label, True
        self._set_clock(clock)

    def _set_clock(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic

    def _reset_queues(self) -> None:
        # One ring: the sentinel of the small queue, its slots from old to new, the sentinel of the
        # main queue, its slots from old to new. Unlike a deque, it can remove any slot.
        self._small.older = self._small.newer = self._main
        self._main.older = self._main.newer = self._small
        self._hand = self._small  # where the next sweep begins
        self._items = self._small_items = 0
        self._bytes = self._small_bytes = 0
        # A hash table of key hashes without collision handling: a new hash replaces the old one in
        # its place. It holds about as many as a queue of this length, in a tenth of the memory.
        places = 1 << (min(self.max_items, _GHOSTS) - 1).bit_length()
        self._ghosts = array("q", (_NO_GHOST,)) * places
        self._ghost_mask = places - 1

    def __reduce__(self) -> tuple[Any, ...]:
        # Only the configuration; entries stay in this process.
        label = self.label if self.named else _PLACE
        return _rebuild, (type(self), self.max_items, self.ttl, self.max_bytes, label)

    def __repr__(self) -> str:
        return (
            f"Memory(max_items={self.max_items}, ttl={self.ttl}, max_bytes={self.max_bytes}, "
            f"label={self.label!r})"
        )

    def __len__(self) -> int:
        """Return the number of entries, including expired ones that were not found yet."""
        return self._items

    @property
    def nbytes(self) -> int:
        """Size of all entries in bytes."""
        return self._bytes

    # Lookups ------------------------------------------------------------------------------------

    def get(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """Return the entry, or None, and a mark for a later :meth:`set`."""
        mark = self._invalidations.now()  # first, so that all later checks hold as of this mark
        slot = self.peek(key)
        if slot is None:
            return None, mark
        if self._is_expired(slot, self._monotonic(), mark):
            self._drop_expired(slot)
            return None, mark
        if slot.tags != tags and slot.tags != tuple(sorted(set(tags))):
            return None, mark
        if slot.freq < MOST:
            slot.freq += 1
        return slot.entry, mark

    def find(self, key: bytes, tags: Sequence[str] = ()) -> Entry | None:
        """Return the entry as :meth:`get` does, but count no hit and drop nothing."""
        mark = self._invalidations.now()
        slot = self.peek(key)
        if slot is None or self._is_expired(slot, self._monotonic(), mark):
            return None
        return slot.entry if slot.tags in (tags, tuple(sorted(set(tags)))) else None

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the untagged entries among the keys."""
        found = {key: self.get(key)[0] for key in keys}
        return {key: entry for key, entry in found.items() if entry is not None}

    def _is_expired(self, slot: Slot, now: float, mark: int) -> bool:
        if hard_and_size(slot.cold)[0] <= now:
            return True
        if slot.seq < self.era:
            if not self._invalidations.holds_tags(slot.seq, slot.tags):
                return True
            slot.seq = mark  # none of its tags was invalidated before this mark
        return False

    def _drop_expired(self, slot: Slot) -> None:
        """Drop an expired slot that a lookup has found."""
        with self._lock:
            if slot.queue != OUT:
                self._drop(slot)
                self.expired += 1
                # It was requested again, which is the condition for the main queue.
                self._add_ghost(slot.key)

    # Writes -------------------------------------------------------------------------------------

    def set(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """Store the entry for at most ``ttl`` seconds, never past its ``stale_until``."""
        tags = entry.tags
        now = self._monotonic()
        hard = entry.stale_until
        if self.ttl is not None and hard > now + self.ttl:
            hard = now + self.ttl
        soft = -math.inf
        if entry.kind == "value":
            soft = min(hard, entry.fresh_until - _EARLY * entry.took)
        size = _OVERHEAD + entry.payload.size
        for tag in tags:
            size += _TAG_OVERHEAD + getsizeof(tag)
        with self._lock:
            mark_now = self._invalidations.now()
            if mark is not None and not self._invalidations.holds(mark, key, tags):
                return
            for _ in range(_SWEEPS):
                # Written out, since a call for each takes a tenth of a write.
                swept = self._hand
                self._hand = swept.newer
                if hard_and_size(swept.cold)[0] <= now or swept.seq < self.era:
                    self._drop_if_expired(swept, now)
                del swept  # a finalizer of the user's runs here, between two steps
            old = self._slots.get(key)
            if hard <= now or size > self.max_bytes:
                if old is not None:
                    self._drop(old)
                return
            slot = Slot(key, entry, soft, hard, mark_now if tags else _UNTAGGED, size)
            queue = SMALL
            if old is not None:
                # Readers find the old slot until the new one has replaced it.
                queue, slot.freq = old.queue or SMALL, old.freq
                self._unlink(old)
            else:
                ghost = hash(key)
                place = ghost & self._ghost_mask
                if self._ghosts[place] == ghost:
                    self._ghosts[place] = _NO_GHOST
                    queue = MAIN
                elif self._small_is_full() and not self._is_full(size):
                    queue = MAIN  # with free space left, nothing has to be evicted
            if self._is_full(size):
                self._make_room(size, now)
            self._slots[key] = slot
            self._link(slot, queue, size)

    def set_many(self, entries: Mapping[bytes, Entry]) -> None:
        """Store many entries, as computed now."""
        for key, entry in entries.items():
            self.set(key, entry)

    def void(
        self, keys: Iterable[bytes] = (), tags: Iterable[str] = (), *, everything: bool = False
    ) -> None:
        """Delete what was invalidated, here or in another process, and void earlier marks.

        Args:
            keys: Delete the entries of these keys.
            tags: Delete all entries with one of these tags.
            everything: Delete all entries.
        """
        keys, tags = tuple(keys), tuple(tags)
        with self._lock:
            number = self._invalidations.void(keys, tags, everything=everything)
            if tags:
                self.era = number
            if everything:
                self._drop_all()
            for key in keys:
                slot = self._slots.get(key)
                if slot is not None:
                    self._drop(slot)

    def delete(self, key: bytes) -> None:
        """Delete the entry, and void all earlier marks of the key."""
        self.void(keys=(key,))

    def invalidate(self, tags: Sequence[str]) -> None:
        """Delete all entries with one of the tags, and void earlier marks of these tags."""
        self.void(tags=tags)

    def clear(self) -> None:
        """Delete all entries, and void all earlier marks."""
        self.void(everything=True)

    def close(self) -> None:
        """Delete all entries. The tier can be used again."""
        self.void(everything=True)

    # Queues; the caller holds the lock ----------------------------------------------------------

    def _make_room(self, size: int, now: float) -> None:
        """Evict entries until one more of ``size`` bytes fits."""
        patience = _PATIENCE
        while self._is_full(size):
            small = self._small_items
            if small and small < self._items:
                small = patience and self._small_is_full()
            evicted = self._evict((self._small if small else self._main).newer, patience, now)
            patience = _PATIENCE if evicted else patience - 1

    def _is_full(self, size: int) -> bool:
        return self._items >= self.max_items or self._bytes + size > self.max_bytes

    def _small_is_full(self) -> bool:
        return self._small_items * 10 >= self.max_items or self._small_bytes * 10 >= self.max_bytes

    # This is a function so that no variable keeps a dropped slot alive. A user's finalizer then
    # runs between two steps of the loop, never while the ring is being changed.

    def _evict(self, slot: Slot, patience: int, now: float) -> bool:
        """Evict the slot at the end of its queue or requeue it; return whether it was evicted."""
        if self._is_expired(slot, now, self._invalidations.now()):
            self._drop(slot)
            self.expired += 1
            return True
        in_main = slot.queue == MAIN
        if patience and slot.freq >= (1 if in_main else _PROMOTION_HITS):
            slot.freq = slot.freq - 1 if in_main else 0
            self._unlink(slot)
            self._link(slot, MAIN, hard_and_size(slot.cold)[1])
            return False
        self._drop(slot)
        self.evictions += 1
        if not in_main:
            self._add_ghost(slot.key)
        return True

    def _drop_if_expired(self, slot: Slot, now: float) -> None:
        if self._is_expired(slot, now, self._invalidations.now()):
            self._drop(slot)
            self.expired += 1

    def _add_ghost(self, key: bytes) -> None:
        ghost = hash(key)
        self._ghosts[ghost & self._ghost_mask] = ghost

    def _drop_all(self) -> None:
        slots = list(self._slots.values())
        self._slots.clear()
        self._reset_queues()
        for slot in slots:
            if slot.queue != OUT:
                slot.queue = OUT
                del slot.older, slot.newer  # as in _unlink

    def _drop(self, slot: Slot) -> None:
        self._unlink(slot)
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]

    def _link(self, slot: Slot, queue: int, size: int) -> None:
        """Append a slot of this size to a queue."""
        after = self._small if queue == MAIN else self._main
        slot.newer = after
        slot.older = after.older
        after.older.newer = slot
        after.older = slot
        slot.queue = queue
        self._items += 1
        self._bytes += size
        if queue == SMALL:
            self._small_items += 1
            self._small_bytes += size

    def _unlink(self, slot: Slot) -> None:
        size = hard_and_size(slot.cold)[1]
        if slot.queue == OUT:
            return
        if self._hand is slot:
            self._hand = slot.newer
        slot.older.newer = slot.newer
        slot.newer.older = slot.older
        del slot.older, slot.newer  # a dropped slot must not keep its neighbours alive
        self._items -= 1
        self._bytes -= size
        if slot.queue == SMALL:
            self._small_items -= 1
            self._small_bytes -= size
        slot.queue = OUT

    # Asynchronous methods; none of them waits ----------------------------------------------------

    async def aget(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """As :meth:`get`."""
        return self.get(key, tags)

    async def aset(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """As :meth:`set`."""
        self.set(key, entry, mark)

    async def aget_many(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """As :meth:`get_many`."""
        return self.get_many(keys)

    async def aset_many(self, entries: Mapping[bytes, Entry]) -> None:
        """As :meth:`set_many`."""
        self.set_many(entries)

    async def adelete(self, key: bytes) -> None:
        """As :meth:`delete`."""
        self.delete(key)

    async def ainvalidate(self, tags: Sequence[str]) -> None:
        """As :meth:`invalidate`."""
        self.invalidate(tags)

    async def aclear(self) -> None:
        """As :meth:`clear`."""
        self.clear()

    async def aclose(self) -> None:
        """As :meth:`close`."""
        self.close()


def _rebuild(
    kind: type[Memory], max_items: int, ttl: float | None, max_bytes: int, label: str | _Place
) -> Memory:
    return kind(max_items, ttl, max_bytes, label=label)
