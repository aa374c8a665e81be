"""The figures that a live view draws, as plain data with its texts ready to show."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from toolops_plugins.telemetry.formats import duration, money, percentage, shorten_name
from toolops_plugins.telemetry.report import SHOWN, StatsSnapshot, ToolReport
from toolops_plugins.telemetry.report_html import outcomes_of

__all__ = ["Trend", "figures_of"]

_POINTS = 60
_NAME_CELLS = 60


class Trend:
    """Calls a second over the latest intervals, those answered without a run apart.

    Args:
        interval: Seconds between two points; what comes much earlier waits for the next one.
        now: The present, in seconds of a monotonic clock.
    """

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._last = (now, 0, 0)
        self.points: deque[list[float]] = deque(maxlen=_POINTS)

    def add(self, now: float, total: ToolReport) -> None:
        """Add a point for the calls since the last one.

        Args:
            now: The present, on the same clock.
            total: The counts of all tools.
        """
        then, calls, shared = self._last
        seconds = now - then
        if seconds < self._interval / 2:
            return
        answered = max(0, total.shared - shared)
        ran = max(0, total.calls - calls - answered)
        self._last = (now, total.calls, total.shared)
        self.points.append([_round(answered / seconds), _round(ran / seconds)])


def figures_of(
    namespace: str, snapshot: StatsSnapshot, trend: Trend, breakers: Mapping[str, str]
) -> dict[str, Any]:
    """Return the figures of a runtime as JSON types.

    Args:
        namespace: The runtime's namespace.
        snapshot: Its statistics.
        trend: Its latest calls.
        breakers: The states of its breakers by name.
    """
    total = snapshot.total
    tiles = [
        ["calls", f"{total.calls:,}"],
        ["hit rate", percentage(total.hit_rate)],
        ["saved time", duration(total.saved_seconds)],
    ]
    has_money = bool(total.saved_price or total.spent)
    if has_money:
        tiles += [["saved cost", money(total.saved_price)], ["spent", money(total.spent)]]
    titles = ["calls", "hit rate", "saved time", *(["saved cost", "spent"] * has_money)]
    return {
        "namespace": shorten_name(namespace),
        "tiles": tiles,
        "trend": list(trend.points),
        "titles": [*titles, "p50", "p95"],
        "tools": [_row(tool, has_money=has_money) for tool in snapshot.tools[:SHOWN]],
        "more": max(0, len(snapshot.tools) - SHOWN),
        "breakers": [
            f"{shorten_name(name)}: {state.replace('_', ' ')}"
            for name, state in sorted(breakers.items())
            if state != "closed"
        ],
    }


def _row(tool: ToolReport, *, has_money: bool) -> dict[str, Any]:
    cells = [f"{tool.calls:,}", percentage(tool.hit_rate), duration(tool.saved_seconds)]
    if has_money:
        cells += [money(tool.saved_price), money(tool.spent)]
    return {
        "name": shorten_name(tool.name, _NAME_CELLS),
        "rate": tool.hit_rate,
        "cells": [*cells, duration(tool.latency.p50), duration(tool.latency.p95)],
        "outcomes": [[shorten_name(name), count] for name, count in outcomes_of(tool)],
    }


def _round(number: float) -> float:
    """Return a number with three digits, since it is drawn and sent with every update."""
    if number <= 0 or not math.isfinite(number):
        return 0.0
    return float(f"{number:.3g}")
