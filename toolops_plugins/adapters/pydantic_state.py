"""Share or copy the state of pydantic objects past the validators and setters of their classes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

__all__ = ["copy_as", "view_of"]

_STATE = (
    "__dict__",
    "__pydantic_extra__",
    "__pydantic_fields_set__",
    "__pydantic_private__",
)


def view_of(model: BaseModel, kind: type[Any]) -> Any:
    """Return an instance of a class that shares all state with a model.

    Args:
        model: The guarded model.
        kind: The class that it was of.
    """
    view = object.__new__(kind)
    for name in _STATE:
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
