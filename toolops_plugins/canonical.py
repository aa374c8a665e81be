"""One byte string for every value that has a canonical form, whatever process it lives in.

The encoding is type-tagged and length-prefixed, so that no two different values share one:
``1``, ``True``, ``1.0`` and ``"1"`` differ, ``[1]`` and ``(1,)`` differ, and ``("a", "bc")`` is
not ``("ab", "c")``. The order of a dict or set does not matter. It is made to be hashed, not to be
read back. A value that is none of the known types is refused, never turned into a string: the text
of an object may hold its address, and two answers would share a key, or none would ever hit.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import os
import struct
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.locks import renewing

__all__ = ["Canon"]

Encode = Callable[[Any], bytes]

_DOUBLE = struct.Struct(">d")
_NAN = b"f" + _DOUBLE.pack(float("nan"))
_ROOTS: tuple[type[Any], ...] = (str, int, float, bytes, tuple, list, dict, set, frozenset)
"""Built-in types whose subclasses are encoded as the class, its attributes and the plain value."""


def _sized(tag: bytes, data: bytes) -> bytes:
    return b"%b%d:%b" % (tag, len(data), data)


def _text(value: str) -> bytes:
    try:
        data = value.encode()
    except UnicodeEncodeError:  # a lone surrogate is a legal str
        data = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(data), data)


def _float(value: float) -> bytes:
    # Every NaN is one value here, so that a call with NaN can hit; the signs of zero stay apart.
    return b"f" + _DOUBLE.pack(value) if value == value else _NAN  # noqa: PLR0124 - the NaN test


def _zone(value: datetime | time) -> bytes:
    zone = value.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key is not None:
        return _text(zone.key)
    if zone is None or isinstance(zone, timezone):
        return _text(str(zone))
    # The offset is all that is known of a foreign time zone; isoformat() has it already.
    return _text(f"{type(zone).__module__}.{type(zone).__qualname__}")


def _moment(tag: bytes) -> Callable[[Any], bytes]:
    return lambda v: _sized(tag, b"%b%d%b" % (v.isoformat().encode(), v.fold, _zone(v)))


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _Identities:
    """Tokens for objects that are themselves and nothing else, valid as long as they live.

    Looked up by address, since a receiver's own ``__eq__`` or ``__hash__`` must not run; the weak
    reference beside the token drops it when the object dies, before the address can be used again.
    """

    def __init__(self) -> None:
        self._tokens: dict[int, tuple[weakref.ref[Any], bytes]] = {}
        self._lock = renewing(self, threading.Lock())
        self._numbers = itertools.count()

    def token(self, value: object) -> bytes:
        found = self._tokens.get(id(value))
        if found is not None and found[0]() is value:
            return found[1]
        with self._lock:
            address = id(value)
            found = self._tokens.get(address)
            if found is not None and found[0]() is value:
                return found[1]
            # A forked child shares the numbers, and two processes may share a Redis: the token is
            # random as well, and says nothing to anybody but this object.
            token = b"%d:%b" % (next(self._numbers), os.urandom(16))

            def gone(dead: weakref.ref[Any]) -> None:
                entry = self._tokens.get(address)
                if entry is not None and entry[0] is dead:
                    self._tokens.pop(address, None)

            try:
                reference = weakref.ref(value, gone)
            except TypeError:
                raise NotCanonicalError(
                    f"{_class_name(type(value))} has no canonical form and cannot be told apart "
                    "by a weak reference; give it __toolops_key__()"
                ) from None
            self._tokens[address] = (reference, token)
            return token


_IDENTITIES = _Identities()


class Canon:
    """Turns values into canonical bytes; one per runtime, since encoders can be registered.

    Thread-safe. The same encoders must be registered in every process that shares a cache.
    """

    def __init__(self) -> None:
        self._table: dict[type, Encode] = {
            type(None): lambda _: b"N",
            bool: lambda v: b"T" if v else b"F",
            int: lambda v: b"i%d;" % v,
            str: _text,
            float: _float,
            complex: lambda v: b"c" + _float(v.real) + _float(v.imag),
            bytes: lambda v: _sized(b"b", v),
            bytearray: lambda v: _sized(b"B", bytes(v)),
            memoryview: lambda v: _sized(b"V", v.tobytes()),
            list: lambda v: self._items(b"l", v),
            tuple: lambda v: self._items(b"t", v),
            set: lambda v: self._unordered(b"S", v),
            frozenset: lambda v: self._unordered(b"Z", v),
            dict: self._dict,
            range: lambda v: b"r%d;%d;%d;" % (v.start, v.stop, v.step),
            slice: lambda v: self._items(b"/", (v.start, v.stop, v.step)),
            type(...): lambda _: b".",
            datetime: _moment(b"D"),
            time: _moment(b"h"),
            date: lambda v: _sized(b"a", v.isoformat().encode()),
            timedelta: lambda v: b"w%d;%d;%d;" % (v.days, v.seconds, v.microseconds),
            Decimal: lambda v: _sized(b"%", str(v).encode()),
            Fraction: lambda v: b"q%d;%d;" % (v.numerator, v.denominator),
            UUID: lambda v: b"u" + v.bytes,
        }

    def register(self, kind: type, encode: Callable[[Any], Any]) -> None:
        """Give instances of a type a canonical form.

        Args:
            kind: The exact type.
            encode: Returns a value that has a canonical form itself, such as a tuple of fields.
        """
        name = _text(_class_name(kind))
        self._table[kind] = lambda v: b"R" + name + self.encode(encode(v))

    def encode(self, value: Any) -> bytes:
        """Return the canonical bytes of ``value``.

        Raises:
            NotCanonicalError: The value, or something inside it, has no canonical form.
        """
        encode = self._table.get(type(value))
        try:
            return encode(value) if encode is not None else self._other(value)
        except RecursionError:
            raise NotCanonicalError("the value contains itself, or is nested too deeply") from None

    def receiver(self, value: Any) -> bytes:
        """Return canonical bytes for the ``self`` or ``cls`` of a method.

        An object without a canonical form counts as itself, for as long as it lives.

        Raises:
            NotCanonicalError: The object has no canonical form and no identity that can be kept.
        """
        try:
            return self.encode(value)
        except NotCanonicalError:
            return b"@" + _IDENTITIES.token(value)

    def _items(self, tag: bytes, values: Any) -> bytes:
        encode = self.encode
        return b"%b%d[%b" % (tag, len(values), b"".join([encode(v) for v in values]))

    def _unordered(self, tag: bytes, values: Iterable[Any]) -> bytes:
        parts = sorted(map(self.encode, values))
        return b"%b%d[%b" % (tag, len(parts), b"".join(parts))

    def _dict(self, value: dict[Any, Any]) -> bytes:
        encode = self.encode
        parts = sorted([encode(k) + encode(v) for k, v in value.items()])
        return b"{%d[%b" % (len(parts), b"".join(parts))

    def _record(self, tag: bytes, kind: type, pairs: Iterable[tuple[str, Any]]) -> bytes:
        return tag + _text(_class_name(kind)) + self._dict(dict(pairs))

    def _other(self, value: Any) -> bytes:
        kind = type(value)
        own = getattr(kind, "__toolops_key__", None)
        if own is not None:
            return b"K" + _text(_class_name(kind)) + self.encode(own(value))
        if isinstance(value, enum.Enum):
            # A combined flag may have no name; its value then says the same.
            label = value.name if value.name is not None else value.value
            return b"e" + _text(_class_name(kind)) + self.encode(label)
        if isinstance(value, PurePath):
            return b"P" + _text(kind.__name__) + _text(str(value))
        if isinstance(value, type):
            return self._class(value)
        if dataclasses.is_dataclass(value):
            pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
            return self._record(b"C", kind, pairs)
        foreign = self._foreign(value)
        if foreign is not None:
            return foreign
        for root in _ROOTS:
            if isinstance(value, root):
                # Of dict's kin only OrderedDict says that its order is part of its value.
                plain = list(value.items()) if kind is OrderedDict else root(value)
                extra = getattr(value, "__dict__", None) or {}
                return self._record(b"O", kind, extra.items()) + self.encode(plain)
        raise NotCanonicalError(
            f"{_class_name(kind)} has no canonical form; register an encoder with "
            "ops.canon.register(), give it __toolops_key__(), or ignore the parameter"
        )

    def _class(self, value: type) -> bytes:
        name = _class_name(value)
        # Two classes made by one function share a name without being the same.
        unique = _IDENTITIES.token(value) if "<locals>" in name else b""
        return b"k" + _text(name) + _sized(b"@", unique)

    def _foreign(self, value: Any) -> bytes | None:
        """Encode numpy and pydantic values without importing either."""
        kind = type(value)
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None:
            if isinstance(value, pydantic.BaseModel):
                pairs = {name: getattr(value, name) for name in kind.model_fields}
                return self._record(b"M", kind, {**pairs, **(value.model_extra or {})}.items())
            if isinstance(value, pydantic.SecretStr | pydantic.SecretBytes):
                return self._record(b"X", kind, [("secret", value.get_secret_value())])
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
            if value.dtype.hasobject:
                raise NotCanonicalError("a numpy array of Python objects has no canonical form")
            shape = b",".join(b"%d" % n for n in value.shape)
            return b"".join(
                (
                    b"A" if isinstance(value, numpy.ndarray) else b"n",
                    _text(str(value.dtype.descr)),
                    _sized(b"[", shape),
                    _sized(b"b", value.tobytes()),
                )
            )
        return None
