"""Statistics as text, in tables that fit a hundred columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from toolops_plugins.telemetry.formats import (
    NAME_WIDTH,
    cell_width,
    duration,
    money,
    percentage,
    shorten_name,
)
from toolops_plugins.telemetry.report import OTHER_OUTCOMES, SHOWN

if TYPE_CHECKING:
    from toolops_plugins.telemetry.report import StatsSnapshot, ToolReport

__all__ = ["text_of"]

_WIDTH = 100
"""Terminal cells of a table."""
_LEAST_NAME = 20
"""Terminal cells to which a name may be shortened so that a table need not be divided."""


def text_of(snapshot: StatsSnapshot) -> str:
    """Return statistics as text: tables of counts, then of time and money."""
    counts, times = _count_columns(snapshot.total), _time_columns(snapshot.total)
    # A difference has no latencies, and so seldom needs a second table.
    groups = ([*counts, *times],) if snapshot.total.latency.p50 is None else (counts, times)
    tables = [table for columns in groups for table in _tables(snapshot, columns)]
    return "\n\n".join([*(tables if snapshot.tools else ["No calls yet."]), *snapshot.remarks()])


def _tables(snapshot: StatsSnapshot, columns: list[_Column]) -> Iterator[str]:
    """Yield as many tables as the columns need, each with the names of the tools."""
    tools = (*snapshot.tools[:SHOWN], snapshot.total)
    more = len(snapshot.tools) - SHOWN
    rest = [f"... and {more:,} more"] if more > 0 else []
    cells = [[column.title, *map(column.text, tools)] for column in columns]
    needed = [2 + max(map(cell_width, column)) for column in cells]
    names = _names(tools, _WIDTH - sum(needed))
    start = max(map(cell_width, names))
    table, width = [names], start
    for column, more_width in zip(cells, needed, strict=True):
        if len(table) > 1 and width + more_width > _WIDTH:
            yield _table(table, rest)
            table, width = [names], start
        table.append(column)
        width += more_width
    yield _table(table, rest)


def _names(tools: Iterable[ToolReport], room: int) -> list[str]:
    """Return the column of names; shortened where all others then fit beside it."""
    most = room if _LEAST_NAME <= room < NAME_WIDTH else NAME_WIDTH
    return ["tool", *(shorten_name(tool.name, most) for tool in tools)]


def _table(columns: list[list[str]], rest: list[str]) -> str:
    widths = [max(map(cell_width, column)) for column in columns]
    lines = zip(*columns, strict=True)
    texts = ["  ".join(map(_pad, line, widths, range(len(line)))) for line in lines]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([texts[0], rule, *texts[1:-1], *rest, rule, texts[-1]])


def _pad(text: str, width: int, at: int) -> str:
    space = " " * (width - cell_width(text))
    return text + space if at == 0 else space + text


class _Column(NamedTuple):
    title: str
    text: Callable[[ToolReport], str]


def _count_columns(total: ToolReport) -> list[_Column]:
    """Return the columns of counts, without those that are zero for all tools."""
    columns = [
        _Column("calls", lambda tool: f"{tool.calls:,}"),
        _Column("hit rate", lambda tool: percentage(tool.hit_rate)),
    ]
    columns += [_tier_column(label) for label, _ in total.tiers]
    return columns + [_count_column(title) for title in OTHER_OUTCOMES if getattr(total, title)]


def _time_columns(total: ToolReport) -> list[_Column]:
    """Return the columns of time, without the latencies of a difference, and of money if any."""
    columns = []
    if total.latency.p50 is not None:
        columns = [
            _Column("p50", lambda tool: duration(tool.latency.p50)),
            _Column("p95", lambda tool: duration(tool.latency.p95)),
            _Column("p99", lambda tool: duration(tool.latency.p99)),
            _Column("hit p50", lambda tool: duration(tool.hit_latency.p50)),
            _Column("miss p50", lambda tool: duration(tool.miss_latency.p50)),
        ]
    columns.append(_Column("saved time", lambda tool: duration(tool.saved_seconds)))
    if total.saved_price or total.spent:
        columns += [
            _Column("saved cost", lambda tool: money(tool.saved_price)),
            _Column("spent", lambda tool: money(tool.spent)),
        ]
    return columns


def _tier_column(label: str) -> _Column:
    return _Column(
        f"{shorten_name(label)} hits", lambda tool: f"{tool.hits_by_tier.get(label, 0):,}"
    )


def _count_column(title: str) -> _Column:
    return _Column(title, lambda tool: f"{getattr(tool, title):,}")
