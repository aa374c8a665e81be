"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re

from toolops_plugins.telemetry.formats import duration, money

__all__ = ["ago", "amount", "change", "compact", "count", "escape", "share", "size", "span", "wait"]

_NONE = "\N{EN DASH}"  # a hyphen alone would be a list in Markdown
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])")


def count(number: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,.0f}"


def compact(number: float) -> str:
    """Return a number in at most seven characters: "98,304", "1.25M"."""
    if abs(number) < 100_000:
        return f"{number:,.0f}" if abs(number) >= 10 or number == int(number) else f"{number:.1f}"
    for unit, factor in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if abs(number) < 999.5 * factor:
            return f"{number / factor:.3g}{unit}"
    return f"{number / 1e12:.3g}T"


def share(number: float | None) -> str:
    """Return a share as a percentage, and a dash where there is none."""
    return _NONE if number is None else f"{number:.1%}"


def wait(seconds: float | None) -> str:
    """Return a time in a readable unit to three digits, and a dash where there is none."""
    if seconds is None:
        return _NONE
    # With spaces that do not break, since a unit on a line of its own is hard to read.
    return duration(seconds).replace(" us", " µs").replace(" ", "\N{NO-BREAK SPACE}")


def span(seconds: float) -> str:
    """Return a long time in its two largest units at most: "3 d 4 h", "12 min", "41 s"."""
    if seconds < 60:
        return f"{max(seconds, 0):.0f} s"
    whole = round(seconds / 60)
    days, minutes = divmod(whole, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{number:,} {unit}"
        for number, unit in ((days, "d"), (hours, "h"), (minutes, "min"))
        if number
    ]
    return " ".join(parts[:2])


def ago(then: float, now: float) -> str:
    """Return the time since a moment; one that lies ahead is said to."""
    if then > now + 5:
        return f"in {span(then - now)}"
    return f"{span(now - then)} ago"


def amount(number: float) -> str:
    """Return an amount of money without a currency, short enough for a card."""
    return compact(number) if abs(number) >= 100_000 else money(number)


def size(nbytes: float) -> str:
    """Return bytes in powers of 1024: "912 KB", "1.2 GB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1024
    return f"{nbytes:,.1f} TB"


def change(now: float | None, before: float | None) -> str | None:
    """Return the relative change, as "+12%". None: one of the two is missing, or nothing.

    A number that was 100 times smaller says little about itself: "x100" and more are written so.
    """
    if now is None or not before or not math.isfinite(now / before):
        return None
    factor = now / before
    if factor >= 100:
        return f"x{compact(factor)}"
    return f"{factor - 1:+.0%}" if abs(factor - 1) >= 0.005 else None


def escape(text: str) -> str:
    """Return a text whose Markdown is shown and not applied."""
    return _MARKDOWN.sub(r"\\\1", text)
