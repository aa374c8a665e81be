"""Canonical bytes of values, equal in all processes.

The encoding is type-tagged and length-prefixed, so that no two different values share one:
``1``, ``True``, ``1.0`` and ``"1"`` differ, ``[1]`` and ``(1,)`` differ, and ``("a", "bc")`` is
not ``("ab", "c")``. The order of a dict or set does not matter. The bytes are hashed and never read
back. A value of an unknown type is refused and never turned into a string: its text may contain its
address, so that calls would share a key by chance, or never hit.

Of an instance all state counts: fields, private attributes, slots, and attributes that were set
later or cached on it. A class counts by its name, and one that no import finds by its name by its
definition too.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from toolops_plugins.callables.definitions import class_name, definition_of, is_importable
from toolops_plugins.callables.digests import sha256
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.encoding_failures import type_name
from toolops_plugins.keys.identity_tokens import IDENTITIES
from toolops_plugins.keys.object_state import has_hidden_state, state_of
from toolops_plugins.keys.scalars import (
    STANDARD,
    encode_float,
    encode_text,
    frame,
    moment_encoder,
)
from toolops_plugins.standard_types import derives_from, standard_name

__all__ = ["Canon"]

Encode = Callable[[Any], bytes]

_ROOTS: tuple[type[Any], ...] = (str, int, float, bytes, tuple, list, dict, set, frozenset)
"""Built-in types whose subclasses are encoded as class, attributes and plain value."""
_ATOMS = frozenset((str, int, float, bool, bytes, type(None)))
_ENUM_MACHINERY = frozenset(
    ("_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_", "_hash_")
)
_ARRAY_MACHINERY = frozenset(
    ("_mask", "_fill_value", "_sharedmask", "_basedict", "_baseclass", "_isfield", "_data", "_mmap")
)


class Canon:
    """Encodes values as canonical bytes.

    There is one for each runtime, since encoders can be registered. The same encoders must be
    registered in every process that shares a cache. Thread-safe.
    """

    def __init__(self) -> None:
        self._table: dict[type, Encode] = {
            type(None): lambda _: b"N",
            bool: lambda v: b"T" if v else b"F",
            int: lambda v: b"i%d;" % v,
            str: encode_text,
            float: encode_float,
            complex: lambda v: b"c" + encode_float(v.real) + encode_float(v.imag),
            bytes: lambda v: frame(b"b", v),
            bytearray: lambda v: frame(b"B", bytes(v)),
            memoryview: lambda v: frame(b"V", v.tobytes()),
            list: lambda v: self._encode_items(b"l", v),
            tuple: lambda v: self._encode_items(b"t", v),
            set: lambda v: self._encode_set(b"S", v),
            frozenset: lambda v: self._encode_set(b"Z", v),
            dict: self._encode_dict,
            range: lambda v: b"r%d;%d;%d;" % (v.start, v.stop, v.step),
            slice: lambda v: self._encode_items(b"/", (v.start, v.stop, v.step)),
            type(...): lambda _: b".",
            datetime: moment_encoder(b"D"),
            time: moment_encoder(b"h"),
            date: lambda v: frame(b"a", v.isoformat().encode()),
            timedelta: lambda v: b"w%d;%d;%d;" % (v.days, v.seconds, v.microseconds),
        }
        self._registered: dict[type, Encode] = {}
        self._definitions: weakref.WeakKeyDictionary[type, bytes] = weakref.WeakKeyDictionary()
        self._defining: set[type] = set()
        self._lock = fork_safe(self, threading.RLock())
        self._strict = self.encode
        self._tolerant: _TolerantCanon | None = None

    def register(self, kind: type, encode: Callable[[Any], Any]) -> None:
        """Give instances of a type a canonical form.

        Args:
            kind: The exact type.
            encode: Returns a value that has a canonical form itself, such as a tuple of fields.
        """
        self._registered[kind] = encode
        name = self._encode_class(kind)
        self._table[kind] = lambda v: b"R" + name + self.encode(encode(v))
        if self._tolerant is not None:
            self._tolerant.register(kind, encode)

    def registrations(self) -> list[tuple[type, Callable[[Any], Any]]]:
        """Return the arguments of all calls of :meth:`register`, for the pickles of the runtime."""
        return list(self._registered.items())

    def encode(self, value: Any) -> bytes:
        """Return the canonical bytes of a value.

        Raises:
            NotCanonicalError: The value, or a part of it, has no canonical form.
        """
        encode = self._table.get(type(value))
        try:
            return encode(value) if encode is not None else self._encode_other(value)
        except RecursionError:
            raise NotCanonicalError(
                "the value contains itself, or is nested too deeply",
                kind="value that contains itself, or is nested too deeply",
            ) from None

    def receiver(self, value: Any) -> bytes:
        """Return canonical bytes for the ``self`` or ``cls`` of a method.

        An object without a canonical form counts as itself for as long as it lives, together with
        those of its attributes that have a form.

        Raises:
            NotCanonicalError: The object has no canonical form and cannot be weakly referenced.
        """
        try:
            return self.encode(value)
        except Exception:  # noqa: BLE001 - a user's class may raise anything where it is looked at
            token = b"@" + IDENTITIES.token_of(value)
        if self._tolerant is None:
            self._tolerant = _TolerantCanon(self._registered)
        try:
            return token + self._tolerant.encode(value)
        except Exception:  # noqa: BLE001 - as above, or it contains itself
            return token

    def _encode_items(self, tag: bytes, values: Any) -> bytes:
        encode = self.encode
        return b"%b%d[%b" % (tag, len(values), b"".join([encode(v) for v in values]))

    def _encode_set(self, tag: bytes, values: Iterable[Any]) -> bytes:
        parts = sorted(map(self.encode, values))
        return b"%b%d[%b" % (tag, len(parts), b"".join(parts))

    def _encode_dict(self, value: dict[Any, Any]) -> bytes:
        encode = self.encode
        parts = sorted([encode(k) + encode(v) for k, v in value.items()])
        return b"{%d[%b" % (len(parts), b"".join(parts))

    def _encode_record(self, tag: bytes, kind: type, pairs: dict[str, Any]) -> bytes:
        return tag + self._encode_class(kind) + self._encode_dict(pairs)

    def _encode_rest(self, value: Any, fields: Mapping[str, Any]) -> bytes:
        """Encode the state of an instance beyond the fields that are encoded already.

        A descriptor or ``__getattribute__`` may show another value of a field than the stored one;
        then both count.
        """
        state = {
            name: item
            for name, item in state_of(value).items()
            if name not in fields or fields[name] is not item
        }
        # No encoding begins with "+", so this part cannot be taken for another value.
        return b"+" + self._encode_dict(state) if state else b""

    def _encode_other(self, value: Any) -> bytes:
        kind = type(value)
        encode = STANDARD.get(standard_name(kind))
        if encode is not None:
            return self._table.setdefault(kind, encode)(value)
        own = getattr(kind, "__toolops_key__", None)
        if own is not None:
            return b"K" + encode_text(class_name(kind)) + self.encode(own(value))
        if issubclass(kind, enum.Enum):
            # A combined flag may have no name; its value is as good.
            label = value.name if value.name is not None else value.value
            return b"e" + self._encode_class(kind) + self.encode(label) + self._encode_member(value)
        if issubclass(kind, type):
            return b"k" + self._encode_class(value)
        if has_hidden_state(kind):
            return self._encode_foreign(value) or self._refuse(value)
        if derives_from(kind, "PurePath"):
            return (
                b"P"
                + self._encode_class(kind)
                + encode_text(str(value))
                + self._encode_rest(value, {})
            )
        if dataclasses.is_dataclass(kind):
            names = [f.name for f in dataclasses.fields(value)]
            pairs = {name: getattr(value, name) for name in names if hasattr(value, name)}
            record = self._encode_record(b"C", kind, pairs)
            return record + self._encode_rest(value, pairs) + self._encode_content(value)
        if hasattr(kind, "__attrs_attrs__"):
            return self._encode_record(b"Y", kind, state_of(value)) + self._encode_content(value)
        foreign = self._encode_foreign(value)
        if foreign is not None:
            return foreign
        content = self._encode_content(value)
        if content:
            return self._encode_record(b"O", kind, state_of(value)) + content
        return self._refuse(value)

    def _refuse(self, value: Any) -> bytes:
        name = type_name(type(value))
        raise NotCanonicalError(
            f"{name} has no canonical form; register an encoder with "
            "ops.canon.register(), give it __toolops_key__(), or ignore the parameter",
            kind=name,
        )

    def _encode_member(self, member: Any) -> bytes:
        """Encode the value of an enum's member, which another program may define differently.

        Attributes of the member count too where they have a form; without one the name stands for
        it.
        """
        own = [item for item in vars(member).items() if item[0] not in _ENUM_MACHINERY]
        parts = []
        for name, item in [("", member.value), *own]:
            try:
                parts.append(self.encode(name) + self.encode(item))
            except NotCanonicalError:
                parts.append(b"!")
        return b"%d[%b" % (len(parts), b"".join(sorted(parts)))

    def _encode_content(self, value: Any) -> bytes:
        """Encode the value that an instance of a subclass of a built-in type has as that type."""
        kind = type(value)
        for root in _ROOTS:
            if issubclass(kind, root):
                # Of all dicts only an OrderedDict includes the order in its equality.
                if root is dict:
                    ordered = issubclass(kind, OrderedDict)
                    items = dict.items(value)
                    return (
                        self._encode_items(b"l", list(items))
                        if ordered
                        else self._encode_dict(dict(items))
                    )
                plain = tuple(tuple.__iter__(value)) if root is tuple else root(value)
                if hasattr(kind, "n_sequence_fields"):  # a structseq, such as time.struct_time
                    return self._encode_items(b"l", [plain, value.__reduce__()[1][1]])
                return self.encode(plain)
        return b""

    def _encode_class(self, kind: type) -> bytes:
        name = encode_text(class_name(kind))
        if is_importable(kind):
            return name
        known = self._definitions.get(kind)
        return name + frame(b"@", self._encode_definition(kind) if known is None else known)

    def _encode_definition(self, kind: type) -> bytes:
        with self._lock:
            if kind in self._defining:  # its own body refers to it
                return b"again"
            self._defining.add(kind)
            try:
                definition = definition_of(kind, self._strict, self._encode_class)
                known = sha256(definition)
            except Exception:  # noqa: BLE001 - the body of a class may hold anything
                known = IDENTITIES.token_of(kind)
            finally:
                self._defining.discard(kind)
            self._definitions[kind] = known
            return known

    def _encode_foreign(self, value: Any) -> bytes | None:
        """Encode numpy and pydantic values without importing either package."""
        kind = type(value)
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None:
            if issubclass(kind, pydantic.BaseModel):
                return self._encode_model(value, kind)
            if issubclass(kind, pydantic.SecretStr | pydantic.SecretBytes):
                secret = self._encode_record(b"X", kind, {"secret": value.get_secret_value()})
                return secret + self._encode_rest(
                    value, {"_secret_value": value.get_secret_value()}
                )
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.generic | numpy.ndarray):
            return self._encode_array(numpy, value, kind)
        return None

    def _encode_model(self, value: Any, kind: Any) -> bytes:
        fields = kind.model_fields
        pairs = {name: getattr(value, name) for name in fields if hasattr(value, name)}
        pairs.update(value.model_extra or {})
        # __pydantic_fields_set__ is no part of a model's value.
        private = getattr(value, "__pydantic_private__", None) or {}
        state = {**private, **state_of(value)}
        rest = {
            name: item
            for name, item in state.items()
            if name not in fields or pairs.get(name) is not item
        }
        record = self._encode_record(b"M", kind, pairs)
        return record + b"+" + self._encode_dict(rest) if rest else record

    def _encode_array(self, numpy: Any, value: Any, kind: Any) -> bytes:
        dtype = value.dtype
        if dtype.hasobject or dtype.kind == "T":
            raise NotCanonicalError(
                "a numpy array of Python objects has no canonical form",
                kind=f"{type_name(kind)} of Python objects",
            )
        shape = b",".join(b"%d" % n for n in value.shape)
        scalar = issubclass(kind, numpy.generic)
        if kind is numpy.str_:  # an array would strip the NULs at its end
            return b"ns" + encode_text(str.__str__(value))
        parts = [
            b"n" if scalar else b"A",
            encode_text(str(dtype.descr)),
            frame(b"[", shape),
            frame(b"b", value.tobytes()),
        ]
        if dtype.metadata is not None:
            parts.append(b"+m" + self._encode_dict(dict(dtype.metadata)))
        if kind is numpy.ndarray or (scalar and kind.__module__ == "numpy"):
            return b"".join(parts)
        if issubclass(kind, numpy.ma.MaskedArray):
            parts[3] = frame(b"b", numpy.asarray(value.data).tobytes())
            parts.append(b"+k" + self.encode(numpy.ma.getmaskarray(value)))
            parts.append(self.encode(numpy.asarray(value.fill_value)))
        parts.append(
            b"+c" + self._encode_class(kind) + self._encode_rest(value, _machinery_of(value))
        )
        return b"".join(parts)


class _TolerantCanon(Canon):
    """Encodes an object without a canonical form as itself, or by its class alone."""

    def __init__(self, registered: dict[type, Encode]) -> None:
        super().__init__()
        self._strict = Canon().encode
        self._inside = threading.local()
        for kind, encode in registered.items():
            self.register(kind, encode)

    def encode(self, value: Any) -> bytes:
        """Return the canonical bytes of a value, which may contain itself."""
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

    def _refuse(self, value: Any) -> bytes:
        try:
            return b"@" + IDENTITIES.token_of(value)
        except NotCanonicalError:
            return b"@" + self._encode_class(type(value))


def _machinery_of(array: Any) -> dict[str, Any]:
    """Return the attributes of an array that belong to numpy."""
    return {name: item for name, item in state_of(array).items() if name in _ARRAY_MACHINERY}
