"""A rough measure of arguments, taken on event loops before a key is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

__all__ = ["LARGE", "is_large"]

LARGE: Final = 16_384
"""Parts, or blocks of 64 bytes, from which arguments are large.

That is 1 MiB of text or 16,384 numbers. Their key takes some milliseconds to make.
"""

_BLOCK: Final = 6  # bits of a block's size
_TEXTS: Final = frozenset((str, bytes, bytearray))
_SEQUENCES: Final = frozenset((list, tuple, set, frozenset))
_SIZED: Final = (str, bytes, list, tuple, dict, set, frozenset)
_RECORDS: Final = ("__dataclass_fields__", "__pydantic_fields__", "__attrs_attrs__")


def is_large(values: Iterable[Any]) -> bool:
    """Return whether the canonical form of the values would be large.

    It stops at the first value that makes them large.
    """
    weight = 0
    pending = list(values)
    while pending:
        value = pending.pop()
        kind = type(value)
        weight += 1
        if kind in _TEXTS:
            weight += len(value) >> _BLOCK
        elif kind in _SEQUENCES:
            if len(value) > LARGE:
                return True
            pending += value
        elif kind is dict:
            if len(value) > LARGE:
                return True
            pending += value
            pending += value.values()
        elif not kind.__flags__ & 1 << 9 and not hasattr(kind, "nbytes"):  # numbers and the like
            continue
        else:
            weight += _weight(value, kind, pending)
        if weight > LARGE:
            return True
    return weight > LARGE


def _weight(value: Any, kind: type, pending: list[Any]) -> int:
    """Return the blocks of an array or buffer, and queue the parts of a record for inspection."""
    if any(hasattr(kind, name) for name in _RECORDS):
        try:
            pending += vars(value).values()
        except TypeError:  # it has slots
            pending += (getattr(value, name, None) for name in _slots(kind))
    if issubclass(kind, _SIZED):
        return len(value)
    size = value.nbytes if hasattr(kind, "nbytes") else 0
    return size >> _BLOCK if type(size) is int else 0


def _slots(kind: type) -> Iterable[str]:
    names = getattr(kind, "__slots__", ())
    return (names,) if isinstance(names, str) else names
