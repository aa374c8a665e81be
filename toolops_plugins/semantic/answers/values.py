"""Numbers of answers, with times of day and durations in minutes."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from toolops_plugins.semantic.answers import lists

__all__ = ["Value", "read_number", "with_unit"]

_THOUSANDS: Final = re.compile(r"\d{1,3}(?:[.,]\d{3})+")


class Value(NamedTuple):
    """A number of an answer.

    Args:
        number: It in one form.
        minutes: The time of day or the duration that it stands for, in minutes; or None.
    """

    number: str
    minutes: float | None = None

    def agrees(self, other: Value) -> bool:
        """Return whether two numbers may be the same: as times, or where one has no unit."""
        if self.minutes is not None and other.minutes is not None:
            return self.minutes == other.minutes
        return self.number == other.number


def read_number(text: str) -> Value:
    """Read a number without separators of thousands and closing zeros, or a time of day."""
    if ":" in text:
        hours, _, minutes = text.partition(":")
        return Value(text, int(hours) * 60.0 + int(minutes))
    if _THOUSANDS.fullmatch(text):
        text = text.replace(".", "").replace(",", "")
    text = text.replace(",", ".")
    # A version or a date has several dots.
    return Value(text if text.count(".") > 1 or len(text) > 15 else f"{float(text):.12g}")


def with_unit(value: Value, low: str, *, adjacent: bool) -> Value | None:
    """Return a number with the unit of time that a following word is, or None if it is none.

    Args:
        value: The number.
        low: The word, in lower case.
        adjacent: Whether it follows directly.
    """
    if adjacent and low in lists.CLOCK:
        return _as_time(value, low)
    unit = lists.MINUTES.get(low)
    if unit is None or value.minutes is not None or value.number.count(".") > 1:
        return None
    return Value(value.number, float(value.number) * unit)


def _as_time(value: Value, half: str) -> Value | None:
    if value.minutes is None and value.number.count(".") > 1:
        return None
    hours = float(value.number) if value.minutes is None else value.minutes / 60
    if half == "pm" and hours < 12:
        hours += 12
    elif half == "am" and hours >= 12:
        hours -= 12
    return Value(value.number, hours * 60)
