"""Payloads: encoded values, and values that need no encoding in this process."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from sys import getsizeof
from typing import Any, Final

from toolops_plugins.codec.tagged_scalars import INT_MAX, INT_MIN, is_text
from toolops_plugins.policy import NOTHING
from toolops_plugins.standard_types import PATHS, standard_name

__all__ = [
    "ERROR",
    "JSON",
    "LOCAL",
    "OVERHEAD",
    "TAGGED",
    "Payload",
    "immutable_size",
    "is_plain_scalar",
]

JSON: Final = "json"
TAGGED: Final = "json+"
ERROR: Final = "error"
LOCAL: Final = "local"

_ATOMS: frozenset[type] = frozenset(
    (str, int, float, bool, bytes, complex, date, timedelta, timezone, type(None))
)
_STANDARD = frozenset(("Decimal", "UUID", "ZoneInfo"))
OVERHEAD = 120  # of a Payload and the header of its bytes, measured


class Payload:
    """An encoded value. Treat it as immutable, since tiers and threads share it.

    It has plain slots, since a named tuple or frozen dataclass takes two to five times as long to
    make.

    Args:
        codec: Id of the form of the data.
        data: The encoded value; None if only ``shared`` or ``copy`` holds it.
        shared: The value itself where nobody can change it, else ``NOTHING``.
        size: Bytes that it occupies in memory, roughly. None: computed from the others.
        first: A list of the decoded value, which the first reader takes out.
        copies: Whether the first reader of the data keeps a template of the value in its place;
            ``size`` is then that of the template, which is the larger one. Default False.

    Attributes:
        copy: Returns a new copy of the value; None: nobody has read it yet, or it gets no template.
    """

    __slots__ = ("codec", "copies", "copy", "data", "first", "shared", "size")

    def __init__(
        self,
        codec: str,
        data: bytes | None,
        shared: Any = NOTHING,
        size: int | None = None,
        first: list[Any] | None = None,
        copies: bool = False,  # noqa: FBT001, FBT002 - as in copyable_payload()
    ) -> None:
        self.codec = codec
        self.data = data
        self.shared = shared
        if size is None:
            size = OVERHEAD + (getsizeof(shared) if data is None else len(data))
        self.size = size
        self.first = first
        self.copies = copies
        self.copy: Callable[[], Any] | None = None

    @classmethod
    def local(cls, value: Any) -> Payload:
        """Return a payload that holds ``value`` itself and never leaves this process."""
        return cls(LOCAL, None, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Payload):
            return NotImplemented
        return (
            self.codec == other.codec
            and self._contents() == other._contents()
            and type(self.shared) is type(other.shared)
            and bool(self.shared == other.shared)
        )

    def _contents(self) -> Any:
        # What has been read, and so has no data, is not compared with what has not.
        return self.data if self.copy is None else self.copy()

    __hash__ = None  # type: ignore[assignment] # a local payload may hold what has no hash

    def __repr__(self) -> str:
        # Without the value, which may be a user's secret.
        return f"Payload(codec={self.codec!r}, size={self.size})"


def is_plain_scalar(value: Any) -> bool:
    """Return whether a value is a scalar that JSON represents exactly."""
    kind: type[Any] = type(value)
    if kind is str:
        return is_text(value)
    if kind is int:
        return bool(INT_MIN <= value <= INT_MAX)
    return value is None or kind is bool or (kind is float and math.isfinite(value))


def immutable_size(value: Any) -> int:
    """Return roughly the bytes of a deeply immutable value, and 0 for any other value."""
    kind = type(value)
    if kind in _ATOMS:
        return getsizeof(value)
    if kind is tuple or kind is frozenset:
        total = getsizeof(value)
        pending = [*value]  # without recursion, since the user's stack may be deep already
        while pending:
            item = pending.pop()
            kind = type(item)
            if kind is tuple or kind is frozenset:
                pending += item
                size = getsizeof(item)
            else:
                size = immutable_size(item)
            if not size:
                return 0
            total += size
        return total
    if kind is datetime or kind is time:
        zone = value.tzinfo
        known = zone is None or type(zone) is timezone or standard_name(type(zone)) == "ZoneInfo"
        return getsizeof(value) if known else 0
    name = standard_name(kind)
    if name in _STANDARD:
        return getsizeof(value)
    if name in PATHS:
        return getsizeof(value) + 2 * len(str(value))  # its text and its parts
    return getsizeof(value) if issubclass(kind, Enum) else 0
