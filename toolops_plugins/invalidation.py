"""What became void when: the book-keeping of invalidation in one process.

Nothing is searched for when a tag is invalidated. A sequence number counts up, and the number at
which a name became void last is remembered; whatever was looked up before that number and carries
the name is void. This is invalidation by namespace versioning, as known from memcached, with one
difference: the number is not part of the key, so a name costs nothing until it is voided.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["Invalidations"]

_Name = TypeVar("_Name", bound=Hashable)


class _Names(Generic[_Name]):
    """When names became void last; bounded, and then on the safe side.

    Two dictionaries, of which the young one takes all writes. When it is full it becomes the old
    one, and what the old one knew is folded into the floor: each name that is not remembered
    counts as voided at the floor. Writers hold a lock of their own; readers need none, since they
    take both dictionaries and the floor in one step.
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
    """Tells whether what was looked up at some time is still valid.

    Voiding a name and asking about one take constant time, however many entries carry it. Safe
    for use from any threads; readers never wait.

    Args:
        max_names: How many keys and tags are remembered at most. Beyond it the oldest are
            forgotten, at least a quarter of this number of each being kept, and everything that
            was looked up before they were voided counts as void. Default 100,000.

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
        """Return how many names are remembered."""
        return len(self._keys) + len(self._tags)

    def now(self) -> int:
        """Return the mark of this moment, for a later :meth:`holds`."""
        return self._now

    def void(
        self, keys: Iterable[bytes] = (), tags: Iterable[str] = (), *, everything: bool = False
    ) -> int:
        """Void all marks taken so far, for these names only.

        Args:
            keys: Marks of lookups of these keys are void.
            tags: Marks of lookups with any of these tags are void.
            everything: All marks are void.

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
            # Last: whoever takes this number as a mark must find the names voided that it covers.
            self._now = number
        return number

    def holds(self, mark: int, key: bytes, tags: Sequence[str] = ()) -> bool:
        """Return whether neither the key nor a tag became void after the mark was taken."""
        if mark == self._now:
            return True
        young, old, floor = self._keys.state
        voided = young.get(key) or old.get(key, floor)
        return voided <= mark and (not tags or self.holds_tags(mark, tags))

    def holds_tags(self, mark: int, tags: Sequence[str]) -> bool:
        """Return whether none of the tags became void after the mark was taken."""
        young, old, floor = self._tags.state
        for tag in tags:  # noqa: SIM110 - all() over a generator takes three times as long
            if (young.get(tag) or old.get(tag, floor)) > mark:
                return False
        return True
