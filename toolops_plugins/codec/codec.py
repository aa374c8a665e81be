"""Encoding of values as bytes and back, by registered type, without pickle or class paths.

There are two forms. ``json`` is plain JSON, for values that JSON represents exactly; reading it
costs one call of orjson. ``json+`` is tagged JSON (see
:mod:`toolops_plugins.codec.tagged_json`), for all other values. A third form, ``error``, holds an
exception. A round trip is exact: the type of every value at every depth stays the same, or the
value is refused. Identity is lost: a list that occurs twice in a value comes back as two lists.

An immutable value is shared between callers as it is. It is encoded only when a tier outside of
this process stores it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from sys import getsizeof
from typing import Any, TypeVar

from toolops_plugins import check
from toolops_plugins.codec import bounds, structured
from toolops_plugins.codec.bounds import MAX_DEPTH, MAX_VALUE_BYTES
from toolops_plugins.codec.copiers import copier_of, copyable_payload
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
from toolops_plugins.codec.tagged_scalars import is_text
from toolops_plugins.codec.type_names import full_name, refuse_conflict, registration_name
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import (
    ConfigurationError,
    NotEncodableError,
    TooLargeError,
    UnknownFormatError,
)
from toolops_plugins.keys.encoding_failures import EncodingFailure
from toolops_plugins.policy import NOTHING

__all__ = [
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
_DECLARED = 1_000  # types that are registered from annotations


class Codec:
    """Turns values into payloads and bytes, and back.

    There is one for each runtime, since types are registered with it. The same names must be
    registered in every process that shares a cache; where a name is missing, its entries are
    misses. Thread-safe.

    Args:
        max_value_bytes: Bytes of an encoded value at most. A value with more, or one whose parts
            would take more than four times as much memory when it is read again, is not stored;
            stored data of such a size is not read. Default 64 MiB.

    Raises:
        ConfigurationError: ``max_value_bytes`` is no positive number.
    """

    def __init__(self, max_value_bytes: int = MAX_VALUE_BYTES) -> None:
        # With orjson, and what that imports itself, it takes as long as a tenth of this package.
        from toolops_plugins.codec.tagged_json import TaggedJson  # noqa: PLC0415 - as it says

        self.max_value_bytes = check.count("max_value_bytes", max_value_bytes)
        self._tagged_json = TaggedJson()
        self._names: dict[str, type] = {}
        self._declared: set[type] = set()
        self._error_kinds = dict(structured.BUILTIN_ERRORS)
        self.registrations: dict[str, tuple[tuple[type, str], dict[str, Any]]] = {}
        """Arguments of all calls of :meth:`register` by name, for the pickles of the runtime."""
        self._lock = fork_safe(self, threading.Lock())

    def encode(self, value: Any) -> Payload:
        """Return the payload of a value.

        A deeply immutable value is only wrapped, and :meth:`data` makes its bytes. So an enum
        member that is not registered is kept in memory, and refused only by :meth:`data`.

        Raises:
            NotEncodableError: The value, or a part of it, has no encoding.
            TooLargeError: It is larger than ``max_value_bytes`` allow.
        """
        kind = type(value)
        if kind is str:  # as below, in half the time
            size = getsizeof(value)
            if size > self.max_value_bytes:
                raise self._too_large(kind, size)
            return Payload(JSON if is_text(value) else TAGGED, None, value, OVERHEAD + size)
        if kind is not dict and kind is not list:
            size = immutable_size(value)
            if size:
                if size > self.max_value_bytes:
                    raise self._too_large(kind, size)
                form = JSON if is_plain_scalar(value) else TAGGED
                return Payload(form, None, value, OVERHEAD + size)
            return Payload(TAGGED, self._check_size(kind, self._tagged_json.dumps(value)))
        # The walk comes first, since orjson would write tuples, enums and nan as other types, and
        # overruns its memory on some thousand levels of tuples (3.13.0).
        try:
            if _is_plain_json(value, 0):
                data = self._tagged_json.dumps_plain(value)
                return copyable_payload(JSON, self._check_size(kind, data))
        except TooLargeError:
            raise
        except (TypeError, RecursionError):  # a number beyond 64 bits, or a lone surrogate
            pass
        return copyable_payload(TAGGED, self._check_size(kind, self._tagged_json.dumps(value)))

    def _check_size(self, kind: type, data: bytes) -> bytes:
        """Return the data of a value, or refuse it if it is over the bounds."""
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
            UnknownFormatError: The payload was made by hand, or a registered decoder failed. A
                payload of :meth:`encode` or :meth:`load` decodes.
        """
        shared = payload.shared
        if shared is not NOTHING:
            return shared
        copy = payload.copy
        if copy is not None:
            return copy()
        first = payload.first
        if first:
            try:
                return first.pop()
            except IndexError:  # another thread took it
                pass
        data = payload.data
        if data is None and payload.copy is not None:  # another thread has just read it
            return payload.copy()
        value = self._read(payload.codec, data)
        if payload.copies:
            copy = copier_of(value)
            if copy is not None:
                payload.copy = copy  # first, since whoever finds no data looks for it
                payload.data = None
                return copy()
            payload.copies = False
        return value

    def data(self, payload: Payload) -> bytes:
        """Return the bytes of a payload, to be stored beside its codec id.

        Raises:
            NotEncodableError: The payload is local, holds an enum that is not registered, or is a
                tuple of too many levels.
            TooLargeError: The value is within the bound, and its bytes are not.
        """
        data = payload.data
        if data is not None:
            return data
        value = payload.shared if payload.copy is None else payload.copy()
        kind = type(value)
        if payload.codec == JSON:
            return self._check_size(kind, self._tagged_json.dumps_plain(value))
        if payload.codec == TAGGED:
            return self._check_size(kind, self._tagged_json.dumps(value))
        problem = getattr(payload.shared, "problem", None)  # of an exception that is remembered
        raise EncodingFailure(problem or f"{kind.__name__} is kept in this process only").error()

    def load(self, codec_id: str, data: bytes) -> Payload:
        """Return the payload of stored bytes, equal to the one that :meth:`encode` made.

        The value is decoded here, so that bad data is found before an entry is kept or promoted.
        The first :meth:`decode` returns that value, so that nothing is decoded twice.

        Raises:
            UnknownFormatError: The codec id is unknown, or the data is malformed or larger than
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
        if kind is dict or kind is list:
            return copyable_payload(codec_id, data, [value])
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

        Without ``encode`` and ``decode``, a dataclass, named tuple or pydantic model is stored by
        the values of its fields, and an enum member by its name. A dataclass or model is rebuilt
        without its ``__init__`` and validators, as in copying, so that these do not change a value
        twice. Classes in the annotations of its fields are registered with it.

        With them, each value is tested: :meth:`encode` refuses one that does not come back equal
        and of the same type, unless ``verify`` is False.

        Args:
            kind: The exact type, without its subclasses.
            name: The name under which it is stored. It must not change while entries live. Default:
                the name of the class.
            encode: Returns a value that is encodable itself, such as a dict.
            decode: Returns a new value from the result of ``encode``.
            verify: False: a decoded value may be less than the encoded one, such as a message
                without the id of its run. Default True.

        Returns:
            ``kind``.

        Raises:
            ConfigurationError: The name stands for another type, the type is known already, or it
                needs ``encode`` and ``decode`` since an attribute of its new instances holds a
                value that no codec takes, such as a lock.
        """
        if not isinstance(kind, type):
            raise ConfigurationError("kind", f"must be a class, not {kind!r}")
        name = registration_name(kind, name)
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
            refuse_conflict(name, known, kind)
            if known is not kind and self._tagged_json.knows(kind) and kind not in self._declared:
                raise ConfigurationError("kind", f"{kind.__qualname__} is supported already")
            self._tagged_json.add(kind, name, encode, decode, verify=verify)
            self._names[name] = kind
            self.registrations[name] = (kind, name), options
            self._declared.discard(kind)
        return kind

    def register_from_annotation(self, kind: type) -> None:
        """Register a type that the program declares, unless it is registered already.

        The type's name is unique: its module and qualified name, and for a class that no import
        finds by these a digest of its definition. A type that its fields do not describe stays
        unknown, as do all types past the first thousand.

        Args:
            kind: A dataclass, named tuple, pydantic model or enum.
        """
        with suppress(ConfigurationError):
            if self._tagged_json.knows(kind) or len(self._declared) >= _DECLARED:
                return
            encode, decode = structured.field_codec(kind)
            name = full_name(kind)
            with self._lock:
                if not self._tagged_json.knows(kind):
                    self._tagged_json.add(kind, name, encode, decode)
                    self._names[name] = kind
                    self._declared.add(kind)

    def _refuse_defaults(self, kind: type) -> None:
        """Refuse a class whose new instances hold values that no codec takes."""
        for name, value in structured.defaults_of(kind):
            try:
                self.encode(value)
            except NotEncodableError as error:
                if not self._tagged_json.knows(type(value)) and structured.has_fields(type(value)):
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
        name = registration_name(kind, name)
        with self._lock:
            refuse_conflict(name, self._error_kinds.get(name), kind)
            self._error_kinds[name] = kind
        return kind

    def error_registrations(self) -> list[tuple[type[Exception], str]]:
        """Return the arguments of all calls of :meth:`register_error`, for a runtime's pickle."""
        known = structured.BUILTIN_ERRORS
        return [(kind, name) for name, kind in self._error_kinds.items() if name not in known]

    def encode_error(self, error: Exception) -> Payload:
        """Return the payload of an exception, from which :meth:`decode` makes a new one.

        The payload has the exception's arguments and attributes, without traceback, cause and
        context. The round trip is tested here.

        Raises:
            NotEncodableError: The type is not registered, the arguments are not encodable, or they
                do not make the same exception again. ``Payload.local`` still takes it.
        """
        try:
            data = self._error_data(error)
            again = self._read(ERROR, data)
            same = self._error_data(again) == data and str(again) == str(error)
        except NotEncodableError:
            raise
        except Exception as failure:
            # The methods of an exception class may raise anything.
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
        return self._tagged_json.dumps([name, *structured.split_error(error)])

    def _read_error(self, data: bytes) -> Exception:
        content = self._tagged_json.loads(data)
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
            return self._tagged_json.loads_plain(data)
        if codec_id == TAGGED:
            return self._tagged_json.loads(data)
        if codec_id == ERROR:
            return self._read_error(data)
        raise UnknownFormatError(f"the codec {codec_id!r} is not known")


def _is_plain_json(value: Any, depth: int) -> bool:
    """Return whether JSON represents a dict or list exactly, but for values that orjson refuses."""
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
        elif (kind is not dict and kind is not list) or not _is_plain_json(item, depth + 1):
            return False
    return True
