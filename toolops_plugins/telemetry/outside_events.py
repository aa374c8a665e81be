"""Checks of events that others than this package make."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import OUTCOMES, CallEvent

__all__ = ["clean_event"]

_NUMBERS: Final = (
    "latency", "started", "saved_latency", "saved_price", "price", "attempts", "worked",
)  # fmt: skip


def clean_event(event: CallEvent) -> tuple[CallEvent, str]:
    """Return an event that can be counted, and what of its prices cannot; "" for nothing.

    Numbers may come from data that nobody has checked, so one that is not finite, negative or no
    number counts as 0: it would make nonsense of every sum. What only a mistake in a program can
    get wrong is refused.

    Args:
        event: The event.

    Raises:
        ConfigurationError: A name is no text, the outcome is unknown, or details are no mapping.
    """
    if not isinstance(event.name, str):
        raise ConfigurationError("event", "needs a string as its name")
    if not isinstance(event.outcome, str) or event.outcome not in OUTCOMES:
        raise ConfigurationError("event", f"needs an outcome of {', '.join(OUTCOMES)}")
    for field in ("tier", "reason", "error", "kind"):
        if not isinstance(getattr(event, field), str | None):
            raise ConfigurationError("event", f"needs a string as its {field}")
    for field in ("details", "semantic"):
        if not isinstance(getattr(event, field), Mapping | None):
            raise ConfigurationError("event", f"needs a mapping as its {field}")
    wrong: dict[str, Any] = {name: 0 for name in _NUMBERS if not _is_amount(getattr(event, name))}
    if not wrong:
        return event, ""
    prices = [getattr(event, name) for name in ("price", "saved_price") if name in wrong]
    # Text may be somebody's secret; the name of its type is not.
    told = [str(each) if isinstance(each, int | float) else type(each).__name__ for each in prices]
    return event._replace(**wrong), ", ".join(told)


def _is_amount(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isfinite(value) and value >= 0 if isinstance(value, float) else 0 <= value < 2**63
