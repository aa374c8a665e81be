"""Decisions of the semantic cache: similarities, verdicts, and errors against the bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from toolops_plugins.dashboard import charts, reading
from toolops_plugins.dashboard.colors import DECISION_COLORS
from toolops_plugins.dashboard.formats import count, share
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
from toolops_plugins.telemetry.ledger import Decisions

_MEANINGS: Final = {
    "served": "answered by a stored answer to a similar question",
    "audited": "similar enough, but asked again to measure the error",
    "below_threshold": "the nearest question was not similar enough",
    "vetoed": "similar, but a guard saw a difference that matters",
    "too_risky": "the estimated error was above what the bound allows",
    "unconfirmed": "a judge did not confirm that both ask the same",
    "nothing_near": "no stored question was near",
    "cold": "too little was known to decide",
}
_NEAR: Final = 5  # hundredths below the least similarity that was served: a near miss


def draw(view: View) -> None:
    """Draw the page once."""
    found = reading.decisions(view.since, view.where)
    every = Decisions()
    for decisions in found.values():
        every += decisions
    if not every.total:
        draw_nothing(
            f"No question was compared by meaning in the last {view.window.words}. A runtime does "
            "so with ToolOps(semantic=SemanticCache(...)), for tools with Semantic(...)."
        )
        return
    _draw_cards(every)
    draw_title("Similarity of the nearest question")
    rows = _similarities(every)
    if rows:
        charts.draw_histogram(
            rows, DECISION_COLORS, key="similarities", title="Questions by similarity"
        )
        near = _near_misses(every)
        if near:
            st.caption(
                f"{near:,} refused questions were as similar as ones that were served, or nearly. "
                "Texts are not stored in the ledger: ops.explain() shows why one was refused."
            )
    _draw_verdicts(every)
    draw_title("Errors by tool", "Estimated by the learner, measured by asking the function again.")
    _draw_tools(found)


def _draw_cards(every: Decisions) -> None:
    served = every.verdicts.get("served", 0)
    with st.grid(5, min_column_width=150):
        card("Questions", count(every.total))
        card("Served", share(served / every.total), note=f"{served:,} questions.")
        card("Estimated error", share(every.estimated_error), note="Of the answers served.")
        card(
            "Measured error",
            share(every.measured_error),
            note=f"{every.wrong:,} of {every.checked:,} answers that were checked.",
        )
        card("Bound", share(every.bound), note="The share of errors that you allow.")
    bound, measured = every.bound, every.measured_error
    if bound is not None and measured is not None and measured > bound and every.checked >= 50:
        st.error(
            "The measured error is above the bound. Look at the tools below; a higher threshold or "
            "a lower bound makes the cache serve less.",
            icon=":material/warning:",
        )


def _similarities(every: Decisions) -> list[dict[str, Any]]:
    """Return the rows of the histogram, from the least similarity on, without gaps."""
    percents = [*every.served, *every.refused]
    if not percents:
        return []
    return [
        {
            "low": percent / 100,
            "high": (percent + 1) / 100,
            "name": name,
            "value": counts.get(percent, 0),
        }
        for percent in range(min(percents), max(percents) + 1)
        for name, counts in (("served", every.served), ("refused", every.refused))
    ]


def _near_misses(every: Decisions) -> int:
    if not every.served:
        return 0
    least = min(every.served) - _NEAR
    return sum(number for percent, number in every.refused.items() if percent >= least)


def _draw_verdicts(every: Decisions) -> None:
    draw_title("Verdicts")
    verdicts = Counter(every.verdicts)
    rows: list[dict[str, Any]] = [
        {
            "verdict": name,
            "questions": number,
            "share": percent(number / every.total),
            "meaning": _MEANINGS.get(name, ""),
        }
        for name, number in verdicts.most_common()
    ]
    columns: dict[str, Any] = {
        "verdict": "verdict",
        "questions": count_column("questions"),
        "share": rate_column("share"),
        "meaning": st.column_config.TextColumn("meaning", width="large"),
    }
    draw_table(rows, columns, key="verdicts", title="Decisions by verdict")


def _draw_tools(found: Mapping[tuple[str, ...], Decisions]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "tool": key[0],
            "questions": decisions.total,
            "served": decisions.verdicts.get("served", 0),
            "estimated": share(decisions.estimated_error),
            "measured": share(decisions.measured_error),
            "checked": decisions.checked,
            "bound": share(decisions.bound),
        }
        for key, decisions in sorted(found.items(), key=lambda item: -item[1].total)
    ]
    columns: dict[str, Any] = {
        "tool": "tool",
        "questions": count_column("questions"),
        "served": count_column("served"),
        "estimated": "estimated error",
        "measured": "measured error",
        "checked": count_column("answers checked"),
        "bound": "bound",
    }
    draw_table(rows, columns, key="errors", title="Errors by tool")


if __name__ == "__main__":
    draw_live(draw)
