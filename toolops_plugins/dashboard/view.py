"""The part of the ledger that the pages show: a window of time, and a namespace or all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import streamlit as st

from toolops_plugins.dashboard import options, reading
from toolops_plugins.telemetry.ledger import Dimension

__all__ = ["WINDOWS", "View", "choose", "current"]

_ALL: Final = "All namespaces"
_KEY: Final = "toolops_view"


class Window(NamedTuple):
    """A window of time, and the width of a bar in its charts, in seconds.

    The widths are multiples of the lengths that the ledger keeps sums of, as long as each is kept:
    so a chart is read from some hundred sums of a tool, whatever the window.
    """

    seconds: int
    step: int
    words: str
    clock: str = "%H:%M"  # the format of its times


WINDOWS: Final = {
    "15m": Window(900, 60, "15 minutes"),
    "1h": Window(3_600, 60, "hour"),
    "6h": Window(21_600, 600, "6 hours"),
    "24h": Window(86_400, 1_200, "24 hours"),
    "7d": Window(604_800, 7_200, "7 days", "%a %H:%M"),
    "30d": Window(2_592_000, 86_400, "30 days", "%d %b"),
}


class View(NamedTuple):
    """One look at the ledger.

    Args:
        window: The window of time that ends now.
        namespace: The namespace. None: all of them.
        now: Seconds since the epoch.
    """

    window: Window
    namespace: str | None
    now: float

    @property
    def since(self) -> float:
        """The beginning, at a whole minute, as the ledger counts by minutes."""
        return (self.now - self.window.seconds) // 60 * 60

    @property
    def before(self) -> float:
        """The beginning of the window before this one."""
        return self.since - self.window.seconds

    @property
    def minutes(self) -> float:
        """The length in minutes."""
        return (self.now - self.since) / 60

    @property
    def where(self) -> Mapping[Dimension, str]:
        """The condition for the ledger."""
        return {} if self.namespace is None else {"namespace": self.namespace}

    @property
    def refresh(self) -> float | None:
        """Seconds until the next refresh: long windows change slowly. None: never."""
        seconds = options.current().refresh
        return max(seconds, min(self.window.step / 30, 60)) if seconds else None

    def at_present(self) -> View:
        """Return the same view, ending now."""
        return self._replace(now=reading.now())


def choose() -> None:
    """Draw the row of controls, and keep what they say for the page.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    now = reading.now()
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        label = st.segmented_control(
            "Time",
            list(WINDOWS),
            default="1h",
            required=True,
            key="window",
            label_visibility="collapsed",
            bind="query-params",
        )
        window = WINDOWS[label or "1h"]
        names = reading.namespaces(now)
        chosen: str | None = None
        if len(names) > 1:
            chosen = st.selectbox(
                "Namespace",
                [_ALL, *names],
                key="namespace",
                label_visibility="collapsed",
                width=220,
            )
    namespace = None if chosen in (None, _ALL) else chosen
    st.session_state[_KEY] = View(window, namespace, now)


def current() -> View:
    """Return what the controls of this session say."""
    view: View = st.session_state[_KEY]
    return view
