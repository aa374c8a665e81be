"""Labels of candidates against which a guard speaks: whether there are enough to overrule it."""

from __future__ import annotations

from typing import Final

from toolops_plugins.semantic.bounded.evidence import FEATURES
from toolops_plugins.semantic.bounded.labels import Labels
from toolops_plugins.semantic.bounded.logistic import Floats

__all__ = ["DoubtLabels"]

_FIRST_UNREAD: Final = 100  # labels of what no guard can read before any of it is served
_DECAY: Final = 0.5 ** (1 / 100)  # half-life: 100 calls whose candidate was in doubt
_SOME: Final = 0.5  # share of the group's votes that are in doubt
_DOUBTED: Final = FEATURES.index("doubted")
_UNREAD: Final = FEATURES.index("unread")


class DoubtLabels:
    """The labels that show what the doubts of guards are worth.

    Where most answers cannot be compared, the few labels are mostly of right answers: those that
    can be compared at all. No doubt is overruled by them.

    Not thread-safe: its owner holds a lock.
    """

    __slots__ = ("_compared", "_uncompared", "_unread")

    def __init__(self) -> None:
        self._compared = 0.0
        self._uncompared = 0.0
        self._unread = 0

    def note(self, features: Floats, *, compared: bool) -> None:
        """Note a call that was made.

        Args:
            features: The features of its candidate.
            compared: Whether its answer could be compared with that of the candidate.
        """
        if features[_DOUBTED] + features[_UNREAD] > _SOME:
            self._compared = self._compared * _DECAY + compared
            self._uncompared = self._uncompared * _DECAY + (not compared)

    def count_unread(self, labels: Labels) -> None:
        """Count the labels of questions that no guard can read."""
        self._unread = int((labels.features[:, _UNREAD] > 0).sum())

    def suffice(self, *, unread: bool) -> bool:
        """Return whether a candidate may be served in spite of a guard.

        Args:
            unread: Whether the guard is the one against what no guard can read.
        """
        if unread and self._unread < _FIRST_UNREAD:
            return False
        return self._compared >= self._uncompared
