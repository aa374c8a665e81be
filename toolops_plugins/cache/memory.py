"""The tier in this process: bounded by items and by bytes, with S3-FIFO eviction.

S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023)
keeps three queues. What is new enters a *small* one with a tenth of the room. What was asked for
twice by the time it reaches the end of that moves to the *main* one, the rest goes, and only its
name is remembered in the *ghost* queue; if it is set again while remembered, it enters the main
queue at once. At the end of the main queue stand those that go, except that each hit since, up to
three, buys one more round. So what is asked for once never pushes out what is asked for often, and
a hit costs no more than to count it: nothing is moved, so readers need no lock.
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
from toolops_plugins.invalidation import Generations

__all__ = ["MOST", "Memory", "Slot"]

_UNTAGGED: Final = sys.maxsize  # deletion removes a slot itself, so only tags can void one later
_OVERHEAD: Final = 480  # bytes that are kept for an entry besides its payload, as measured
_TAG_OVERHEAD: Final = 32  # bytes of a tag besides its text
_PROMOTED: Final = 2  # hits that take a slot from the small queue to the main one
_SWEPT: Final = 2  # slots that each write looks at for dead ones; each write adds one at most
_PATIENCE: Final = 256  # slots that may move on before one goes; bounds the time of a write
_GHOSTS: Final = 1 << 20  # names remembered at most, at 8 bytes each
_NO_GHOST: Final = -1  # no hash is -1
_EARLY: Final = 20.0  # in units of what computing took; with beta 1 the odds of a draw are 2e-9


class _Place:
    """The type of a label that follows from the tier's place."""

    def __reduce__(self) -> str:
        return "_PLACE"


_PLACE: Final = _Place()


