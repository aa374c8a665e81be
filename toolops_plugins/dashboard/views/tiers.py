"""Tiers and the semantic index: who answered, how full they are, and what they dropped."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from toolops_plugins.dashboard import charts, reading
from toolops_plugins.dashboard.actions import draw_tag_button
from toolops_plugins.dashboard.colors import palette
from toolops_plugins.dashboard.formats import count, size
from toolops_plugins.dashboard.parts import (
    card,
    draw_live,
    draw_nothing,
    draw_table,
    draw_title,
    percent,
    rate_column,
)
from toolops_plugins.dashboard.view import View
from toolops_plugins.telemetry.ledger import ProcessState, TierState


def draw(view: View) -> None:
    """Draw the page once."""
    states = reading.processes(view.namespace)
    _draw_hits(view)
    draw_title("Tiers now")
    rows = [_row(state, tier) for state in states for tier in state.tiers]
    if rows:
        columns: dict[str, Any] = {
            "tier": "tier",
            "state": "state",
            "full": rate_column("full"),
            "entries": "entries",
            "size": "size",
            "evictions": "evictions",
            "process": "process",
            "namespace": "namespace",
        }
        rows.sort(key=lambda row: (row["tier"], row["process"]))
        draw_table(rows, columns, key="tiers", title="Tiers of each process")
        st.caption("A shared tier, such as Redis, is listed once for each process that uses it.")
    else:
        draw_nothing("No running process has a tier; the last reports are two minutes old at most.")
    _draw_indexes(states)
    draw_tag_button(states)


def _draw_hits(view: View) -> None:
    groups = reading.summaries(view.since, by=("tool",), where=view.where)
    tiers: Counter[str] = Counter()
    for summary in groups.values():
        tiers.update(summary.tiers)
    draw_title("Hits by tier")
    if not tiers:
        draw_nothing(f"No tier answered a call in the last {view.window.words}.")
        return
    with st.grid(4, min_column_width=150):
        for label, hits in sorted(tiers.items()):
            card(label, count(hits), note=f"{hits / tiers.total():.1%} of all hits.")
    rows = [
        {"label": key[0], "name": label, "value": hits, "text": count(hits)}
        for key, summary in sorted(groups.items(), key=lambda item: -item[1].hits)[:15]
        for label, hits in summary.tiers.items()
    ]
    charts.draw_ranks(
        rows, palette(sorted(tiers)), unit="hits", key="hits", title="Hits by tool and tier"
    )


def _row(state: ProcessState, tier: TierState) -> dict[str, Any]:
    return {
        "tier": tier.label,
        "state": "up" if tier.up else "down",
        "full": percent(_fullness(tier)),
        "entries": _of(tier.items, tier.max_items, count),
        "size": _of(tier.bytes, tier.max_bytes, size),
        "evictions": _of(tier.evictions, None, count),
        "process": state.label,
        "namespace": state.namespace,
    }


def _of(number: float | None, most: float | None, text: Any) -> str:
    if number is None:
        return ""
    return f"{text(number)} of {text(most)}" if most else str(text(number))


def _fullness(tier: TierState) -> float | None:
    shares = [
        number / most
        for number, most in ((tier.items, tier.max_items), (tier.bytes, tier.max_bytes))
        if number is not None and most
    ]
    return min(max(shares), 1.0) if shares else None


def _draw_indexes(states: list[ProcessState]) -> None:
    rows = [
        {"process": state.label, "namespace": state.namespace, **_facts(state)}
        for state in states
        if state.index
    ]
    if not rows:
        return
    draw_title("Semantic index")
    names = dict.fromkeys(name for row in rows for name in row)
    draw_table(rows, {name: name for name in names}, key="indexes", title="Semantic indexes")


def _facts(state: ProcessState) -> dict[str, str]:
    return {
        name: count(value)
        if isinstance(value, int | float) and not isinstance(value, bool)
        else str(value)
        for name, value in state.index.items()
    }


if __name__ == "__main__":
    draw_live(draw)
