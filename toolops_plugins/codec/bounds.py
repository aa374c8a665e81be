"""Bounds on stored bytes, so that reading them costs no more than they are worth.

Anybody who can write to a store may plant bytes there. Values over a bound are not written either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = [
    "DECIMAL_DIGITS",
    "INT_BITS",
    "MAX_DEPTH",
    "MAX_VALUE_BYTES",
    "PATH_CHARACTERS",
    "check_hashes",
    "estimate_memory",
    "is_within_bounds",
    "read_complex",
    "read_decimal",
    "read_float",
    "read_int",
]

MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
"""Default bound on the bytes of an encoded value."""
INT_BITS: Final = 1 << 18
DECIMAL_DIGITS: Final = 100_000
PATH_CHARACTERS: Final = 1 << 15
MAX_DEPTH: Final = 250
"""Levels at which a value that contains itself is given up; orjson writes 253 of its own."""
_FLOATS: Final = frozenset({"nan", "inf", "-inf"})
"""The floats that JSON does not hold."""

_DECIMAL_EXPONENT = 100_000  # a planted 1e999999999 becomes a gigabyte when it is formatted
_HASHED = 1_000  # members of a set or dict from which on their hashes are looked at
_ALIKE = 100  # members of a set or dict that may share one hash
_SMALL = 64 * 1024  # bytes of JSON whose memory is not worth looking at
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_FEW_STRINGS = 100_000


def read_float(text: str) -> float:
    """Return a float that JSON does not have.

    Each nan is an object of its own: of equal tuples with one and the same nan a set keeps one.
    Other texts are refused, since ``float()`` takes quadratic time for many digits.
    """
    if text not in _FLOATS:
        raise KeyError(text)
    return float(text)


def read_int(text: str) -> int:
    """Return the int that a hexadecimal text stands for."""
    if len(text) > INT_BITS // 4 + 3:
        raise ValueError("an int of too many digits")
    return int(text, 16)


def read_decimal(text: str) -> Decimal:
    """Return the Decimal of a text."""
    from decimal import Decimal  # noqa: PLC0415 - rare, and takes a millisecond to import

    if len(text) <= DECIMAL_DIGITS:
        value = Decimal(text)
        if is_within_bounds(value, text):
            return value
    raise ValueError("a Decimal of too many digits, or with too large an exponent")


def is_within_bounds(value: Decimal, text: str) -> bool:
    """Return whether a Decimal and its text are within the bounds."""
    if len(text) > DECIMAL_DIGITS:
        return False
    return not value.is_finite() or abs(value.adjusted()) <= _DECIMAL_EXPONENT


def read_complex(real: Any, imaginary: Any) -> complex:
    """Return the complex number of two floats."""
    if type(real) is not float or type(imaginary) is not float:
        raise TypeError("the parts of a complex number must be floats")
    return complex(real, imaginary)


def check_hashes(members: Sequence[Any]) -> Sequence[Any]:
    """Return the members of a set or the keys of a dict, unless too many share one hash.

    Hashes of numbers can be chosen; a set of a million numbers of one hash takes hours to build.

    Raises:
        ValueError: More than 100 members share a hash.
    """
    if len(members) > _HASHED:
        _, most = Counter(map(hash, members)).most_common(1)[0]
        if most > _ALIKE:
            raise ValueError("too many members of one hash")
    return members


def estimate_memory(data: bytes) -> int:
    """Return roughly the bytes of memory that a value takes once it is read from JSON.

    A list of two characters takes 64 bytes and a dict of six takes 200, so that 64 MB of JSON can
    become 1.5 GB. Brackets and commas inside of texts count only where a closer look would be too
    much work.
    """
    size = len(data)
    if size <= _SMALL or data[:1] == b'"':
        return size
    if data.count(b'"') <= _FEW_STRINGS and max(map(data.count, (b",", b"[", b"{"))) > _FEW_STRINGS:
        data = _STRINGS.sub(b'"', data)
    return size + 64 * data.count(b"[") + 200 * data.count(b"{") + 40 * data.count(b",")
