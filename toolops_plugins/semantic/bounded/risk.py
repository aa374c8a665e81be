"""From scores to risks: what share of the candidates with such a score is wrong."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.semantic.bounded.logistic import logistic

__all__ = ["CELLS", "LEAST", "Risk", "cell_of", "falling"]

Floats: TypeAlias = NDArray[np.float64]

LEAST: Final = -4.0
_WIDTH: Final = 0.125
CELLS: Final = 112
"""Scores are told apart in cells of 1/8 from -4 to 10; what lies outside counts at the end."""

_BIN: Final = 4
"""Cells that are counted together."""

_PRIOR: Final = 4.0
"""As many labels the model's own word is worth in each bin."""

_MIDDLES: Final[Floats] = LEAST + _WIDTH * (np.arange(CELLS) + 0.5)
_BIN_MIDDLES: Final[Floats] = _MIDDLES.reshape(-1, _BIN).mean(axis=1)


def cell_of(z: float) -> int:
    """Return the cell of a score."""
    return min(max(int((z - LEAST) / _WIDTH), 0), CELLS - 1)


class Risk:
    """Risks by score, from labels and the model's own word. Immutable.

    Args:
        scores: Of candidates that were labelled, each by a model that had not seen its label.
        wrong: 1.0 or 0.0 for each.
    """

    __slots__ = ("by_cell", "errors", "variance")

    def __init__(self, scores: Floats, wrong: Floats) -> None:
        bins = np.clip((scores - LEAST) / (_WIDTH * _BIN), 0, CELLS // _BIN - 1).astype(np.int64)
        count = np.bincount(bins, minlength=CELLS // _BIN)
        errors = np.bincount(bins, weights=wrong, minlength=CELLS // _BIN)
        said = logistic(-_BIN_MIDDLES)
        weight = count + _PRIOR / said
        risk = falling((errors + _PRIOR) / weight, weight)
        logits = np.log(risk / (1 - risk))
        by_cell = logistic(np.interp(_MIDDLES, _BIN_MIDDLES, logits))
        self.by_cell: Floats = by_cell
        self.errors: Floats = errors
        self.variance: Floats = risk * (1 - risk) / weight


def falling(values: Floats, weights: Floats) -> Floats:
    """Return the non-increasing sequence nearest to ``values`` by weighted least squares.

    Pool-adjacent-violators (Ayer et al., An empirical distribution function for sampling with
    incomplete information, 1955).
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, size = value, weight, 1
        while pools and pools[-1][0] < mean:
            before, more, length = pools.pop()
            mean = (mean * mass + before * more) / (mass + more)
            mass += more
            size += length
        pools.append((mean, mass, size))
    return np.repeat([mean for mean, _, _ in pools], [size for _, _, size in pools])
