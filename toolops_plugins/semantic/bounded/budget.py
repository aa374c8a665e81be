"""The recent requests under a bound on wrong answers, and the least score that may be served."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.semantic.bounded.account import Account
from toolops_plugins.semantic.bounded.logistic import Floats
from toolops_plugins.semantic.bounded.risk import CELLS, Risk, least_of

__all__ = [
    "EXACT",
    "NOTHING",
    "REPEATED",
    "RISK_OF_REPEATED",
    "RISK_OF_VOUCHED",
    "VOUCHED",
    "Budget",
]

EXACT: Final = CELLS
"""The cell of an exact hit: served, and never wrong."""

NOTHING: Final = CELLS + 1
"""The cell of a request that cannot be served at all."""

VOUCHED: Final = CELLS
"""The cell, in the account, of answers for whose questions the guards vouch word by word."""

REPEATED: Final = CELLS + 1
"""The cell, in the account, of answers to questions that are the same but for their writing."""

RISK_OF_VOUCHED: Final = 0.01
"""The risk of a vouched question before there are labels."""

RISK_OF_REPEATED: Final = 0.001
"""The risk of a question that was repeated in another writing: nothing, unless answers change."""

_RING: Final = 1_000  # recent requests that a bound is held over
_FEW: Final = 100  # own requests after which a process ignores those of an earlier one
_EVERY: Final = 8  # requests after which the threshold is found anew
_WORST: Final = 0.5  # candidates that are more likely wrong than right do not count for the brake
_RISKIEST: Final = 8.0  # multiple of the bound above which no single candidate is served ...
_RISKIEST_UNREAD: Final = 2.0  # ... and none that no guard can read
_DECAY: Final = 0.5 ** (1 / 48)  # half-life of the brake: 48 labels
_AT_START: Final = 0.1  # expected wrong answers that vouched questions may cost at the start, ...
_BOUND_AT_START: Final = 0.01  # ... less under smaller bounds than this
_OF_VOUCHED: Final = 2.0  # multiple of the bound above which vouched questions are too risky
_NEW: Final = 9.0  # after n labels the model may be wrong by a factor of 1 + 3 / sqrt(n)


class Budget:
    """The recent requests under one bound, and the least score that may be served.

    Not thread-safe: its owner holds a lock.

    Args:
        max_error: The share of all requests that may get a wrong answer.
    """

    __slots__ = (
        "_counts",
        "_next",
        "_observed",
        "_predicted",
        "_prices",
        "_ring",
        "_seen",
        "account",
        "max_error",
        "rho",
        "theta",
        "worst",
    )

    def __init__(self, max_error: float) -> None:
        self.max_error = max_error
        self.theta = CELLS
        """The least cell to be served."""
        self.worst = 1.0
        """The risk in that cell."""
        self.rho = 1.0
        """The brake: the ratio of recent errors to predicted errors."""
        self.account = Account(max_error, CELLS + 2)
        """The wrong answers that are expected so far, and that are allowed."""
        self._prices: Floats = np.append(np.ones(CELLS), (RISK_OF_VOUCHED, RISK_OF_REPEATED))
        self.account.price(self._prices)
        self._observed = 0.0
        self._predicted = 0.0
        self._ring = np.full(_RING, NOTHING, np.int8)
        self._counts = np.zeros(CELLS + 2, np.int64)
        self._next = 0
        self._seen = 0

    @property
    def least_score(self) -> float:
        """The least score to be served."""
        return least_of(self.theta) if self.theta < CELLS else math.inf

    def push(self, cell: int, count: int = 1) -> bool:
        """Count requests; return whether it is time to :meth:`settle`."""
        self.account.requests += count
        if cell == EXACT:
            self.account.hits += count
        if count == 1:
            if self._seen >= _RING:
                self._counts[self._ring[self._next]] -= 1
            self._ring[self._next] = cell
            self._counts[cell] += 1
            self._next = (self._next + 1) % _RING
            self._seen += 1
            return self._seen % _EVERY == 0
        self._fill(np.append(self.recent(), np.full(min(count, _RING), cell, np.int8)))
        return True

    def _fill(self, cells: NDArray[np.int8]) -> None:
        recent = cells[-_RING:]
        self._seen = len(recent)
        self._next = self._seen % _RING
        self._ring[: self._seen] = recent
        self._counts = np.bincount(recent, minlength=CELLS + 2)

    def recent(self) -> NDArray[np.int8]:
        """Return the cells of the recent requests, the oldest first."""
        if self._seen < _RING:
            return self._ring[: self._next].copy()
        return np.roll(self._ring, -self._next)

    def recall(self, cells: NDArray[np.int8], requests: int, hits: int) -> None:
        """Start where an earlier process ended, unless this one has enough requests of its own.

        Args:
            cells: The cells of its last requests.
            requests: All its requests.
            hits: All its hits.
        """
        if self._seen >= _FEW:
            return
        self._fill(np.append(cells, self.recent()))
        self.account.resume(requests, hits)

    def observe(self, predicted: float, wrong: float) -> None:
        """Compare a prediction with its outcome.

        Args:
            predicted: The risk of a candidate.
            wrong: 1 if it was wrong, else 0.
        """
        if predicted > _WORST:
            return
        self._observed = self._observed * _DECAY + wrong
        self._predicted = self._predicted * _DECAY + predicted
        excess = self._observed - self._predicted - math.sqrt(self._predicted + 1)
        self.rho = 1 + max(0.0, excess) / (self._predicted + 1)

    def settle(self, risk: Risk, vouched: float, labels: int) -> None:
        """Find the least score that may be served.

        The risks predict the wrong answers if the best recent requests down to a score had been
        served. Of all requests and of all hits, they must stay within the rates of the account.

        Args:
            risk: The risks by score.
            vouched: The risk of vouched questions.
            labels: Labels that the risks are estimated from, now or before.
        """
        margin = 1 + math.sqrt(_NEW / labels)
        prices = np.minimum(risk.by_cell * margin, 1.0)
        self._prices[:CELLS] = prices
        self._prices[VOUCHED] = vouched
        self.account.price(self._prices)
        recent = max(min(self._seen, _RING), 1)
        shares = self._counts[:CELLS][::-1] / recent
        risks = risk.by_cell[::-1]
        wrong = np.cumsum(shares * prices[::-1]) * self.rho
        hits = np.cumsum(shares) + self._counts[EXACT] / recent
        fits = (
            (wrong <= self.account.rate())
            & (wrong <= self.account.rate_of_hits() * hits)
            & (risks <= min(_RISKIEST * self.max_error, _WORST))
        )
        served = CELLS if fits.all() else int(np.argmin(fits))
        self.theta = CELLS - served
        self.worst = float(risks[served - 1]) if served else 1.0

    def affords(self, cell: int, *, unread: bool) -> bool:
        """Return whether a candidate may be served.

        Args:
            cell: The cell of its score.
            unread: Whether no guard can read it.
        """
        if unread and self._prices[cell] > _RISKIEST_UNREAD * self.max_error:
            return False
        return cell >= self.theta and self.account.affords(float(self._prices[cell]) * self.rho)

    def affords_vouched(self, risk: float) -> bool:
        """Return whether a candidate may be served for whose question the guards vouch.

        Args:
            risk: The share of wrong candidates among such questions.
        """
        if risk > _OF_VOUCHED * self.max_error:
            return False
        return self.is_starting(risk) or self.account.affords(risk)

    def is_starting(self, risk: float) -> bool:
        """Return whether so little was spent that vouched questions are served anyway."""
        start = _AT_START * min(1.0, self.max_error / _BOUND_AT_START)
        return self.account.spent + risk <= start
