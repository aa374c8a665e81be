"""One byte string for every value that has a canonical form, whatever process it lives in.

The encoding is type-tagged and length-prefixed, so that no two different values share one:
``1``, ``True``, ``1.0`` and ``"1"`` differ, ``[1]`` and ``(1,)`` differ, and ``("a", "bc")`` is
not ``("ab", "c")``. The order of a dict or set does not matter. It is made to be hashed, not to be
read back. A value that is none of the known types is refused, never turned into a string: the text
of an object may hold its address, and two answers would share a key, or none would ever hit.

Of an instance all that it holds counts: its fields, private attributes, slots, and attributes that
were set later or cached on it. A class counts by its name; one that no import finds by its name, by
its definition too.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import itertools
import os
import struct
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from toolops_plugins.callables.definitions import class_name, definition_of, is_importable
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.encoding_failures import type_name
from toolops_plugins.keys.object_state import has_hidden_state, state_of

__all__ = ["Canon"]

Encode = Callable[[Any], bytes]

_DOUBLE = struct.Struct(">d")
_NAN = b"f" + _DOUBLE.pack(float("nan"))
_ROOTS: tuple[type[Any], ...] = (str, int, float, bytes, tuple, list, dict, set, frozenset)
"""Built-in types whose subclasses are encoded as the class, its attributes and the plain value."""
_ATOMS = frozenset((str, int, float, bool, bytes, type(None)))
_ENUM_MACHINERY = frozenset(
    ("_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_", "_hash_")
)
_ARRAY_MACHINERY = frozenset(
    ("_mask", "_fill_value", "_sharedmask", "_basedict", "_baseclass", "_isfield", "_data", "_mmap")
)
_PATHS = frozenset((PurePath, PurePosixPath, PureWindowsPath, Path, PosixPath, WindowsPath))


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


class _Identities:
    """Tokens for objects that are themselves and nothing else, valid as long as they live.

    Looked up by address, since a receiver's own ``__eq__`` or ``__hash__`` must not run; the weak
    reference beside the token drops it when the object dies, before the address can be used again.
    """

    def __init__(self) -> None:
        self._tokens: dict[int, tuple[weakref.ref[Any], bytes]] = {}
        self._lock = fork_safe(self, threading.Lock())
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
                    f"{type_name(type(value))} has no canonical form and cannot be told apart "
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
            **dict.fromkeys(_PATHS, _path),
        }
        self._registered: dict[type, Encode] = {}
        self._definitions: weakref.WeakKeyDictionary[type, bytes] = weakref.WeakKeyDictionary()
        self._defining: set[type] = set()
        self._lock = fork_safe(self, threading.RLock())
        self._strict = self.encode
        self._tolerant: _Tolerant | None = None

    def register(self, kind: type, encode: Callable[[Any], Any]) -> None:
        """Give instances of a type a canonical form.

        Args:
            kind: The exact type.
            encode: Returns a value that has a canonical form itself, such as a tuple of fields.
        """
        self._registered[kind] = encode
        name = self._class(kind)
        self._table[kind] = lambda v: b"R" + name + self.encode(encode(v))
        if self._tolerant is not None:
            self._tolerant.register(kind, encode)

    def registrations(self) -> list[tuple[type, Callable[[Any], Any]]]:
        """Return what :meth:`register` was called with, for the pickles of the runtime."""
        return list(self._registered.items())

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

        An object without a canonical form counts as itself, for as long as it lives; and so does
        all that it holds and that has one, if it is of a kind whose state counts.

        Raises:
            NotCanonicalError: The object has no canonical form and no identity that can be kept.
        """
        try:
            return self.encode(value)
        except Exception:  # noqa: BLE001 - a user's class may raise anything where it is looked at
            token = b"@" + _IDENTITIES.token(value)
        if self._tolerant is None:
            self._tolerant = _Tolerant(self._registered)
        try:
            return token + self._tolerant.encode(value)
        except Exception:  # noqa: BLE001 - as above, or it contains itself
            return token

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

    def _record(self, tag: bytes, kind: type, pairs: dict[str, Any]) -> bytes:
        return tag + self._class(kind) + self._dict(pairs)

    def _rest(self, value: Any, fields: Mapping[str, Any]) -> bytes:
        """Encode what an instance holds beside the fields that are encoded already.

        A descriptor or ``__getattribute__`` may show another value of a field than is held: then
        both count.
        """
        state = {
            name: item
            for name, item in state_of(value).items()
            if name not in fields or fields[name] is not item
        }
        # No encoding begins with "+", so what follows a value is never taken for another one.
        return b"+" + self._dict(state) if state else b""

    def _other(self, value: Any) -> bytes:
        kind = type(value)
        own = getattr(kind, "__toolops_key__", None)
        if own is not None:
            return b"K" + _text(class_name(kind)) + self.encode(own(value))
        if issubclass(kind, enum.Enum):
            # A combined flag may have no name; its value then says the same.
            label = value.name if value.name is not None else value.value
            return b"e" + self._class(kind) + self.encode(label) + self._member(value)
        if issubclass(kind, type):
            return b"k" + self._class(value)
        if has_hidden_state(kind):
            return self._foreign(value) or self._refused(value)
        if issubclass(kind, PurePath):
            return b"P" + self._class(kind) + _text(str(value)) + self._rest(value, {})
        if dataclasses.is_dataclass(kind):
            names = [f.name for f in dataclasses.fields(value)]
            pairs = {name: getattr(value, name) for name in names if hasattr(value, name)}
            record = self._record(b"C", kind, pairs)
            return record + self._rest(value, pairs) + self._content(value)
        if hasattr(kind, "__attrs_attrs__"):
            return self._record(b"Y", kind, state_of(value)) + self._content(value)
        foreign = self._foreign(value)
        if foreign is not None:
            return foreign
        content = self._content(value)
        if content:
            return self._record(b"O", kind, state_of(value)) + content
        return self._refused(value)

    def _refused(self, value: Any) -> bytes:
        name = type_name(type(value))
        error = NotCanonicalError(
            f"{name} has no canonical form; register an encoder with "
            "ops.canon.register(), give it __toolops_key__(), or ignore the parameter"
        )
        error.kind = name
        raise error

    def _member(self, member: Any) -> bytes:
        """Encode the value of an enum's member, which another program may have chosen otherwise.

        What has been set on it counts too, as far as it has a form: a member is known by its name.
        """
        own = [item for item in vars(member).items() if item[0] not in _ENUM_MACHINERY]
        parts = []
        for name, item in [("", member.value), *own]:
            try:
                parts.append(self.encode(name) + self.encode(item))
            except NotCanonicalError:
                parts.append(b"!")
        return b"%d[%b" % (len(parts), b"".join(sorted(parts)))

    def _content(self, value: Any) -> bytes:
        """Encode what an instance of a subclass of a built-in type holds as such."""
        kind = type(value)
        for root in _ROOTS:
            if issubclass(kind, root):
                # Of dict's kin only OrderedDict says that its order is part of its value.
                if root is dict:
                    ordered = issubclass(kind, OrderedDict)
                    items = dict.items(value)
                    return self._items(b"l", list(items)) if ordered else self._dict(dict(items))
                plain = tuple(tuple.__iter__(value)) if root is tuple else root(value)
                if hasattr(kind, "n_sequence_fields"):  # a structseq, such as time.struct_time
                    return self._items(b"l", [plain, value.__reduce__()[1][1]])
                return self.encode(plain)
        return b""

    def _class(self, kind: type) -> bytes:
        name = _text(class_name(kind))
        if is_importable(kind):
            return name
        known = self._definitions.get(kind)
        return name + _sized(b"@", self._definition(kind) if known is None else known)

    def _definition(self, kind: type) -> bytes:
        with self._lock:
            if kind in self._defining:  # it stands in its own body
                return b"again"
            self._defining.add(kind)
            try:
                definition = definition_of(kind, self._strict, self._class)
                known = hashlib.sha256(definition).digest()
            except Exception:  # noqa: BLE001 - there may be anything in the body of a class
                known = _IDENTITIES.token(kind)
            finally:
                self._defining.discard(kind)
            self._definitions[kind] = known
            return known

    def _foreign(self, value: Any) -> bytes | None:
        """Encode numpy and pydantic values without importing either."""
        kind = type(value)
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None:
            if issubclass(kind, pydantic.BaseModel):
                return self._model(value, kind)
            if issubclass(kind, pydantic.SecretStr | pydantic.SecretBytes):
                secret = self._record(b"X", kind, {"secret": value.get_secret_value()})
                return secret + self._rest(value, {"_secret_value": value.get_secret_value()})
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.generic | numpy.ndarray):
            return self._array(numpy, value, kind)
        return None

    def _model(self, value: Any, kind: Any) -> bytes:
        fields = kind.model_fields
        pairs = {name: getattr(value, name) for name in fields if hasattr(value, name)}
        pairs.update(value.model_extra or {})
        # Which fields were set by whom is no part of what a model is.
        private = getattr(value, "__pydantic_private__", None) or {}
        state = {**private, **state_of(value)}
        rest = {
            name: item
            for name, item in state.items()
            if name not in fields or pairs.get(name) is not item
        }
        record = self._record(b"M", kind, pairs)
        return record + b"+" + self._dict(rest) if rest else record

    def _array(self, numpy: Any, value: Any, kind: Any) -> bytes:
        dtype = value.dtype
        if dtype.hasobject or dtype.kind == "T":
            raise NotCanonicalError("a numpy array of Python objects has no canonical form")
        shape = b",".join(b"%d" % n for n in value.shape)
        scalar = issubclass(kind, numpy.generic)
        if kind is numpy.str_:  # of which an array would strip the NULs at its end
            return b"ns" + _text(str.__str__(value))
        parts = [
            b"n" if scalar else b"A",
            _text(str(dtype.descr)),
            _sized(b"[", shape),
            _sized(b"b", value.tobytes()),
        ]
        if dtype.metadata is not None:
            parts.append(b"+m" + self._dict(dict(dtype.metadata)))
        if kind is numpy.ndarray or (scalar and kind.__module__ == "numpy"):
            return b"".join(parts)
        if issubclass(kind, numpy.ma.MaskedArray):
            parts[3] = _sized(b"b", numpy.asarray(value.data).tobytes())
            parts.append(b"+k" + self.encode(numpy.ma.getmaskarray(value)))
            parts.append(self.encode(numpy.asarray(value.fill_value)))
        parts.append(b"+c" + self._class(kind) + self._rest(value, _machinery_of(value)))
        return b"".join(parts)


