"""The sums of a ledger: those of calls, and those of the semantic cache's decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, Self, TypeAlias, get_args

from toolops_plugins.quantiles import Quantiles

__all__ = ["DIMENSIONS", "Cell", "Decisions", "Dimension", "Summary"]

Dimension: TypeAlias = Literal["namespace", "tool", "kind", "model", "agent"]
"""A property of calls that sums are told apart by."""

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


class Cell(NamedTuple):
    """The properties of calls that are summed together.

    Args:
        namespace: The runtime's namespace.
        tool: The tool's name.
        kind: "tool", "chat", "text_completion" or "embeddings".
        model: The model that was asked for; "" without one.
        agent: The agent that called; "" if unknown.
    """

    namespace: str
    tool: str
    kind: str = "tool"
    model: str = ""
    agent: str = ""


_NUMBERS = (
    "asked", "attempts", "retried", "rescued", "hedged", "stale_on_error", "saved_seconds",
    "saved_cost", "spent_cost", "input_tokens", "output_tokens", "saved_tokens",
)  # fmt: skip
_COUNTS = ("outcomes", "tiers", "reasons", "errors")
# A stored record is read by the thousand, so its names are short.
_SHORT = {"o": "outcomes", "t": "tiers", "r": "reasons", "e": "errors"}


def add_counts(into: dict[str, Any], counts: Mapping[str, Any]) -> None:
    """Add numbers to those of the same names."""
    for name, number in counts.items():
        into[name] = into.get(name, 0) + number


@dataclass(slots=True)
class Summary:
    """The sums of calls. Not thread-safe.

    Args:
        outcomes: Calls by outcome, and the refreshes, which are no calls.
        tiers: Hits by the label of the tier that answered.
        reasons: Calls by the reason of a bypass, of a rejection, or of a result that is not kept.
        errors: Calls by the type name of the error.
        waited_buckets: Calls by the bucket of the seconds that their callers waited; see
            :meth:`Quantiles.buckets`.
        worked_buckets: Calls by the bucket of the seconds that the function took.
        asked: Calls that asked the cache.
        attempts: How often the functions were started.
        retried: Calls that were tried again after a failure.
        rescued: Those of them that returned in the end.
        hedged: Calls with a second attempt beside the first.
        stale_on_error: Calls that a stale answer answered in place of an error.
        saved_seconds: Seconds that callers were spared.
        saved_cost: Money that was not spent again. It has no currency of its own.
        spent_cost: Money that was spent.
        input_tokens: Tokens that were sent to models.
        output_tokens: Tokens that models wrote.
        saved_tokens: Tokens, of both sorts, of the answers that were not asked for again.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    tiers: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    waited_buckets: dict[str, int] = field(default_factory=dict)
    worked_buckets: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    attempts: int = 0
    retried: int = 0
    rescued: int = 0
    hedged: int = 0
    stale_on_error: int = 0
    saved_seconds: float = 0.0
    saved_cost: float = 0.0
    spent_cost: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    saved_tokens: int = 0

    @property
    def calls(self) -> int:
        """All calls; refreshes are none."""
        return sum(self.outcomes.values()) - self.outcomes.get("refresh", 0)

    @property
    def hits(self) -> int:
        """Fresh answers from any tier."""
        return self.outcomes.get("hit", 0)

    @property
    def shared(self) -> int:
        """Calls that were answered without a run of their own: hits, stale and coalesced."""
        outcomes = self.outcomes
        return outcomes.get("hit", 0) + outcomes.get("stale", 0) + outcomes.get("coalesced", 0)

    @property
    def hit_rate(self) -> float | None:
        """Share of the calls that asked the cache and needed no run of their own.

        As :attr:`ToolReport.hit_rate <toolops_plugins.telemetry.report.ToolReport.hit_rate>`. None:
        no call asked.
        """
        return self.shared / self.asked if self.asked else None

    @property
    def waited(self) -> Quantiles:
        """The seconds that callers waited; a new histogram at each access."""
        return Quantiles.from_buckets(self.waited_buckets)

    @property
    def worked(self) -> Quantiles:
        """The seconds that the functions took; a new histogram at each access."""
        return Quantiles.from_buckets(self.worked_buckets)

    def __iadd__(self, other: Summary) -> Self:
        """Add the sums of other calls."""
        for name in (*_COUNTS, "waited_buckets", "worked_buckets"):
            add_counts(getattr(self, name), getattr(other, name))
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    @staticmethod
    def merge(summaries: Iterable[Summary]) -> Summary:
        """Return the sum of several."""
        merged = Summary()
        for summary in summaries:
            merged += summary
        return merged

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Add the sums of a stored record; see :meth:`to_record`."""
        for short, counts in record.items():
            if short == "n":
                for name, number in counts.items():
                    if name in _NUMBER_SET:  # a later version may have more
                        setattr(self, name, getattr(self, name) + number)
            elif short == "w":
                add_counts(self.waited_buckets, counts)
            elif short == "k":
                add_counts(self.worked_buckets, counts)
            elif short in _SHORT:
                add_counts(getattr(self, _SHORT[short]), counts)

    def to_record(self) -> dict[str, dict[str, Any]]:
        """Return the sums as a record: dictionaries of numbers that add up by name."""
        record: dict[str, dict[str, Any]] = {
            short: getattr(self, name) for short, name in _SHORT.items()
        }
        record["w"] = self.waited_buckets
        record["k"] = self.worked_buckets
        record["n"] = {name: getattr(self, name) for name in _NUMBERS if getattr(self, name)}
        return {short: counts for short, counts in record.items() if counts}

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as plain JSON types, with quantiles in seconds for the buckets."""
        plain = asdict(self)
        for name in ("waited", "worked"):
            del plain[f"{name}_buckets"]
            quantiles: Quantiles = getattr(self, name)
            shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
            plain[name] = {label: quantiles.quantile(share) for label, share in shares.items()}
        return {"calls": self.calls, "hits": self.hits, "hit_rate": self.hit_rate, **plain}


