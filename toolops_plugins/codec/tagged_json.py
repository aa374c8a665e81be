"""Tagged JSON: every supported value as JSON, with its exact type at every depth.

A value that JSON holds by itself stands for itself. Every other one is an object with the single
key ``~`` whose value is a list: the tag, then what the tag needs.

======== ============================== ======== ===================================================
Tag      Value                          Tag      Value
======== ============================== ======== ===================================================
``s``    str with lone surrogates       ``da``   date: ISO text
``i``    int beyond 64 bits: hex        ``ti``   time: ISO text, fold, time zone
``f``    float: nan, inf, -inf          ``dt``   datetime: ISO text, fold, time zone
``c``    complex: parts                 ``td``   timedelta: days, seconds, microseconds
``b``    bytes: base64                  ``tz``   timezone: offset, name if it has one
``B``    bytearray: base64              ``zi``   ZoneInfo: key
``t``    tuple: items                   ``pz``   pydantic's own fixed offset: seconds
``S``    set: items                     ``n``    numpy scalar: dtype, bytes
``F``    frozenset: items               ``ns``   numpy str scalar: text
``d``    dict: key, value, key, ...     ``nb``   numpy bytes scalar: base64
``D``    Decimal: text                  ``a``    numpy array: dtype, shape, bytes in C order
``u``    UUID: hex                      ``@``    registered type: its name, its encoded form
``p``    path: name of its class, text
======== ============================== ======== ===================================================

A dict is written as ``d`` only if a key of it is no plain str, or is ``~``. What is read can name
no class and no module: only names registered in this process resolve.
"""

from __future__ import annotations

import binascii
import importlib
import math
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from toolops_plugins.codec import arrays, bounds
from toolops_plugins.errors import NotEncodableError, UnknownFormatError
from toolops_plugins.keys.encoding_failures import READ_ONCE, TOO_DEEP, EncodingFailure, type_name

__all__ = ["INT_MAX", "INT_MIN", "MAX_DEPTH", "PATHS", "TaggedJson", "is_text", "trim"]

INT_MIN, INT_MAX = -(2**63), 2**64 - 1
"""The integers that orjson takes and returns unchanged."""

_TAG = "~"
_TAG_KEY = b'"~"'
"""A tag in JSON; a text that is just this counts as well, one that holds it has it escaped."""
MAX_DEPTH = 250
"""Levels at which a value that contains itself is given up; orjson writes 253 of its own."""
PATHS: frozenset[type[PurePath]] = frozenset(
    (PurePosixPath, PureWindowsPath, PosixPath, WindowsPath, PurePath, Path)
)
_READ_ONCE = ("__next__", "__anext__", "__await__")
_PATH_NAMES = {kind.__name__: kind for kind in PATHS}

Node: TypeAlias = Any
"""What orjson writes and reads."""
_Write: TypeAlias = Callable[[Any, int], Node]


def trim(data: bytes) -> bytes:
    """Return the bytes without the room that orjson leaves behind them.

    It hands out its whole buffer (orjson 3.13: 4 KB for 22 bytes, 8 KB for 1 KB), which neither
    ``len`` nor ``getsizeof`` tells; kept by the thousand, it is most of a cache's memory.
    """
    return bytes(memoryview(data))


def is_text(value: str) -> bool:
    """Return whether a str has a UTF-8 form; one with a lone surrogate has none."""
    if value.isascii():  # a flag of the object, not a scan
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tag(*parts: Node) -> Node:
    # A list, since orjson bounds the depth of lists and dicts, but not of tuples.
    return {_TAG: [*parts]}


