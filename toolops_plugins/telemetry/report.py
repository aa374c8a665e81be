"""Reports of a runtime's numbers, as text, as HTML and as plain data.

Money has no currency here: it is in the unit of the policies' prices.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from toolops_plugins.quantiles import Quantiles

__all__ = ["Latency", "StatsSnapshot", "ToolReport", "latencies_of", "total_of"]

_SUMMED = (
    "stale", "coalesced", "misses", "fallbacks", "rejected", "errors", "bypassed", "refreshes",
    "asked", "attempts", "saved_seconds", "saved_price", "spent",
)  # fmt: skip
"""Fields of a report that add up."""
_SHOWN = 30
"""Tools in a text or HTML table; to_dict() has them all."""
_WIDTH = 40
"""Characters of a tool's name in a table."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of the seconds that callers waited; None where there was no call.

    Args:
        p50: The median.
        p95: The bound of 95% of the calls.
        p99: The bound of 99% of the calls.
    """

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class ToolReport:
    """The numbers of one tool, or of all tools together.

    ``calls`` is the sum of hits, stale, coalesced, misses, fallbacks, rejected, errors and
    bypassed. Refreshes are not calls, but their cost is in ``spent``.

    Args:
        name: The tool's name.
        tiers: Hits by the label of the tier that answered, as pairs, in the order of the labels.
        stale: Calls answered by an entry past its freshness.
        coalesced: Calls that shared the answer of a flight under way.
        misses: Calls for which the function ran and returned.
        fallbacks: Calls that the fallback answered.
        rejected: Calls that a policy refused to make.
        errors: Calls that ended with another exception.
        bypassed: Calls for which the function ran without a lookup in the cache.
        refreshes: Runs of the function in the background.
        asked: Calls that asked the cache; see :attr:`hit_rate`.
        attempts: How often the function was started.
        saved_seconds: Time that callers were spared.
        saved_price: Money that was not spent again.
        spent: Money that was spent.
        latency: Of all calls.
        hit_latency: Of the hits.
        miss_latency: Of the misses.
    """

    name: str
    tiers: tuple[tuple[str, int], ...] = ()
    stale: int = 0
    coalesced: int = 0
    misses: int = 0
    fallbacks: int = 0
    rejected: int = 0
    errors: int = 0
    bypassed: int = 0
    refreshes: int = 0
    asked: int = 0
    attempts: int = 0
    saved_seconds: float = 0.0
    saved_price: float = 0.0
    spent: float = 0.0
    latency: Latency = Latency()
    hit_latency: Latency = Latency()
    miss_latency: Latency = Latency()

    @property
    def hits(self) -> int:
        """Fresh answers from any tier."""
        return sum(count for _, count in self.tiers)

    @property
    def hits_by_tier(self) -> dict[str, int]:
        """Fresh answers by the label of the tier that gave them."""
        return dict(self.tiers)

    @property
    def shared(self) -> int:
        """Calls that were answered without a run of their own: hits, stale and coalesced."""
        return self.hits + self.stale + self.coalesced

    @property
    def calls(self) -> int:
        """All calls."""
        ran = self.misses + self.errors + self.bypassed
        return self.shared + ran + self.fallbacks + self.rejected

    @property
    def hit_rate(self) -> float | None:
        """Share of the calls that asked the cache and needed no run of their own.

        Hits, stale and coalesced over all calls with a key that did not bypass the cache. A call
        that asked, got no answer and then failed or was rejected lowers the rate; a call of a tool
        without a cache does not count. None: no call asked.
        """
        return self.shared / self.asked if self.asked else None

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON types; durations in seconds."""
        plain = asdict(self)
        plain["tiers"] = self.hits_by_tier
        return {"calls": self.calls, "hits": self.hits, "hit_rate": self.hit_rate, **plain}


