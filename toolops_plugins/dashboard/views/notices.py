"""Notices: trouble and recoveries, the newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from toolops_plugins.dashboard import reading
from toolops_plugins.dashboard.parts import count_column, draw_live, draw_nothing, draw_table
from toolops_plugins.dashboard.view import View

_MOST = 500


def draw(view: View) -> None:
    """Draw the page once."""
    found = reading.notices(view.since, view.namespace, _MOST)
    if not found:
        draw_nothing(f"Nothing happened in the last {view.window.words} that is worth a notice.")
        return
    kinds = sorted({notice.kind for notice in found})
    chosen = st.pills(
        "Kinds", kinds, selection_mode="multi", key="kinds", label_visibility="collapsed"
    )
    rows: list[dict[str, Any]] = [
        {
            "when": datetime.fromtimestamp(notice.at, UTC),
            "kind": notice.kind,
            "name": notice.name,
            "detail": notice.detail,
            "error": notice.error,
            "namespace": notice.namespace,
            "count": notice.count,
            "process": f"{notice.host}:{notice.pid}",
        }
        for notice in found
        if not chosen or notice.kind in chosen
    ]
    columns: dict[str, Any] = {
        "when": st.column_config.DatetimeColumn(
            "when", format="YYYY-MM-DD HH:mm:ss", timezone=st.context.timezone
        ),
        "kind": "kind",
        "name": "name",
        "detail": st.column_config.TextColumn("detail", width="medium"),
        "error": "error",
        "count": count_column("count"),
        "namespace": "namespace",
        "process": "process",
    }
    draw_table(rows, columns, key="notices", title="Notices")
    if len(found) == _MOST:
        st.caption(f"The newest {_MOST:,}.")


if __name__ == "__main__":
    draw_live(draw)
