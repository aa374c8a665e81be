"""A guarded model without its guard."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

__all__ = ["view_of"]

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
