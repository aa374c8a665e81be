"""Statistics as a table for notebooks that fits a thousand pixels.

The money and the time that were saved stand left of the latencies, where they are seen at once.
How calls were answered is a line under each tool, without the outcomes that never occurred: twelve
more columns would fit no page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from toolops_plugins.telemetry.formats import duration, money, percentage, shorten_name
from toolops_plugins.telemetry.html_theme import TABLE, style_element
from toolops_plugins.telemetry.report import OTHER_OUTCOMES, SHOWN

if TYPE_CHECKING:
    from toolops_plugins.telemetry.report import StatsSnapshot, ToolReport

__all__ = ["html_of", "outcomes_of"]

_NAME_CELLS = 80
_BREAKS = re.compile(r"([._])(?=\w)")
"""Places at which a long name may be broken."""
_TROUBLE = frozenset({"rejected", "error", "errors"})
_ONE = {
    "misses": "miss",
    "fallbacks": "fallback",
    "errors": "error",
    "refreshes": "refresh",
}
_STYLE = """
.toolops-stats { overflow-x: auto; container-type: inline-size; line-height: 1.4;
  font-size: 13px; }
.toolops-stats th, .toolops-stats td { padding: 5px 8px 0; text-align: right; vertical-align: top;
  white-space: nowrap; font-weight: normal; font-variant-numeric: tabular-nums; }
.toolops-stats caption { caption-side: top; text-align: left; padding: 0 0 2px; color: inherit;
  font-weight: 600; white-space: normal; }
.toolops-stats thead th { padding-bottom: 3px; vertical-align: bottom; white-space: normal;
  opacity: .7; }
.toolops-stats .toolops-name { padding-left: 0; text-align: left !important; white-space: normal;
  overflow-wrap: anywhere; min-width: 10em; max-width: 24em; }
.toolops-stats td.toolops-outcomes { padding: 0 8px 2px 0; text-align: left !important;
  white-space: normal; max-width: 0; font-size: 11px;
  color: color-mix(in srgb, currentcolor 75%, transparent); }
