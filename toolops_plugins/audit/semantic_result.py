"""The counts of replays of a log through the semantic cache, by setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from toolops_plugins.audit.semantic_questions import Questions

__all__ = ["Guarding", "Pair", "Result", "Setting", "Share", "Tally", "wilson"]

_Z = 1.959964  # the normal distribution lies between -z and z 95 % of the time


class Share(NamedTuple):
    """A share that was counted, and how far off a sample of this size may be.

    Args:
        value: The share.
        low: The lower end of its 95 % interval.
        high: The upper end.
    """

    value: float
    low: float
    high: float


def wilson(share: float, count: float) -> Share:
    """Return a share of ``count`` trials with its 95 % interval (Wilson, JASA 1927).

    It takes the trials for independent of each other. A wrong answer that was stored is served
    again and again, so the truth may lie somewhat further off.
    """
    if not count:
        return Share(0.0, 0.0, 1.0)
    square = _Z * _Z / count
    middle = (share + square / 2) / (1 + square)
    reach = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    # At no and all successes the ends are exact but for rounding.
    low = 0.0 if share == 0 else max(0.0, middle - reach)
    return Share(share, low, 1.0 if share == 1 else min(1.0, middle + reach))


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to set the cache up.

    Args:
        policy: What decides.
        value: The threshold, or the share of wrong answers that is allowed.
        guarded: Whether the guards may veto.
        alike: The threshold of questions that the guards call alike, which only the default has;
            None: the same.
    """

    policy: Literal["threshold", "bounded"]
    value: float
    guarded: bool = True
    alike: float | None = None

    @property
    def default(self) -> bool:
        """Whether this is what the cache does unless it is told otherwise."""
        return self.alike is not None

    @property
    def code(self) -> str:
        """The arguments of ``SemanticCache`` that make it so."""
        if self.default:
            return "the default"
        name = "threshold" if self.policy == "threshold" else "max_error"
        return f"{name}={self.value:.4g}" + ("" if self.guarded else ", guards=[]")


@dataclass(slots=True)
class Tally:
    """What was counted under one setting, in all orders together.

    Args:
        setting: The setting.
        orders: In how many orders the log was replayed.
        requests: Questions that were asked.
        hits: Those that were answered from the cache.
        exact: Those of the hits that had been stored in the same words.
        wrong: Those of the hits whose answer was that to another question.
        exact_wrong: Those of the wrong ones that were exact.
    """

    setting: Setting
    orders: int = 1
    requests: int = 0
    hits: int = 0
    exact: int = 0
    wrong: int = 0
    exact_wrong: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits as a share of all requests."""
        return self.hits / self.requests if self.requests else 0.0

    @property
    def wrong_of_all(self) -> Share:
        """Wrong answers as a share of all requests.

        The same questions in another order are no further evidence, so the interval is that of
        one order.
        """
        share = self.wrong / self.requests if self.requests else 0.0
        return wilson(share, self.requests / self.orders)

    @property
    def wrong_of_hits(self) -> Share:
        """Wrong answers as a share of the hits."""
        share = self.wrong / self.hits if self.hits else 0.0
        return wilson(share, self.hits / self.orders)


class Pair(NamedTuple):
    """A question and the stored one that was near to it.

    Args:
        line: Number of the question's line.
        question: The question.
        truth: What its answer is, or None if that is not known.
        matched_line: Number of the line of the stored question.
        matched: The stored question.
        matched_truth: What its answer is, or None.
        similarity: Cosine of the two.
        guard: The name of the guard that vetoed, or None.
        reason: What it said, or None.
    """

    line: int
    question: str
    truth: str | None
    matched_line: int
    matched: str
    matched_truth: str | None
    similarity: float
    guard: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Guarding:
    """What one guard did under the setting that was looked at more closely.

    Args:
        vetoes: How often it was the first to veto what would else have been served.
        right: How often that was right, since the answers differ.
    """

    vetoes: int = 0
    right: int = 0


@dataclass(slots=True)
class Result:
    """All that was counted.

    Args:
        questions: The questions.
        embedder: The name of the embedder.
        setting: The setting that was looked at more closely: the default, or what was asked for.
        orders: Seeds of the orders; empty: that of the log.
        price: Money that each call costs.
        latency: Seconds that it takes.
        bounds: Shares of wrong answers that are asked about.
        distinct: How many different questions there are, of each scope.
        tallies: What was counted, by setting.
        guarding: What each guard did, by its name.
        wrong: Wrong hits, the most similar first; each stored question once.
        doubtful: Pairs that were served, the least similar first; each stored question once.
        vetoed: Questions that were not answered because of a veto, the most similar first.
        interrupted: Whether the replay was stopped before its end.
    """

    questions: Questions
    embedder: str
    setting: Setting
    orders: tuple[int, ...]
    price: float
    latency: float
    bounds: tuple[float, ...]
    distinct: int = 0
    tallies: Sequence[Tally] = ()
    guarding: dict[str, Guarding] = field(default_factory=dict)
    wrong: list[Pair] = field(default_factory=list)
    doubtful: list[Pair] = field(default_factory=list)
    vetoed: list[Pair] = field(default_factory=list)
    interrupted: bool = False

    @property
    def judged(self) -> bool:
        """Whether wrong answers can be known."""
        return self.questions.fields.truth is not None

    def saved_money(self, tally: Tally) -> float:
        """Return the money that a setting would have saved on the whole log."""
        return tally.hit_rate * len(self.questions) * self.price

    def saved_seconds(self, tally: Tally) -> float:
        """Return the seconds that callers would not have waited under a setting."""
        return tally.hit_rate * len(self.questions) * self.latency
