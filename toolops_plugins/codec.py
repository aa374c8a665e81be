"""Values to bytes and back, by registered type: never pickle, never a class path from data.

There are two forms. ``json`` is plain JSON, for what JSON holds exactly; reading it costs one call
of orjson. ``json+`` is tagged JSON (see :mod:`toolops_plugins.tagged`), for everything else. A
third, ``error``, holds an exception. A round trip is exact: the type of every value at every depth
is the same as before, or the value is refused. What does not survive is identity: a list that
occurs twice in a value comes back as two lists.

A value that nobody can change needs no bytes to be given out again and again: it is shared, and
encoded only when a tier outside this process wants it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from sys import getsizeof
from typing import Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from toolops_plugins import records
from toolops_plugins.errors import ConfigurationError, NotEncodableError, UnknownFormatError
from toolops_plugins.locks import renewing
from toolops_plugins.policy import NOTHING
from toolops_plugins.tagged import INT_MAX, INT_MIN, MAX_DEPTH, PATHS, Tagged, is_text, trimmed

__all__ = ["DEFAULT_CODEC", "ERROR", "JSON", "LOCAL", "TAGGED", "Codec", "Payload"]

JSON: Final = "json"
TAGGED: Final = "json+"
ERROR: Final = "error"
LOCAL: Final = "local"

_T = TypeVar("_T")

_LEAVES = frozenset((str, int, bool, type(None)))  # orjson itself refuses bad ones of these
_ZONES = (type(None), timezone, ZoneInfo)
_ATOMS: frozenset[type] = frozenset(
    (str, int, float, bool, bytes, complex, date, timedelta, Decimal, UUID, *_ZONES)
)
_OVERHEAD = 120  # of a Payload and the header of its bytes, measured


class Payload:
    """An encoded value; treat as immutable, since it is shared between tiers and threads.

    Plain slots, since a named tuple or frozen dataclass takes two to five times as long to make.

    Args:
        codec: Id of the form of the data.
        data: The encoded value; None if it is kept in ``shared`` alone.
        shared: The value itself, where nobody can change it; else ``NOTHING``.
        size: Bytes that it occupies in memory, roughly. None: worked out from the others.
        first: A list of the decoded value, which the first reader may take and nobody else.
    """

    __slots__ = ("codec", "data", "first", "shared", "size")

    def __init__(
        self,
        codec: str,
        data: bytes | None,
        shared: Any = NOTHING,
        size: int | None = None,
        first: list[Any] | None = None,
    ) -> None:
        self.codec = codec
        self.data = data
        self.shared = shared
        if size is None:
            size = _OVERHEAD + (getsizeof(shared) if data is None else len(data))
        self.size = size
        self.first = first

    @classmethod
    def local(cls, value: Any) -> Payload:
        """Return a payload that holds ``value`` itself and can never leave this process."""
        return cls(LOCAL, None, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Payload):
            return NotImplemented
        return (
            self.codec == other.codec
            and self.data == other.data
            and type(self.shared) is type(other.shared)
            and bool(self.shared == other.shared)
        )

    __hash__ = None  # type: ignore[assignment] # a local payload may hold what has no hash

    def __repr__(self) -> str:
        # Not the value: it may be a secret of the user's.
        return f"Payload(codec={self.codec!r}, size={self.size})"


class Codec:
    """Turns values into payloads and bytes, and back.

    One per runtime, since types are registered with it. The same names must be registered in every
    process that shares a cache; where one is missing, its entries are misses. Thread-safe.
    """

    def __init__(self) -> None:
        self._tagged = Tagged()
        self._names: dict[str, type] = {}
        self._error_kinds = dict(records.BUILTIN_ERRORS)
        self.registrations: dict[str, tuple[Any, ...]] = {}
        """What :meth:`register` was called with by name, for the pickles of the runtime."""
        self._lock = renewing(self, threading.Lock())

    def encode(self, value: Any) -> Payload:
        """Return the payload of a value.

        A value that is deeply immutable is only wrapped, and its bytes are made by :meth:`data`:
        an enum member that is not registered is kept in memory, and refused only there.

        Raises:
            NotEncodableError: The value, or something in it, has no encoding.
        """
        kind = type(value)
        if kind is not dict and kind is not list:
            size = _frozen_size(value)
            if size:
                form = JSON if _is_plain_scalar(value) else TAGGED
                return Payload(form, None, value, _OVERHEAD + size)
            return Payload(TAGGED, self._tagged.dumps(value))
        # The value is walked before orjson sees it, which would write tuples, enums and nan as
        # something else, and overruns its memory on some thousand levels of tuples (3.13.0).
        try:
            if _is_plain(value, 0):
                return Payload(JSON, trimmed(orjson.dumps(value)))
        except (TypeError, RecursionError):  # a number beyond 64 bits, or a lone surrogate
            pass
        return Payload(TAGGED, self._tagged.dumps(value))

    def decode(self, payload: Payload) -> Any:
        """Return the value of a payload: the shared one, or a new one that the caller may change.

        Raises:
            UnknownFormatError: The payload was put together by hand, or a registered decoder
                failed; a payload from :meth:`encode` or :meth:`load` decodes.
        """
        shared = payload.shared
        if shared is not NOTHING:
            return shared
        first = payload.first
        if first:
            try:
                return first.pop()
            except IndexError:  # another thread took it
                pass
        return self._read(payload.codec, payload.data)

    def data(self, payload: Payload) -> bytes:
        """Return the bytes of a payload, to be stored beside its codec id.

        Raises:
            NotEncodableError: It is local, holds an enum that is not registered, or is a tuple
                of too many levels.
        """
        if payload.data is not None:
            return payload.data
        if payload.codec == JSON:
            return orjson.dumps(payload.shared)
        if payload.codec == TAGGED:
            return self._tagged.dumps(payload.shared)
        raise NotEncodableError(f"$: {type(payload.shared).__name__} is kept in this process only")

    def load(self, codec_id: str, data: bytes) -> Payload:
        """Return the payload of stored bytes, as :meth:`encode` would have made it.

        The value is decoded here, so that bad data is found before an entry is kept or promoted.
        The first :meth:`decode` gets that very value, so it is not decoded twice.

        Raises:
            UnknownFormatError: The codec id is unknown, or the data malformed.
        """
        value = self._read(codec_id, data)
        kind = type(value)
        size = 0 if kind is dict or kind is list else _frozen_size(value)
        if size:
            return Payload(codec_id, None, value, _OVERHEAD + size)
        return Payload(codec_id, data, NOTHING, _OVERHEAD + len(data), [value])

    def register(
        self,
        kind: type[_T],
        name: str | None = None,
        *,
        encode: Callable[[_T], Any] | None = None,
        decode: Callable[[Any], _T] | None = None,
    ) -> type[_T]:
        """Make values of a type encodable; may decorate a class.

        Without ``encode`` and ``decode``, a dataclass, named tuple or pydantic model is kept by
        the values of its fields and an enum member by its name. A dataclass or model is put
        together again without running its ``__init__`` or validators, as copying does, so that
        what they changed is not changed twice.

        Args:
            kind: The exact type; its subclasses are not meant.
            name: Under which it is stored; must not change while entries live. Default: the name
                of the class.
            encode: Returns a value that is encodable itself, such as a dict.
            decode: Returns the value again from what ``encode`` returned, a new one each time.

        Returns:
            ``kind``.

        Raises:
            ConfigurationError: The name stands for another type, the type is known already, or it
                needs ``encode`` and ``decode``.
        """
        if not isinstance(kind, type):
            raise ConfigurationError("kind", f"must be a class, not {kind!r}")
        name = _name_of(kind, name)
        if (encode is None) is not (decode is None):
            raise ConfigurationError("encode", "and decode belong together; give both or neither")
        asked = kind, name, encode, decode
        if encode is None or decode is None:
            encode, decode = records.by_fields(kind)
        with self._lock:
            known = self._names.get(name)
            _refuse_conflict(name, known, kind)
            if known is not kind and self._tagged.knows(kind):
                raise ConfigurationError("kind", f"{kind.__qualname__} is supported already")
            self._tagged.add(kind, name, encode, decode)
            self._names[name] = kind
            self.registrations[name] = asked
        return kind

    def register_error(self, kind: type[Exception], name: str | None = None) -> type[Exception]:
        """Make exceptions of a type encodable, for negative caching; may decorate a class.

        Args:
            kind: The exact type. Those of :mod:`builtins` are known.
            name: As for :meth:`register`; names of exceptions are apart from those of values.

        Returns:
            ``kind``.

        Raises:
            ConfigurationError: It is no exception type, or the name stands for another.
        """
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            raise ConfigurationError("kind", f"must be a subclass of Exception, not {kind!r}")
        name = _name_of(kind, name)
        with self._lock:
            _refuse_conflict(name, self._error_kinds.get(name), kind)
            self._error_kinds[name] = kind
        return kind

    def error_registrations(self) -> list[tuple[type[Exception], str]]:
        """Return what :meth:`register_error` was called with, for the pickles of the runtime."""
        known = records.BUILTIN_ERRORS
        return [(kind, name) for name, kind in self._error_kinds.items() if name not in known]

    def encode_error(self, error: Exception) -> Payload:
        """Return the payload of an exception, which :meth:`decode` turns into a new one.

        Kept are its arguments and attributes; traceback, cause and context are not. Whether it
        can be put together again is tried here.

        Raises:
            NotEncodableError: Its type is not registered, its arguments are not encodable, or they
                do not make the same exception again. ``Payload.local`` still takes it.
        """
        try:
            data = self._error_data(error)
            again = self._read(ERROR, data)
            same = self._error_data(again) == data and str(again) == str(error)
        except NotEncodableError:
            raise
        except Exception as failure:
            # Anything may fail in what an exception class defines itself.
            raise NotEncodableError(f"$: {type(error).__qualname__}: {failure}") from failure
        if not same:
            raise NotEncodableError(
                f"$: {type(error).__qualname__} does not come back from its arguments"
            )
        return Payload(ERROR, data)

    def _error_data(self, error: Exception) -> bytes:
        kind = type(error)
        name = next((n for n, k in self._error_kinds.items() if k is kind), None)
        if name is None:
            raise NotEncodableError(
                f"$: {kind.__qualname__} is not registered with codec.register_error()"
            )
        return self._tagged.dumps([name, *records.error_parts(error)])

    def _read_error(self, data: bytes) -> Exception:
        content = self._tagged.loads(data)
        try:
            name, args, state = content
            return records.error_from(self._error_kinds[name], args, state)
        except Exception as failure:
            # Stored bytes may hold anything, and a constructor may raise anything.
            raise UnknownFormatError(f"malformed exception: {failure}") from failure

    def _read(self, codec_id: str, data: bytes | None) -> Any:
        if data is None:
            raise UnknownFormatError(f"a payload of codec {codec_id!r} holds no data")
        if codec_id == JSON:
            try:
                return orjson.loads(data)
            except orjson.JSONDecodeError as error:
                raise UnknownFormatError(f"malformed JSON: {error}") from None
        if codec_id == TAGGED:
            return self._tagged.loads(data)
        if codec_id == ERROR:
            return self._read_error(data)
        raise UnknownFormatError(f"the codec {codec_id!r} is not known")


def _is_plain(value: Any, depth: int) -> bool:
    """Return whether JSON holds a dict or list exactly, but for what orjson itself refuses."""
    if depth > MAX_DEPTH:
        return False
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return False
        value = value.values()
    for item in value:
        kind = type(item)
        if kind in _LEAVES:
            continue
        if kind is float:
            if not math.isfinite(item):
                return False
        elif (kind is not dict and kind is not list) or not _is_plain(item, depth + 1):
            return False
    return True


def _is_plain_scalar(value: Any) -> bool:
    kind: type[Any] = type(value)
    if kind is str:
        return is_text(value)
    if kind is int:
        return bool(INT_MIN <= value <= INT_MAX)
    return value is None or kind is bool or (kind is float and math.isfinite(value))


def _frozen_size(value: Any) -> int:
    """Return roughly the bytes of a deeply immutable value, and 0 for any other."""
    kind = type(value)
    if kind in _ATOMS:
        return getsizeof(value)
    if kind is tuple or kind is frozenset:
        total = getsizeof(value)
        pending = [*value]  # no recursion: the user's stack may be deep already
        while pending:
            item = pending.pop()
            kind = type(item)
            if kind is tuple or kind is frozenset:
                pending += item
                size = getsizeof(item)
            else:
                size = _frozen_size(item)
            if not size:
                return 0
            total += size
        return total
    if kind is datetime or kind is time:
        return getsizeof(value) if type(value.tzinfo) in _ZONES else 0
    if kind in PATHS:
        return getsizeof(value) + 2 * len(str(value))  # its text, and the parts of it
    return getsizeof(value) if isinstance(value, Enum) else 0


def _name_of(kind: type, name: str | None) -> str:
    if name is None:
        return kind.__name__
    if not isinstance(name, str) or not name:
        raise ConfigurationError("name", f"must be a non-empty string, not {name!r}")
    return name


def _refuse_conflict(name: str, known: type | None, kind: type) -> None:
    if known is None or known is kind:
        return
    # The cell of a notebook that is run again makes the same class anew.
    same = (known.__module__, known.__qualname__) == (kind.__module__, kind.__qualname__)
    if not same or "<locals>" in kind.__qualname__:
        raise ConfigurationError("name", f"{name!r} stands for {known.__qualname__} already")


DEFAULT_CODEC: Final = Codec()
"""The codec of the default runtime."""