class Memory:
    """A tier in the memory of this process.

    Safe for use from any threads and event loops: lookups never wait, and writes wait only for
    each other. Every operation takes constant time, amortised over the writes, but ``clear`` and
    ``close``, which let go of every entry.

    Args:
        max_items: Entries kept at most. Default 10,000.
        ttl: Seconds (or timedelta) for which an entry is kept at most. Default None: as long as
            the entry itself says.
        max_bytes: Bytes that entries may occupy, as measured by their payloads and what is kept
            beside them. An entry that is larger by itself is not kept. Default 256 MiB.
        label: The tier's name in policies and events. Default: by its place among the tiers of its
            runtime, "L1" for the nearest.
        clock: The source of time. None: that of the runtime that it is given to.

    Attributes:
        era: See :meth:`peek`.
        evictions: How many live entries had to make room for others.
        named: Whether the user, or a runtime, has given it a label.
        expired: How many entries were dropped because their time had come or a tag of theirs was
            invalidated.
        peek: Takes a key and returns its :class:`Slot` or None, live or dead, at the cost of a
            look into a dictionary. Before an entry is served from it, ask ``now < slot.soft and
            slot.seq >= memory.era``: true means that it is a fresh value and no tag of it was
            invalidated. False means that only :meth:`get` can tell, which also brings ``seq`` up to
            date. Then count the hit: ``if slot.freq < MOST: slot.freq += 1``.

    Raises:
        ConfigurationError: A value is wrong; it names the parameter.
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
        self._go_by(clock or SYSTEM_CLOCK)
        self._generations = Generations()
        # Reentrant, as the collector may run a user's finalizer, and that this tier, anywhere. The
        # links are changed by plain assignments, between which CPython runs nothing else.
        self._lock = fork_safe(self, threading.RLock())
        self._slots: dict[bytes, Slot] = {}
        self.peek: Callable[[bytes], Slot | None] = self._slots.get
        nothing = Entry(Payload("", b""), 0.0, 0.0, math.inf)
        self._small, self._main = (
            Slot(b"", nothing, -math.inf, math.inf, _UNTAGGED, 0) for _ in range(2)
        )
        self._start()

    def bind(self, clock: Clock, label: str | None = None) -> None:
        """Go by the clock of the runtime that uses this tier.

        Args:
            clock: The runtime's clock.
            label: The tier's name, if it has none from the user or another runtime.

        Raises:
            ConfigurationError: It goes by another clock already.
        """
        if self._clock not in (None, clock):
            raise ConfigurationError(
                "tiers", f"{self.label} goes by another clock than the runtime"
            )
        self._clock = clock
        if label is not None and not self.named:
            self.label, self.named = label, True
        self._go_by(clock)

    def _go_by(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic

    def _start(self) -> None:
        # One ring: the end of the small queue, its slots from old to new, the end of the main
        # queue, its slots from old to new, and round. Unlike deques it can lose a slot anywhere.
        self._small.older = self._small.newer = self._main
        self._main.older = self._main.newer = self._small
        self._hand = self._small  # where the next sweep begins
        self._items = self._small_items = 0
        self._bytes = self._small_bytes = 0
        # Hashes of keys, each in the one place where it may stand; the next to come there drives
        # it out. That remembers about as many as a queue of this length in a tenth of the memory.
        places = 1 << (min(self.max_items, _GHOSTS) - 1).bit_length()
        self._ghosts = array("q", (_NO_GHOST,)) * places
        self._ghost_mask = places - 1

    def __reduce__(self) -> tuple[Any, ...]:
        # Its configuration: what it holds stays in this process.
        label = self.label if self.named else _PLACE
        return _unpickled, (type(self), self.max_items, self.ttl, self.max_bytes, label)

    def __repr__(self) -> str:
        return (
            f"Memory(max_items={self.max_items}, ttl={self.ttl}, max_bytes={self.max_bytes}, "
            f"label={self.label!r})"
        )

    def __len__(self) -> int:
        """Return how many entries are kept, dead ones included that were not met yet."""
        return self._items

    @property
    def nbytes(self) -> int:
        """Bytes that the entries account for."""
        return self._bytes

    # Lookups ------------------------------------------------------------------------------------

    def get(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """Return the entry, or None, and a mark for a later :meth:`set`."""
        mark = self._generations.now()  # first: what is checked after it is valid as of it
        slot = self.peek(key)
        if slot is None:
            return None, mark
        if self._is_dead(slot, self._monotonic(), mark):
            self._bury(slot)
            return None, mark
        if slot.tags != tags and slot.tags != tuple(sorted(set(tags))):
            return None, mark
        if slot.freq < MOST:
            slot.freq += 1
        return slot.entry, mark

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the untagged entries among the keys."""
        found = {key: self.get(key)[0] for key in keys}
        return {key: entry for key, entry in found.items() if entry is not None}

    def _is_dead(self, slot: Slot, now: float, mark: int) -> bool:
        if hard_and_size(slot.cold)[0] <= now:
            return True
        if slot.seq < self.era:
            if not self._generations.holds_tags(slot.seq, slot.tags):
                return True
            slot.seq = mark  # nothing voided its tags up to then
        return False

    def _bury(self, slot: Slot) -> None:
        """Drop a slot that somebody asked for too late."""
        with self._lock:
            if slot.queue != OUT:
                self._drop(slot)
                self.expired += 1
                # It was asked for again, which is what the small queue waits to see.
                self._remember(slot.key)

    # Writes -------------------------------------------------------------------------------------

    def set(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """Keep the entry for ``ttl`` seconds, but never past its ``stale_until``."""
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
            mark_now = self._generations.now()
            if mark is not None and not self._generations.holds(mark, key, tags):
                return
            for _ in range(_SWEPT):
                self._sweep(now)
            old = self._slots.get(key)
            if hard <= now or size > self.max_bytes:
                if old is not None:
                    self._drop(old)
                return
            slot = Slot(key, entry, soft, hard, mark_now if tags else _UNTAGGED, size)
            queue = SMALL
            if old is not None:
                # Readers find it until the new one stands in its place.
                queue, slot.freq = old.queue or SMALL, old.freq
                self._unlink(old)
            elif self._ghosts[place := hash(key) & self._ghost_mask] == hash(key):
                self._ghosts[place] = _NO_GHOST
                queue = MAIN
            elif self._small_is_full() and not self._is_full(size):
                queue = MAIN  # while there is room, it keeps what the small queue would let go
            self._make_room(size, now)
            self._slots[key] = slot
            self._link(slot, queue)

    def set_many(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep many entries, as of now."""
        for key, entry in entries.items():
            self.set(key, entry)

    def void(
        self, keys: Iterable[bytes] = (), tags: Iterable[str] = (), *, everything: bool = False
    ) -> None:
        """Forget what was invalidated, here or in another process, and void earlier marks.

        Args:
            keys: These keys are forgotten.
            tags: Every entry with one of these tags is forgotten.
            everything: All entries are forgotten.
        """
        keys, tags = tuple(keys), tuple(tags)
        with self._lock:
            number = self._generations.void(keys, tags, everything=everything)
            if tags:
                self.era = number
            if everything:
                self._forget_all()
            for key in keys:
                slot = self._slots.get(key)
                if slot is not None:
                    self._drop(slot)

    def delete(self, key: bytes) -> None:
        """Forget the key, and void every earlier mark of it."""
        self.void(keys=(key,))

    def invalidate(self, tags: Sequence[str]) -> None:
        """Forget every entry that carries one of the tags, and void earlier marks."""
        self.void(tags=tags)

    def clear(self) -> None:
        """Forget everything, and void every earlier mark."""
        self.void(everything=True)

    def close(self) -> None:
        """Forget everything, since memory is all that is held; the tier may be used again."""
        self.void(everything=True)

    # The queues; their callers hold the lock ----------------------------------------------------

    def _make_room(self, size: int, now: float) -> None:
        """Let entries go until one more of ``size`` bytes fits."""
        patience = _PATIENCE
        while self._is_full(size):
            small = self._small_items
            if small and small < self._items:
                small = patience and self._small_is_full()
            gone = self._next((self._small if small else self._main).newer, patience, now)
            patience = _PATIENCE if gone else patience - 1

    def _is_full(self, size: int) -> bool:
        return self._items >= self.max_items or self._bytes + size > self.max_bytes

    def _small_is_full(self) -> bool:
        return self._small_items * 10 >= self.max_items or self._small_bytes * 10 >= self.max_bytes

    # These two are functions so that no variable keeps a dropped slot alive: what it holds, and
    # with it perhaps a user's finalizer, goes between two looks at the ring and not during one.

    def _next(self, slot: Slot, patience: int, now: float) -> bool:
        """Let the slot at the end of its queue go, or move on; tell whether it went."""
        if self._is_dead(slot, now, self._generations.now()):
            self._drop(slot)
            self.expired += 1
            return True
        in_main = slot.queue == MAIN
        if patience and slot.freq >= (1 if in_main else _PROMOTED):
            slot.freq = slot.freq - 1 if in_main else 0
            self._unlink(slot)
            self._link(slot, MAIN)
            return False
        self._drop(slot)
        self.evictions += 1
        if not in_main:
            self._remember(slot.key)
        return True

    def _sweep(self, now: float) -> None:
        """Look at the next slot on the ring, and drop it if it is dead."""
        slot = self._hand
        self._hand = slot.newer
        if self._is_dead(slot, now, self._generations.now()):
            self._drop(slot)
            self.expired += 1

    def _remember(self, key: bytes) -> None:
        name = hash(key)
        self._ghosts[name & self._ghost_mask] = name

    def _forget_all(self) -> None:
        doomed = list(self._slots.values())
        self._slots.clear()
        self._start()
        for slot in doomed:
            if slot.queue != OUT:
                slot.queue = OUT
                del slot.older, slot.newer  # as in _unlink

    def _drop(self, slot: Slot) -> None:
        self._unlink(slot)
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]

    def _link(self, slot: Slot, queue: int) -> None:
        """Put a slot at the new end of a queue."""
        size = hard_and_size(slot.cold)[1]
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
        del slot.older, slot.newer  # it must not keep its neighbours alive
        self._items -= 1
        self._bytes -= size
        if slot.queue == SMALL:
            self._small_items -= 1
            self._small_bytes -= size
        slot.queue = OUT

    # The awaiting face: nothing here waits for anything ------------------------------------------

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


def _unpickled(
    kind: type[Memory], max_items: int, ttl: float | None, max_bytes: int, label: str | _Place
) -> Memory:
    return kind(max_items, ttl, max_bytes, label=label)
