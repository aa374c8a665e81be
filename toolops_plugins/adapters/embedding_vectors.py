"""Vectors as they are kept, and which of those that an embedder gives are none.

A vector that is kept stands for its text until it expires. So one that may be the trace of a fault
is handed on as it is and asked for again: it holds something other than finite numbers, numbers
without an exact form in eight bytes, nothing at all or zeros alone, or it has another length than
the embedder's other vectors.
"""

from __future__ import annotations

import copy
import math
import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import Any, TypeAlias

from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = [
    "Packed",
    "RawVector",
    "VectorLengths",
    "is_packed",
    "is_sound",
    "list_vectors",
    "pack_vector",
    "unpack_vector",
]

Packed: TypeAlias = bytes
"""A vector as eight bytes for each number: exact, immutable, and far quicker than as text."""

_SIZE = 8
_MOST_TEXTS = 100
"""Texts that are remembered for a length of vectors."""
_MOST_LENGTHS = 20
"""Lengths that are remembered for a role."""
_SEVERAL = 2
"""Texts of one role whose vectors decide for another."""
_MOST_GROUPS = 1_000
"""Tenants and roles that are remembered."""


class RawVector:
    """A vector that is not kept, as the embedder gave it.

    Args:
        given: What the embedder gave.
    """

    __slots__ = ("_given",)

    def __init__(self, given: Any) -> None:
        self._given = given

    def copy(self) -> Any:
        """Return what the embedder gave, for one of several callers."""
        try:
            return copy.deepcopy(self._given)
        except Exception:  # noqa: BLE001 - it may be any object
            return self._given