.toolops-stats .toolops-outcomes b { font-weight: 600; color: var(--toolops-red); }
.toolops-stats .toolops-saved { font-weight: 600; }
.toolops-stats thead tr { border-bottom: 1px solid var(--toolops-line) !important; }
.toolops-stats tfoot tr:first-child { border-top: 1px solid var(--toolops-line) !important; }
.toolops-stats svg { margin-right: 6px; vertical-align: baseline; }
.toolops-stats rect { fill: var(--toolops-green); }
.toolops-stats rect:first-child { fill: var(--toolops-shade); }
@container (max-width: 800px) {
  .toolops-stats svg { display: none; }
  .toolops-stats th, .toolops-stats td { padding-left: 3px; padding-right: 4px; }
}
"""


class _Column(NamedTuple):
    title: str
    hint: str
    text: Callable[[ToolReport], str]
    css: str = ""


_CALLS = _Column("calls", "", lambda tool: f"{tool.calls:,}")
_RATE = _Column(
    "hit rate",
    "Of the calls that asked the cache: those that needed no run of their own",
    lambda tool: percentage(tool.hit_rate),
)
_SAVED_TIME = _Column(
    "saved time",
    "Time that callers were spared",
    lambda tool: duration(tool.saved_seconds),
    "toolops-saved",
)
_MONEY = (
    _Column(
        "saved cost",
        "Money that was not spent again",
        lambda tool: money(tool.saved_price),
        "toolops-saved",
    ),
    _Column("spent", "Money that was spent", lambda tool: money(tool.spent)),
)
_LATENCIES = (
    _Column("p50", "Half of all calls took at most", lambda tool: duration(tool.latency.p50)),
    _Column("p95", "95% of all calls took at most", lambda tool: duration(tool.latency.p95)),
    _Column("p99", "99% of all calls took at most", lambda tool: duration(tool.latency.p99)),
    _Column(
        "hit p50", "Half of the hits took at most", lambda tool: duration(tool.hit_latency.p50)
    ),
    _Column(
        "miss p50", "Half of the misses took at most", lambda tool: duration(tool.miss_latency.p50)
    ),
)


def html_of(snapshot: StatsSnapshot, title: str = "") -> str:
    """Return statistics as HTML that stands alone.

    Args:
        snapshot: The statistics.
        title: Stands above the table. Default "".
    """
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in snapshot.remarks())
    if not snapshot.tools:
        return f"<p>No calls yet.</p>{remarks}"
    columns = _columns(snapshot.total)
    head = "".join(
        f'<th scope="col"{_attribute("title", column.hint)}>{escape(column.title)}</th>'
        for column in columns
    )
    body = "".join(_row(tool, columns) for tool in snapshot.tools[:SHOWN])
    if len(snapshot.tools) > SHOWN:
        line = f"... and {len(snapshot.tools) - SHOWN:,} more"
        body += f'<tr><td class="toolops-name" colspan="{len(columns) + 1}">{line}</td></tr>'
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    whole = (
        f'<div class="toolops-stats">{style_element(".toolops-stats", _STYLE)}{TABLE}{caption}'
        f'<thead><tr><th scope="col" class="toolops-name">tool</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody><tfoot>{_row(snapshot.total, columns)}</tfoot></table>"
        f"{remarks}</div>"
    )
    # Names may hold halves of surrogate pairs, which no page can be made of.
    return whole.encode("utf-8", "replace").decode()


def outcomes_of(tool: ToolReport) -> list[tuple[str, int]]:
    """Return how the calls of a tool were answered, without what never occurred.

    Returns:
        Pairs such as ("L1 hits", 15), ("coalesced", 2), ("miss", 1).
    """
    named = [(f"{label} hit{'s' if count > 1 else ''}", count) for label, count in tool.tiers]
    named += [(name, getattr(tool, name)) for name in OTHER_OUTCOMES]
    return [(_ONE.get(name, name) if count == 1 else name, count) for name, count in named if count]


def _columns(total: ToolReport) -> list[_Column]:
    columns = [_CALLS, _RATE, _SAVED_TIME]
    if total.saved_price or total.spent:
        columns += _MONEY
    # A difference of two snapshots has no latencies.
    return columns if total.latency.p50 is None else [*columns, *_LATENCIES]


def _row(tool: ToolReport, columns: list[_Column]) -> str:
    """Return two table rows: the figures of a tool, and how its calls were answered."""
    shown = _BREAKS.sub(r"\1<wbr/>", escape(shorten_name(tool.name, _NAME_CELLS)))
    cells = [f'<th scope="row" class="toolops-name" title="{escape(tool.name)}">{shown}</th>']
    for column in columns:
        bar = _bar(tool.hit_rate) if column is _RATE and tool.hit_rate is not None else ""
        css = _attribute("class", column.css)
        cells.append(f"<td{css}>{bar}{escape(column.text(tool))}</td>")
    outcomes = " \N{MIDDLE DOT} ".join(_outcome(*each) for each in outcomes_of(tool))
    return (
        f"<tr>{''.join(cells)}</tr>"
        f'<tr><td class="toolops-outcomes" colspan="{len(columns) + 1}">{outcomes}</td></tr>'
    )


def _outcome(name: str, count: int) -> str:
    text = escape(f"{count:,} {shorten_name(name)}")
    return f"<b>{text}</b>" if name in _TROUBLE else text


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escape(value)}"' if value else ""


def _bar(rate: float) -> str:
    return (
        '<svg width="40" height="8" viewBox="0 0 40 8" aria-hidden="true">'
        '<rect width="40" height="8" rx="2"/>'
        f'<rect width="{40 * rate:.1f}" height="8" rx="2"/></svg>'
    )