@dataclass(frozen=True, slots=True, repr=False)
class StatsSnapshot:
    """The numbers of a runtime at one moment; printing it gives a table.

    Args:
        tools: One report for each tool that was called, those with the most calls first.
        total: All tools together.
    """

    tools: tuple[ToolReport, ...] = ()
    total: ToolReport = ToolReport("total")

    def __getitem__(self, name: str) -> ToolReport:
        """Return the numbers of one tool; KeyError if it was not called."""
        for tool in self.tools:
            if tool.name == name:
                return tool
        raise KeyError(name)

    def __iter__(self) -> Iterator[ToolReport]:
        return iter(self.tools)

    def __len__(self) -> int:
        return len(self.tools)

    def __bool__(self) -> bool:
        """Return True if anything was counted."""
        return bool(self.tools)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "tools": {tool.name: tool.to_dict() for tool in self.tools},
            "total": self.total.to_dict(),
        }

    def __repr__(self) -> str:
        if not self.tools:
            return "No calls yet."
        # Two tables, since one would not fit a terminal.
        tables = (_count_columns(self.total), [_NAME, *_time_columns(self.total)])
        return "\n\n".join(self._text(columns) for columns in tables)

    def _text(self, columns: list[_Column]) -> str:
        lines = [[column.title for column in columns]]
        lines += [[column.text(tool) for column in columns] for tool in self._rows()]
        widths = [max(_cell_width(line[at]) for line in lines) for at in range(len(columns))]
        texts = ["  ".join(map(_pad, line, widths, range(len(line)))) for line in lines]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join([texts[0], rule, *texts[1:-1], *self._rest(), rule, texts[-1]])

    def _repr_html_(self) -> str:
        """Return the table for a notebook: self-contained, and in the page's own colours."""
        if not self.tools:
            return "<p>No calls yet.</p>"
        columns = _count_columns(self.total) + _time_columns(self.total)
        from html import escape  # noqa: PLC0415 - as in _html_row()

        head = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in columns)
        rows = [_html_row(tool, columns) for tool in self._rows()]
        rest = "".join(
            f'<tr><td colspan="{len(columns)}">{line}</td></tr>' for line in self._rest()
        )
        return (
            f'<div class="toolops-stats"><style>{_STYLE}</style><table><thead><tr>{head}</tr>'
            f"</thead><tbody>{''.join(rows[:-1])}{rest}</tbody><tfoot>{rows[-1]}</tfoot></table></div>"
        )

    def _rows(self) -> tuple[ToolReport, ...]:
        return (*self.tools[:_SHOWN], self.total)

    def _rest(self) -> list[str]:
        more = len(self.tools) - _SHOWN
        return [f"... and {more:,} more"] if more > 0 else []


def total_of(reports: list[ToolReport], sketches: Mapping[str, Quantiles]) -> ToolReport:
    """Return the sum of the reports of all tools, with the latencies of all of them."""
    tiers: Counter[str] = Counter()
    for report in reports:
        tiers.update(report.hits_by_tier)
    sums: dict[str, Any] = {
        field: sum(getattr(report, field) for report in reports) for field in _SUMMED
    }
    return ToolReport("total", tiers=tuple(sorted(tiers.items())), **sums, **latencies_of(sketches))


def latencies_of(sketches: Mapping[str, Quantiles]) -> dict[str, Any]:
    """Return the latencies of a report, by the names of its fields."""
    every = Quantiles()
    for sketch in sketches.values():
        every.merge(sketch)
    return {
        "latency": _latency(every),
        "hit_latency": _latency(sketches.get("hit")),
        "miss_latency": _latency(sketches.get("miss")),
    }


def _latency(sketch: Quantiles | None) -> Latency:
    if sketch is None or not sketch.count:
        return Latency()
    return Latency(sketch.quantile(0.5), sketch.quantile(0.95), sketch.quantile(0.99))


class _Column(NamedTuple):
    title: str
    text: Callable[[ToolReport], str]


_NAME = _Column("tool", lambda tool: _printable_name(tool.name))
_RATE = _Column("hit rate", lambda tool: "-" if tool.hit_rate is None else f"{tool.hit_rate:.1%}")
_REST = (
    "stale", "coalesced", "misses", "fallbacks", "rejected", "errors", "bypassed", "refreshes"
)  # fmt: skip


def _count_columns(total: ToolReport) -> list[_Column]:
    """Return the columns of counts, without those that are zero for all tools."""
    columns = [_NAME, _Column("calls", lambda tool: f"{tool.calls:,}"), _RATE]
    columns += [_tier_column(label) for label, _ in total.tiers]
    return columns + [_count_column(title) for title in _REST if getattr(total, title)]


