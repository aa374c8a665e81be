"""The figures of the report, from the sums in a ledger.

The world without ToolOps is computed from real calls: each answer that came from a cache, or from
an equal call under way, counts as the call that it replaced, with the price and the duration of the
call that had made the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from toolops_plugins.telemetry.ledger import LedgerReader, Summary
from toolops_plugins.telemetry.ledger.enclosing import is_counted_twice

__all__ = ["Figures", "Miss", "Prevention", "collect_figures"]

DAY = 86_400.0
_HOUR = 3_600.0
_MONTH = 365.25 / 12 * DAY
_RAN = ("miss", "bypass", "refresh", "error", "fallback")
"""Outcomes of calls whose function may have run."""
_KEYLESS = frozenset(
    ("bad_call", "key_failed", "not_canonical", "scope_not_canonical", "tags_failed")
)
_REFUSED = frozenset(("not_encodable", "too_large", "when_failed", "not_stored"))


@dataclass(frozen=True, slots=True)
class Miss:
    """Calls of one tool, model and agent that were paid for.

    Args:
        tool: The tool.
        model: The model, or "".
        agent: The agent, or "".
        runs: How often the function was run.
        spent: The money that it cost.
        seconds: The time that it took.
        hit_rate: The share of calls that needed no run. None: none asked the cache.
        advice: What may be done about it.
    """

    tool: str
    model: str
    agent: str
    runs: int
    spent: float
    seconds: float
    hit_rate: float | None
    advice: str


@dataclass(frozen=True, slots=True)
class Prevention:
    """The calls that one policy has made good, or has kept from being made.

    Args:
        policy: The policy.
        effect: What it did, for a table.
        count: The number of calls.
        tools: The tools with the most of them, and their numbers.
    """

    policy: str
    effect: str
    count: int
    tools: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Figures:
    """The figures of a span.

    Args:
        place: The ledger's URL, without a password.
        since: The start of the span that was asked for, in seconds since the epoch.
        until: Its end.
        began: The start of the first step with calls, or ``since``.
        step: Seconds of a step of the trend.
        cost: Money that running the service costs a second. None: not told.
        total: All calls.
        tools: The calls by tool.
        models: The calls by model.
        agents: The calls by agent.
        trend: The calls by the start of each step.
        misses: What was paid for most, dearest first.
        prevented: What policies have prevented.
        left_out: Rows that stand for what has made other calls, and are not in the figures.
    """

    place: str
    since: float
    until: float
    began: float
    step: float
    cost: float | None = None
    total: Summary = field(default_factory=Summary)
    tools: dict[str, Summary] = field(default_factory=dict)
    models: dict[str, Summary] = field(default_factory=dict)
    agents: dict[str, Summary] = field(default_factory=dict)
    trend: list[tuple[float, Summary]] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    prevented: list[Prevention] = field(default_factory=list)
    left_out: int = 0

    @property
    def has_money(self) -> bool:
        """True if any call had a price."""
        return bool(self.total.spent_cost or self.total.saved_cost)

    @property
    def seconds(self) -> float:
        """The length of the time with calls."""
        return max(self.until - self.began, 60.0)

    @property
    def seconds_with(self) -> float:
        """Seconds that callers waited."""
        return self.total.waited.total

    @property
    def money_without(self) -> float:
        """Money that would have been spent without ToolOps."""
        return self.total.spent_cost + self.total.saved_cost

    @property
    def seconds_without(self) -> float:
        """Seconds that callers would have waited without ToolOps."""
        return self.seconds_with + self.total.saved_seconds

    @property
    def failures(self) -> int:
        """Calls that ended with an error, or were rejected."""
        return self.total.outcomes.get("error", 0) + self.total.outcomes.get("rejected", 0)

    @property
    def failures_without(self) -> int:
        """Calls that would have failed without retries, stale answers and fallbacks."""
        total = self.total
        return (
            self.failures + total.rescued + total.stale_on_error + total.outcomes.get("fallback", 0)
        )

    @property
    def service_cost(self) -> float | None:
        """Money that running the service has cost in the time with calls; None: not told."""
        return None if self.cost is None else self.cost * self.seconds

    @property
    def monthly_savings(self) -> float | None:
        """Money that is saved in a month at this pace; None for less than a day of calls."""
        if self.seconds < DAY:
            return None
        return self.total.saved_cost / self.seconds * _MONTH

    @property
    def pay_back(self) -> float | None:
        """The savings as a multiple of the service's cost; None without a cost."""
        cost = self.service_cost
        return self.total.saved_cost / cost if cost else None


