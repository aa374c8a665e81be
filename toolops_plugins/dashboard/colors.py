"""The colours of the charts: one for each outcome, the same on every page.

They are of medium brightness, so that they are legible on white and on black, and differ in
brightness where they differ between red and green only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = [
    "DECISION_COLORS",
    "MONEY_COLORS",
    "OUTCOME_COLORS",
    "QUANTILE_COLORS",
    "REJECTION_COLORS",
    "STATE_COLORS",
    "palette",
]

OUTCOME_COLORS: Final = {
    "hit": "#2f9e6e",
    "stale": "#8fc31f",
    "coalesced": "#3d8bd9",
    "miss": "#8792a6",
    "bypass": "#9a7bd0",
    "refresh": "#56b1bf",
    "fallback": "#e3b22b",
    "rejected": "#ee8133",
    "error": "#d8434e",
}
"""Good news is green and blue, work that had to be done grey, trouble yellow to red."""

QUANTILE_COLORS: Final = {"p50": "#56b1bf", "p95": "#3d8bd9", "p99": "#8a5fd0"}

MONEY_COLORS: Final = {"saved": "#2f9e6e", "spent": "#8792a6"}

REJECTION_COLORS: Final = {
    "circuit_open": "#d8434e",
    "rate_limited": "#ee8133",
    "bulkhead_full": "#e3b22b",
}

DECISION_COLORS: Final = {"served": "#2f9e6e", "refused": "#8792a6"}

STATE_COLORS: Final = {
    "open": "#d8434e",
    "forced open": "#d8434e",
    "half open": "#c9981a",
    "forced closed": "#3d8bd9",
    "metrics only": "#8792a6",
    "closed": "#2f9e6e",
    "down": "#d8434e",
    "up": "#2f9e6e",
    "quiet": "#c9981a",
    "alive": "#2f9e6e",
}
"""Of breakers, tiers and processes."""

_OTHERS: Final = (
    "#3d8bd9", "#2f9e6e", "#e3b22b", "#9a7bd0", "#ee8133", "#56b1bf", "#d8434e", "#8fc31f",
    "#b36a9e", "#8792a6",
)  # fmt: skip


def palette(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name: an outcome's own, and for all else one by its order."""
    found: dict[str, str] = {}
    for name in names:
        own = OUTCOME_COLORS.get(name)
        found[name] = own or _OTHERS[len(found) % len(_OTHERS)]
    return found
