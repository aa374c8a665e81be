"""Times, amounts, shares and names as text, for every table, page and log line."""

from __future__ import annotations

import math

__all__ = ["NAME_WIDTH", "cell_width", "duration", "money", "percentage", "shorten_name"]

NAME_WIDTH = 40
"""Terminal cells of a tool's name."""


def duration(seconds: float | None) -> str:
    """Return a time in a readable unit, to three digits: "45 us", "1.2 ms", "2 min 5 s"."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds == 0:
        return "0 s"
    for unit, size in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        # A number that rounds up to 1000 is written in the next unit; 60 seconds are a minute.
        number = seconds / size
        if number < (59.95 if unit == "s" else 999.5):
            return f"{float(f'{number:.3g}'):g} {unit}"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{seconds / 86400:,.1f} d"


def money(amount: float) -> str:
    """Return an amount without a currency: to two places, or three digits of one below 1."""
    if amount == 0:
        return "0"
    if not 1e-12 < abs(amount) < 0.9995:
        return f"{amount:,.2f}"
    places = 2 - math.floor(math.log10(abs(amount)))
    return f"{amount:.{places}f}".rstrip("0")


def percentage(share: float | None) -> str:
    """Return a share as text: "75.0%"; "-" for None."""
    return "-" if share is None else f"{share:.1%}"


def shorten_name(name: str, most: int = NAME_WIDTH) -> str:
    """Return a name that stays on its line: no control characters, and not too long.

    The middle is left out, since names begin with the module and end with the function.

    Args:
        name: The name of a tool or tier.
        most: Terminal cells that it may fill. Default 40.
    """
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
    if cell_width(plain) <= most:
        return plain
    head, tail = plain[: most // 3], plain[most // 3 - most + 3 :]
    while cell_width(head) > most // 3:
        head = head[:-1]
    while cell_width(head) + 3 + cell_width(tail) > most:
        tail = tail[1:]
    return f"{head}...{tail}"


def cell_width(text: str) -> int:
    """Return the terminal cells that a text fills; most East Asian letters fill two."""
    import unicodedata  # noqa: PLC0415 - needed for tables only

    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(bool(unicodedata.combining(char)) for char in text)
