"""The fields of a log with the cost and the duration of a call, and their units."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from toolops_plugins.audit.log_reader import MISSING, Measure, field_paths, list_fields, pick
from toolops_plugins.errors import ConfigurationError

__all__ = ["Mean", "cost_field", "latency_field"]

_WHERE: Final = (
    "usage", "tokenusage", "usagemetadata", "metadata", "meta", "metrics", "stats", "statistics",
    "timing", "timings", "response", "responsemetadata", "result", "output", "attributes", "extra",
    "performance", "cost", "costs", "latency",
)  # fmt: skip
"""Objects that may contain such fields; other objects contain arguments, which may have prices."""
_WORDS: Final = (
    "(?:total|calculated|request|response|llm|model|api|call|tool|estimated|wall|e2e|run|execution"
    "|processing|server)*"
)
_COST: Final = re.compile(
    rf"{_WORDS}(?:cost|costs|price|spend|charge)(?:in)?"
    "(?P<unit>usd|dollars|eur|euros|gbp|cents|ct)?"
)
_LATENCY: Final = re.compile(
    rf"{_WORDS}(?:latency|duration|elapsed|elapsedtime|took|responsetime|timetaken|runtime"
    "|executiontime|processingtime|totaltime|requesttime|walltime)(?:in)?"
    "(?P<unit>s|secs?|seconds?|ms|msecs?|millis|milliseconds?|us|usecs?|micros|microseconds?"
    "|ns|nanos|nanoseconds?|min|minutes?)?"
)
_TOTALS: Final = re.compile("(?:total|amount|value|sum)(?P<unit>usd|cents|ms|s|seconds)?")
_MONEY_TEXT: Final = re.compile(
    r"[$€£]?\s*([\d.,]+(?:e-?\d+)?)\s*(?:[$€£]|USD|EUR|GBP)?", re.IGNORECASE
)
_TIME_TEXT: Final = re.compile(r"([\d.]+(?:e-?\d+)?)\s*([a-zµ]*)", re.IGNORECASE)
_UNITS: Final = {"--cost": ("cents",), "--duration": ("s", "ms", "us", "ns", "min")}
"""Units that can follow the name of a field after a colon."""
_CENT: Final = 0.01
_SLOW: Final = 100.0  # seconds; if the median is longer, the unit may be milliseconds


class Mean:
    """The running mean of a measure.

    Args:
        measure: The measure, or None.
        otherwise: The amount of a record without the measure; also the mean without a measure.
    """

    def __init__(self, measure: Measure | None, otherwise: float) -> None:
        self._measure = measure
        self._otherwise = otherwise
        self._sum, self._count = 0.0, 0

    def add(self, record: Any) -> None:
        """Add a record."""
        if self._measure is not None:
            found = self._measure.of(record)
            self._sum += self._otherwise if found is None else found
            self._count += 1

    @property
    def value(self) -> float:
        """The mean."""
        return self._sum / self._count if self._count else self._otherwise


def cost_field(sample: Sequence[Any], named: str | None, taken: Sequence[str]) -> Measure | None:
    """Return the field with the cost of a call, or None.

    Args:
        sample: The first records.
        named: The field, as the user named it. None: a usual name, if there is one.
        taken: Fields that have another meaning.

    Raises:
        ConfigurationError: The named field is in no record, or contains no amount of money.
    """
    return _choose(sample, named, taken, "--cost", _COST, _money)


def latency_field(sample: Sequence[Any], named: str | None, taken: Sequence[str]) -> Measure | None:
    """Return the field with the duration of a call, or None; as :func:`cost_field`."""
    return _choose(sample, named, taken, "--duration", _LATENCY, _seconds)


def _choose(
    sample: Sequence[Any],
    named: str | None,
    taken: Sequence[str],
    option: str,
    pattern: re.Pattern[str],
    read: Callable[[Any, str], float | None],
) -> Measure | None:
    if named is not None:
        path, unit = named, None
        if all(pick(value, named) is MISSING for value in sample) and ":" in named:
            path, _, unit = named.rpartition(":")
        if all(pick(value, path) is MISSING for value in sample):
            raise ConfigurationError(option, f"there is no field {path!r}; {list_fields(sample)}")
        if unit and unit not in (units := _UNITS[option]):
            raise ConfigurationError(
                option, f"knows no unit {unit!r}; these are: {', '.join(units)}"
            )
        return _measure(sample, path, option, unit or _unit(path, pattern) or "", read)
    found = [
        (path, unit)
        for path in field_paths(sample)
        if path not in taken and (unit := _unit(path, pattern)) is not None
    ]
    # A total comes first, then a field with a unit, then one that is less deeply nested.
    found.sort(key=lambda each: ("total" not in each[0].lower(), not each[1], each[0].count(".")))
    for path, unit in found:
        try:
            return _measure(sample, path, option, unit, read)
        except ConfigurationError:
            continue
    return None


def _unit(path: str, pattern: re.Pattern[str]) -> str | None:
    """Return the unit in the name of a field, "" if it has none, None for any other field."""
    *around, last = (re.sub(r"[^a-z0-9]", "", part.lower()) for part in path.split("."))
    if not all(part in _WHERE or pattern.fullmatch(part) for part in around):
        return None
    match = pattern.fullmatch(last)
    if match is None and around and pattern.fullmatch(around[-1]):
        match = _TOTALS.fullmatch(last)
    return None if match is None else match["unit"] or ""


def _measure(
    sample: Sequence[Any],
    path: str,
    option: str,
    unit: str,
    read: Callable[[Any, str], float | None],
) -> Measure:
    measure = Measure(path, unit, read)
    values = [pick(value, path) for value in sample]
    values = [
        value for value in values if value is not MISSING and value is not None and value != ""
    ]
    known = sorted(found for value in values if (found := read(value, unit)) is not None)
    if not known or 2 * len(known) < len(values):
        wrong = next((value for value in values if read(value, unit) is None), None)
        raise ConfigurationError(option, f"{path!r} holds {str(wrong)[:40]!r}, which is no amount")
    if read is _seconds and not unit and known[len(known) // 2] >= _SLOW:
        measure = measure._replace(doubtful=True)
    return measure


def _money(value: Any, unit: str) -> float | None:
    """Return an amount of money, or None if the value is invalid."""
    if isinstance(value, str):
        match = _MONEY_TEXT.fullmatch(value.strip())
        if match is None:
            return None
        text = match[1]
        # "1,234.50" has a thousands separator; "0,002" has a decimal comma.
        text = text.replace(",", "") if "." in text else text.replace(",", ".")
        value = _number(text)
    amount = _amount(value)
    return amount if amount is None or unit not in ("cents", "ct") else amount * _CENT


def _seconds(value: Any, unit: str) -> float | None:
    """Return a duration in seconds, or None if the value is invalid."""
    if isinstance(value, str):
        match = _TIME_TEXT.fullmatch(value.strip())
        if match is None:
            return None
        value, unit = _number(match[1]), match[2].lower() or unit
    amount, factor = _amount(value), _factor(unit)
    return None if amount is None or factor is None else amount * factor


def _factor(unit: str) -> float | None:
    if unit.startswith("min") or unit == "m":
        return 60.0
    if unit.startswith(("ms", "milli")):
        return 1e-3
    if unit.startswith(("us", "micro", "µs")):
        return 1e-6
    if unit.startswith(("ns", "nano")):
        return 1e-9
    return 1.0 if not unit or unit.startswith("s") else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value >= 0 and value < math.inf else None
