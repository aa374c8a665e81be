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
_MOST_TEXTS = 1_000
"""Texts that are remembered for a length of vectors."""
_MOST_LENGTHS = 100
"""Lengths that are remembered for a role."""


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
    all others out.

    Args:
        declared: Returns the length that the embedder is set to, or None if it is not known.
    """

    def __init__(self, declared: Callable[[], int | None] | None = None) -> None:
        self._declared = declared
        self._known: dict[str, int] = {}
        self._texts: dict[str, dict[int, set[int]]] = {}
        self._lock = fork_safe(self, threading.Lock())

    def expected(self, role: str) -> int | None:
        """Return the number of a vector's numbers, or None if nothing tells it yet."""
        declared = None if self._declared is None else self._declared()
        return self._known.get(role) if declared is None else declared

    def learn(self, role: str, lengths: Iterable[tuple[str, int]]) -> int | None:
        """Take the lengths of the vectors of some texts, and return the expected one."""
        with self._lock:
            texts = self._texts.setdefault(role, {})
            for text, length in lengths:
                if length in texts or len(texts) < _MOST_LENGTHS:
                    seen = texts.setdefault(length, set())
                    if len(seen) < _MOST_TEXTS:
                        seen.add(hash(text))
            ranks = sorted(texts, key=lambda length: -len(texts[length]))
            if ranks and (len(ranks) == 1 or len(texts[ranks[0]]) > len(texts[ranks[1]])):
                self._known[role] = ranks[0]
        return self.expected(role)

    def fit(self, role: str, found: dict[str, Packed]) -> dict[str, Packed]:
        """Return those of the cached vectors that have the expected length."""
        length = self.expected(role)
        if length is None and found:
            sizes = [(text, len(vector) // _SIZE) for text, vector in found.items()]
            length = self.learn(role, sizes)
        if length is None:
            return found
        return {text: vector for text, vector in found.items() if len(vector) == length * _SIZE}


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
