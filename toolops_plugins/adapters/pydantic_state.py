"""Build pydantic objects, and share or copy their state, past validators and setters."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

__all__ = ["build_model", "copy_as", "view_of"]

_M = TypeVar("_M", bound=BaseModel)
_NEW = object.__new__
_NAMES = (
    "__dict__",
    "__pydantic_extra__",
    "__pydantic_fields_set__",
    "__pydantic_private__",
)
_STATE, _EXTRA, _FIELDS_SET, _PRIVATE = (vars(BaseModel)[name].__set__ for name in _NAMES)
"""Setters of what unpickling sets in a model. To look them up by name takes three times as long."""


def build_model(
    kind: type[_M], state: dict[str, Any], fields_set: set[str], extra: dict[str, Any] | None = None
) -> _M:
    """Return a model whose values are known to be valid.

    Args:
        kind: Its class, which has no private attributes.
        state: The values of all fields.
        fields_set: The names of the fields that were set.
        extra: Values beside the fields, for a class that allows them.
    """
    model = _NEW(kind)
    _STATE(model, state)
    _EXTRA(model, extra)
    _FIELDS_SET(model, fields_set)
    _PRIVATE(model, None)
    return model


def view_of(model: BaseModel, kind: type[Any]) -> Any:
    """Return an instance of a class that shares all state with a model.

    Args:
        model: The guarded model.
        kind: The class that it was of.
    """
    view = _NEW(kind)
    for name in _NAMES:
        object.__setattr__(view, name, getattr(model, name, None))
    return view


def copy_as(model: BaseModel, kind: type[Any], private: dict[str, Any]) -> Any:
    """Return a shallow copy of an object as an instance of a subclass of its class.

    Args:
        model: The object.
        kind: The subclass.
        private: Private attributes of the subclass, which pydantic sets only in new objects.
    """
    copy = model.model_copy()
    object.__setattr__(copy, "__class__", kind)
    whole = {**(copy.__pydantic_private__ or {}), **private}
    object.__setattr__(copy, "__pydantic_private__", whole)
    return copy
