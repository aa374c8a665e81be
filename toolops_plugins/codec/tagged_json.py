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

import importlib
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from toolops_plugins.codec import arrays, bounds
from toolops_plugins.codec.bounds import MAX_DEPTH
from toolops_plugins.codec.tagged_scalars import (
    TAG,
    Node,
    make_tag,
    read_array,
    read_base64,
    read_path,
    write_base64,
    write_decimal,
    write_float,
    write_int,
    write_path,
    write_text,
    write_zone,
    write_zone_key,
)
from toolops_plugins.errors import NotEncodableError, UnknownFormatError
from toolops_plugins.keys.encoding_failures import READ_ONCE, TOO_DEEP, EncodingFailure, type_name
from toolops_plugins.standard_types import PATHS, standard_name

__all__ = ["TaggedJson"]

_TAG_KEY = b'"~"'
"""A tag in JSON; a text that is just this counts as well, one that holds it has it escaped."""
_READ_ONCE = ("__next__", "__anext__", "__await__")
_Write: TypeAlias = Callable[[Any, int], Node]
_STANDARD: dict[str, _Write] = {"Decimal": write_decimal, **dict.fromkeys(PATHS, write_path)}
"""Writers of types that are told by name; see :mod:`toolops_plugins.standard_types`."""


def _trim(data: bytes) -> bytes:
    """Return the bytes without the spare room that orjson leaves behind them.

    orjson 3.13 hands out its whole buffer: 4 KB for 22 bytes, 8 KB for 1 KB. Neither ``len`` nor
    ``getsizeof`` shows it. In a cache of thousands of values it would be most of the memory.
    """
    return bytes(memoryview(data))


