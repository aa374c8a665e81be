"""Checks of configuration values; each error names the parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from toolops_plugins.errors import ConfigurationError

__all__ = [
    "amount",
    "count",
    "exceptions",
    "function",
    "number",
    "seconds",
    "share",
    "texts",
]


def seconds(parameter: str, value: Any, *, zero: bool = True) -> float:
    """Return a duration as seconds.

    Args:
        parameter: The parameter's name, for the error.
        value: A number of seconds or a timedelta.
        zero: Whether zero is allowed.

    Raises:
        ConfigurationError: The value is not a finite duration, is negative, or is a forbidden zero.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    length = number(parameter, value)
    if length < 0 or (length == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        raise ConfigurationError(parameter, f"must be {least} seconds, not {value!r}")
    return length


def number(parameter: str, value: Any) -> float:
    """Return a finite number as a float."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:  # a whole number of more than 308 digits, which none wants to read
            raise ConfigurationError(parameter, "must be a finite number, not so large") from None
        if math.isfinite(found):
            return found
    raise ConfigurationError(parameter, f"must be a finite number, not {value!r}")


def amount(parameter: str, value: Any) -> float:
    """Return a finite number that is not negative."""
    found = number(parameter, value)
    if found < 0:
        raise ConfigurationError(parameter, f"must be 0 or more, not {value!r}")
    return found


def share(parameter: str, value: Any, *, zero: bool = False) -> float:
    """Return a share between 0 and 1."""
    part = number(parameter, value)
    if not (0 <= part <= 1) or (part == 0 and not zero):
        low = "0" if zero else "0 (excluded)"
        raise ConfigurationError(parameter, f"must lie between {low} and 1, not {value!r}")
    return part


def count(parameter: str, value: Any, *, least: int = 1) -> int:
    """Return a whole number that is at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(parameter, f"must be a whole number >= {least}, not {value!r}")
    return value


def exceptions(parameter: str, value: Any) -> None:
    """Refuse a value that is neither exception types nor a predicate."""
    types = value if isinstance(value, tuple) else (value,)
    if all(isinstance(t, type) and issubclass(t, BaseException) for t in types) and types:
        return
    if isinstance(value, type) or not callable(value):
        raise ConfigurationError(
            parameter, f"must be exception types or a predicate over the exception, not {value!r}"
        )


def function(parameter: str, value: Any) -> None:
    """Refuse a value that is neither callable nor None."""
    if value is not None and not callable(value):
        raise ConfigurationError(parameter, f"must be callable, not {value!r}")


def texts(parameter: str, value: Any) -> tuple[str, ...]:
    """Return a tuple of non-empty strings."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(parameter, f"must be a list of strings, not {value!r}")
    if not all(isinstance(item, str) and item for item in value):
        raise ConfigurationError(parameter, f"must hold non-empty strings only, not {value!r}")
    return tuple(value)


def secret(parameter: str, value: Any) -> bytes | None:
    """Return a secret as bytes, or None. The error does not show it."""
    key = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if key is not None and (not isinstance(key, bytes) or not key):
        given = type(value).__name__ if key else f"an empty {type(value).__name__}"
        raise ConfigurationError(parameter, f"must be non-empty text or bytes, not {given}")
    return key
