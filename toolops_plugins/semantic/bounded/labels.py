"""Labelled candidates: their features, and whether they were right."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.semantic.bounded.evidence import FEATURES
from toolops_plugins.semantic.bounded.logistic import Floats

__all__ = ["WINDOW", "Labels", "Window"]

WINDOW: Final = 1_500
"""Labels in use: enough to fit ten weights, few enough to follow a growing index."""


class Labels(NamedTuple):
    """Labelled candidates, the oldest first.

    Args:
        features: The features of each, one row a candidate.
        scores: The score by the model of that time; NaN without a model.
        right: Whether it was right.
    """

    features: NDArray[np.float32]
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Labels:
        """Return no labels."""
        return cls(
            np.empty((0, len(FEATURES)), np.float32), np.empty(0, np.float32), np.empty(0, bool)
        )

    def copy(self) -> Labels:
        """Return a copy that does not change with the window."""
        return Labels(self.features.copy(), self.scores.copy(), self.right.copy())

    def then(self, later: Labels) -> Labels:
        """Return the last labels of these and later ones."""
        features, scores, right = (
            np.concatenate((ours[-WINDOW:], theirs))[-WINDOW:]
            for ours, theirs in zip(self, later, strict=True)
        )
        return Labels(features, scores, right)


class Window:
    """The last labels of this process. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_held", "_size", "count")

    def __init__(self) -> None:
        # Twice the size: the last half moves to the front when the end is reached.
        self._held = Labels(
            np.zeros((2 * WINDOW, len(FEATURES)), np.float32),
            np.zeros(2 * WINDOW, np.float32),
            np.zeros(2 * WINDOW, bool),
        )
        self._size = 0
        self.count = 0
        """Labels since the process began."""

    def add(self, features: Floats, score: float | None, *, right: bool) -> None:
        """Add a label and the score by the model, if there was one."""
        at = self._size
        if at == 2 * WINDOW:
            for part in self._held:
                part[:WINDOW] = part[WINDOW:]
            at = WINDOW
        self._held.features[at] = features
        self._held.scores[at] = np.nan if score is None else score
        self._held.right[at] = right
        self._size = at + 1
        self.count += 1

    def last(self) -> Labels:
        """Return the labels of the window; they change with it."""
        start = max(self._size - WINDOW, 0)
        held, end = self._held, self._size
        return Labels(held.features[start:end], held.scores[start:end], held.right[start:end])