def _base64(data: bytes | bytearray) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _unbase64(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _text(value: str, _: int = 0) -> Node:
    if is_text(value):
        return value
    return _tag("s", _base64(value.encode("utf-8", "surrogatepass")))


def _int(value: int, _: int = 0) -> Node:
    # Hexadecimal, since Python bounds the digits of decimal text.
    if INT_MIN <= value <= INT_MAX:
        return value
    if value.bit_length() > bounds.INT_BITS:
        raise EncodingFailure(f"an int of more than {bounds.INT_BITS} bits")
    return _tag("i", hex(value))


def _decimal(value: Decimal, _: int) -> Node:
    text = str(value)
    if not bounds.is_bounded(value, text):
        raise EncodingFailure("a Decimal of too many digits, or with too large an exponent")
    return _tag("D", text)


def _path(value: PurePath, _: int) -> Node:
    text = str(value)
    if len(text) > bounds.PATH_CHARACTERS:
        raise EncodingFailure(f"a path of more than {bounds.PATH_CHARACTERS} characters")
    return _tag("p", type(value).__name__, _text(text))


def _read_path(name: str, text: str) -> PurePath:
    if len(text) > bounds.PATH_CHARACTERS:
        raise ValueError("a path of too many characters")
    return _PATH_NAMES[name](text)


def _read_array(descr: Any, shape: list[int], text: str) -> Any:
    return arrays.read_array(descr, shape, _unbase64(text))


def _float(value: float, _: int = 0) -> Node:
    return value if math.isfinite(value) else _tag("f", str(value))


def _zone(value: timezone, _: int) -> Node:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined] # pickle's protocol
    return _tag("tz", offset.days, offset.seconds, offset.microseconds, *map(_text, name))


def _zone_key(value: ZoneInfo, _: int) -> Node:
    if value.key is None:
        raise EncodingFailure("a ZoneInfo that was read from a file has no key to keep")
    return _tag("zi", value.key)


