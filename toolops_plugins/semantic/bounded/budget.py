"""How far down a bound on wrong answers reaches."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from toolops_plugins.semantic.bounded.risk import CELLS, LEAST, Risk

__all__ = ["EXACT", "NOTHING", "Budget"]

EXACT: Final = CELLS
"""The cell of an exact hit: served, and never wrong."""

NOTHING: Final = CELLS + 1
"""The cell of a request that nothing can be served for."""

_RING: Final = 1_000
_EVERY: Final = 8
_SAFETY: Final = 1.0
_HORIZON: Final = 5_000
_WORST: Final = 0.5
_HALF_LIFE: Final = 48
_DECAY: Final = 0.5 ** (1 / _HALF_LIFE)


class Budget:
    """The recent requests under one bound, and the least score that may be served.

    Not thread-safe: its owner holds a lock.

    Args:
        max_error: The share of all requests that may get a wrong answer.
    """

    __slots__ = ("_at", "_counts", "_observed", "_predicted", "_ring", "_seen", "max_error", "rho", "theta", "worst")

    def __init__(self, max_error: float) -> None:
        self.max_error = max_error
        self.theta = CELLS
        self.worst = 0.0
        self.rho = 1.0
        self._observed = 0.0
        self._predicted = 0.0
        self._ring = np.zeros(_RING, np.int8)
        self._counts = np.zeros(CELLS + 2, np.int64)
        self._at = 0
        self._seen = 0

    def push(self, cell: int, risk: Risk | None) -> None:
        """Count a request, and see every few of them where the threshold lies now."""
        if self._seen >= _RING:
            self._counts[self._ring[self._at]] -= 1
        self._ring[self._at] = cell
        self._counts[cell] += 1
        self._at = (self._at + 1) % _RING
        self._seen += 1
        if risk is not None and self._seen % _EVERY == 0:
            self.settle(risk)

    def push_exact(self, count: int) -> None:
        """Count exact hits."""
        for _ in range(min(count, _RING)):
            self.push(EXACT, None)

    def observe(self, predicted: float, wrong: float) -> None:
        """Hold a prediction against what was right, and brake where they differ."""
        self._observed = self._observed * _DECAY + wrong
        self._predicted = self._predicted * _DECAY + predicted
        excess = self._observed - self._predicted - math.sqrt(self._predicted + 1)
        self.rho = 1 + max(0.0, excess) / (self._predicted + 1)

    def settle(self, risk: Risk) -> None:
        """Find the least score that may be served."""
        total = min(self._seen, _RING)
        if not total:
            return
        shares = self._counts[CELLS - 1 :: -1] / total if False else self._counts[:CELLS][::-1] / total
        by_cell = risk.by_cell[::-1]
        mass = np.cumsum(shares * by_cell)
        bins = shares.reshape(len(risk.variance), -1).cumsum(axis=1)
        var = risk.variance[::-1]
        before = np.concatenate(([0.0], np.cumsum(bins[:-1, -1] ** 2 * var[:-1])))
        spread = (before[:, None] + bins**2 * var[:, None]).ravel()
        high = mass + _SAFETY * np.sqrt(spread + mass / _HORIZON)
        fits = (high <= self.max_error / self.rho) & (by_cell <= _WORST)
        cells = int(np.argmin(fits)) if not fits.all() else CELLS
        self.theta = CELLS - cells
        self.worst = float(by_cell[cells - 1]) if cells else 0.0

    @property
    def theta_score(self) -> float:
        return LEAST + self.theta / 8 if self.theta < CELLS else math.inf
