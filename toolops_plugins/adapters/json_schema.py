"""Tell data that breaks a JSON schema, as far as the schema says so in its common words.

No validator of JSON Schema is among our dependencies, and a full one is not needed: a request's
schema is checked by its provider. Known here are types, required properties, choices, lengths and
limits, at any depth and through references. Words that are not known forbid nothing, so that a good
answer is never taken for a bad one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["breaks_schema"]

_DEPTH = 64
"""Levels after which nothing more is checked: a schema may refer to itself."""


def breaks_schema(value: Any, schema: Any, *, lax: bool = False) -> bool:
    """Return whether data is known not to fit a JSON schema.

    Args:
        value: What was read of JSON.
        schema: The schema, with references into itself only. Anything but a mapping and False
            forbids nothing.
        lax: Whether texts stand for numbers and truth values, as pydantic reads them. Default
            False.
    """
    return _Check(schema, lax=lax).breaks(value, schema, 0)


class _Check:
    def __init__(self, root: Any, *, lax: bool) -> None:
        self._root = root
        self._lax = lax

    def breaks(self, value: Any, schema: Any, depth: int) -> bool:
        if schema is False:
            return True
        if not isinstance(schema, Mapping) or depth > _DEPTH:
            return False
        if value is None and schema.get("nullable") is True:  # of OpenAPI
            return False
        own = (
            self._breaks_type(value, schema)
            or _breaks_choice(value, schema)
            or _breaks_limits(value, schema)
        )
        inner = depth + 1
        return (
            own
            or self._breaks_reference(value, schema, inner)
            or self._breaks_several(value, schema, inner)
            or (isinstance(value, dict) and self._breaks_object(value, schema, inner))
            or (isinstance(value, list) and self._breaks_array(value, schema, inner))
        )

    def _breaks_type(self, value: Any, schema: Mapping[str, Any]) -> bool:
        given = schema.get("type")
        names = given if isinstance(given, list) else [given]
        # Some packages write the names in capitals, and some as members of an enumeration.
        known = [_TYPES.get(str(getattr(name, "value", name)).lower()) for name in names]
        if None in known:
            return False
        return not any(
            fits(value) or (self._lax and _fits_laxly(value, fits)) for fits in known if fits
        )

    def _breaks_reference(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            return False
        found = self._root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return self.breaks(value, found, depth)

    def _breaks_several(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        for name in ("anyOf", "oneOf"):
            choices = schema.get(name)
            # Two of oneOf may both seem to fit here, where a word is not known.
            if isinstance(choices, list) and choices:
                breaks = [self.breaks(value, each, depth) for each in choices]
                if all(breaks):
                    return True
        every = schema.get("allOf")
        return isinstance(every, list) and any(self.breaks(value, each, depth) for each in every)

    def _breaks_object(self, value: dict[str, Any], schema: Mapping[str, Any], depth: int) -> bool:
        required = schema.get("required")
        if isinstance(required, list | tuple) and not all(name in value for name in required):
            return True
        properties = schema.get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        if any(self.breaks(value[name], known[name], depth) for name in known.keys() & value):
            return True
        beside = schema.get("additionalProperties")
        if beside is None or beside is True or "patternProperties" in schema:
            return False
        return any(self.breaks(value[name], beside, depth) for name in value.keys() - known.keys())

    def _breaks_array(self, value: list[Any], schema: Mapping[str, Any], depth: int) -> bool:
        first = schema.get("prefixItems")
        firsts = first if isinstance(first, list) else []
        if any(self.breaks(e, s, depth) for e, s in zip(value, firsts, strict=False)):
            return True
        rest = schema.get("items")
        return any(self.breaks(each, rest, depth) for each in value[len(firsts) :])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": _is_integer,
    "boolean": _is_boolean,
    "null": lambda value: value is None,
}


def _fits_laxly(value: Any, fits: Callable[[Any], bool]) -> bool:
    """Return whether pydantic makes a number or a truth value of what is there."""
    if fits is _is_boolean:
        return value in (0, 1) or str(value).lower() in _TRUTHS
    if fits not in (_is_number, _is_integer):
        return False
    if isinstance(value, bool):
        return True
    try:
        return isinstance(value, str) and fits(float(value))
    except ValueError:
        return False


_TRUTHS = frozenset(("0", "1", "f", "false", "n", "no", "off", "on", "t", "true", "y", "yes"))


def _breaks_choice(value: Any, schema: Mapping[str, Any]) -> bool:
    choices = schema.get("enum")
    if isinstance(choices, list | tuple) and not any(_equal(value, each) for each in choices):
        return True
    return "const" in schema and not _equal(value, schema["const"])


def _equal(value: Any, choice: Any) -> bool:
    # True is no 1 in JSON.
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _breaks_limits(value: Any, schema: Mapping[str, Any]) -> bool:
    if _is_number(value):
        return (
            _is_beyond(schema.get("minimum"), value, strict=False)
            or _is_beyond(value, schema.get("maximum"), strict=False)
            or _is_beyond(schema.get("exclusiveMinimum"), value, strict=True)
            or _is_beyond(value, schema.get("exclusiveMaximum"), strict=True)
        )
    sizes: dict[type, str] = {str: "Length", list: "Items", dict: "Properties"}
    names = sizes.get(type(value))
    if names is not None and (
        _is_beyond(schema.get(f"min{names}"), len(value), strict=False)
        or _is_beyond(len(value), schema.get(f"max{names}"), strict=False)
    ):
        return True
    pattern = schema.get("pattern")
    if not isinstance(value, str) or not isinstance(pattern, str):
        return False
    try:
        return re.search(pattern, value) is None
    except re.error:  # of another language's expressions
        return False


def _is_beyond(low: Any, high: Any, *, strict: bool) -> bool:
    """Return whether the first of two numbers is above the second, or equal where that counts."""
    if not (_is_number(low) and _is_number(high)):
        return False
    return bool(low >= high if strict else low > high)
