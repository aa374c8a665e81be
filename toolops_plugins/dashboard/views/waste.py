"""Waste: what is asked most and never hits, and why."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from toolops_plugins.dashboard import charts, figures, reading
from toolops_plugins.dashboard.colors import palette
from toolops_plugins.dashboard.formats import amount, compact, escape, share
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
from toolops_plugins.telemetry.ledger import Summary
from toolops_plugins.telemetry.ledger.enclosing import is_counted_twice

_ADVICE: Final = {
    "no_cache": "Its policy has no cache: give it one, unless it has effects or must be fresh.",
    "not_canonical": "An argument has no canonical form: ignore=, key=, or ops.canon.",
    "scope_not_canonical": "An argument has no canonical form: ignore=, key=, or ops.canon.",
    "not_encodable": "Its result cannot be stored: return plain data, or ops.codec.register(...).",
    "too_large": "Its results are too large: raise max_value_bytes, or return less.",
    "key_failed": "A function of its policy raises: fix key=, or tenant=.",
    "tags_failed": "A function of its policy raises: fix tags=.",
    "when_failed": "A function of its policy raises: fix when=.",
    "name_taken": "Several closures share its name: give each name=.",
    "end_untold": "Its streams end without a finish reason, so they may have been cut.",
    "new questions": "Nearly every question is new: raise the ttl, or ignore= an argument.",
    "first answers": "Nothing: what is asked again is answered from the cache.",
    "not_forgotten": "It was invalidated while it ran: look at what invalidates so often.",
}
_SHOWN: Final = 15


def draw(view: View) -> None:
    """Draw the page once."""
    found = reading.summaries(view.since, by=("tool",), where=view.where)
    # A chain or an agent is no call to be saved; the calls of its tools and models are.
    groups = {key: summary for key, summary in found.items() if not is_counted_twice(key[0])}
    ran = {key[0]: (_ran(summary), summary) for key, summary in groups.items()}
    ranked = sorted(
        ((name, runs, summary) for name, (runs, summary) in ran.items() if runs),
        key=lambda item: -item[1],
    )
    if not ranked:
        draw_nothing(f"In the last {view.window.words} no call had to run the function.")
        return
    whole = figures.total(groups)
    never = [name for name, _, summary in ranked if not summary.hit_rate]
    with st.grid(4, min_column_width=150):
        card(
            "Calls that ran",
            compact(sum(runs for _, runs, _ in ranked)),
            better="",
            note="Misses and calls that bypass the cache.",
        )
        card("Of all calls", share(sum(runs for _, runs, _ in ranked) / whole.calls))
        card("Spent on them", amount(whole.spent_cost))
        card("Tools without a hit", f"{len(never):,} of {len(groups):,}")
    draw_title("Runs by tool", "The tools whose calls run the function most often.")
    rows = [
        {"label": name, "name": outcome, "value": calls, "text": f"{calls:,}"}
        for name, _, summary in ranked[:_SHOWN]
        for outcome in ("miss", "bypass")
        if (calls := summary.outcomes.get(outcome, 0))
    ]
    charts.draw_ranks(
        rows, palette(("miss", "bypass")), unit="calls that ran", key="waste", title="Runs by tool"
    )
    draw_title("Why, and what to do")
    rows = [_row(name, runs, summary) for name, runs, summary in ranked]
    columns: dict[str, Any] = {
        "tool": "tool",
        "ran": count_column("ran"),
        "hit rate": rate_column("hit rate"),
        "spent": "spent",
        "why": "why",
    }
    draw_table(rows, columns, key="reasons", title="Tools whose calls run, with the main reason")
    # Once for each reason, as text, which wraps on a phone.
    for reason in dict.fromkeys(str(row["why"]) for row in rows):
        st.markdown(f"- **{escape(reason)}**: {_ADVICE[reason]}")


def _ran(summary: Summary) -> int:
    return summary.outcomes.get("miss", 0) + summary.outcomes.get("bypass", 0)


def _row(name: str, runs: int, summary: Summary) -> dict[str, Any]:
    return {
        "tool": name,
        "ran": runs,
        "hit rate": percent(summary.hit_rate),
        "spent": amount(summary.spent_cost),
        "why": _find_reason(runs, summary),
    }


def _find_reason(runs: int, summary: Summary) -> str:
    """Return the main reason of a tool's runs: one that its events named, or what follows."""
    main = figures.most({name: n for name, n in summary.reasons.items() if name in _ADVICE})
    if main and 2 * summary.reasons[main] >= runs:
        return main
    if summary.hit_rate is None:
        return "no_cache"
    if summary.hit_rate < 0.1:
        return "new questions"
    return main or "first answers"


if __name__ == "__main__":
    draw_live(draw)
