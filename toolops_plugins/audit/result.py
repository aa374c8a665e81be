"""The figures of a replay, and the assumptions behind them."""

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
    """What a replay takes for granted.

    Args:
        price: Money that each call costs which reaches the callee, where the log does not say it.
            Default 0.002.
        latency: Seconds that it takes, where the log does not say it. Default 1.
        ttl: Seconds for which an answer is good; it counts only where the log has times. None: for
            ever. Default 3,600.
        max_items: Answers that the memory holds. Default 10,000.
        normalize: Whether texts that differ only in case and white space are equal. Default False:
            they are not, as in the cache itself.
        redis: URL of a Redis to put under the memory, or None.

    Raises:
        ConfigurationError: A value is wrong; it names the option.
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
    """A question that was paid for again and again.

    Args:
        question: Its text, shortened.
        asked: How often it was asked, at least.
        exact: Whether that is the exact number.
        money: What all calls but the first cost.
    """

    question: str
    asked: int
    exact: bool
    money: float


@dataclass(slots=True)
class Marked:
    """Calls that missed and hold something that makes each of them unique.

    Args:
        calls: How many.
        first: Number of the first line.
        example: What it holds.
        distinct: How many would be left if it were taken out.
    """

    calls: int
    first: int
    example: str
    distinct: Distinct = field(default_factory=lambda: Distinct(4_096))

    @property
    def repeats(self) -> int:
        """How many of them would have been repeats without it."""
        return max(0, self.calls - self.distinct.count)


@dataclass(slots=True)
class Result:
    """What a replay has counted. Every call is a hit, coalesced, a miss, empty or a bypass.

    Args:
        assumed: What was taken for granted.
        columns: Which fields hold what.
        calls: Calls in all.
        hits: Answered by a tier, by its label.
        coalesced: Would have joined an equal call under way.
        bursts: Calls under way that at least one other would have joined.
        waited: Seconds that those who joined would have waited.
        misses: Had to be made.
        empty: Had no question, and had to be made.
        bypassed: Had to be made since they have no key, by the reason.
        tools: Calls and answered calls by tool.
        marked: By what they hold that makes them unique.
        backwards: Calls that were earlier than the one before.
        broken: How many lines could not be read.
        broken_lines: The first of them.
        trouble: How often Redis failed.
        interrupted: Whether the log was not read to its end.
        distinct: How many different calls there were; see ``exact``.
        exact: Whether that number is exact.
        evictions: Answers that had to make room for others.
        wasted: The questions that were paid for most often.
        unmeasured: Calls without a readable cost or latency, by the field.
        spent: What all calls cost, and those that would have been made, by the log.
        took: Seconds that all calls took, and those that would have been made, by the log.
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
        """Calls that would have reached it."""
        return self.calls - self.answers

    @property
    def hit_rate(self) -> float:
        """Answered calls as a share of all."""
        return self.answers / self.calls if self.calls else 0.0

    @property
    def money(self) -> tuple[float, float]:
        """What all calls cost without the cache, and with it."""
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