_NUMBER_SET = frozenset(_NUMBERS)


@dataclass(slots=True)
class Decisions:
    """The decisions of the semantic cache on questions. Not thread-safe.

    Args:
        verdicts: Decisions by reason: "served", "below_threshold", "vetoed", "nothing_near",
            "too_risky", "audited", "unconfirmed", "cold".
        served: Served questions by their similarity in hundredths.
        refused: Refused questions by the similarity of the nearest candidate, likewise.
        estimated: The sum of the estimated probabilities that an answer served was wrong.
        estimates: Answers served that have such an estimate.
        checked: Answers that were compared with the function's own.
        wrong: Those of them that were different.
        bounds: Decisions by the bound that the user has set on the share of errors, as text.
    """

    verdicts: dict[str, int] = field(default_factory=dict)
    served: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    estimated: float = 0.0
    estimates: int = 0
    checked: int = 0
    wrong: int = 0
    bounds: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All decisions."""
        return sum(self.verdicts.values())

    @property
    def estimated_error(self) -> float | None:
        """The mean estimated probability that an answer served was wrong; None without one."""
        return self.estimated / self.estimates if self.estimates else None

    @property
    def measured_error(self) -> float | None:
        """The share of checked answers that were wrong; None if none was checked."""
        return self.wrong / self.checked if self.checked else None

    @property
    def bound(self) -> float | None:
        """The highest bound that a decision was under; None without one."""
        return max(map(float, self.bounds), default=None)

    def __iadd__(self, other: Decisions) -> Self:
        """Add other decisions."""
        self.add_record(other.to_record())
        return self

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Add the decisions of a stored record; see :meth:`to_record`."""
        add_counts(self.verdicts, record.get("dv", {}))
        add_counts(self.bounds, record.get("db", {}))
        for short, similarities in (("ds", self.served), ("dr", self.refused)):
            for percent, count in record.get(short, {}).items():
                similarities[int(percent)] = similarities.get(int(percent), 0) + count
        numbers = record.get("dn", {})
        self.estimated += numbers.get("estimated", 0.0)
        self.estimates += numbers.get("estimates", 0)
        self.checked += numbers.get("checked", 0)
        self.wrong += numbers.get("wrong", 0)

    def to_record(self) -> dict[str, dict[str, Any]]:
        """Return the decisions as a record: dictionaries of numbers that add up by name."""
        numbers = {
            name: getattr(self, name) for name in ("estimated", "estimates", "checked", "wrong")
        }
        record: dict[str, dict[str, Any]] = {
            "dv": self.verdicts,
            "db": self.bounds,
            "ds": {str(percent): count for percent, count in self.served.items()},
            "dr": {str(percent): count for percent, count in self.refused.items()},
            "dn": {name: number for name, number in numbers.items() if number},
        }
        return {short: counts for short, counts in record.items() if counts}
