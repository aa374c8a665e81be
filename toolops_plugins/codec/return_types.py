"""The classes in a function's return annotation, and the classes in their fields.

Stored bytes may be decoded to classes that the program itself declares, never to classes that the
bytes name.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["field_classes", "return_classes"]

_MOST = 1_000
"""Annotations that are examined for one function or class."""


def return_classes(function: Any) -> list[type]:
    """Return the dataclasses, models, named tuples and enums in a function's return annotation.

    Args:
        function: Any callable. One whose annotation cannot be evaluated declares nothing.
    """
    try:
        inner = inspect.unwrap(function)
        hint = inner.__annotations__.get("return")
        return [] if hint is None else list(_iter_classes(_evaluate(hint, inner)))
    except Exception:  # noqa: BLE001 - an annotation may be anything, and may name undefined things
        return []


def field_classes(kind: type) -> list[type]:
    """Return the dataclasses, models, named tuples and enums in the fields of a class."""
    try:
        return [each for each in _iter_classes(kind) if each is not kind]
    except Exception:  # noqa: BLE001 - as above
        return []


def _evaluate(hint: Any, function: Any) -> Any:
    names: dict[str, Any] = {}
    code = getattr(function, "__code__", None)
    for name, cell in zip(
        code.co_freevars if code else (), getattr(function, "__closure__", None) or (), strict=False
    ):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    return _resolve_hints({"return": hint}, getattr(function, "__globals__", {}), names)["return"]


def _resolve_hints(
    annotations: Mapping[str, Any], scope: Mapping[str, Any], names: Mapping[str, Any]
) -> dict[str, Any]:
    holder = types.SimpleNamespace(__annotations__=dict(annotations))
    return typing.get_type_hints(holder, dict(scope), dict(names), include_extras=True)


def _iter_classes(hint: Any) -> Iterator[type]:
    """Yield the classes in an annotation and in the fields of those classes, each once."""
    pending: list[Any] = [hint]
    seen: dict[int, Any] = {}  # by identity, and held so that no identity is used again
    while pending and len(seen) < _MOST:
        item = pending.pop()
        if item is None or id(item) in seen:
            continue
        seen[id(item)] = item
        if typing.get_origin(item) is not None:
            pending += [typing.get_origin(item), *typing.get_args(item)]
        elif isinstance(item, list | tuple):  # the arguments of a Callable
            pending += item
        elif isinstance(item, typing.TypeVar):
            pending += [item.__bound__, *item.__constraints__]
        elif isinstance(item, type):
            inside, is_sought = _field_annotations(item)
            pending += inside
            if is_sought:
                yield item
        else:  # NewType, and the type statement of Python 3.12
            pending += [getattr(item, name, None) for name in ("__supertype__", "__value__")]


def _field_annotations(kind: Any) -> tuple[list[Any], bool]:
    """Return the annotations of a class's fields, and whether to register the class itself."""
    if issubclass(kind, enum.Enum):
        return [], True
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(kind, pydantic.BaseModel):
        if kind is pydantic.BaseModel:
            return [], False
        private = [_private_annotation(kind, name) for name in kind.__private_attributes__]
        return [*(field.annotation for field in kind.model_fields.values()), *private], True
    if dataclasses.is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return list(_class_hints(kind).values()), True
    if typing.is_typeddict(kind):
        return list(_class_hints(kind).values()), False
    return [], False


def _class_hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001 - a name is not defined yet; the plain annotations remain
        return dict(getattr(kind, "__annotations__", {}))


def _private_annotation(kind: type, name: str) -> Any:
    return _class_hints(kind).get(name)
