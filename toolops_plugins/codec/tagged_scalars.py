"""Scalars in tagged JSON: writers of their nodes, and readers of these."""

from __future__ import annotations

import binascii
import math
from datetime import timezone
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from toolops_plugins.codec import arrays, bounds
from toolops_plugins.keys.encoding_failures import EncodingFailure
from toolops_plugins.standard_types import PATHS

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import PurePath
    from zoneinfo import ZoneInfo

__all__ = [
    "INT_MAX",
    "INT_MIN",
    "TAG",
    "Node",
    "is_text",
    "make_tag",
    "read_array",
    "read_base64",
    "read_path",
    "write_base64",
    "write_decimal",
    "write_float",
    "write_int",
    "write_path",
    "write_text",
    "write_zone",
    "write_zone_key",
]

INT_MIN, INT_MAX = -(2**63), 2**64 - 1
"""The integers that orjson takes and returns unchanged."""

TAG = "~"

Node: TypeAlias = Any
"""What orjson writes and reads."""


def is_text(value: str) -> bool:
    """Return whether a str has a UTF-8 form; a str with a lone surrogate has none."""
    if value.isascii():  # a flag of the object, not a scan
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def make_tag(*parts: Node) -> Node:
    """Return the node of a tag and its parts."""
    # A list, since orjson bounds the depth of lists and dicts, but not of tuples.
    return {TAG: [*parts]}


def write_base64(data: bytes | bytearray) -> str:
    """Return bytes as base64 text."""
    return binascii.b2a_base64(data, newline=False).decode()


def read_base64(text: str) -> bytes:
    """Return the bytes of a base64 text."""
    return binascii.a2b_base64(text, strict_mode=True)


def write_text(value: str, _: int = 0) -> Node:
    """Write a str."""
    if is_text(value):
        return value
    return make_tag("s", write_base64(value.encode("utf-8", "surrogatepass")))


def write_int(value: int, _: int = 0) -> Node:
    """Write an int; one beyond 64 bits is hexadecimal, since Python bounds decimal digits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    if value.bit_length() > bounds.INT_BITS:
        raise EncodingFailure(f"an int of more than {bounds.INT_BITS} bits")
    return make_tag("i", hex(value))


def write_decimal(value: Decimal, _: int) -> Node:
    """Write a Decimal as text."""
    text = str(value)
    if not bounds.is_within_bounds(value, text):
        raise EncodingFailure("a Decimal of too many digits, or with too large an exponent")
    return make_tag("D", text)


def write_path(value: PurePath, _: int) -> Node:
    """Write a path as the name of its class and its text."""
    text = str(value)
    if len(text) > bounds.PATH_CHARACTERS:
        raise EncodingFailure(f"a path of more than {bounds.PATH_CHARACTERS} characters")
    return make_tag("p", type(value).__name__, write_text(text))


def read_path(name: str, text: str) -> PurePath:
    """Return the path of a class's name and a text."""
    if len(text) > bounds.PATH_CHARACTERS:
        raise ValueError("a path of too many characters")
    if name not in PATHS:
        raise ValueError("no class of paths")
    import pathlib  # noqa: PLC0415 - rare, and takes 3 ms to import

    return cast("PurePath", getattr(pathlib, name)(text))


def read_array(descr: Any, shape: list[int], text: str) -> Any:
    """Return the array of a dtype's description, a shape and base64."""
    return arrays.read_array(descr, shape, read_base64(text))


def write_float(value: float, _: int = 0) -> Node:
    """Write a float; nan and the infinities as text."""
    return value if math.isfinite(value) else make_tag("f", str(value))


def write_zone(value: timezone, _: int) -> Node:
    """Write a time zone of fixed offset."""
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined] # pickle's protocol
    return make_tag("tz", offset.days, offset.seconds, offset.microseconds, *map(write_text, name))


def write_zone_key(value: ZoneInfo, _: int) -> Node:
    """Write a time zone of the IANA database by its key."""
    if value.key is None:
        raise EncodingFailure("a ZoneInfo that was read from a file has no key to keep")
    return make_tag("zi", value.key)
