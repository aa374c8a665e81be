"""The latest invalidation of each key and tag, for one process.

The invalidation of a tag searches for no entries. A sequence number counts up, and the number of a
name's last invalidation is stored; an entry that was looked up before that number and has the name
is void. This is namespace versioning, as known from memcached, except that the number is not part
of the key: a name costs nothing until it is invalidated.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["History", "Invalidations", "Recorded"]

_Name = TypeVar("_Name", bound=Hashable)


class Recorded(NamedTuple):
    """One invalidation, as recorded on a server for processes that were not told of it.

    Args:
        number: Its number; later ones have higher numbers.
        keys: Keys of void entries.
        tags: Tags of void entries.
        everything: Whether all entries are void.
        is_own: Whether this process made it.
        place: Identifies the index on a server from which the entries were deleted; "": none.
    """

    number: int
    keys: Sequence[bytes]
    tags: Sequence[str]
    everything: bool
    is_own: bool = False
    place: str = ""


class History(NamedTuple):
    """The latest invalidations of a namespace.

    Args:
        id: Identifies the record; another id means that an earlier record was lost.
        floor: The number of the latest invalidation that is not in it any more.
        last: The number of the latest invalidation, or the floor.
        entries: The invalidations after the floor, in order.
        is_new: Whether this process has just begun the record.
    """

    id: str
    floor: int
    last: int
    entries: Sequence[Recorded] = ()
    is_new: bool = False


class _Names(Generic[_Name]):
    """The numbers of the latest invalidations, by name; bounded.

    All writes go to the young dictionary. When it is full it becomes the old one, and the former
    old one is replaced by a floor: a name in neither dictionary counts as invalidated at the floor.
    Writers hold the lock of :class:`Invalidations`. Readers need none, since they read both
    dictionaries and the floor in one step.
    """

    __slots__ = ("_half", "_old_ends", "state")

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._old_ends = 0  # the last number that the old dictionary holds
        self.state: tuple[dict[_Name, int], dict[_Name, int], int] = ({}, {}, 0)

    def __len__(self) -> int:
        young, old, _ = self.state
        return len(young) + len(old)

    def add(self, names: Iterable[_Name], number: int) -> None:
        young, old, floor = self.state
        for name in names:
            if len(young) >= self._half and name not in young:
                floor = self._old_ends
                self._old_ends = number
                young, old = {}, young
                self.state = (young, old, floor)
            young[name] = number

    def add_all(self, number: int) -> None:
        self._old_ends = number
        self.state = ({}, {}, number)


class Invalidations:
    """Decides whether a lookup of some time ago is still valid.

    To invalidate a name, and to ask about one, takes constant time, however many entries have it.
    Safe to use from any threads; readers never wait.

    Args:
        max_names: The number of keys and tags that are remembered. Beyond it the oldest are
            forgotten, but at least a quarter of this number of each stays; a lookup from before a
            forgotten invalidation counts as void. Default 100,000.

    Raises:
        ConfigurationError: ``max_names`` is less than 4.
    """

    def __init__(self, max_names: int = 100_000) -> None:
        half = check.count("max_names", max_names, least=4) // 2
        self._keys: _Names[bytes] = _Names(half)
        self._tags: _Names[str] = _Names(half)
        self._now = 0
        self._lock = fork_safe(self, threading.RLock())

    def __len__(self) -> int:
        """Return the number of names that are remembered."""
        return len(self._keys) + len(self._tags)

    def now(self) -> int:
        """Return the mark of this moment, for a later :meth:`holds`."""
        return self._now

    def void(
        self, keys: Iterable[bytes] = (), tags: Iterable[str] = (), *, everything: bool = False
    ) -> int:
        """Void the marks of all lookups so far that have one of these names.

        Args:
            keys: The keys. Default none.
            tags: The tags. Default none.
            everything: Whether to void all marks. Default False.

        Returns:
            The mark of the moment after it.
        """
        with self._lock:
            number = self._now + 1
            if everything:
                self._keys.add_all(number)
                self._tags.add_all(number)
            else:
                self._keys.add(keys, number)
                self._tags.add(tags, number)
            # Last, so that whoever reads this number as a mark finds the names updated.
            self._now = number
        return number

    def holds(self, mark: int, key: bytes, tags: Sequence[str] = ()) -> bool:
        """Return whether neither the key nor a tag was invalidated since the mark."""
        if mark == self._now:
            return True
        young, old, floor = self._keys.state
        voids = young.get(key) or old.get(key, floor)
        return voids <= mark and (not tags or self.holds_tags(mark, tags))

    def holds_tags(self, mark: int, tags: Sequence[str]) -> bool:
        """Return whether none of the tags was invalidated since the mark."""
        young, old, floor = self._tags.state
        for tag in tags:  # noqa: SIM110 - all() over a generator takes three times as long
            if (young.get(tag) or old.get(tag, floor)) > mark:
                return False
        return True
