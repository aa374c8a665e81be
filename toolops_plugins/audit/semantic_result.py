"""The counts of replays of a log through the semantic cache, by setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from toolops_plugins.audit.semantic_questions import Questions
from toolops_plugins.semantic.lookup import DEFAULT_MAX_ERROR

__all__ = ["Guarding", "Pair", "Result", "Setting", "Share", "Tally", "wilson"]

_Z = 1.959964  # the normal distribution lies between -z and z 95 % of the time


class Share(NamedTuple):
    """A share with its 95 % confidence interval.

    Args:
        value: The share.
        low: The lower end of the interval.
        high: The upper end of the interval.
    """

    value: float
    low: float
    high: float


def wilson(share: float, count: float) -> Share:
    """Return a share of ``count`` trials with its 95 % interval (Wilson, JASA 1927).

    The interval assumes independent trials. A wrong answer in the cache is served repeatedly, so
    the true interval is somewhat wider.
    """
    if not count:
        return Share(0.0, 0.0, 1.0)
    square = _Z * _Z / count
    middle = (share + square / 2) / (1 + square)
    reach = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    # For 0 and 1 the ends are exact, up to rounding.
    low = 0.0 if share == 0 else max(0.0, middle - reach)
    return Share(share, low, 1.0 if share == 1 else min(1.0, middle + reach))


@dataclass(frozen=True, slots=True)
class Setting:
    """A configuration of the semantic cache.

    Args:
        policy: The policy that decides.
        value: The threshold, or the allowed share of wrong answers.
        guarded: Whether the guards may veto. Default True.
        alike: The threshold of questions that the guards find equivalent; only the calibrated
            setting, of a SemanticCache without a runtime, has one. Default None: ``value``.
    """

    policy: Literal["threshold", "bounded"]
    value: float
    guarded: bool = True
    alike: float | None = None

    @property
    def default(self) -> bool:
        """True if this is the default of tools."""
        return self.policy == "bounded" and self.value == DEFAULT_MAX_ERROR

    @property
    def calibrated(self) -> bool:
        """True if this is the default of a SemanticCache without a runtime."""
        return self.alike is not None

    @property
    def code(self) -> str:
        """The arguments of ``Semantic`` for this configuration."""
        if self.calibrated:
            return "the calibrated threshold"
        name = "threshold" if self.policy == "threshold" else "max_error"
        code = f"{name}={self.value:.4g}" + ("" if self.guarded else ", guards=[]")
        return f"the default ({code})" if self.default else code


@dataclass(slots=True)
class Tally:
    """The counts of one setting, summed over all orders.

    Args:
        setting: The setting.
        orders: Number of orders.
        requests: Number of questions.
        hits: Number of hits.
        exact: Hits on a question in the same words.
        wrong: Hits with a wrong answer.
        exact_wrong: Exact hits with a wrong answer.
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

        Replaying the same questions in another order adds no evidence, so the interval is that of
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
    """A question and a similar stored question.

    Args:
        line: Line number of the question.
        question: The question.
        truth: The true answer, or None if it is unknown.
        matched_line: Line number of the stored question.
        matched: The stored question.
        matched_truth: Its true answer, or None.
        similarity: Cosine similarity.
        guard: The name of the guard that vetoed, or None.
        reason: The reason of the veto, or None.
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
    """The vetoes of one guard under a threshold.

    Args:
        vetoes: Number of answers that this guard was the first to veto.
        right: Number of these vetoes that were right, because the answers differ.
    """

    vetoes: int = 0
    right: int = 0


@dataclass(slots=True)
class Result:
    """The result of all replays.

    Args:
        questions: The questions.
        embedder: The name of the embedder.
        setting: The inspected setting: the default or, without true answers, the calibrated
            threshold; or the threshold that the user asked for.
        vetoing: The threshold under which the vetoes of the guards were recorded.
        orders: Seeds of the orders. Empty: the order of the log.
        price: Cost of a call.
        latency: Duration of a call in seconds.
        bounds: Allowed shares of wrong answers.
        distinct: Number of different questions, counted per scope.
        tallies: The counts of each setting.
        guarding: The vetoes of each guard, by name.
        wrong: Wrong hits, most similar first; each stored question once.
        doubtful: Served pairs, least similar first; each stored question once.
        vetoed: Vetoed pairs, most similar first.
        interrupted: Whether the replay was stopped before its end.
    """

    questions: Questions
    embedder: str
    setting: Setting
    vetoing: Setting
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
        """True if the log has true answers, so that wrong answers can be counted."""
        return self.questions.fields.truth is not None

    def saved_money(self, tally: Tally) -> float:
        """Return the money that a setting would have saved on the whole log."""
        return tally.hit_rate * len(self.questions) * self.price

    def saved_seconds(self, tally: Tally) -> float:
        """Return the waiting time, in seconds, that a setting would have saved on the whole log."""
        return tally.hit_rate * len(self.questions) * self.latency