def pack_vector(given: Any, text: str) -> Packed | None:
    """Return a vector as it is kept, or None for something else.

    Args:
        given: A list, tuple or array of numbers; what comes out is equal to it, number by number.
        text: Its text. A vector of zeros has no direction: it is near to nothing, and what many
            wrappers give after a failure. Only for a text without a letter or digit it is one.
    """
    values = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(values, list | tuple) or not values:
        return None
    try:
        if set(map(type, values)) == {float}:
            numbers = array("d", values)
        else:
            numbers = array("d", map(_exact, values))
    except (TypeError, ValueError, OverflowError):
        return None
    if not all(map(math.isfinite, numbers)):
        return None
    if not any(numbers) and any(map(str.isalnum, text)):
        return None
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _exact(value: Any) -> float:
    """Return a number as a float.

    Raises:
        ValueError: It is no number, or no float is equal to it.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError  # noqa: TRY004 - as below, and nobody reads it
    number = float(value)
    if number != value:
        raise ValueError
    return number


def unpack_vector(vector: Packed | RawVector) -> Any:
    """Return the numbers of a vector, or what the embedder gave for one that is not kept."""
    if isinstance(vector, RawVector):
        return vector.copy()
    numbers = array("d")
    numbers.frombytes(vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def is_packed(found: Any) -> bool:
    """Return whether what the cache holds is a vector: whatever else is found there is none."""
    if not isinstance(found, bytes) or not found or len(found) % _SIZE:
        return False
    # The highest byte of a number that is not finite, which only huge ones share with it.
    tops = found[_SIZE - 1 :: _SIZE]
    return (b"\x7f" not in tops and b"\xff" not in tops) or all(
        map(math.isfinite, unpack_vector(found))
    )


def is_sound(given: Any, text: str) -> bool:
    """Return whether something is a vector that may be kept for a text."""
    return pack_vector(given, text) is not None


class VectorLengths:
    """The lengths of an embedder's vectors, as its own vectors show them. Thread-safe.

    An embedder's vectors of one role have one length. It is the one that the settings ask for, or
    else that of most texts so far, so that one odd vector neither passes for a good one nor keeps
    all others out. Where a role has shown it for one text at most, several texts of another role
    decide, since queries and documents are compared with each other. What one tenant is given
    decides nothing for another.

    Args:
        declared: Returns the length that the embedder is set to, or None if it is not known.
    """

    def __init__(self, declared: Callable[[], int | None] | None = None) -> None:
        self._declared = declared
        self._groups: OrderedDict[tuple[str, str], _Group] = OrderedDict()
        self._roles: set[str] = set()
        self._lengths: set[int] = set()
        self._lock = fork_safe(self, threading.Lock())

    def learn(self, role: str, lengths: Iterable[tuple[str, int]], whose: str = "") -> int | None:
        """Take the lengths of the vectors of some texts, and return the expected one.

        Args:
            role: The role of the texts.
            lengths: The texts, each with the number of its vector's numbers.
            whose: The tenant.
        """
        with self._lock:
            group = self._groups.setdefault((whose, role), _Group())
            self._groups.move_to_end((whose, role))
            self._roles.add(role)
            for text, length in lengths:
                group.count(text, length)
                if len(self._lengths) < _MOST_LENGTHS:
                    self._lengths.add(length)
            group.decide()
            while len(self._groups) > _MOST_GROUPS:
                self._groups.popitem(last=False)
            expected = self._expected(role, whose)
        declared = None if self._declared is None else self._declared()
        return expected if declared is None else declared

    def _expected(self, role: str, whose: str) -> int | None:
        """Return the length that vectors have shown, of this role or others; under the lock."""
        own = self._groups.get((whose, role), _Group())
        if own.support < _SEVERAL:
            for other in self._roles:
                group = self._groups.get((whose, other))
                if group is not None and group.support >= _SEVERAL:
                    return group.expected
        return own.expected

    def fit(
        self, role: str, found: dict[str, Packed], whose: Callable[[], str]
    ) -> dict[str, Packed]:
        """Return those of the cached vectors that have the expected length.

        Args:
            role: The role of the texts.
            found: The texts, each with its vector.
            whose: Returns the tenant. It is not asked while all vectors have one length.
        """
        lengths = {len(vector) for vector in found.values()}
        if not lengths:
            return found
        length = None if self._declared is None else self._declared()
        if length is None:
            known = self._lengths
            if len(lengths) == len(known) == 1 and next(iter(lengths)) // _SIZE in known:
                return found
            tenant = whose()
            with self._lock:
                length = self._expected(role, tenant)
        if length is None:
            sizes = [(text, len(vector) // _SIZE) for text, vector in found.items()]
            length = self.learn(role, sizes, whose())
        if length is None or lengths == {length * _SIZE}:
            return found
        return {text: vector for text, vector in found.items() if len(vector) == length * _SIZE}


class _Group:
    """The lengths of the vectors of one role and tenant; changed under the owner's lock.

    Attributes:
        expected: The length of most texts, or None if nothing tells it.
        support: The number of texts that have shown it.
    """

    __slots__ = ("_texts", "expected", "support")

    def __init__(self) -> None:
        self.expected: int | None = None
        self.support = 0
        self._texts: dict[int, set[int]] = {}  # by their hashes, since texts may be long

    def count(self, text: str, length: int) -> None:
        """Note the length of a text's vector."""
        texts = self._texts.get(length)
        if texts is None:
            if len(self._texts) == _MOST_LENGTHS:
                return
            texts = self._texts[length] = set()
        if len(texts) < _MOST_TEXTS:
            texts.add(hash(text))

    def decide(self) -> None:
        """Find the expected length; it stays where two lengths have equally many texts."""
        ranks = sorted(self._texts, key=lambda length: -len(self._texts[length]))
        first, second = (*ranks[:2], None, None)[:2]
        if first is not None and (
            second is None or len(self._texts[first]) > len(self._texts[second])
        ):
            self.expected = first
        self.support = len(self._texts.get(self.expected, ())) if self.expected else 0


def list_vectors(given: Any, count: int) -> list[Any]:
    """Return the vectors that an embedder gave for some texts.

    Raises:
        ValueError: These are not as many as the texts, or no list.
    """
    if isinstance(given, Iterator):
        given = list(given)
    try:
        found = None if isinstance(given, str | bytes | dict | set) else list(given)
    except TypeError:
        found = None
    if found is None:
        raise ValueError(
            f"the embedder gave {type(given).__name__} instead of a list of vectors for "
            f"{count} texts"
        )
    if len(found) != count:
        raise ValueError(f"the embedder gave {len(found)} vectors for {count} texts")
    return [list(each) if isinstance(each, Iterator) else each for each in found]
