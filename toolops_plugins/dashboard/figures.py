"""Rows for charts and tables, computed from the sums of the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from toolops_plugins.dashboard.colors import OUTCOME_COLORS, palette
from toolops_plugins.dashboard.formats import amount, wait
from toolops_plugins.dashboard.view import View
from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.ledger import Summary

__all__ = [
    "calls_by_outcome",
    "count_failures",
    "latencies",
    "money_by_time",
    "most",
    "outcomes_in",
    "quantile_rows",
    "total",
]

Series = Sequence[tuple[float, Mapping[tuple[str, ...], Summary]]]
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_FAILURES: Final = ("error", "rejected", "fallback")


def total(groups: Mapping[tuple[str, ...], Summary]) -> Summary:
    """Return the sum of all groups."""
    return Summary.merge(groups.values())


def count_failures(summary: Summary) -> int:
    """Return the number of calls that got no answer of the function or the cache."""
    return sum(summary.outcomes.get(name, 0) for name in _FAILURES)


def outcomes_in(names: Iterable[str]) -> list[str]:
    """Return outcomes in the order of the charts: answers of the cache first, trouble last."""
    present = set(names)
    known = [name for name in OUTCOME_COLORS if name in present]
    return known + sorted(present.difference(known))


def _steps(series: Series, view: View) -> Iterator[tuple[float, float, Summary]]:
    """Yield each step of a window with its sum, those without a call too."""
    step = view.window.step
    sums = {at: total(groups) for at, groups in series}
    at: float = view.since // step * step
    while at < view.now:
        yield at, min(at + step, view.now), sums.get(at) or Summary()
        at += step


def calls_by_outcome(series: Series, view: View) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the rows of calls a minute by outcome, and the colours of the outcomes."""
    steps = list(_steps(series, view))
    names = outcomes_in(name for _, _, summary in steps for name in summary.outcomes)
    rows = []
    for start, end, summary in steps:
        # The minute that is under way is as long as it has lasted, but not so short that it leaps.
        minutes = max(end - start, 30) / 60
        for name in names:
            rate = summary.outcomes.get(name, 0) / minutes
            rows.append(
                {
                    "start": start,
                    "end": start + view.window.step,
                    "name": name,
                    "value": rate,
                    "text": f"{rate:,.1f}",
                }
            )
    return rows, palette(names)


def money_by_time(series: Series, view: View) -> list[dict[str, Any]]:
    """Return the rows of money spent and saved: together, what would have been spent."""
    return [
        {
            "start": start,
            "end": start + view.window.step,
            "name": name,
            "value": value,
            "text": amount(value),
        }
        for start, _, summary in _steps(series, view)
        for name, value in (("saved", summary.saved_cost), ("spent", summary.spent_cost))
    ]


def latencies(series: Series, view: View, field: str) -> list[dict[str, Any]]:
    """Return the rows of the quantiles of "waited" or "worked" over time."""
    rows = []
    for start, _, summary in _steps(series, view):
        sketch: Quantiles = getattr(summary, field)
        for name, q in QUANTILES.items():
            value = sketch.quantile(q)
            rows.append({"start": start, "name": name, "value": value, "text": wait(value)})
    return rows


def quantile_rows(now: Summary, before: Summary) -> list[dict[str, str]]:
    """Return the quantiles of callers and of the function, each beside that of the time before."""
    sketches = {
        "callers": now.waited,
        "callers before": before.waited,
        "function": now.worked,
        "function before": before.worked,
    }
    return [
        {"": name, **{column: wait(sketch.quantile(q)) for column, sketch in sketches.items()}}
        for name, q in QUANTILES.items()
    ]


def most(counts: Mapping[str, int]) -> str:
    """Return the name with the largest count, and "" if there is none."""
    return next((name for name, _ in Counter(counts).most_common(1)), "")
