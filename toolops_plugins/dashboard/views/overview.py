"""The overview: what was answered, saved and waited for, now against before."""

from __future__ import annotations

from typing import Final

import streamlit as st

from toolops_plugins.dashboard import charts, figures, reading
from toolops_plugins.dashboard.colors import MONEY_COLORS, QUANTILE_COLORS
from toolops_plugins.dashboard.formats import amount, change, compact, escape, share, wait
from toolops_plugins.dashboard.parts import (
    card,
    draw_live,
    draw_nothing,
    draw_title,
    warn_of_clocks,
)
from toolops_plugins.dashboard.view import View
from toolops_plugins.telemetry.ledger import ProcessState, Summary

_HIT_RATE: Final = "Hits, stale answers and shared flights, of the calls that asked the cache."
_MONEY: Final = "In the unit of your prices: it has no currency of its own."
_FAILED: Final = "Errors, rejections and fallbacks, of all calls."


def draw(view: View) -> None:
    """Draw the page once."""
    states = reading.processes(view.namespace)
    warn_of_clocks(view.now, states)
    _draw_troubles(states)
    series = reading.series(view.since, step=view.window.step, where=view.where)
    now = figures.total(reading.summaries(view.since, where=view.where))
    before = figures.total(reading.summaries(view.before, view.since, where=view.where))
    if not now.calls:
        draw_nothing(
            f"No call was counted in the last {view.window.words}. Choose a longer time, or look "
            "at Processes: each runtime with a ledger is listed there."
        )
        return
    _draw_cards(now, before, view)
    draw_title("Calls a minute, by outcome")
    rows, colors = figures.calls_by_outcome(series, view)
    charts.draw_bars(
        rows,
        colors,
        clock=view.window.clock,
        unit="calls a minute",
        key="calls",
        title="Calls a minute by outcome",
    )
    _draw_latencies(series, now, before, view)
    if now.saved_cost or now.spent_cost:
        draw_title("Money", "Together they are what would have been spent without ToolOps.")
        rows = figures.money_by_time(series, view)
        charts.draw_bars(
            rows,
            MONEY_COLORS,
            clock=view.window.clock,
            unit="money",
            key="money",
            title="Money saved and spent",
        )


def _draw_troubles(states: list[ProcessState]) -> None:
    broken = {breaker.name for state in states for breaker in state.breakers if breaker.rejects}
    down = {tier.label for state in states for tier in state.tiers if not tier.up}
    if broken:
        names = ", ".join(escape(name) for name in sorted(broken))
        st.warning(f"Breakers not closed: {names}", icon=":material/electrical_services:")
    if down:
        names = ", ".join(escape(name) for name in sorted(down))
        st.error(f"Tiers that do not answer: {names}", icon=":material/cloud_off:")


def _draw_cards(now: Summary, before: Summary, view: View) -> None:
    points = None
    if now.hit_rate is not None and before.hit_rate is not None:
        difference = 100 * (now.hit_rate - before.hit_rate)
        points = f"{difference:+.1f} points" if abs(difference) >= 0.05 else None
    rate, past_rate = now.calls / view.minutes, before.calls / (view.window.seconds / 60)
    failed = figures.count_failures(now) / now.calls
    past_failed = figures.count_failures(before) / before.calls if before.calls else None
    with st.grid(8, min_column_width=150):
        card("Hit rate", share(now.hit_rate), points, note=_HIT_RATE)
        card(
            "Money saved",
            amount(now.saved_cost),
            change(now.saved_cost, before.saved_cost),
            note=_MONEY,
        )
        card(
            "Money spent",
            amount(now.spent_cost),
            change(now.spent_cost, before.spent_cost),
            better="down",
        )
        card("Time saved", wait(now.saved_seconds), change(now.saved_seconds, before.saved_seconds))
        card("Calls a minute", compact(rate), change(rate, past_rate), better="")
        for label, field in (("Callers' p95", "waited"), ("Function's p95", "worked")):
            p95, past = getattr(now, field).quantile(0.95), getattr(before, field).quantile(0.95)
            card(label, wait(p95), change(p95, past), better="down")
        card("Failed", share(failed), change(failed, past_failed), better="down", note=_FAILED)
    st.caption(f"The last {view.window.words}, against the {view.window.words} before.")


def _draw_latencies(series: figures.Series, now: Summary, before: Summary, view: View) -> None:
    draw_title("Latency", "Above, what callers waited, hits included; below, runs of the function.")
    st.table(figures.quantile_rows(now, before))
    with st.grid(2, min_column_width=320):
        for field, title in (("waited", "Callers waited"), ("worked", "The function took")):
            with st.container():
                st.markdown(f"**{title}**")
                rows = figures.latencies(series, view, field)
                if any(row["value"] for row in rows):
                    charts.draw_lines(
                        rows, QUANTILE_COLORS, clock=view.window.clock, key=field, title=title
                    )
                else:
                    st.caption("It did not run: every call was answered without it.")


if __name__ == "__main__":
    draw_live(draw)
