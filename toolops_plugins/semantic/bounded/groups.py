"""Groups of entries with equal answers, and the sums of their vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["GroupMerge", "Groups", "Vector", "VectorOf", "key_of"]

Vector: TypeAlias = NDArray[np.float32]
VectorOf: TypeAlias = Callable[[str], Vector | None]
OnGone: TypeAlias = Callable[[int, int | None], None]

_FEW = 4
"""Smaller groups store no sum; it is computed from the vectors of their members."""


def key_of(scope: bytes, answer: bytes = b"") -> int:
    """Return the key of an answer in a scope, the same in every process."""
    digest = blake2b(answer, digest_size=8, key=scope[:64]).digest()
    return int.from_bytes(digest, "little") >> 4  # 60 bits: an int of them takes 32 bytes, not 36


class GroupMerge(NamedTuple):
    """A merge of two groups.

    Args:
        lead: The key that names the group from now on.
        former: The key that named the other group.
    """

    lead: int
    former: int


class _Group:
    """At least two entries with equal answers.

    Args:
        members: The ids of its entries, while they are few.
        keys: Number of entries by answer; several answers may agree. The first key names the
            group.
    """

    __slots__ = ("keys", "members", "size", "total")

    def __init__(self, members: list[str], keys: dict[int, int]) -> None:
        self.members: list[str] | None = members
        self.keys = keys
        self.size = len(members)
        self.total: Vector | None = None

    @property
    def lead(self) -> int:
        return next(iter(self.keys))


class Groups:
    """The groups of an index. Not thread-safe: its owner holds a lock.

    A single entry costs about 140 bytes and no vector. A small group computes its sum from the
    vectors of its members when the sum is needed. A larger group stores it, so all sums take at
    most a quarter of the memory of the entries' own vectors.

    Args:
        vector_of: Returns the vector of an entry by its id, or None if it is gone.
        on_gone: Called when a name is no longer that of a group, with the name and that of the
            group's other answers, or None if there are none.
    """

    def __init__(self, vector_of: VectorOf, on_gone: OnGone = lambda _name, _heir: None) -> None:
        self._vector_of = vector_of
        self._on_gone = on_gone
        self._keys: dict[str, int] = {}
        self._groups: dict[int, str | _Group] = {}
        self._names: dict[int, int] = {}  # group names of keys that do not name their group

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._keys)

    def key(self, entry: str) -> int | None:
        """Return the key of the entry's answer, or None for an unknown entry."""
        return self._keys.get(entry)

    def names(self, entries: Iterable[str]) -> list[int | None]:
        """Return the names of the entries' groups, None for unknown entries."""
        keys = list(map(self._keys.get, entries))
        names = self._names
        return [names.get(key, key) for key in keys] if names else keys  # type: ignore[arg-type]  # None names nothing

    def lead(self, key: int) -> int:
        """Return the name of the group of an answer."""
        return self._names.get(key, key)

    def size(self, key: int) -> int:
        """Return the number of entries that agree with an answer."""
        group = self._groups.get(key)
        return group.size if isinstance(group, _Group) else int(group is not None)

    def total(self, key: int) -> Vector | None:
        """Return the sum of the vectors of all entries that agree with an answer.

        The caller must not change it. None where no vector is known.
        """
        group = self._groups.get(key)
        if group is None:
            return None
        return self._vector_of(group) if isinstance(group, str) else self._sum(group)

    def add(self, entry: str, vector: Vector, key: int) -> bool:
        """Add an entry to the group of its answer; return whether it is new."""
        known = self._keys.get(entry)
        if known == key:
            return False
        if known is not None:
            self.remove(entry, vector)
        self._keys[entry] = key
        held = self._groups.get(key)
        if held is None:
            self._groups[key] = entry
        elif isinstance(held, str):
            self._groups[key] = _Group([held, entry], {key: 2})
        else:
            held.size += 1
            held.keys[key] += 1
            if held.members is not None:
                held.members.append(entry)
            if held.total is not None:
                held.total += vector
            elif held.size >= _FEW:
                self._settle(held, vector)
        return known is None

    def join(self, one: int, other: int) -> GroupMerge | None:
        """Merge the groups of two keys; return None if one is unknown or they are one group."""
        first, second = self._groups.get(one), self._groups.get(other)
        if first is None or second is None or first is second:
            return None
        a = first if isinstance(first, _Group) else _Group([first], {one: 1})
        b = second if isinstance(second, _Group) else _Group([second], {other: 1})
        if len(a.keys) < len(b.keys):
            a, b = b, a
        if a.members is not None and b.members is not None:
            a.members.extend(b.members)
        else:
            known = [(sum_, g.size) for g in (a, b) if (sum_ := self._sum(g)) is not None]
            a.members = None
            a.total = self._scale_sum(known, a.size + b.size)
        a.size += b.size
        joined = GroupMerge(a.lead, b.lead)
        self._groups[a.lead] = a
        for key, count in b.keys.items():
            a.keys[key] = count
            self._groups[key] = a
            self._names[key] = a.lead
        if a.members is not None and a.size >= _FEW:
            self._settle(a)
        return joined

    def keys_by_group(self) -> Iterator[list[int]]:
        """Return the keys of every group of several answers, its name first."""
        for name in set(self._names.values()):
            group = self._groups[name]
            if isinstance(group, _Group):
                yield list(group.keys)

    def remove(self, entry: str, vector: Vector | None) -> bool:
        """Remove an entry; return whether it was there.

        Args:
            entry: Its id.
            vector: Its vector. None: the group's sum is scaled down instead, which keeps its
                direction.
        """
        key = self._keys.pop(entry, None)
        if key is None:
            return False
        group = self._groups[key]
        if isinstance(group, str):
            del self._groups[key]
            self._on_gone(key, None)
            return True
        group.keys[key] -= 1
        if not group.keys[key]:
            del group.keys[key], self._groups[key]
            self._rename(key, group)
        group.size -= 1
        if group.members is not None:
            group.members.remove(entry)
        if group.total is not None:
            if vector is not None:
                group.total -= vector
            else:
                group.total *= group.size / (group.size + 1)
        return True

    def _rename(self, gone: int, group: _Group) -> None:
        """Rename a group whose key has left it, since another group may get that key."""
        if self._names.pop(gone, None) is not None:
            return
        first = next(iter(group.keys), None)
        if first is not None:
            self._names.pop(first, None)
            self._names.update((key, first) for key in group.keys if key != first)
        self._on_gone(gone, first)

    def _settle(self, group: _Group, vector: Vector | None = None) -> None:
        """Store a group's sum from now on; ``vector`` replaces it where no vector is known."""
        total = self._sum(group)
        if total is None and vector is not None:
            total = vector * np.float32(group.size)
        if total is not None:
            group.total = total
            group.members = None

    def _sum(self, group: _Group) -> Vector | None:
        if group.total is not None:
            return group.total
        members = group.members or []
        known = [(vector, 1) for each in members if (vector := self._vector_of(each)) is not None]
        return self._scale_sum(known, group.size) if known else None

    @staticmethod
    def _scale_sum(known: list[tuple[Vector, int]], size: int) -> Vector:
        """Estimate the sum of ``size`` vectors from those that are known."""
        total: Vector = np.add.reduce([part for part, _ in known])
        total *= np.float32(size / sum(count for _, count in known))
        return total
