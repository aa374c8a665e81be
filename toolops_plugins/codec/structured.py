"""Encoders and decoders of dataclasses, named tuples, models, enums and exceptions."""

from __future__ import annotations

import builtins
import dataclasses
import sys
from collections.abc import Callable, Iterator
from copy import copy
from enum import Enum, Flag
from functools import cached_property, partial
from typing import Any, TypeAlias

from toolops_plugins.errors import ConfigurationError, NotEncodableError

__all__ = [
    "BUILTIN_ERRORS",
    "defaults_of",
    "field_codec",
    "has_fields",
    "make_error",
    "split_error",
]

BUILTIN_ERRORS: dict[str, type[Exception]] = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind.__name__ == name
}

_GENERIC = "__orig_class__"  # where typing keeps the arguments of a generic class
_FieldCodec: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any]]

_MODEL_STATE = frozenset(
    ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")
)


def field_codec(kind: type) -> _FieldCodec:
    """Return two functions: one splits a value of the class into fields, the other rebuilds it.

    Raises:
        ConfigurationError: The class is no dataclass, named tuple, pydantic model or enum, or its
            instances have more state than the fields.
    """
    if issubclass(kind, Enum):
        return _enum_codec(kind)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(kind, pydantic.BaseModel):
        return _model_codec(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass_codec(kind)
    if issubclass(kind, tuple) and hasattr(kind, "_make"):
        return _namedtuple_codec(kind)
    raise ConfigurationError(
        "encode",
        f"is needed, with decode: {kind.__qualname__} is no dataclass, named tuple, pydantic "
        "model or enum",
    )


def _plain_attributes(value: Any, known: frozenset[str]) -> dict[str, Any]:
    """Return the instance attributes, without those that the class computes by itself.

    Raises:
        NotEncodableError: There is an attribute that no field declares, which would be lost.
    """
    kind = type(value)
    attributes = {}
    for name, item in getattr(value, "__dict__", {}).items():
        if name in known:
            attributes[name] = item
        elif not isinstance(getattr(kind, name, None), cached_property) and name != _GENERIC:
            raise _refusal(
                kind, f"holds {name!r}, which is no field; register it with encode= and decode="
            )
    return attributes


def _refusal(kind: type, problem: str) -> NotEncodableError:
    error = NotEncodableError(f"{kind.__qualname__} {problem}")
    error.problem = f"{kind.__module__}.{kind.__qualname__}, which {problem}"
    return error


def _slot_names(kind: type) -> set[str]:
    names: set[str] = set()
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
    return names - {"__dict__", "__weakref__"}


def _enum_codec(kind: type[Enum]) -> _FieldCodec:
    if issubclass(kind, Flag):  # a combination may have no name
        return lambda member: member.value, kind
    return lambda member: member.name, lambda name: kind[name]


def _dataclass_codec(kind: type) -> _FieldCodec:
    names = frozenset(field.name for field in dataclasses.fields(kind))
    maker: Any = kind.__new__
    if maker is not object.__new__ or not _slot_names(kind) <= names:
        # It derives from a built-in type, has a constructor of its own, or holds more state.
        raise ConfigurationError(
            "encode", f"is needed, with decode: the fields of {kind.__qualname__} are not all of it"
        )

    def encode(value: Any) -> dict[str, Any]:
        _plain_attributes(value, names)
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}

    def decode(state: dict[str, Any]) -> Any:
        if state.keys() != names:
            raise ValueError(f"the fields of {kind.__qualname__} have changed")
        value: Any = object.__new__(kind)
        for name, item in state.items():
            object.__setattr__(value, name, item)  # as frozen dataclasses do
        return value

    return encode, decode


def _namedtuple_codec(kind: Any) -> _FieldCodec:
    def encode(value: Any) -> list[Any]:
        _plain_attributes(value, frozenset())
        return list(value)

    def decode(items: list[Any]) -> Any:
        return kind._make(items)  # public; the underscore keeps it from being a field

    return encode, decode


def _model_codec(kind: Any) -> _FieldCodec:
    """Return a codec of a model's state as pydantic gives it to copy and pickle."""
    if not _slot_names(kind) <= _MODEL_STATE:
        raise ConfigurationError(
            "encode", f"is needed, with decode: the fields of {kind.__qualname__} are not all of it"
        )

    def encode(value: Any) -> dict[str, Any]:
        fields = frozenset(kind.model_fields)
        attributes = _plain_attributes(value, fields)
        if attributes.keys() != fields:
            raise _refusal(kind, "was made without some of its fields")
        return {**value.__getstate__(), "__dict__": attributes}

    def decode(state: dict[str, Any]) -> Any:
        if not state.keys() <= _MODEL_STATE or state["__dict__"].keys() != kind.model_fields.keys():
            raise ValueError(f"the fields of {kind.__qualname__} have changed")
        value = kind.__new__(kind)
        value.__setstate__(state)
        return value

    return encode, decode


def has_fields(kind: type) -> bool:
    """Return whether :func:`field_codec` takes a class."""
    try:
        field_codec(kind)
    except ConfigurationError:
        return False
    return True


def defaults_of(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield the default values of a dataclass's or pydantic model's attributes, by name."""
    makers: list[tuple[str, Callable[[], Any]]] = []
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(kind, pydantic.BaseModel):
        for name, field in kind.model_fields.items():
            makers.append((name, partial(field.get_default, call_default_factory=True)))
        makers += [(name, each.get_default) for name, each in kind.__private_attributes__.items()]
    elif dataclasses.is_dataclass(kind):
        for each in dataclasses.fields(kind):
            if each.default_factory is not dataclasses.MISSING:
                makers.append((each.name, each.default_factory))
            elif each.default is not dataclasses.MISSING:
                makers.append((each.name, partial(copy, each.default)))
    for name, make in makers:
        try:
            value = make()
        except Exception:  # noqa: BLE001, S112 - a user's factory may raise anything
            continue
        if type(value).__name__ != "PydanticUndefinedType":
            yield name, value


def split_error(error: Exception) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
    """Return the arguments and the further state of an exception, as pickle would store them.

    Its ``args`` alone are not enough: an OSError, for example, keeps its file name elsewhere.

    Raises:
        NotEncodableError: The class reduces itself in a way of its own.
    """
    kind = type(error)
    reduced = error.__reduce__()
    if not isinstance(reduced, tuple) or reduced[0] is not kind or len(reduced) > 3:
        raise NotEncodableError(f"{kind.__qualname__} has a __reduce__() of its own")
    return tuple(reduced[1]), reduced[2] if len(reduced) == 3 else None


def make_error(
    kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any] | None
) -> Exception:
    """Return a new exception with the arguments and state of :func:`split_error`."""
    if BUILTIN_ERRORS.get(kind.__name__) is kind:
        error = kind(*args)
    else:
        # Without __init__, whose parameters may differ from args.
        error = kind.__new__(kind, *args)
        error.args = args
    if state is not None:
        error.__setstate__(state)
    return error
