"""Values to bytes and back, by registered type: never pickle, never a class path from data.

There are two forms. ``json`` is plain JSON, for what JSON holds exactly; reading it costs one call
of orjson. ``json+`` is tagged JSON (see :mod:`toolops_plugins.codec.tagged_json`), for everything
else. A third, ``error``, holds an exception. A round trip is exact: the type of every value at
every depth is the same as before, or the value is refused. What does not survive is identity: a
list that occurs twice in a value comes back as two lists.

A value that nobody can change needs no bytes to be given out again and again: it is shared, and
encoded only when a tier outside this process wants it.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import orjson

from toolops_plugins import check
from toolops_plugins.callables.definitions import class_name, is_importable
from toolops_plugins.codec import bounds, structured
from toolops_plugins.codec.bounds import MAX_VALUE_BYTES
from toolops_plugins.codec.payload import (
    ERROR,
    JSON,
    LOCAL,
    OVERHEAD,
    TAGGED,
    Payload,
    immutable_size,
    is_plain_scalar,
)
from toolops_plugins.codec.return_types import field_classes
from toolops_plugins.codec.tagged_json import MAX_DEPTH, TaggedJson, trim
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import (
    ConfigurationError,
    NotEncodableError,
    TooLargeError,
    UnknownFormatError,
)
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.keys.encoding_failures import EncodingFailure
from toolops_plugins.policy import NOTHING

__all__ = [
    "DEFAULT_CODEC",
    "ERROR",
    "JSON",
    "LOCAL",
    "MAX_VALUE_BYTES",
    "TAGGED",
    "Codec",
    "Payload",
]

_T = TypeVar("_T")

_LEAVES = frozenset((str, int, bool, type(None)))  # orjson itself refuses bad ones of these
_SMALL = 64 * 1024  # bytes of data whose memory is not worth looking at
_MEMORY = 4  # times max_value_bytes: memory that a value may take when it is read
_DECLARED = 1_000  # types that are registered because they are declared


class Codec:
    """Turns values into payloads and bytes, and back.

    One per runtime, since types are registered with it. The same names must be registered in every
    process that shares a cache; where one is missing, its entries are misses. Thread-safe.

    Args:
        max_value_bytes: Bytes of an encoded value at most; one that has more, or whose parts would
            take more than four times as much memory when it is read again, is refused on its way in
            and, as planted by somebody, on its way back. Default 64 MiB.

    Raises:
        ConfigurationError: ``max_value_bytes`` is no positive number.
    """

    def __init__(self, max_value_bytes: int = MAX_VALUE_BYTES) -> None:
        self.max_value_bytes = check.count("max_value_bytes", max_value_bytes)
        self._tagged = TaggedJson()
        self._names: dict[str, type] = {}
        self._declared: set[type] = set()
        self._error_kinds = dict(structured.BUILTIN_ERRORS)
        self.registrations: dict[str, tuple[tuple[type, str], dict[str, Any]]] = {}
        """What :meth:`register` was called with by name, for the pickles of the runtime."""
        self._lock = fork_safe(self, threading.Lock())

    def encode(self, value: Any) -> Payload:
        """Return the payload of a value.

        A value that is deeply immutable is only wrapped, and its bytes are made by :meth:`data`:
        an enum member that is not registered is kept in memory, and refused only there.

        Raises:
            NotEncodableError: The value, or something in it, has no encoding.
            TooLargeError: It is larger than ``max_value_bytes`` allow.
        """
        kind = type(value)
        if kind is not dict and kind is not list:
            size = immutable_size(value)
            if size:
                if size > self.max_value_bytes:
                    raise self._too_large(kind, size)
                form = JSON if is_plain_scalar(value) else TAGGED
                return Payload(form, None, value, OVERHEAD + size)
            return Payload(TAGGED, self._fitting(kind, self._tagged.dumps(value)))
        # The value is walked before orjson sees it, which would write tuples, enums and nan as
        # something else, and overruns its memory on some thousand levels of tuples (3.13.0).
        try:
            if _is_plain(value, 0):
                return Payload(JSON, self._fitting(kind, trim(orjson.dumps(value))))
        except TooLargeError:
            raise
        except (TypeError, RecursionError):  # a number beyond 64 bits, or a lone surrogate
            pass
        return Payload(TAGGED, self._fitting(kind, self._tagged.dumps(value)))

    def _fitting(self, kind: type, data: bytes) -> bytes:
        """Return the data of a value, if it is within the bounds."""
        if len(data) > self.max_value_bytes:
            raise self._too_large(kind, len(data))
        if len(data) > _SMALL and bounds.estimate_memory(data) > _MEMORY * self.max_value_bytes:
            raise self._too_large(kind, len(data), " of so many small parts")
        return data

    def _too_large(self, kind: type, size: int, how: str = "") -> TooLargeError:
        problem = (
            f"{kind.__module__}.{kind.__qualname__} of {size:,} bytes{how}, more than "
            f"max_value_bytes={self.max_value_bytes:,} allows"
        )
        error = TooLargeError(f"$: {problem}")
        error.problem = problem
        return error

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
            TooLargeError: It is within the bound, and its bytes are not.
        """
        if payload.data is not None:
            return payload.data
        kind = type(payload.shared)
        if payload.codec == JSON:
            return self._fitting(kind, orjson.dumps(payload.shared))
        if payload.codec == TAGGED:
            return self._fitting(kind, self._tagged.dumps(payload.shared))
        problem = getattr(payload.shared, "problem", None)  # of an exception that is remembered
        raise EncodingFailure(problem or f"{kind.__name__} is kept in this process only").error()

    def load(self, codec_id: str, data: bytes) -> Payload:
        """Return the payload of stored bytes, as :meth:`encode` would have made it.

        The value is decoded here, so that bad data is found before an entry is kept or promoted.
        The first :meth:`decode` gets that very value, so it is not decoded twice.

        Raises:
            UnknownFormatError: The codec id is unknown, or the data malformed or larger than
                ``max_value_bytes`` allow.
        """
        if len(data) > _SMALL:
            if len(data) > self.max_value_bytes:
                raise UnknownFormatError(f"{len(data)} bytes of data, more than max_value_bytes")
            if bounds.estimate_memory(data) > _MEMORY * self.max_value_bytes:
                raise UnknownFormatError(f"{len(data)} bytes of data with too many parts")
        value = self._read(codec_id, data)
        kind = type(value)
        size = 0 if kind is dict or kind is list else immutable_size(value)
        if size:
            return Payload(codec_id, None, value, OVERHEAD + size)
        return Payload(codec_id, data, NOTHING, OVERHEAD + len(data), [value])

    def register(
        self,
        kind: type[_T],
        name: str | None = None,
        *,
        encode: Callable[[_T], Any] | None = None,
        decode: Callable[[Any], _T] | None = None,
        verify: bool = True,
    ) -> type[_T]:
        """Make values of a type encodable; may decorate a class.

        Without ``encode`` and ``decode``, a dataclass, named tuple or pydantic model is kept by
        the values of its fields and an enum member by its name. A dataclass or model is put
        together again without running its ``__init__`` or validators, as copying does, so that
        what they changed is not changed twice. Classes in the annotations of its fields are
        registered with it.

        With them, each value is tried: one that does not come back with its type and equal to what
        it was is refused by :meth:`encode`, unless ``verify`` is False.

        Args:
            kind: The exact type; its subclasses are not meant.
            name: Under which it is stored; must not change while entries live. Default: the name
                of the class.
            encode: Returns a value that is encodable itself, such as a dict.
            decode: Returns the value again from what ``encode`` returned, a new one each time.
            verify: False: what comes back may be less than what was encoded, such as a message
                without the id of its run. Default True.

        Returns:
            ``kind``.

        Raises:
            ConfigurationError: The name stands for another type, the type is known already, or it
                needs ``encode`` and ``decode``: an attribute of its instances begins as something
                that no codec takes, such as a lock.
        """
        if not isinstance(kind, type):
            raise ConfigurationError("kind", f"must be a class, not {kind!r}")
        name = _name_of(kind, name)
        if (encode is None) is not (decode is None):
            raise ConfigurationError("encode", "and decode belong together; give both or neither")
        options = {"encode": encode, "decode": decode, "verify": verify}
        if encode is None or decode is None:
            verify = False
            encode, decode = structured.field_codec(kind)
            for each in field_classes(kind):
                self.register_from_annotation(each)
            self._refuse_defaults(kind)
        with self._lock:
            known = self._names.get(name)
            _refuse_conflict(name, known, kind)
            if known is not kind and self._tagged.knows(kind) and kind not in self._declared:
                raise ConfigurationError("kind", f"{kind.__qualname__} is supported already")
            self._tagged.add(kind, name, encode, decode, verify=verify)
            self._names[name] = kind
            self.registrations[name] = (kind, name), options
            self._declared.discard(kind)
        return kind

    def register_from_annotation(self, kind: type) -> None:
        """Make values of a type encodable that the program declares, if nobody has done so.

        The type gets a name that no other one has: its module and qualified name, and for a class
        that no import finds by these a digest of its definition. What cannot be kept by its fields
        stays as unknown as it was; so does everything past the first thousand.

        Args:
            kind: A dataclass, named tuple, pydantic model or enum.
        """
        with suppress(ConfigurationError):
            if self._tagged.knows(kind) or len(self._declared) >= _DECLARED:
                return
            encode, decode = structured.field_codec(kind)
            name = _full_name(kind)
            with self._lock:
                if not self._tagged.knows(kind):
                    self._tagged.add(kind, name, encode, decode)
                    self._names[name] = kind
                    self._declared.add(kind)

    def _refuse_defaults(self, kind: type) -> None:
        """Refuse a class whose new instances hold what no codec takes."""
        for name, value in structured.defaults_of(kind):
            try:
                self.encode(value)
            except NotEncodableError as error:
                if not self._tagged.knows(type(value)) and structured.has_fields(type(value)):
                    continue  # it may be registered later
                raise ConfigurationError(
                    "kind",
                    f"{kind.__qualname__} holds {error.problem} in its attribute {name!r}, "
                    f"which no codec takes: register that type first, or give encode= and decode= "
                    f"for {kind.__qualname__}",
                ) from None

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
        known = structured.BUILTIN_ERRORS
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
        return self._tagged.dumps([name, *structured.split_error(error)])

    def _read_error(self, data: bytes) -> Exception:
        content = self._tagged.loads(data)
        try:
            name, args, state = content
            return structured.make_error(self._error_kinds[name], args, state)
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


def _full_name(kind: type) -> str:
    name = class_name(kind)
    if is_importable(kind):
        return name
    return f"{name}#{hashlib.sha256(Canon().encode(kind)).hexdigest()[:16]}"


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