def _time_columns(total: ToolReport) -> list[_Column]:
    """Return the columns of time and, if there was any, money."""
    columns = [
        _Column("p50", lambda tool: duration(tool.latency.p50)),
        _Column("p95", lambda tool: duration(tool.latency.p95)),
        _Column("p99", lambda tool: duration(tool.latency.p99)),
        _Column("hit p50", lambda tool: duration(tool.hit_latency.p50)),
        _Column("miss p50", lambda tool: duration(tool.miss_latency.p50)),
        _Column("saved time", lambda tool: duration(tool.saved_seconds)),
    ]
    if total.saved_price or total.spent:
        columns += [
            _Column("saved cost", lambda tool: money(tool.saved_price)),
            _Column("spent", lambda tool: money(tool.spent)),
        ]
    return columns


def _tier_column(label: str) -> _Column:
    return _Column(
        f"{_printable_name(label)} hits", lambda tool: f"{tool.hits_by_tier.get(label, 0):,}"
    )


def _count_column(title: str) -> _Column:
    return _Column(title, lambda tool: f"{getattr(tool, title):,}")


def duration(seconds: float | None) -> str:
    """Return a time in a readable unit, to three digits: "45 us", "1.2 ms", "2 min 5 s"."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds == 0:
        return "0 s"
    for unit, size in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        # A number that rounds up to 1000 is written in the next unit; 60 seconds are a minute.
        number = seconds / size
        if number < (59.95 if unit == "s" else 999.5):
            return f"{float(f'{number:.3g}'):g} {unit}"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{seconds / 86400:,.1f} d"


def money(amount: float) -> str:
    """Return an amount without a currency: to two places, or three digits of one below 1."""
    if amount == 0:
        return "0"
    if not 1e-12 < abs(amount) < 0.9995:
        return f"{amount:,.2f}"
    places = 2 - math.floor(math.log10(abs(amount)))
    return f"{amount:.{places}f}".rstrip("0")


def _printable_name(name: str) -> str:
    """Return a name that stays on its line: no control characters, and not too long."""
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
    return plain if len(plain) <= _WIDTH else f"{plain[: _WIDTH - 3]}..."


def _cell_width(text: str) -> int:
    """Return the terminal cells that a text fills; most East Asian letters fill two."""
    import unicodedata  # noqa: PLC0415 - needed for tables only

    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(bool(unicodedata.combining(char)) for char in text)


def _pad(text: str, width: int, at: int) -> str:
    space = " " * (width - _cell_width(text))
    return text + space if at == 0 else space + text


def _html_row(tool: ToolReport, columns: list[_Column]) -> str:
    name, *others = columns
    from html import escape  # noqa: PLC0415 - needed for tables only, and imports all entities

    cells = [f'<th scope="row" title="{escape(tool.name)}">{escape(name.text(tool))}</th>']
    for column in others:
        bar = _bar(tool.hit_rate) if column is _RATE and tool.hit_rate is not None else ""
        cells.append(f"<td>{bar}{escape(column.text(tool))}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _bar(rate: float) -> str:
    return (
        '<svg width="48" height="8" viewBox="0 0 48 8" aria-hidden="true" fill="currentColor">'
        '<rect width="48" height="8" rx="2" opacity=".15"/>'
        f'<rect width="{48 * rate:.1f}" height="8" rx="2" opacity=".7"/></svg>'
    )


# Only currentColor and opacities: the table takes the page's own colours, light or dark.
_STYLE = (
    ".toolops-stats{overflow-x:auto}"
    ".toolops-stats table{border-collapse:collapse;font-size:13px;"
    "font-variant-numeric:tabular-nums}"
    ".toolops-stats th,.toolops-stats td{padding:3px 9px;text-align:right;white-space:nowrap;"
    "background:none;color:inherit}"
    ".toolops-stats th:first-child{text-align:left}"
    ".toolops-stats tbody th,.toolops-stats tfoot td{font-weight:normal}"
    ".toolops-stats thead tr{border-bottom:1px solid currentColor}"
    ".toolops-stats tfoot tr{border-top:1px solid currentColor}"
    ".toolops-stats svg{margin-right:6px}"
)
