"""Lists of words, written the way they are read."""

from __future__ import annotations

__all__ = ["listed"]


def listed(text: str, separator: str | None = None) -> list[str]:
    """Return the parts of a text, by default its words: twenty words a line instead of one."""
    return text.split(separator)
