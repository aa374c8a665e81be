"""Processes: who writes the ledger, since when, and with which version."""

from __future__ import annotations

from typing import Any

import streamlit as st

from toolops_plugins.dashboard import reading
from toolops_plugins.dashboard.formats import ago, span
from toolops_plugins.dashboard.parts import (
    card,
    draw_live,
    draw_nothing,
    draw_table,
    warn_of_clocks,
)
from toolops_plugins.dashboard.view import View

_QUIET = 60.0  # seconds without a write after which a process is said to be quiet


def draw(view: View) -> None:
    """Draw the page once."""
    states = reading.processes(view.namespace)
    warn_of_clocks(view.now, states)
    if not states:
        draw_nothing(
            "No process writes this ledger now. A runtime does with ToolOps(ledger=...) or "
            "TOOLOPS_LEDGER, from its first call on."
        )
        return
    versions = sorted({state.version for state in states})
    quiet = [state for state in states if view.now - state.seen > _QUIET]
    dropped = sum(sum(state.dropped.values()) for state in states)
    lost = sum(state.lost for state in states)
    with st.grid(5, min_column_width=150):
        card("Processes", f"{len(states):,}")
        card("Hosts", f"{len({state.host for state in states}):,}")
        card("Quiet", f"{len(quiet):,}", better="", note="They have not written for a minute.")
        card("Events dropped", f"{dropped:,}", note="Events that sinks failed to take.")
        card("Calls not counted", f"{lost:,}", note="While the ledger was out of reach for long.")
    if len(versions) > 1:
        st.warning(
            f"{len(versions)} versions run side by side: {', '.join(versions)}.",
            icon=":material/difference:",
        )
    rows: list[dict[str, Any]] = [
        {
            "process": state.label,
            "namespace": state.namespace,
            "version": state.version,
            "runs": span(view.now - state.started),
            "seen": ago(state.seen, view.now),
            "state": "quiet" if view.now - state.seen > _QUIET else "alive",
            "commands": state.allow_commands,
            "dropped": ", ".join(f"{name}: {n:,}" for name, n in state.dropped.items() if n),
        }
        for state in sorted(states, key=lambda state: (state.host, state.pid))
    ]
    columns: dict[str, Any] = {
        "process": "process",
        "state": "state",
        "namespace": "namespace",
        "version": "version",
        "runs": "runs since",
        "seen": "last seen",
        "commands": st.column_config.CheckboxColumn("takes commands"),
        "dropped": "events dropped by sinks",
    }
    draw_table(rows, columns, key="processes", title="Processes")


if __name__ == "__main__":
    draw_live(draw)
