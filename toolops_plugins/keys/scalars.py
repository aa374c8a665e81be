"""Canonical bytes of scalars: texts, floats, times and paths."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, time, timezone
from typing import Any

from toolops_plugins.standard_types import PATHS, derives_from

__all__ = ["STANDARD", "encode_float", "encode_text", "frame", "moment_encoder"]

_DOUBLE = struct.Struct(">d")
_SHORT = 128
_TEXT_HEADS = [b"s%d:" % size for size in range(_SHORT)]
"""The beginnings of short texts, since formatting one takes half of the time of its encoding."""
_NAN = b"f" + _DOUBLE.pack(float("nan"))


def frame(tag: bytes, data: bytes) -> bytes:
    """Return data behind a tag and its length, so that it cannot run over into what follows."""
    return b"%b%d:%b" % (tag, len(data), data)


def encode_text(value: str) -> bytes:
    """Encode a str; a lone surrogate is legal in one."""
    try:
        data = value.encode()
    except UnicodeEncodeError:
        data = value.encode("utf-8", "surrogatepass")
    size = len(data)
    return (_TEXT_HEADS[size] if size < _SHORT else b"s%d:" % size) + data


def encode_float(value: float) -> bytes:
    """Encode a float; all NaNs are one value, so that they can hit, and the zeros differ."""
    return b"f" + _DOUBLE.pack(value) if value == value else _NAN  # noqa: PLR0124 - the NaN test


def _encode_zone(value: datetime | time) -> bytes:
    zone = value.tzinfo
    if derives_from(type(zone), "ZoneInfo"):
        key: str | None = getattr(zone, "key", None)
        if key is not None:
            return encode_text(key)
    if zone is None or isinstance(zone, timezone):
        return encode_text(str(zone))
    # Of any other time zone only the offset is known, which isoformat() contains.
    return encode_text(f"{type(zone).__module__}.{type(zone).__qualname__}")


def moment_encoder(tag: bytes) -> Callable[[Any], bytes]:
    """Return an encoder of times and datetimes under a tag."""
    return lambda v: frame(tag, b"%b%d%b" % (v.isoformat().encode(), v.fold, _encode_zone(v)))


def _encode_path(value: Any) -> bytes:
    """Encode a path of the standard library by its class and text."""
    return b"P" + encode_text(type(value).__name__) + encode_text(str(value))


STANDARD: dict[str, Callable[[Any], bytes]] = {
    "Decimal": lambda v: frame(b"%", str(v).encode()),
    "Fraction": lambda v: b"q%d;%d;" % (v.numerator, v.denominator),
    "UUID": lambda v: b"u" + v.bytes,
    **dict.fromkeys(PATHS, _encode_path),
}
"""Encoders of types that are told by name; see :mod:`toolops_plugins.standard_types`."""
