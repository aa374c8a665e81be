"""Structured answers as plain data, and back: instances of classes that the live call names.

Stored bytes never name a class. Whoever reads them knows the class that its own call asks for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

__all__ = ["dump_structured", "load_structured"]

_M = TypeVar("_M", bound=BaseModel)


def dump_structured(value: BaseModel, text: str = "") -> dict[str, Any]:
    """Return the fields from which an instance is made again, as JSON holds them.

    Args:
        value: The instance.
        text: The text that it was made of, where that is known: a class may read other values than
            it writes.

    Raises:
        ValueError: No form of them makes the same.
    """
    # Which fields were set is part of an instance; others may be made anew each time.
    texts: tuple[Callable[[], str | bytes], ...] = (
        lambda: text,
        lambda: value.model_dump_json(by_alias=True, round_trip=True, exclude_unset=True),
        lambda: value.model_dump_json(by_alias=True, round_trip=True),
        # With fields that the class leaves out of what it writes.
        lambda: to_json(_fields_by_alias(value), by_alias=True),
    )
    for make in texts:
        fields = _read_again(value, make)
        if fields is not None:
            return fields
    raise ValueError("a structured output that its own fields do not make again")


def _read_again(value: BaseModel, make: Callable[[], str | bytes]) -> dict[str, Any] | None:
    """Return the fields in a text, or None if they do not make the same instance."""
    try:
        text = make()
        again = type(value).model_validate_json(text)
        fields: dict[str, Any] = json.loads(text)
    except Exception:  # noqa: BLE001 - of the class's own serializers and validators
        return None
    return fields if again == value else None


def _fields_by_alias(value: BaseModel) -> dict[str, Any]:
    found = dict(value.model_extra or {})
    for name, field in type(value).model_fields.items():
        alias = field.validation_alias
        found[alias if isinstance(alias, str) else name] = getattr(value, name)
    return found


def load_structured(kind: type[_M], fields: dict[str, Any]) -> _M:
    """Return an instance of the live class.

    Raises:
        Exception: The fields do not fit it, since it has changed.
    """
    return kind.model_validate_json(json.dumps(fields))
