"""Figures of one or several runtimes, as a small table for a notebook or a terminal."""

from __future__ import annotations

from html import escape

from toolops_plugins.telemetry.report import StatsSnapshot
from toolops_plugins.telemetry.report_html import html_of

__all__ = ["Figures"]


class Figures:
    """Statistics of runtimes that print as tables; runtimes without calls are left out.

    Args:
        parts: Namespaces and statistics of the runtimes.
        title: Stands above the tables. Default "".
    """

    def __init__(self, parts: list[tuple[str, StatsSnapshot]], title: str = "") -> None:
        self.parts = [(name, snapshot) for name, snapshot in parts if snapshot]
        self.title = title

    def __bool__(self) -> bool:
        """Return True if there was any call."""
        return bool(self.parts)

    def __repr__(self) -> str:
        if not self.parts:
            return self._nothing()
        return "\n\n".join(f"{self._caption(name)}\n{part}".lstrip() for name, part in self.parts)

    def _repr_html_(self) -> str:
        if not self.parts:
            return f"<p>{escape(self._nothing())}</p>"
        return "".join(html_of(part, self._caption(name)) for name, part in self.parts)

    def _nothing(self) -> str:
        return f"{self.title}: no tool was called." if self.title else "No calls yet."

    def _caption(self, name: str) -> str:
        runtime = f"runtime {name!r}" if len(self.parts) > 1 else ""
        return ", ".join(filter(None, (runtime, self.title)))
