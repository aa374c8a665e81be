"""Keys of the calls of one function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, overload

from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.argument_size import is_large
from toolops_plugins.keys.keyspace import Keyspace, TenantLike
from toolops_plugins.keys.signature import (
    arguments_of,
    check_names,
    is_secret_name,
    signature_of,
)
from toolops_plugins.policy import Cache

__all__ = ["MEMO_TEXT", "Keyer", "Keyspace", "TenantLike"]

_MEMO_KEYS = 1_024
"""Keys that are remembered for each function."""
MEMO_TEXT: Final = 1_024
"""Characters of the arguments of a key that is remembered."""
_MEMO_BITS = 1_024  # of an int among them

_NUMBERS = frozenset((int, float, bool, type(None)))


class Keyer:
    """Makes the keys of one function, whose signature is analysed once. Thread-safe.

    Args:
        function: The function as the user wrote it.
        keyspace: The keyspace of the runtime.
        name: The tool's name.
        cache: The cache policy, for ``version``, ``key`` and ``key_params``.
        ignore: Parameters that do not count. Default none.
        secret: Parameters that are secret, beside those with the name of a secret. Default none.
        method: Whether the first parameter is the receiver of a method. Default False.

    Attributes:
        remembered: Takes the positional arguments of a call without keywords, and returns their key
            or None, for the price of a dictionary lookup. Every argument must be a str of at most
            ``MEMO_TEXT`` characters, an int, or None, and of exactly that type; others may equal
            them. None: no key is remembered.

    Raises:
        ConfigurationError: A parameter that is named does not exist.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        keyspace: Keyspace,
        name: str,
        cache: Cache | None,
        ignore: Sequence[str] = (),
        *,
        secret: Sequence[str] = (),
        method: bool = False,
    ) -> None:
        self.signature = signature_of(function)
        parameters = self.signature.parameters
        check_names(parameters, "ignore", ignore)
        chosen = cache.key_params if cache else None
        if chosen is not None:
            check_names(parameters, "key_params", chosen)
        self._keyspace = keyspace
        self._key = cache.key if cache else None
        self._encode = keyspace.canon.encode
        self._name = name
        self._find_suffix: Callable[[], str] | None = None
        self._version = cache.version if cache else "1"
        prefix = self._prefix(name)
        # A template of the hashed bytes. Constant parts are filled in; the canonical bytes of the
        # arguments go into the holes.
        self._template: list[bytes | None] = [prefix, None, self._encode(None)]
        self._holes: dict[str, int] = {}
        self._order: list[int] = []
        self._rest: str | None = None
        self._extra: str | None = None
        counted = {n for n in parameters if n not in ignore and (chosen is None or n in chosen)}
        places: dict[str, int] = {}
        for parameter_name in sorted(counted):
            parameter = parameters[parameter_name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = parameter_name
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                self._extra = parameter_name
                continue
            self._template.append(self._encode(parameter_name))
            places[parameter_name] = len(self._template)
            self._template.append(self._default(parameter))
        for parameter in parameters.values():
            place = places.get(parameter.name, -1)
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self._order.append(place)
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self._holes[parameter.name] = place
        self._encoders = [self._encode] * len(self._order)
        if method and self._order:
            self._encoders[0] = keyspace.canon.receiver
        self._positions = {
            p.name: i
            for i, p in enumerate(parameters.values())
            if p.kind is p.POSITIONAL_OR_KEYWORD
        }
        kinds = {p.kind for p in parameters.values()}
        self._takes_rest = inspect.Parameter.VAR_POSITIONAL in kinds
        self._takes_extra = inspect.Parameter.VAR_KEYWORD in kinds
        self._ignored = frozenset(ignore)
        # Encoding and hashing are most of a hit in memory, so keys of short arguments are
        # remembered; those that may be secret are not, nor those whose name nobody has declared.
        secrets = any(n in secret or is_secret_name(n) for n in parameters)
        plain = self._key is None and not method and not secrets
        self._memo: dict[tuple[Any, ...], bytes] | None = {} if plain else None
        self.remembered: Callable[[tuple[Any, ...]], bytes | None] | None = None
        if self._memo is not None and keyspace.ask is None:
            self.remembered = self._memo.get

    def _prefix(self, name: str) -> bytes:
        return self._keyspace.prefix(name, self._version)

    def add_to_name(self, find: Callable[[], str]) -> None:
        """Append to the name a suffix that is found when the first key is made."""
        self._find_suffix = find

    def _complete_name(self, find: Callable[[], str]) -> None:
        self._template[0] = self._prefix(self._name + find())
        self._find_suffix = None  # two threads may both come here, with the same result

    def _default(self, parameter: inspect.Parameter) -> bytes | None:
        if parameter.default is parameter.empty:
            return None
        try:
            return self._encode(parameter.default)
        except NotCanonicalError:
            # Each call that uses the default raises it again.
            return None

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return all arguments by name, defaults included.

        Raises:
            TypeError: The arguments do not fit the signature.
        """
        return arguments_of(self.signature, args, kwargs)

    @overload
    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes: ...
    @overload
    def key(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, large: bool
    ) -> bytes | None: ...

    def key(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, large: bool = True
    ) -> bytes | None:
        """Return the key of a call.

        Args:
            args: The positional arguments.
            kwargs: The keyword arguments.
            large: Whether to make a key of large arguments, which takes milliseconds. False: None
                is returned for them, as event loops need it. Default True.

        Raises:
            NotCanonicalError: An argument that counts has no canonical form.
            TypeError: The arguments do not fit the signature.
        """
        memo = self._memo
        if memo is not None and not (kwargs and self._takes_extra):
            identity = _identity_of(args, kwargs)
            if identity is not None:
                if self._keyspace.ask is not None:
                    return self._key_of_tenant(self._keyspace.ask(), identity, args, kwargs)
                return memo.get(identity) or self._memoize(identity, args, kwargs)
        if not large and self._is_large(args, kwargs):
            return None
        return self._make(args, kwargs)

    def _key_of_tenant(
        self,
        tenant: Any,
        identity: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> bytes:
        if tenant is not None and (type(tenant) is not str or len(tenant) > MEMO_TEXT):
            return self._make(args, kwargs, _encode_argument("tenant=", self._encode, tenant))
        identity = tenant, identity
        known = None if self._memo is None else self._memo.get(identity)
        return known or self._memoize(identity, args, kwargs, self._encode(tenant))

    def _memoize(
        self,
        identity: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        tenant: bytes | None = None,
    ) -> bytes:
        key = self._make(args, kwargs, tenant)
        memo = self._memo
        if memo is not None:
            if len(memo) >= _MEMO_KEYS:
                memo.clear()
            memo[identity] = key
        return key

    def _is_large(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Return whether the arguments that count are large; with ``key=`` none of them counts."""
        if _are_small(args) and (not kwargs or _are_small(kwargs.values())):
            return False
        if self._key is not None:
            return False
        order = self._order
        counted = [value for value, place in zip(args, order, strict=False) if place >= 0]
        counted += args[len(order) :]
        counted += [value for name, value in kwargs.items() if self._holes.get(name, 0) >= 0]
        try:
            return is_large(counted)
        except Exception:  # noqa: BLE001 - a user's class may raise anything where it is looked at
            return False

    def _make(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], tenant: bytes | None = None
    ) -> bytes:
        if self._find_suffix is not None:
            self._complete_name(self._find_suffix)
        keyspace = self._keyspace
        encode = self._encode
        if tenant is None:
            tenant = keyspace.fixed if keyspace.ask is None else keyspace.tenant()
        if self._key is not None:
            given = _encode_argument("key=", encode, self._key(*args, **kwargs))
            return keyspace.digest(b"".join((self._template[0] or b"", tenant, b"K", given)))
        parts = self._template.copy()
        parts[1] = tenant
        order = self._order
        count = len(args)
        if count > len(order):
            if not self._takes_rest:
                self.signature.bind(*args, **kwargs)
            if self._rest is not None:
                parts.append(encode("*" + self._rest))
                parts.append(_encode_argument("*" + self._rest, encode, args[len(order) :]))
        encoders = self._encoders
        i = 0
        try:
            for value in args if count <= len(order) else args[: len(order)]:
                if order[i] >= 0:
                    parts[order[i]] = encoders[i](value)
                i += 1
        except NotCanonicalError as error:
            error.argument = error.argument or self._name_of_position(i)
            raise
        if kwargs:
            self._add_keywords(parts, count, args, kwargs)
        try:
            return keyspace.digest(b"".join(parts))  # type: ignore[arg-type] # None is the case below
        except TypeError:
            return keyspace.digest(self._fill_defaults(parts, args, kwargs))

    def _add_keywords(
        self,
        parts: list[bytes | None],
        count: int,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        encode = self._encode
        extra = {}
        for name, value in kwargs.items():
            place = self._holes.get(name)
            if place is None:
                if not self._takes_extra:
                    self.signature.bind(*args, **kwargs)
                if name not in self._ignored:
                    extra[name] = value
            elif self._positions.get(name, count) < count:
                self.signature.bind(*args, **kwargs)
            elif place >= 0:
                try:
                    parts[place] = encode(value)
                except NotCanonicalError as error:
                    error.argument = error.argument or name
                    raise
        if extra and self._extra is not None:
            parts.append(encode("**" + self._extra))
            parts.append(_encode_argument("**" + self._extra, encode, extra))

    def _fill_defaults(
        self, parts: list[bytes | None], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> bytes:
        """Encode the arguments that the call left out, or raise for one without a default."""
        arguments = self.arguments(args, kwargs)
        for name, place in self._holes.items():
            if place >= 0 and parts[place] is None:
                parts[place] = _encode_argument(name, self._encode, arguments[name])
        for parameter, place in zip(self.signature.parameters, self._order, strict=False):
            if place >= 0 and parts[place] is None:
                parts[place] = _encode_argument(parameter, self._encode, arguments[parameter])
        return b"".join(part for part in parts if part is not None)

    def _name_of_position(self, at: int) -> str:
        if at == 0 and self._encoders[0] is not self._encode:
            return "self."
        return list(self.signature.parameters)[at]


def _encode_argument(name: str, encode: Callable[[Any], bytes], value: Any) -> bytes:
    """Return the canonical form of an argument; an error that it has none names the argument."""
    try:
        return encode(value)
    except NotCanonicalError as error:
        error.argument = error.argument or name
        raise


def _are_small(values: Iterable[Any]) -> bool:
    for value in values:
        kind = type(value)
        if kind not in _NUMBERS and (kind is not str or len(value) > MEMO_TEXT):
            return False
    return True


def _identity_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return a tuple that equals that of another call only if their arguments are the same.

    Texts, ints and None equal nothing of another type, so they stand for themselves. Other numbers
    do (True equals 1), and have their types beside them. None is returned where a value is of any
    other type, since its own methods must not run, is a zero that equals a zero of another sign, a
    NaN that equals nothing, or where the texts are long, so that to remember them takes memory.
    """
    identity = args if not kwargs else (*args, *kwargs.items())
    typed = False
    characters = 0
    for value in args if not kwargs else (*args, *kwargs.values()):
        kind = type(value)
        if kind is str:
            characters += len(value)
        elif kind is int:
            if value.bit_length() > _MEMO_BITS:
                return None
        elif kind is float or kind is bool:
            if kind is float and (value == 0 or value != value):  # noqa: PLR0124 - the NaN test
                return None
            typed = True
        elif value is not None:
            return None
    if characters > MEMO_TEXT:
        return None
    if typed:
        # No pair of a keyword and its value equals the pair of a tuple and a tuple.
        return identity, tuple(map(type, (*args, *kwargs.values())))
    return identity