def collect_figures(
    reader: LedgerReader, since: float, *, cost: float | None = None, top: int = 10
) -> Figures:
    """Return the figures of the time since then.

    Args:
        reader: The ledger's reader.
        since: The start, in seconds since the epoch.
        cost: Money that running the service costs a second. Default None: not told.
        top: The number of the most expensive misses. Default 10.

    Raises:
        LedgerError: The ledger is out of reach.
    """
    until = reader.now()
    since = min(since, until)
    step = DAY if until - since > 2 * DAY else _HOUR
    figures = Figures(reader.place, since, until, since, step, cost)
    cells: list[tuple[tuple[str, str, str], Summary]] = []
    for (tool, model, agent), sums in reader.summaries(
        since, by=("tool", "model", "agent")
    ).items():
        if is_counted_twice(tool):
            figures.left_out += 1
            continue
        cells.append(((tool, model, agent), sums))
        figures.total += sums
        for rows, name in (
            (figures.tools, tool),
            (figures.models, model),
            (figures.agents, agent),
        ):
            if name:
                row = rows.setdefault(name, Summary())
                row += sums
    for rows in (figures.tools, figures.models, figures.agents):
        ordered = sorted(rows.items(), key=lambda row: (-_weight(row[1]), -row[1].calls, row[0]))
        rows.clear()
        rows.update(ordered)
    figures.trend = _trend(reader, since, step)
    figures.began = next((max(at, since) for at, sums in figures.trend if sums.outcomes), since)
    figures.misses = _misses(cells, top)
    figures.prevented = list(_preventions(figures.tools, figures.total))
    return figures


def _weight(sums: Summary) -> float:
    return sums.saved_cost + sums.spent_cost


def _trend(reader: LedgerReader, since: float, step: float) -> list[tuple[float, Summary]]:
    return [
        (at, Summary.merge(sums for (tool,), sums in rows.items() if not is_counted_twice(tool)))
        for at, rows in reader.series(since, step=step, by=("tool",))
    ]


def _misses(cells: Iterable[tuple[tuple[str, str, str], Summary]], top: int) -> list[Miss]:
    found = []
    for (tool, model, agent), sums in cells:
        runs = sum(sums.outcomes.get(name, 0) for name in _RAN)
        seconds = sums.worked.total
        if runs:
            found.append(
                Miss(
                    tool,
                    model,
                    agent,
                    runs,
                    sums.spent_cost,
                    seconds,
                    sums.hit_rate,
                    _advice(sums),
                )
            )
    paid = any(miss.spent for miss in found)
    found.sort(key=lambda miss: (-(miss.spent if paid else miss.seconds), -miss.runs, miss.tool))
    return [miss for miss in found if miss.spent or not paid][:top]


def _advice(sums: Summary) -> str:
    """Return what may be done so that fewer calls are paid for."""
    reasons = Counter(sums.reasons)
    reason = next((name for name, _ in reasons.most_common() if name in _KEYLESS | _REFUSED), "")
    often = reasons[reason] * 2 > sum(sums.outcomes.get(name, 0) for name in _RAN)
    if often and reason in _KEYLESS:
        return f"no key can be made ({reason}): see the log"
    if often:
        return f"results are not kept ({reason}): see the log"
    if not sums.asked:
        return "has no cache"
    if (sums.hit_rate or 0.0) < 0.2:
        return "is seldom asked the same: a longer ttl, or semantic=?"
    return ""


def _preventions(tools: Mapping[str, Summary], total: Summary) -> Iterable[Prevention]:
    def outcome(name: str) -> dict[str, int]:
        return {tool: sums.outcomes.get(name, 0) for tool, sums in tools.items()}

    def reason(name: str) -> dict[str, int]:
        return {tool: sums.reasons.get(name, 0) for tool, sums in tools.items()}

    def number(name: str) -> dict[str, int]:
        return {tool: getattr(sums, name) for tool, sums in tools.items()}

    retries = f"failures that another attempt made good ({total.retried:,} were tried again)"
    for policy, effect, counts in (
        ("retry", retries, number("rescued")),
        ("stale_if_error", "failures that a stale answer stood in for", number("stale_on_error")),
        ("fallback", "failures that the fallback answered", outcome("fallback")),
        ("coalesce", "equal calls at the same time, made once", outcome("coalesced")),
        ("hedge", "slow calls that a second attempt raced", number("hedged")),
        ("breaker", "calls kept away from a service that was down", reason("circuit_open")),
        ("rate_limit", "calls over the limit, not made", reason("rate_limited")),
        ("bulkhead", "calls over the bulkhead's places, not made", reason("bulkhead_full")),
        ("threads", "calls that found no free thread, not made", reason("thread_pool_full")),
    ):
        most = Counter({tool: count for tool, count in counts.items() if count})
        if most:
            yield Prevention(policy, effect, most.total(), tuple(most.most_common(3)))
