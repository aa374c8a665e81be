"""The recent requests under a bound on wrong answers, and the least score that may be served."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.semantic.bounded.risk import CELLS, PER_BIN, Risk, least_of

__all__ = ["EXACT", "NOTHING", "Budget"]

EXACT: Final = CELLS
"""The cell of an exact hit: served, and never wrong."""

NOTHING: Final = CELLS + 1
"""The cell of a request that cannot be served at all."""

_RING: Final = 1_000  # recent requests that a bound is held over
_FEW: Final = 100  # own requests after which a process ignores those of an earlier one
_EVERY: Final = 8  # requests after which the threshold is found anew
_WORST: Final = 0.5  # a candidate that is more likely wrong than right is never served
_DECAY: Final = 0.5 ** (1 / 48)  # half-life of the brake: 48 labels
_SIGMAS: Final = 0.5  # standard deviations kept below the bound, ...
_HORIZON: Final = 2_000  # ... of the share of wrong answers among this many requests
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
        "_ring",
        "_seen",
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

    def recall(self, cells: NDArray[np.int8]) -> None:
        """Start with the requests of an earlier process, unless this one has enough of its own."""
        if self._seen >= _FEW:
            return
        self._fill(np.append(cells, self.recent()))

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

    def settle(self, risk: Risk, labels: int) -> None:
        """Find the least score that may be served.

        The risks predict the share of wrong answers if the best recent requests down to a score
        had been served. That share must stay within the bound, with a margin for errors of the
        risks and for chance.

        Args:
            risk: The risks by score.
            labels: Labels that the risks are estimated from, now or before.
        """
        shares = self._counts[:CELLS][::-1] / max(min(self._seen, _RING), 1)
        risks = risk.by_cell[::-1]
        mass = np.cumsum(shares * risks)
        # Errors of the risks within a bin are correlated; those of two bins are independent.
        bins = np.cumsum(shares.reshape(-1, PER_BIN), axis=1)
        variance = risk.variance[::-1]
        above = np.cumsum(bins[:, -1] ** 2 * variance) - bins[:, -1] ** 2 * variance
        spread = (above[:, None] + bins**2 * variance[:, None]).ravel()
        high = mass * (1 + math.sqrt(_NEW / labels)) + _SIGMAS * np.sqrt(spread + mass / _HORIZON)
        fits = (high <= self.max_error / self.rho) & (risks <= _WORST)
        served = CELLS if fits.all() else int(np.argmin(fits))
        self.theta = CELLS - served
        self.worst = float(risks[served - 1]) if served else 1.0
