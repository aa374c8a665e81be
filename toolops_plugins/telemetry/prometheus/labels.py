"""Label values: texts that are fit for every scrape, and no more of them than a limit."""

from __future__ import annotations

from typing import Final

__all__ = ["OTHER", "Labels"]

OTHER: Final = "other"
"""The label value that stands for all values past the limit."""

_LONGEST: Final = 200
"""Characters of a label value that are kept."""


def _clean(value: object) -> str:
    """Return the text of a label value, shortened, and fit for every scrape."""
    # A lone surrogate would make every later scrape fail.
    return str(value)[:_LONGEST].encode("utf-8", "backslashreplace").decode()


class _Values:
    """The values of one label."""

    __slots__ = ("_known", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[object, str] = {}

    def bind(self, value: object) -> str:
        """Return the label value of a value: its text, or "other"."""
        known = self._known.get(value)
        if known is None:
            if len(self._known) >= self._limit:
                return OTHER
            known = self._known[value] = _clean(value)
        return known


class Labels:
    """The values of all labels; past a limit, new ones become "other".

    Safe to use from any threads: two that meet a new value at once may pass the limit by one.

    Args:
        limit: The maximum number of different values of each label, and of tools.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: dict[str, _Values] = {}
        self._tools: dict[tuple[object, object], tuple[str, str]] = {}

    def bind(self, label: str, value: object) -> str:
        """Return the label value of a value: its text, or "other"."""
        values = self._values.get(label)
        if values is None:
            values = self._values.setdefault(label, _Values(self._limit))
        return values.bind(value)

    def bind_tool(self, namespace: object, name: object) -> tuple[str, str]:
        """Return the label values of a namespace and a tool. Tools count by both."""
        found = self._tools.get((namespace, name))
        if found is None:
            space = self.bind("namespace", namespace)
            if len(self._tools) >= self._limit:
                return space, OTHER
            found = self._tools[namespace, name] = space, _clean(name)
        return found
