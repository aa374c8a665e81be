"""Reports of a runtime's numbers, as plain data; they print as text, and as HTML in a notebook.

Money has no currency here: it is in the unit of the policies' prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.formats import shorten_name

__all__ = [
    "OTHER_OUTCOMES",
    "SHOWN",
    "Latency",
    "StatsSnapshot",
    "ToolReport",
    "latencies_of",
    "total_of",
]

OTHER_OUTCOMES = (
    "stale", "coalesced", "misses", "fallbacks", "rejected", "errors", "bypassed", "refreshes"
)  # fmt: skip
"""Fields of a report that count calls or refreshes, beside the hits of each tier."""
SHOWN = 30
"""Tools in a text or HTML table; to_dict() has them all."""

_SUMMED = (*OTHER_OUTCOMES, "asked", "attempts", "saved_seconds", "saved_price", "spent")
"""Fields of a report that add up."""
_NO_CACHE = "no_cache"
"""The reason of calls of a tool without a cache, which is no trouble."""


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
        reasons: Calls that went past the cache, were not kept or were rejected, by the reason of
            their events, such as "not_canonical".
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
    reasons: Mapping[str, int] = field(default_factory=dict, hash=False)

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
        notices: Notices of trouble by their kind, such as "tier_failed"; see
            :data:`~toolops_plugins.telemetry.events.NoticeKind`.
    """

    tools: tuple[ToolReport, ...] = ()
    total: ToolReport = ToolReport("total")
    notices: Mapping[str, int] = field(default_factory=dict, hash=False)

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
        return bool(self.tools or self.notices)

    def since(self, earlier: StatsSnapshot) -> StatsSnapshot:
        """Return what was counted after an earlier snapshot of the same runtime.

        Tools without a call since then are left out. There are no latencies, since quantiles have
        no difference.

        Args:
            earlier: The earlier snapshot.

        Example:
            >>> from toolops_plugins import ToolOps
            >>> ops = ToolOps("since")
            >>> square = ops.readonly(name="square")(lambda number: number * number)
            >>> square(3), square(3)
            (9, 9)
            >>> before = ops.stats()
            >>> square(3)
            9
            >>> ops.stats().since(before)["square"].hits
            1
        """
        old = {tool.name: tool for tool in earlier.tools}
        tools = [_difference(tool, old.get(tool.name)) for tool in self.tools]
        called = [tool for tool in tools if tool.calls or tool.refreshes]
        called.sort(key=lambda tool: (-tool.calls, tool.name))
        notices = _subtract(self.notices, earlier.notices)
        return StatsSnapshot(tuple(called), total_of(called, {}), notices)

    def remarks(self) -> list[str]:
        """Return a line on the notices, and one on the reasons of calls, where there are any."""
        reasons = {name: count for name, count in self.total.reasons.items() if name != _NO_CACHE}
        counts = {"notices": self.notices, "not from the cache": reasons}
        return [f"{title}: {_list_counts(found)}" for title, found in counts.items() if found]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "tools": {tool.name: tool.to_dict() for tool in self.tools},
            "total": self.total.to_dict(),
            "notices": dict(self.notices),
        }

    def __repr__(self) -> str:
        from toolops_plugins.telemetry.report_text import text_of  # noqa: PLC0415 - for tables only

        return text_of(self)

    def _repr_html_(self) -> str:
        """Return the table for a notebook: self-contained, and in the page's own colours."""
        from toolops_plugins.telemetry.report_html import html_of  # noqa: PLC0415 - for notebooks only

        return html_of(self)


def total_of(reports: list[ToolReport], sketches: Mapping[str, Quantiles]) -> ToolReport:
    """Return the sum of the reports of all tools, with the latencies of all of them."""
    tiers: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for report in reports:
        tiers.update(report.hits_by_tier)
        reasons.update(report.reasons)
    sums: dict[str, Any] = {
        field: sum(getattr(report, field) for report in reports) for field in _SUMMED
    }
    return ToolReport(
        "total",
        tiers=tuple(sorted(tiers.items())),
        reasons=dict(sorted(reasons.items())),
        **sums,
        **latencies_of(sketches),
    )


def _difference(report: ToolReport, earlier: ToolReport | None) -> ToolReport:
    """Return what a tool has counted since an earlier report, without latencies."""
    if earlier is None:
        earlier = ToolReport(report.name)
    tiers = _subtract(report.hits_by_tier, earlier.hits_by_tier)
    sums: dict[str, Any] = {
        field: getattr(report, field) - getattr(earlier, field) for field in _SUMMED
    }
    reasons = _subtract(report.reasons, earlier.reasons)
    return ToolReport(report.name, tiers=tuple(tiers.items()), reasons=reasons, **sums)


def _subtract(counts: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    """Return what was counted since, without what was not counted again."""
    left = {name: count - earlier.get(name, 0) for name, count in counts.items()}
    return {name: count for name, count in left.items() if count}


def _list_counts(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {shorten_name(name)}" for name, count in most[:SHOWN])


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
