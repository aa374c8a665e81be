"""A live view of a runtime's statistics, which falls back to a table that stands still."""

from __future__ import annotations

import time
import weakref
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from toolops_plugins.telemetry.live.live_figures import Trend, figures_of
from toolops_plugins.telemetry.live.updater import UPDATER, find_shell
from toolops_plugins.telemetry.report import StatsSnapshot
from toolops_plugins.telemetry.report_html import html_of

if TYPE_CHECKING:
    from toolops_plugins.telemetry.live.widget import LiveWidget

__all__ = ["LiveStats"]

_INSTALL = 'pip install "toolops-plugins[notebook]"'
_WIDGET = "application/vnd.jupyter.widget-view+json"


class Observed(Protocol):
    """The part of a runtime that a live view reads."""

    namespace: str
    breakers: Any

    def stats(self) -> StatsSnapshot:
        """Return the statistics of all calls so far."""
        ...


class LiveStats:
    """Statistics that follow the calls of a runtime while they are shown; see ``ToolOps.live``.

    A notebook shows a widget, or where widgets are off or ``anywidget`` is not installed, the table
    of ``ops.stats()`` as it is when it is shown. Elsewhere it prints as text. It holds the runtime
    weakly. Safe to use from any threads.

    Args:
        runtime: The runtime.
        interval: Seconds between two updates.

    Attributes:
        widget: The widget, for other toolkits of widgets, or None.
    """

    def __init__(self, runtime: Observed, interval: float) -> None:
        self.interval = interval
        self._runtime = weakref.ref(runtime)
        self._namespace = runtime.namespace
        self._trend = Trend(interval, time.monotonic())
        self._snapshot = runtime.stats()
        self._sent: dict[str, Any] = {}
        self._hint = ""
        self.widget: LiveWidget | None = None
        shell = find_shell()
        if shell is None:
            return
        try:
            from toolops_plugins.telemetry.live.widget import LiveWidget  # noqa: PLC0415 - imports anywidget, an extra
        except ImportError:
            self._hint = f"These figures stand still; {_INSTALL} makes them live."
            return
        self._sent = self._figures()
        self.widget = LiveWidget(figures=self._sent)
        UPDATER.add(self, shell)

    def update(self, *, on_kernel_thread: bool = True) -> None:
        """Send the present figures to the notebook, unless they have not changed.

        Args:
            on_kernel_thread: Whether this is the thread that the kernel runs cells in, where the
                widget's state may be set. Elsewhere the figures are sent as a message of their own.
        """
        widget = self.widget
        if widget is None:
            return
        figures = self._figures()
        if on_kernel_thread:
            self._sent = widget.figures = figures
        elif figures != self._sent:
            self._sent = figures
            widget.send({"figures": figures})

    def close(self) -> None:
        """End the updates, and remove the widget from the notebook."""
        UPDATER.remove(self)
        if self.widget is not None:
            self.widget.close()

    @property
    def has_ended(self) -> bool:
        """True if the runtime is gone, so that nothing will change any more."""
        return self._runtime() is None

    def _figures(self) -> dict[str, Any]:
        runtime = self._runtime()
        breakers: dict[str, str] = {}
        if runtime is not None:
            self._snapshot = runtime.stats()
            breakers = {name: each.state for name, each in runtime.breakers.items().items()}
        self._trend.add(time.monotonic(), self._snapshot.total)
        return figures_of(self._namespace, self._snapshot, self._trend, breakers)

    def _latest(self) -> StatsSnapshot:
        runtime = self._runtime()
        return self._snapshot if runtime is None else runtime.stats()

    def __repr__(self) -> str:
        return f"{self._latest()!r}\n\n{self._hint}".rstrip()

    def _repr_html_(self) -> str:
        hint = f"<p>{escape(self._hint)}</p>" if self._hint else ""
        return html_of(self._latest()) + hint

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        shown: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if self.widget is not None:
            shown[_WIDGET] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.widget.model_id,
            }
        return shown