class _Tolerant(Canon):
    """Encodes an object without a canonical form as itself, or by its class alone."""

    def __init__(self, registered: dict[type, Encode]) -> None:
        super().__init__()
        self._strict = Canon().encode
        self._inside = threading.local()
        for kind, encode in registered.items():
            self.register(kind, encode)

    def encode(self, value: Any) -> bytes:
        """Return the canonical bytes of ``value``, which may contain itself."""
        kind = type(value)
        if kind in _ATOMS:
            return super().encode(value)
        inside: dict[int, int] = vars(self._inside).setdefault("inside", {})
        depth = inside.get(id(value))
        if depth is not None:
            return b"^%d;" % depth
        inside[id(value)] = len(inside)
        try:
            return super().encode(value)
        finally:
            del inside[id(value)]

    def _refused(self, value: Any) -> bytes:
        try:
            return b"@" + _IDENTITIES.token(value)
        except NotCanonicalError:
            return b"@" + self._class(type(value))


def _path(value: Any) -> bytes:
    return b"P" + _text(type(value).__name__) + _text(str(value))


def _machinery_of(array: Any) -> dict[str, Any]:
    """Return the attributes of an array that numpy keeps for itself."""
    return {name: item for name, item in state_of(array).items() if name in _ARRAY_MACHINERY}
