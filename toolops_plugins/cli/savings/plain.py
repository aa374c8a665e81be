"""The report as plain data, for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from toolops_plugins.cli.savings.figures import Figures
from toolops_plugins.cli.savings.wording import Wording, explain
from toolops_plugins.telemetry.ledger import Summary

__all__ = ["plain_of"]


def plain_of(figures: Figures, words: Wording) -> dict[str, Any]:
    """Return the report as plain JSON types; times are in seconds, moments since the epoch."""
    total = figures.total
    return {
        "ledger": figures.place,
        "since": figures.since,
        "until": figures.until,
        "first_calls": figures.began,
        "total": total.to_dict(),
        "money": {
            "spent": total.spent_cost,
            "without": figures.money_without,
            "saved": total.saved_cost,
            "saved_a_month": figures.monthly_savings,
            "service": figures.service_cost,
            "pay_back": figures.pay_back,
        },
        "seconds": {
            "waited": figures.seconds_with,
            "without": figures.seconds_without,
            "saved": total.saved_seconds,
        },
        "failures": {"ended": figures.failures, "without": figures.failures_without},
        "tools": _rows(figures.tools),
        "models": _rows(figures.models),
        "agents": _rows(figures.agents),
        "prevented": [asdict(each) for each in figures.prevented],
        "misses": [asdict(each) for each in figures.misses],
        "trend": [
            {
                "at": at,
                "calls": sums.calls,
                "hit_rate": sums.hit_rate,
                "saved_cost": sums.saved_cost,
                "spent_cost": sums.spent_cost,
                "saved_seconds": sums.saved_seconds,
            }
            for at, sums in figures.trend
        ],
        "how": list(explain(figures, words)),
    }


def _rows(rows: Mapping[str, Summary]) -> dict[str, Any]:
    return {name: sums.to_dict() for name, sums in rows.items()}
