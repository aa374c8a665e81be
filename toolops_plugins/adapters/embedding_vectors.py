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
    all others out. What one tenant is given decides nothing for another.

    Args:
        declared: Returns the length that the embedder is set to, or None if it is not known.
    """

    def __init__(self, declared: Callable[[], int | None] | None = None) -> None:
        self._declared = declared
        self._groups: OrderedDict[tuple[str, str], _Group] = OrderedDict()
        self._seen: dict[str, set[int]] = {}
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
            seen = self._seen.setdefault(role, set())
            for text, length in lengths:
                group.count(text, length)
                if len(seen) < _MOST_LENGTHS:
                    seen.add(length)
            group.decide()
            while len(self._groups) > _MOST_GROUPS:
                self._groups.popitem(last=False)
        declared = None if self._declared is None else self._declared()
        return group.expected if declared is None else declared

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
            seen = self._seen.get(role, ())
            if len(lengths) == len(seen) == 1 and next(iter(lengths)) // _SIZE in seen:
                return found
            group = self._groups.get((whose(), role))
            length = None if group is None else group.expected
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
    """

    __slots__ = ("_texts", "expected")

    def __init__(self) -> None:
        self.expected: int | None = None
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