class TaggedJson:
    """Writes and reads tagged JSON; knows the types that were added to it. Thread-safe."""

    def __init__(self) -> None:
        self._write: dict[type, _Write] = {
            type(None): lambda v, _: v,
            bool: lambda v, _: v,
            str: _text,
            int: _int,
            float: _float,
            complex: lambda v, _: _tag("c", _float(v.real), _float(v.imag)),
            bytes: lambda v, _: _tag("b", _base64(v)),
            bytearray: lambda v, _: _tag("B", _base64(v)),
            list: self._items,
            dict: self._dict,
            tuple: lambda v, depth: _tag("t", *self._items(v, depth)),
            set: lambda v, depth: _tag("S", *self._items(v, depth)),
            frozenset: lambda v, depth: _tag("F", *self._items(v, depth)),
            date: lambda v, _: _tag("da", v.isoformat()),
            time: lambda v, depth: self._moment("ti", v, depth),
            datetime: lambda v, depth: self._moment("dt", v, depth),
            timedelta: lambda v, _: _tag("td", v.days, v.seconds, v.microseconds),
            timezone: _zone,
            ZoneInfo: _zone_key,
            Decimal: _decimal,
            UUID: lambda v, _: _tag("u", v.hex),
            **dict.fromkeys(PATHS, _path),
        }
        self._read: dict[str, Callable[..., Any]] = {
            "s": lambda text: _unbase64(text).decode("utf-8", "surrogatepass"),
            "i": bounds.read_int,
            "f": bounds.FLOATS.__getitem__,
            "c": bounds.read_complex,
            "b": _unbase64,
            "B": lambda text: bytearray(_unbase64(text)),
            "t": lambda *items: items,
            "S": lambda *items: set(bounds.check_hashes(items)),
            "F": lambda *items: frozenset(bounds.check_hashes(items)),
            "d": lambda *flat: dict(zip(bounds.check_hashes(flat[::2]), flat[1::2], strict=True)),
            "da": date.fromisoformat,
            "ti": lambda iso, fold, zone: time.fromisoformat(iso).replace(fold=fold, tzinfo=zone),
            "dt": lambda iso, fold, zone: datetime.fromisoformat(iso).replace(
                fold=fold, tzinfo=zone
            ),
            "td": timedelta,
            "tz": lambda days, s, us, *name: timezone(timedelta(days, s, us), *name),
            "zi": ZoneInfo,
            "D": bounds.read_decimal,
            "u": UUID,
            "p": _read_path,
            "pz": lambda seconds: importlib.import_module("pydantic_core").TzInfo(seconds),
            "n": lambda descr, data: _read_array(descr, [], data)[()],
            "ns": lambda text: importlib.import_module("numpy").str_(text),
            "nb": lambda text: importlib.import_module("numpy").bytes_(_unbase64(text)),
            "a": _read_array,
            "@": lambda name, node: self._by_name[name](node),
        }
        self._by_name: dict[str, Callable[[Any], Any]] = {}

    def knows(self, kind: type) -> bool:
        """Return whether this exact type is supported already."""
        return kind in self._write

    def add(
        self,
        kind: type,
        name: str,
        encode: Callable[[Any], Any],
        decode: Callable[[Any], Any],
        *,
        verify: bool = False,
    ) -> None:
        """Support a type under a name; both functions deal in values that are supported.

        Args:
            kind: The exact type.
            name: Its name.
            encode: Takes a value apart.
            decode: Puts it together again.
            verify: Whether a value is refused that does not come back as what it was.
        """

        def write(value: Any, depth: int) -> Node:
            try:
                form = encode(value)
            except NotEncodableError as error:
                raise EncodingFailure(f"{type(error).__name__}: {error}", error.problem) from error
            except Exception as error:
                # A user's function may raise anything; here the way to the value is still told.
                raise EncodingFailure(
                    f"{type(error).__name__}: {error}",
                    f"{type_name(kind)}, whose encoder raised {type(error).__name__}",
                ) from error
            if depth >= MAX_DEPTH:
                raise EncodingFailure(TOO_DEEP)
            node = self._node(form, depth + 1)
            if verify and not self._comes_back(value, node, encode, decode):
                raise EncodingFailure(
                    f"decode does not give back the {type_name(kind)} that encode was given",
                    f"{type_name(kind)}, which does not come back from its encoded form",
                )
            return _tag("@", name, node)

        self._by_name[name] = decode
        self._write[kind] = write

    def dumps(self, value: Any) -> bytes:
        """Return the tagged JSON of a value.

        Raises:
            NotEncodableError: The value, or something in it, has no encoding. The message tells
                the way to it.
        """
        try:
            return trim(orjson.dumps(self._node(value, 0)))
        except EncodingFailure as refused:
            raise refused.error() from None
        except RecursionError:
            raise EncodingFailure(TOO_DEEP).error() from None
        except Exception as error:
            # orjson's own limit of depth, or a registered encoder that failed: whatever it was,
            # the user's call has its result and must not fail for the cache's sake.
            problem = type(error).__name__
            raise EncodingFailure(f"{problem}: {error}", problem).error() from error

    def loads(self, data: bytes) -> Any:
        """Return the value of tagged JSON.

        Raises:
            UnknownFormatError: The data is malformed, or holds a tag or name that is not known.
        """
        try:
            return self._read_again(data)
        except Exception as error:
            # Stored bytes may hold anything, and a registered decoder may raise anything.
            reason = f"{type(error).__name__}: {error}"
            raise UnknownFormatError(f"malformed tagged JSON: {reason}") from error

    def _comes_back(
        self,
        value: Any,
        node: Node,
        encode: Callable[[Any], Any],
        decode: Callable[[Any], Any],
    ) -> bool:
        """Return whether a value's encoded form makes a value of its type that is equal to it."""
        data = orjson.dumps(node)
        try:
            again = decode(self._read_again(data))
            if type(again) is not type(value):
                return False
            other = orjson.dumps(self._node(encode(again), 0))
            # The members of a set may come in another order.
            if other != data and not self._read_again(other) == self._read_again(data):  # noqa: SIM201 - a type may define "==" alone
                return False
        except Exception:  # noqa: BLE001 - a user's functions may raise anything
            return False
        kind: Any = type(value)
        if kind.__eq__ is object.__eq__:  # by identity
            return True
        try:
            # What is unequal to itself, such as a NaN, or cannot be compared, is known by its form.
            return bool(again == value) or not bool(value == value)  # noqa: PLR0124 - as it says
        except Exception:  # noqa: BLE001 - as above
            return True

    def _read_again(self, data: bytes) -> Any:
        return self._value(orjson.loads(data), [data.count(_TAG_KEY)])

    def _node(self, value: Any, depth: int) -> Node:
        write = self._write.get(type(value))
        if write is not None:
            return write(value, depth)
        return self._foreign(value)

    def _items(self, values: Iterable[Any], depth: int) -> list[Node]:
        if depth >= MAX_DEPTH:
            raise EncodingFailure(TOO_DEEP)
        nodes: list[Node] = []
        try:
            for value in values:
                nodes.append(self._node(value, depth + 1))  # noqa: PERF401 - tells the index
        except EncodingFailure as refused:
            refused.steps.append(f"[{len(nodes)}]")
            raise
        return nodes

    def _dict(self, value: dict[Any, Any], depth: int) -> Node:
        if depth >= MAX_DEPTH:
            raise EncodingFailure(TOO_DEEP)
        flat: list[Node] = []
        plain = _TAG not in value
        key: Any = None
        try:
            for key, item in value.items():
                name = self._node(key, depth + 1)
                plain = plain and type(name) is str
                flat += (name, self._node(item, depth + 1))
        except EncodingFailure as refused:
            name = key if type(key) is str else None
            refused.steps.append(f".{name}" if name and name.isidentifier() else f"[{name!r}]")
            raise
        return dict(zip(flat[::2], flat[1::2], strict=True)) if plain else _tag("d", *flat)

    def _moment(self, tag: str, value: datetime | time, depth: int) -> Node:
        try:
            zone = self._node(value.tzinfo, depth + 1)
        except EncodingFailure as refused:
            refused.steps.append(".tzinfo")
            raise
        return _tag(tag, value.replace(tzinfo=None, fold=0).isoformat(), value.fold, zone)

    def _foreign(self, value: Any) -> Node:
        """Write values of numpy and pydantic without importing either."""
        kind = type(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if kind is numpy.str_:
                # Not str(value), which numpy strips of NUL characters at the end.
                return _tag("ns", _text(str.__str__(value)))
            if kind is numpy.bytes_:
                return _tag("nb", _base64(bytes(value)))
            if kind is numpy.ndarray:
                descr = self._node(arrays.describe_dtype(numpy, value.dtype), 0)
                return _tag("a", descr, list(value.shape), _base64(value.tobytes()))
            if issubclass(kind, numpy.generic) and kind.__module__ == "numpy":
                descr = self._node(arrays.describe_dtype(numpy, value.dtype), 0)
                return _tag("n", descr, _base64(value.tobytes()))
        pydantic_core = sys.modules.get("pydantic_core")
        if pydantic_core is not None and kind is pydantic_core.TzInfo:
            return _tag("pz", value.utcoffset(None).total_seconds())
        name = type_name(kind)
        if any(hasattr(kind, method) for method in _READ_ONCE):
            raise EncodingFailure(f"no codec takes {name}, {READ_ONCE}", name, read_once=True)
        raise EncodingFailure(f"no codec takes {name}; register it with codec.register()", name)

    def _value(self, node: Node, left: list[int]) -> Any:
        """Return the value of a node.

        Args:
            node: What orjson read.
            left: How many tags may still come, in its only item. What follows the last one is
                plain, and need not be walked: most of a message is.
        """
        kind = type(node)
        if not left[0] or (kind is not dict and kind is not list):
            return node
        if kind is list:
            return [self._value(item, left) for item in node]
        tagged = node.get(_TAG)
        if tagged is None:
            return {key: self._value(item, left) for key, item in node.items()}
        if len(node) != 1:
            raise ValueError("a tag stands beside other keys")
        left[0] -= 1
        tag, *parts = tagged
        if left[0]:
            parts = [self._value(part, left) for part in parts]
        return self._read[tag](*parts)
