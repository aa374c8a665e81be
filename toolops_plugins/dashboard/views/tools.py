"""Tools, models and agents: calls, answers, waiting and money of each."""

from __future__ import annotations

from typing import Any

import streamlit as st

from toolops_plugins.dashboard import charts, figures, reading
from toolops_plugins.dashboard.colors import QUANTILE_COLORS, palette
from toolops_plugins.dashboard.formats import amount, wait
from toolops_plugins.dashboard.parts import (
    count_column,
    draw_live,
    draw_nothing,
    draw_table,
    draw_title,
    percent,
    rate_column,
)
from toolops_plugins.dashboard.view import View
from toolops_plugins.telemetry.ledger import Dimension, Summary

_COLUMNS: dict[str, Any] = {
    "calls": count_column("calls"),
    "hit rate": rate_column("hit rate"),
    # Before the latencies, so that a window of 1,100 pixels shows what is saved.
    "saved money": "saved money",
    "spent": "spent",
    "saved time": "saved time",
    "callers' p50": "callers' p50",
    "callers' p95": "callers' p95",
    "function's p50": "function's p50",
    "function's p95": "function's p95",
    "failed": count_column("failed"),
    "retried": count_column("retried"),
}
_TOKENS: dict[str, Any] = {
    "tokens in": count_column("tokens in"),
    "tokens out": count_column("tokens out"),
    "saved tokens": count_column("saved tokens"),
}
_SHOWN = 15


def draw(view: View) -> None:
    """Draw the page once."""
    by_tool = reading.summaries(view.since, by=("tool", "kind"), where=view.where)
    if not by_tool:
        draw_nothing(f"No tool was called in the last {view.window.words}.")
        return
    tools = sorted(by_tool.items(), key=lambda item: -item[1].calls)
    draw_title("Calls by tool and outcome")
    _draw_tool_ranks([(key[0], summary) for key, summary in tools[:_SHOWN]])
    if len(tools) > _SHOWN:
        st.caption(f"The {_SHOWN} tools with the most calls, of {len(tools):,}.")
    draw_title("Tools")
    rows = [{"tool": key[0], "kind": key[1], **_row(summary)} for key, summary in tools]
    draw_table(rows, {"tool": "tool", "kind": "kind", **_COLUMNS}, key="tools", title="Tools")
    _draw_groups(view, "model", "Models")
    _draw_groups(view, "agent", "Agents")
    _draw_one(view, list(dict.fromkeys(key[0] for key, _ in tools)))


def _row(summary: Summary) -> dict[str, Any]:
    waited, worked = summary.waited, summary.worked
    return {
        "calls": summary.calls,
        "hit rate": percent(summary.hit_rate),
        "callers' p50": wait(waited.quantile(0.5)),
        "callers' p95": wait(waited.quantile(0.95)),
        "function's p50": wait(worked.quantile(0.5)),
        "function's p95": wait(worked.quantile(0.95)),
        "saved time": wait(summary.saved_seconds),
        "saved money": amount(summary.saved_cost),
        "spent": amount(summary.spent_cost),
        "failed": figures.count_failures(summary),
        "retried": summary.retried,
        "tokens in": summary.input_tokens,
        "tokens out": summary.output_tokens,
        "saved tokens": summary.saved_tokens,
    }


def _draw_tool_ranks(tools: list[tuple[str, Summary]]) -> None:
    rows = [
        {"label": str(name), "name": outcome, "value": calls, "text": f"{calls:,}"}
        for name, summary in tools
        for outcome, calls in summary.outcomes.items()
    ]
    names = figures.outcomes_in(str(row["name"]) for row in rows)
    charts.draw_ranks(
        rows, palette(names), unit="calls", key="ranking", title="Calls by tool and outcome"
    )


def _draw_groups(view: View, dimension: Dimension, title: str) -> None:
    """Draw the table of models or agents, if any was named."""
    groups = reading.summaries(view.since, by=(dimension,), where=view.where)
    rows = [
        {str(dimension): key[0], **_row(summary)}
        for key, summary in sorted(groups.items(), key=lambda item: -item[1].calls)
        if key[0]
    ]
    if rows:
        draw_title(title)
        columns = {str(dimension): dimension, **_COLUMNS, **_TOKENS}
        draw_table(rows, columns, key=dimension, title=title)


def _draw_one(view: View, names: list[str]) -> None:
    draw_title("One tool over time")
    name = st.selectbox("Tool", names, key="tool", label_visibility="collapsed")
    where: dict[Dimension, str] = {**view.where, "tool": name}
    series = reading.series(view.since, step=view.window.step, where=where)
    rows, outcomes = figures.calls_by_outcome(series, view)
    if not outcomes:
        draw_nothing("It was not called in this time.")
        return
    charts.draw_bars(
        rows,
        outcomes,
        clock=view.window.clock,
        unit="calls a minute",
        key="one-calls",
        title="Calls a minute",
    )
    rows = figures.latencies(series, view, "waited")
    st.markdown("**Callers waited**")
    charts.draw_lines(
        rows, QUANTILE_COLORS, clock=view.window.clock, key="one-waited", title="Callers waited"
    )
    _draw_counts("Errors", figures.total(reading.summaries(view.since, where=where)).errors)


def _draw_counts(title: str, counts: dict[str, int]) -> None:
    if counts:
        rows = [
            {"type": name, "calls": number}
            for name, number in sorted(counts.items(), key=lambda item: -item[1])
        ]
        st.markdown(f"**{title}**")
        columns = {"type": "type", "calls": count_column("calls")}
        draw_table(rows, columns, key=f"counts-{title}", title=title)


if __name__ == "__main__":
    draw_live(draw)
