"""Breakers, limits and bulkheads, as each process sees them now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import streamlit as st

from toolops_plugins.dashboard import charts, figures, reading
from toolops_plugins.dashboard.actions import draw_breaker_buttons
from toolops_plugins.dashboard.colors import REJECTION_COLORS
from toolops_plugins.dashboard.formats import span, wait
from toolops_plugins.dashboard.parts import (
    card,
    count_column,
    draw_live,
    draw_nothing,
    draw_table,
    draw_title,
    percent,
    rate_column,
)
from toolops_plugins.dashboard.view import View
from toolops_plugins.telemetry.ledger import LimitReport, ProcessState

# The most urgent first.
_STATES: Final = {
    "open": "open",
    "forced_open": "forced open",
    "half_open": "half open",
    "forced_closed": "forced closed",
    "metrics_only": "metrics only",
    "closed": "closed",
}


def draw(view: View) -> None:
    """Draw the page once."""
    states = reading.processes(view.namespace)
    pairs = [(state, breaker) for state in states for breaker in state.breakers]
    rejected = figures.total(reading.summaries(view.since, where=view.where))
    _draw_cards(states, rejected.outcomes.get("rejected", 0), view)
    draw_title("Breakers")
    if pairs:
        order = list(_STATES)
        rows: list[dict[str, Any]] = [
            {
                "breaker": breaker.name,
                "state": _STATES.get(breaker.state, breaker.state),
                "for": span(view.now - breaker.since) if breaker.since else "",
                "last error": breaker.error,
                "rejected": breaker.rejected,
                "process": state.label,
                "namespace": state.namespace,
            }
            for state, breaker in sorted(
                pairs,
                key=lambda pair: (
                    order.index(pair[1].state) if pair[1].state in order else 0,
                    pair[1].name,
                    pair[0].host,
                    pair[0].pid,
                ),
            )
        ]
        columns: dict[str, Any] = {
            "breaker": "breaker",
            "state": "state",
            "for": "for",
            "last error": "last error",
            "rejected": count_column("rejected"),
            "process": "process",
            "namespace": "namespace",
        }
        draw_table(rows, columns, key="breakers", title="Breakers of each process")
        names: dict[str, set[str]] = defaultdict(set)
        for state, breaker in pairs:
            names[state.namespace].add(breaker.name)
        draw_breaker_buttons(names, states)
    else:
        draw_nothing("No running process has a circuit breaker that has met a call.")
    _draw_limits("Rate limits", ((state, state.limits) for state in states), "limits")
    _draw_limits("Bulkheads", ((state, state.bulkheads) for state in states), "bulkheads")
    _draw_rejections(view)


def _draw_cards(states: list[ProcessState], rejected: int, view: View) -> None:
    opened = [breaker for state in states for breaker in state.breakers if breaker.rejects]
    waiting = sum(limit.waiting for state in states for limit in (*state.limits, *state.bulkheads))
    with st.grid(4, min_column_width=150):
        card("Breakers", f"{sum(len(state.breakers) for state in states):,}")
        card("Not closed", f"{len(opened):,}", note="Open, forced open or half open.")
        card("Calls that wait", f"{waiting:,}", note="For a rate limit or a bulkhead, now.")
        card("Rejected", f"{rejected:,}", note=f"In the last {view.window.words}.")


def _draw_limits(
    title: str, found: Iterable[tuple[ProcessState, Iterable[LimitReport]]], key: str
) -> None:
    rows = sorted(_limit_rows(found), key=lambda row: (row["name"], row["process"]))
    if not rows:
        return
    draw_title(title)
    columns: dict[str, Any] = {
        "name": "name",
        "used": rate_column("in use"),
        "of": "units",
        "waiting": count_column("calls that wait"),
        "next": "next one free in",
        "process": "process",
    }
    draw_table(rows, columns, key=key, title=title)


def _limit_rows(
    found: Iterable[tuple[ProcessState, Iterable[LimitReport]]],
) -> Iterator[dict[str, Any]]:
    for state, limits in found:
        for limit in limits:
            yield {
                "name": limit.name,
                "used": percent(min(limit.used / limit.limit, 1)) if limit.limit else None,
                "of": f"{limit.used:,.0f} of {limit.limit:,.0f}" if limit.limit else "",
                "waiting": limit.waiting,
                "next": wait(limit.seconds) if limit.seconds else "now",
                "process": state.label,
            }


def _draw_rejections(view: View) -> None:
    groups = reading.summaries(view.since, by=("tool",), where=view.where)
    rows = [
        {"label": key[0], "name": reason, "value": calls, "text": f"{calls:,}"}
        for key, summary in groups.items()
        for reason, calls in summary.reasons.items()
        if summary.outcomes.get("rejected") and reason in REJECTION_COLORS
    ]
    if rows:
        draw_title("Rejections by tool and reason")
        present = {row["name"] for row in rows}
        colors = {name: color for name, color in REJECTION_COLORS.items() if name in present}
        charts.draw_ranks(rows, colors, unit="calls", key="rejections", title="Rejections")


if __name__ == "__main__":
    draw_live(draw)
