"""Tell data that breaks a JSON schema.

A schema that the validator cannot read forbids nothing, so that a good answer is never taken for a
bad one: it is its provider's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

__all__ = ["breaks_schema"]


def breaks_schema(value: Any, schema: Any, *, lax: bool = False) -> bool:
    """Return whether data is known not to fit a JSON schema.

    Args:
        value: What was read of JSON.
        schema: The schema, with references into itself only. Anything but a mapping and False
            forbids nothing.
        lax: Whether texts stand for numbers and truth values, as pydantic reads them. Default
            False.
    """
    if not isinstance(schema, Mapping):
        return schema is False
    try:
        return not _validator(lax=lax)(schema).is_valid(value)
    except Exception:  # noqa: BLE001 - of a schema that is none, that refers elsewhere, or to itself for ever
        return False


@lru_cache
def _validator(*, lax: bool) -> Any:
    from jsonschema.validators import Draft202012Validator, extend  # noqa: PLC0415 - takes 60 ms

    known = Draft202012Validator.VALIDATORS
    # Two of oneOf may both fit, where texts stand for numbers.
    changed = {
        "type": _allow_null(_check_type(lax=lax)),
        "enum": _allow_null(known["enum"]),
        "oneOf": known["anyOf"],
    }
    return extend(Draft202012Validator, changed)


def _allow_null(check: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """Return a check that lets null pass where the schema says so in OpenAPI's way."""

    def check_others(
        validator: Any, given: Any, value: Any, schema: Mapping[str, Any]
    ) -> Iterator[Any]:
        if not (value is None and schema.get("nullable") is True):
            yield from check(validator, given, value, schema)

    return check_others


def _check_type(*, lax: bool) -> Callable[..., Iterator[Any]]:
    def check(validator: Any, given: Any, value: Any, _: Mapping[str, Any]) -> Iterator[Any]:
        from jsonschema import ValidationError  # noqa: PLC0415 - as above

        # Some packages write the names in capitals, and some as members of an enumeration.
        names = [
            str(getattr(name, "value", name)).lower()
            for name in (given if isinstance(given, list) else [given])
        ]
        if any(validator.is_type(value, name) for name in names):
            return
        if lax and any(_fits_laxly(validator, value, name) for name in names):
            return
        yield ValidationError("of another type")

    return check


def _fits_laxly(validator: Any, value: Any, name: str) -> bool:
    """Return whether pydantic makes a number or a truth value of what is there."""
    if name == "boolean":
        return value in (0, 1) or str(value).lower() in _TRUTHS
    if name not in ("number", "integer"):
        return False
    if isinstance(value, bool):
        return True
    try:
        return isinstance(value, str) and bool(validator.is_type(float(value), name))
    except ValueError:
        return False


_TRUTHS = frozenset(("0", "1", "f", "false", "n", "no", "off", "on", "t", "true", "y", "yes"))