class TaggedJson:
    """Writes and reads plain JSON, and tagged JSON of the types that were added to it.

    Thread-safe.
    """

    def __init__(self) -> None:
        self._write: dict[type, _Write] = {
            type(None): lambda v, _: v,
            bool: lambda v, _: v,
            str: write_text,
            int: write_int,
            float: write_float,
            complex: lambda v, _: make_tag("c", write_float(v.real), write_float(v.imag)),
            bytes: lambda v, _: make_tag("b", write_base64(v)),
            bytearray: lambda v, _: make_tag("B", write_base64(v)),
            list: self._write_items,
            dict: self._write_dict,
            tuple: lambda v, depth: make_tag("t", *self._write_items(v, depth)),
            set: lambda v, depth: make_tag("S", *self._write_items(v, depth)),
            frozenset: lambda v, depth: make_tag("F", *self._write_items(v, depth)),
            date: lambda v, _: make_tag("da", v.isoformat()),
            time: lambda v, depth: self._write_moment("ti", v, depth),
            datetime: lambda v, depth: self._write_moment("dt", v, depth),
            timedelta: lambda v, _: make_tag("td", v.days, v.seconds, v.microseconds),
            timezone: write_zone,
            ZoneInfo: write_zone_key,
            UUID: lambda v, _: make_tag("u", v.hex),
        }
        self._read: dict[str, Callable[..., Any]] = {
            "s": lambda text: read_base64(text).decode("utf-8", "surrogatepass"),
            "i": bounds.read_int,
            "f": bounds.read_float,
            "c": bounds.read_complex,
            "b": read_base64,
            "B": lambda text: bytearray(read_base64(text)),
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
            "p": read_path,
            "pz": lambda seconds: importlib.import_module("pydantic_core").TzInfo(seconds),
            "n": lambda descr, data: read_array(descr, [], data)[()],
            "ns": lambda text: importlib.import_module("numpy").str_(text),
            "nb": lambda text: importlib.import_module("numpy").bytes_(read_base64(text)),
            "a": read_array,
            "@": lambda name, node: self._by_name[name](node),
        }
        self._by_name: dict[str, Callable[[Any], Any]] = {}

    def knows(self, kind: type) -> bool:
        """Return whether this exact type is supported already."""
        return kind in self._write or standard_name(kind) in _STANDARD

    def add(
        self,
        kind: type,
        name: str,
        encode: Callable[[Any], Any],
        decode: Callable[[Any], Any],
        *,
        verify: bool = False,
    ) -> None:
        """Support a type under a name; both functions work with supported values.

        Args:
            kind: The exact type.
            name: Its name.
            encode: Returns an encodable form of a value.
            decode: Returns the value of such a form.
            verify: Whether to refuse a value that does not survive the round trip. Default False.
        """

        def write(value: Any, depth: int) -> Node:
            try:
                form = encode(value)
            except NotEncodableError as error:
                raise EncodingFailure(f"{type(error).__name__}: {error}", error.problem) from error
            except Exception as error:
                # A user's function may raise anything; the path to the value is still added.
                raise EncodingFailure(
                    f"{type(error).__name__}: {error}",
                    f"{type_name(kind)}, whose encoder raised {type(error).__name__}",
                ) from error
            if depth >= MAX_DEPTH:
                raise EncodingFailure(TOO_DEEP)
            node = self._to_node(form, depth + 1)
            if verify and not self._survives(value, node, encode, decode):
                raise EncodingFailure(
                    f"decode does not give back the {type_name(kind)} that encode was given",
                    f"{type_name(kind)}, which does not come back from its encoded form",
                )
            return make_tag("@", name, node)

        self._by_name[name] = decode
        self._write[kind] = write

    def dumps_plain(self, value: Any) -> bytes:
        """Return the JSON of a value that JSON represents exactly.

        Raises:
            TypeError: It holds a number beyond 64 bits, or a lone surrogate.
        """
        return _trim(orjson.dumps(value))

    def loads_plain(self, data: bytes) -> Any:
        """Return the value of plain JSON.

        Raises:
            UnknownFormatError: The data is malformed.
        """
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise UnknownFormatError(f"malformed JSON: {error}") from None

    def dumps(self, value: Any) -> bytes:
        """Return the tagged JSON of a value.

        Raises:
            NotEncodableError: The value, or a part of it, has no encoding. The message gives the
                path to the part.
        """
        try:
            return _trim(orjson.dumps(self._to_node(value, 0)))
        except EncodingFailure as refused:
            raise refused.error() from None
        except RecursionError:
            raise EncodingFailure(TOO_DEEP).error() from None
        except Exception as error:
            # orjson's limit of depth, or a registered encoder that failed. In any case the user's
            # call has its result, and must not fail because of the cache.
            problem = type(error).__name__
            raise EncodingFailure(f"{problem}: {error}", problem).error() from error

    def loads(self, data: bytes) -> Any:
        """Return the value of tagged JSON.

        Raises:
            UnknownFormatError: The data is malformed, or holds an unknown tag or name.
        """
        try:
            return self._loads(data)
        except Exception as error:
            # Stored bytes may hold anything, and a registered decoder may raise anything.
            reason = f"{type(error).__name__}: {error}"
            raise UnknownFormatError(f"malformed tagged JSON: {reason}") from error

    def _survives(
        self,
        value: Any,
        node: Node,
        encode: Callable[[Any], Any],
        decode: Callable[[Any], Any],
    ) -> bool:
        """Return whether the encoded form decodes to an equal value of the same type."""
        data = orjson.dumps(node)
        try:
            again = decode(self._loads(data))
            if type(again) is not type(value):
                return False
            other = orjson.dumps(self._to_node(encode(again), 0))
            # The members of a set may come in another order.
            if other != data and not self._loads(other) == self._loads(data):  # noqa: SIM201 - a type may define "==" alone
                return False
        except Exception:  # noqa: BLE001 - a user's functions may raise anything
            return False
        kind: Any = type(value)
        if kind.__eq__ is object.__eq__:  # by identity
            return True
        try:
            # A value that is unequal to itself, such as a NaN, is compared by its encoded form.
            return bool(again == value) or not bool(value == value)  # noqa: PLR0124 - see above
        except Exception:  # noqa: BLE001 - as above
            return True

    def _loads(self, data: bytes) -> Any:
        return self._from_node(orjson.loads(data), [data.count(_TAG_KEY)])

    def _to_node(self, value: Any, depth: int) -> Node:
        write = self._write.get(type(value))
        if write is not None:
            return write(value, depth)
        return self._write_foreign(value, depth)

    def _write_items(self, values: Iterable[Any], depth: int) -> list[Node]:
        if depth >= MAX_DEPTH:
            raise EncodingFailure(TOO_DEEP)
        nodes: list[Node] = []
        try:
            for value in values:
                nodes.append(self._to_node(value, depth + 1))  # noqa: PERF401 - counts the index
        except EncodingFailure as refused:
            refused.steps.append(f"[{len(nodes)}]")
            raise
        return nodes

    def _write_dict(self, value: dict[Any, Any], depth: int) -> Node:
        if depth >= MAX_DEPTH:
            raise EncodingFailure(TOO_DEEP)
        flat: list[Node] = []
        plain = TAG not in value
        key: Any = None
        try:
            for key, item in value.items():
                name = self._to_node(key, depth + 1)
                plain = plain and type(name) is str
                flat += (name, self._to_node(item, depth + 1))
        except EncodingFailure as refused:
            name = key if type(key) is str else None
            refused.steps.append(f".{name}" if name and name.isidentifier() else f"[{name!r}]")
            raise
        return dict(zip(flat[::2], flat[1::2], strict=True)) if plain else make_tag("d", *flat)

    def _write_moment(self, tag: str, value: datetime | time, depth: int) -> Node:
        try:
            zone = self._to_node(value.tzinfo, depth + 1)
        except EncodingFailure as refused:
            refused.steps.append(".tzinfo")
            raise
        return make_tag(tag, value.replace(tzinfo=None, fold=0).isoformat(), value.fold, zone)

    def _write_foreign(self, value: Any, depth: int) -> Node:
        """Write values of packages and modules that need not be imported."""
        kind = type(value)
        write = _STANDARD.get(standard_name(kind))
        if write is not None:
            return self._write.setdefault(kind, write)(value, depth)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if kind is numpy.str_:
                # Without str(value), from which numpy strips the NUL characters at the end.
                return make_tag("ns", write_text(str.__str__(value)))
            if kind is numpy.bytes_:
                return make_tag("nb", write_base64(bytes(value)))
            if kind is numpy.ndarray:
                descr = self._to_node(arrays.describe_dtype(numpy, value.dtype), 0)
                return make_tag("a", descr, list(value.shape), write_base64(value.tobytes()))
            if issubclass(kind, numpy.generic) and kind.__module__ == "numpy":
                descr = self._to_node(arrays.describe_dtype(numpy, value.dtype), 0)
                return make_tag("n", descr, write_base64(value.tobytes()))
        pydantic_core = sys.modules.get("pydantic_core")
        if pydantic_core is not None and kind is pydantic_core.TzInfo:
            return make_tag("pz", value.utcoffset(None).total_seconds())
        name = type_name(kind)
        if any(hasattr(kind, method) for method in _READ_ONCE):
            raise EncodingFailure(f"no codec takes {name}, {READ_ONCE}", name, read_once=True)
        raise EncodingFailure(f"no codec takes {name}; register it with codec.register()", name)

    def _from_node(self, node: Node, left: list[int]) -> Any:
        """Return the value of a node.

        Args:
            node: A node that orjson read.
            left: The number of tags that may still follow, as its only item. Nodes after the last
                tag are plain and need no walk, as is most of a message.
        """
        kind = type(node)
        if not left[0] or (kind is not dict and kind is not list):
            return node
        if kind is list:
            return [self._from_node(item, left) for item in node]
        tagged = node.get(TAG)
        if tagged is None:
            return {key: self._from_node(item, left) for key, item in node.items()}
        if len(node) != 1:
            raise ValueError("a tag stands beside other keys")
        left[0] -= 1
        tag, *parts = tagged
        if left[0]:
            parts = [self._from_node(part, left) for part in parts]
        return self._read[tag](*parts)
