"""Risks by score: the share of wrong candidates among those with a score."""

from __future__ import annotations

from typing import Final

import numpy as np

from toolops_plugins.semantic.bounded.logistic import Floats, logistic

__all__ = ["CELLS", "Risk", "antitonic_fit", "cell_of", "least_of"]

_LEAST: Final = -4.0
_WIDTH: Final = 0.125
CELLS: Final = 112
"""Scores fall into cells of 1/8 from -4 to 10; scores outside count in the outermost cells."""

_PER_BIN: Final = 4
"""Cells whose labels are counted together."""

_PRIOR: Final = 3.0
"""Weight of the model's own prediction in each bin, in wrong labels.

Counted in wrong labels, not in labels: there are few in the bins that matter, and they limit how
far off the model can be, by a factor of about 1 ± 1/2.
"""

_FLOOR: Final = 0.001
"""Share of questions whose answer no score can tell, such as those that got two answers: on
BANKING77 the model alone expects half of the wrong answers that there are at high scores."""

_MIDDLES: Final[Floats] = _LEAST + _WIDTH * (np.arange(CELLS, dtype=np.float64) + 0.5)
_BINS: Final[Floats] = _MIDDLES[::_PER_BIN] + _WIDTH * (_PER_BIN - 1) / 2


def cell_of(z: float) -> int:
    """Return the cell of a score."""
    return min(max(int((z - _LEAST) / _WIDTH), 0), CELLS - 1)


def least_of(cell: int) -> float:
    """Return the least score of a cell."""
    return _LEAST + _WIDTH * cell


class Risk:
    """Risks by score, from labels and the model's own predictions. Immutable.

    Args:
        scores: Scores of labelled candidates, each by a model that had not seen the label.
        wrong: 1.0 or 0.0 for each.
    """

    __slots__ = ("by_cell",)

    def __init__(self, scores: Floats, wrong: Floats) -> None:
        size = len(_BINS)
        cells = np.clip((scores - _LEAST) / _WIDTH, 0, CELLS - 1).astype(np.int64)
        count = np.bincount(cells // _PER_BIN, minlength=size)
        errors = np.bincount(cells // _PER_BIN, weights=wrong, minlength=size)
        weight = count + _PRIOR / (_FLOOR + (1 - _FLOOR) * logistic(-_BINS))
        risk = antitonic_fit((errors + _PRIOR) / weight, weight)
        logits = np.log(risk / (1 - risk))
        self.by_cell: Floats = logistic(np.interp(_MIDDLES, _BINS, logits))
        """The risk in every cell, non-increasing."""


def antitonic_fit(values: Floats, weights: Floats) -> Floats:
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
