"""The result of a replay, and its assumptions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from toolops_plugins import check
from toolops_plugins.audit.log_reader import Broken, Columns
from toolops_plugins.audit.sketches import Distinct

__all__ = ["Assumed", "Marked", "Result", "Wasted"]


@dataclass(frozen=True, slots=True)
class Assumed:
    """The assumptions of a replay.

    Args:
        price: Cost of a call, if the log does not have it. Default 0.002.
        latency: Duration of a call in seconds, if the log does not have it. Default 1.
        ttl: Lifetime of an answer in seconds; used if the log has times. None: unlimited. Default
            3,600.
        max_items: Largest number of answers in memory. Default 10,000.
        normalize: Whether texts that differ only in case and white space are equal. Default False,
            as in the cache itself.
        redis: URL of a Redis tier below the memory. Default None.

    Raises:
        ConfigurationError: A value is invalid. The error names the option.
    """

    price: float = 0.002
    latency: float = 1.0
    ttl: float | None = 3_600.0
    max_items: int = 10_000
    normalize: bool = False
    redis: str | None = None

    def __post_init__(self) -> None:
        check.amount("--price", self.price)
        check.seconds("--latency", self.latency)
        if self.ttl is not None:
            check.seconds("--ttl", self.ttl, zero=False)
        check.count("--max-items", self.max_items)


class Wasted(NamedTuple):
    """A question that was paid for repeatedly.

    Args:
        question: The text, shortened.
        asked: Number of calls, at least.
        exact: Whether that number is exact.
        money: Cost of all calls except the first.
    """

    question: str
    asked: int
    exact: bool
    money: float


@dataclass(slots=True)
class Marked:
    """Misses whose text contains something that makes each call unique.

    Args:
        calls: Number of calls.
        first: Number of the first line.
        example: The unique text in that line.
        distinct: Counts the texts that differ without it.
    """

    calls: int
    first: int
    example: str
    distinct: Distinct = field(default_factory=lambda: Distinct(4_096))

    @property
    def repeats(self) -> int:
        """Number of calls that would have been repeats without it."""
        return max(0, self.calls - self.distinct.count)


@dataclass(slots=True)
class Result:
    """The counts of a replay. Every call is a hit, coalesced, a miss, empty or a bypass.

    Args:
        assumed: The assumptions.
        columns: The fields of the log.
        calls: Number of calls.
        hits: Hits, by the label of the tier.
        coalesced: Calls that would have joined an equal call.
        bursts: Calls that at least one other would have joined.
        waited: Seconds that coalesced calls would have waited.
        misses: Misses.
        empty: Calls without a question; they reach the callee.
        bypassed: Calls without a key, by reason; they reach the callee.
        tools: Calls and answered calls by tool.
        marked: Misses made unique by their text, by kind.
        backwards: Calls that are earlier than the one before.
        broken: Number of unreadable lines.
        broken_lines: The first unreadable lines.
        trouble: Number of failures of Redis.
        interrupted: Whether the log was not read to its end.
        distinct: Number of different calls; see ``exact``.
        exact: Whether that number is exact.
        evictions: Answers evicted from memory.
        wasted: The questions that were paid for most often.
        unmeasured: Calls without a readable cost or latency, by field.
        spent: Cost of all calls, and of those that would have been made, from the log.
        took: Seconds of all calls, and of those that would have been made, from the log.
    """

    assumed: Assumed
    columns: Columns
    calls: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    coalesced: int = 0
    bursts: int = 0
    waited: float = 0.0
    misses: int = 0
    empty: int = 0
    bypassed: Counter[str] = field(default_factory=Counter)
    tools: dict[str, list[int]] = field(default_factory=dict)
    marked: dict[str, Marked] = field(default_factory=dict)
    backwards: int = 0
    broken: int = 0
    broken_lines: list[Broken] = field(default_factory=list)
    trouble: int = 0
    interrupted: bool = False
    distinct: int = 0
    exact: bool = True
    evictions: int = 0
    wasted: list[Wasted] = field(default_factory=list)
    unmeasured: Counter[str] = field(default_factory=Counter)
    spent: list[float] = field(default_factory=lambda: [0.0, 0.0])
    took: list[float] = field(default_factory=lambda: [0.0, 0.0])

    @property
    def answers(self) -> int:
        """Calls that would not have reached the callee."""
        return self.hits.total() + self.coalesced

    @property
    def remaining_calls(self) -> int:
        """Calls that would have reached the callee."""
        return self.calls - self.answers

    @property
    def hit_rate(self) -> float:
        """Share of calls that would not have reached the callee."""
        return self.answers / self.calls if self.calls else 0.0

    @property
    def money(self) -> tuple[float, float]:
        """Cost of all calls without the cache, and with it."""
        if self.columns.cost is not None:
            return self.spent[0], self.spent[1]
        return self.calls * self.assumed.price, self.remaining_calls * self.assumed.price

    @property
    def waits(self) -> tuple[float, float]:
        """Seconds that callers waited without the cache, and would have waited with it."""
        if self.columns.latency is not None:
            return self.took[0], self.took[1] + self.waited
        return self.calls * self.assumed.latency, self.seconds

    @property
    def seconds(self) -> float:
        """Seconds that callers would have waited, with the cache."""
        if self.columns.latency is not None:
            return self.took[1] + self.waited
        return self.remaining_calls * self.assumed.latency + self.waited
