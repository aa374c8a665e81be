"""Parts of all pages: a body that refreshes itself, states without data, and tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from toolops_plugins.dashboard.colors import STATE_COLORS
from toolops_plugins.dashboard.formats import escape, span
from toolops_plugins.dashboard.view import View, current
from toolops_plugins.telemetry.ledger import LedgerError, ProcessState

__all__ = [
    "card",
    "count_column",
    "draw_error",
    "draw_live",
    "draw_nothing",
    "draw_table",
    "draw_title",
    "percent",
    "rate_column",
    "warn_of_clocks",
]


_APART = 60.0  # seconds that clocks may differ by


def draw_live(body: Callable[[View], None]) -> None:
    """Draw a page's body, and again at each refresh, without the rest of the page.

    A ledger that cannot be read is said in its place, and the next refresh tries again.
    """
    view = current()

    def refresh() -> None:
        try:
            body(view.at_present())
        except LedgerError as error:
            draw_error(error)

    st.fragment(refresh, run_every=view.refresh)()


def draw_error(error: LedgerError) -> None:
    """Say why the ledger cannot be read, and what to do."""
    st.error(f"**The ledger cannot be read.** {escape(str(error))}", icon=":material/cloud_off:")
    st.caption("The page tries again by itself. Calls of your tools go on meanwhile.")


def draw_nothing(text: str) -> None:
    """Say in one line that there is nothing to see, and why."""
    st.info(text, icon=":material/inbox:")


def draw_title(text: str, help_text: str | None = None) -> None:
    """Draw the heading of a part of a page."""
    st.subheader(text, help=help_text, anchor=False)


def card(
    label: str,
    value: str,
    change: str | None = None,
    *,
    better: str = "up",
    note: str | None = None,
) -> None:
    """Draw one number with its change.

    Args:
        label: The name of the number.
        value: The number as text.
        change: Its change since the window before, such as "+12%". None: unknown or none.
        better: "up" or "down": which change is green; "" for neither.
        note: An explanation, shown on demand.
    """
    colors: dict[str, Any] = {"up": "normal", "down": "inverse"}
    st.metric(
        label,
        escape(value),
        change,
        delta_color=colors.get(better, "off"),
        help=note,
        border=True,
        height="stretch",
    )


def draw_table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], *, key: str, title: str
) -> None:
    """Draw a table that scrolls in itself on a narrow screen; its first column stays.

    Args:
        rows: The rows, by the names of the columns. A "state" gets the colour of its word.
        columns: The columns in their order, each with its configuration or its title.
        key: The identity of the table on its page.
        title: What the table shows, for those who do not see it.
    """
    data = pd.DataFrame([{name: row.get(name) for name in columns} for row in rows])
    if "state" in columns:
        data["state"] = "● " + data["state"]
        data = data.style.map(_color_state, subset=["state"])
    st.dataframe(data, column_config=dict(columns), hide_index=True, key=key, alt=title)


def _color_state(text: str) -> str:
    return f"color: {STATE_COLORS.get(text.removeprefix('● '), 'inherit')}"


def rate_column(title: str) -> Any:
    """Return the configuration of a column of shares, which :func:`percent` computes."""
    return st.column_config.ProgressColumn(title, format="%.0f%%", min_value=0, max_value=100)


def count_column(title: str) -> Any:
    """Return the configuration of a column of counts."""
    return st.column_config.NumberColumn(title, format="localized")


def percent(number: float | None) -> float | None:
    """Return a share in percent, for a column of shares."""
    return None if number is None else 100 * number


def warn_of_clocks(now: float, states: Iterable[ProcessState]) -> None:
    """Warn if clocks disagree, since then calls stand in the wrong minutes.

    Args:
        now: The ledger's present time.
        states: The processes that write to it.
    """
    apart = time.time() - now
    if abs(apart) > _APART:
        st.warning(
            f"The clock of the ledger's server and that of this machine are {span(abs(apart))} "
            "apart. Times on these pages are the server's.",
            icon=":material/schedule:",
        )
    ahead = [state for state in states if max(state.started, state.seen) > now + _APART]
    if ahead:
        names = ", ".join(escape(state.label) for state in ahead[:5])
        st.warning(
            f"A clock has jumped: {names} wrote at a time that is still to come. Its calls "
            "of that time show up when it has come.",
            icon=":material/schedule:",
        )
