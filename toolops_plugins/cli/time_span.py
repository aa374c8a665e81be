"""Times and rates as the options of commands take them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Final

from toolops_plugins.errors import ConfigurationError

__all__ = ["parse_cost", "parse_since"]

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DAY: Final = _UNITS["d"]
_RATES: Final = {
    "hour": _UNITS["h"],
    "day": _DAY,
    "week": _UNITS["w"],
    "month": 365.25 / 12 * _DAY,
    "year": 365.25 * _DAY,
}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.ASCII)
_COST = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?:/|per)\s*(\w+)", re.ASCII)


def parse_since(text: str, now: float) -> float:
    """Return the start of a span, in seconds since the epoch.

    Args:
        text: A length, such as "90m", "12h", "30d" or "4w"; or a date, or a date with a time, in
            the form of ISO 8601, which is UTC unless it says otherwise.
        now: The end, in seconds since the epoch.

    Raises:
        ConfigurationError: It is neither, or lies in the future.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is not None:
        seconds = float(found[1]) * _UNITS[found[2]]
        if not seconds:
            raise ConfigurationError("--since", f"must be more than 0, not {text!r}")
        return max(now - seconds, 0.0)
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            "--since",
            "must be a length such as 90m, 12h, 30d or 4w, or a date such as 2026-11-01, not "
            f"{text!r:.60}",
        ) from None
    since = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    if since >= now:
        raise ConfigurationError("--since", f"lies in the future: {text!r}")
    return max(since, 0.0)


def parse_cost(text: str) -> float:
    """Return a cost as money a second.

    Args:
        text: Money for a time, such as "50/month" or "0.4/hour".

    Raises:
        ConfigurationError: It is none.
    """
    found = _COST.fullmatch(text.strip().lower())
    seconds = None if found is None else _RATES.get(found[2].removesuffix("s"))
    if found is None or seconds is None:
        raise ConfigurationError(
            "--cost", f"must be money for a time, such as 50/month or 0.4/hour, not {text!r:.60}"
        )
    money = float(found[1].replace(",", "."))
    if not math.isfinite(money):
        raise ConfigurationError("--cost", f"must be an amount of money, not {text!r:.60}")
    return money / seconds
