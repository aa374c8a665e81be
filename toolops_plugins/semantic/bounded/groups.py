"""Which entries have equal answers, and where each such group lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Groups", "Vector", "VectorOf", "key_of"]

Vector: TypeAlias = NDArray[np.float32]
VectorOf: TypeAlias = Callable[[str], Vector | None]

_FEW = 4
"""Groups below this size keep no sum of their own: the vectors of their members are asked for."""


def key_of(scope: bytes, answer: bytes = b"") -> int:
    """Return the number that stands for one answer in one scope, the same in every process."""
    digest = blake2b(answer, digest_size=8, key=scope[:64]).digest()
    return int.from_bytes(digest, "little") >> 4  # 60 bits take 4 bytes less than 64 as an int


class _Group:
    """At least two entries with equal answers.

    Args:
        keys: What stands for their answers; several where answers agree without being equal.
        members: Their ids, as long as they are few.
    """

    __slots__ = ("keys", "members", "size", "total")

    def __init__(self, keys: list[int], members: list[str]) -> None:
        self.keys = keys
        self.members: list[str] | None = members
        self.size = len(members)
        self.total: Vector | None = None


class Groups:
    """The groups of an index. Not thread-safe: its owner holds a lock.

    A lone entry costs a place in each of two dictionaries, about 140 bytes, and no vector. A group
    of a few asks for the vectors of its members when its sum is wanted; a larger one keeps it, so
    all sums take at most a quarter of the room that the entries' own vectors take.

    Args:
        vector_of: Returns the vector of an entry by its id, or None if it is gone.
    """

    def __init__(self, vector_of: VectorOf) -> None:
        self._vector_of = vector_of
        self._keys: dict[str, int] = {}
        self._groups: dict[int, str | _Group] = {}

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._keys)

    def key(self, entry: str) -> int | None:
        """Return what stands for the entry's own answer, or None if the entry is not known."""
        return self._keys.get(entry)

    def lead(self, key: int) -> int:
        """Return the one key that stands for all that agree with this one."""
        group = self._groups.get(key)
        return group.keys[0] if isinstance(group, _Group) else key

    def size(self, key: int) -> int:
        """Return how many entries have that answer."""
        group = self._groups.get(key)
        return group.size if isinstance(group, _Group) else int(group is not None)

    def total(self, key: int) -> Vector | None:
        """Return the sum of the vectors of all entries with that answer.

        The caller must not change it. None where no vector is known.
        """
        group = self._groups.get(key)
        if group is None:
            return None
        if isinstance(group, str):
            return self._vector_of(group)
        return group.total if group.total is not None else self._summed(group)

    def add(self, entry: str, vector: Vector, key: int) -> bool:
        """Put an entry into the group of its answer; return whether that is new."""
        known = self._keys.get(entry)
        if known == key:
            return False
        if known is not None:
            self.remove(entry, None)
        self._keys[entry] = key
        held = self._groups.get(key)
        if held is None:
            self._groups[key] = entry
        elif isinstance(held, str):
            self._groups[key] = _Group([key], [held, entry])
        else:
            held.size += 1
            if held.members is not None:
                held.members.append(entry)
            if held.total is not None:
                held.total += vector
            elif held.size >= _FEW:
                self._settle(held)
        return True

    def join(self, one: int, other: int) -> bool:
        """Make one group of those of two keys; return whether they were two."""
        first, second = self._groups.get(one), self._groups.get(other)
        if first is None or second is None or first is second:
            return False
        a = first if isinstance(first, _Group) else _Group([one], [first])
        b = second if isinstance(second, _Group) else _Group([other], [second])
        if len(a.keys) < len(b.keys):
            a, b = b, a
        if a.members is not None and b.members is not None:
            a.members.extend(b.members)
        elif (theirs := self._sum(b)) is not None:
            ours = self._sum(a)
            a.total = theirs.copy() if ours is None else ours + theirs
            a.members = None
        a.size += b.size
        a.keys.extend(b.keys)
        for key in (*b.keys, a.keys[0], one, other):
            self._groups[key] = a
        if a.members is not None and a.size >= _FEW:
            self._settle(a)
        return True

    def joined(self) -> Iterator[list[int]]:
        """Return the keys of every group that has several."""
        for key, group in self._groups.items():
            if isinstance(group, _Group) and len(group.keys) > 1 and group.keys[0] == key:
                yield group.keys

    def remove(self, entry: str, vector: Vector | None) -> bool:
        """Take an entry out; return whether it was there.

        Args:
            entry: Its id.
            vector: Its vector. None: the group's sum loses its share of itself instead, which
                leaves its direction as it is.
        """
        key = self._keys.pop(entry, None)
        if key is None:
            return False
        group = self._groups[key]
        if isinstance(group, str) or group.size == 1:
            for each in (key,) if isinstance(group, str) else group.keys:
                self._groups.pop(each, None)
            return True
        group.size -= 1
        if group.members is not None:
            group.members.remove(entry)
        if group.total is not None:
            if vector is not None:
                group.total -= vector
            else:
                group.total *= group.size / (group.size + 1)
        return True

    def _settle(self, group: _Group) -> None:
        total = self._summed(group)
        if total is not None:
            group.total = total
            group.members = None

    def _sum(self, group: _Group) -> Vector | None:
        return group.total if group.total is not None else self._summed(group)

    def _summed(self, group: _Group) -> Vector | None:
        vectors = [v for m in group.members or () if (v := self._vector_of(m)) is not None]
        if not vectors:
            return None
        # Where some are gone, the others speak for them.
        total: Vector = np.add.reduce(vectors) * np.float32(group.size / len(vectors))
        return total
