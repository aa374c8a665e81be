"""Units of measure and currencies, by every form of theirs."""

from __future__ import annotations

from toolops_plugins.semantic.guards.lexicon import units

__all__ = ["SMALLER", "SUFFIXES", "UNITS"]

UNITS = units()
"""Units and currencies by every form of theirs."""

SUFFIXES = UNITS | {"m": "m", "g": "g", "l": "l", "s": "s", "h": "h", "d": "d", "w": "w", "y": "y"}
SUFFIXES |= {"c": "c", "f": "f"}
"""Units as they may follow a figure without a space."""

SMALLER = {
    "#u:wk": ("#u:d", 7),
    "#u:h": ("#u:min", 60),
    "#u:y": ("#u:mo", 12),
    "#u:kg": ("#u:g", 1000),
    "#u:km": ("#u:m", 1000),
    "#u:l": ("#u:ml", 1000),
    "#u:tb": ("#u:mb", 1_000_000),
    "#u:gb": ("#u:mb", 1000),
    "#u:gbps": ("#u:mbps", 1000),
    "#u:kw": ("#u:w", 1000),
    "#u:ghz": ("#u:mhz", 1000),
}
"""Units that are written as smaller ones: a week and seven days agree."""
