"""Changes of right answers: which groups of answers are in doubt, and an alarm for all of them."""

from __future__ import annotations

import math
from typing import Final, TypeVar

__all__ = ["Changes"]

_SURPRISE: Final = 0.1  # a wrong candidate of a lower risk puts its group in doubt
_WORST: Final = 0.5  # candidates that are more likely wrong than right tell nothing
_LEAST: Final = 0.02  # risks below this are taken for it, since none is known better
_SHARE: Final = 0.2  # share of answers that have changed, in the hypothesis that is tested
_ALARM: Final = 10.0  # evidence for a change, as a log of a likelihood ratio
_ATTENTION: Final = 1.0  # evidence above which more candidates are audited
_MOST: Final = 65_536  # groups that are remembered

_Value = TypeVar("_Value")


class Changes:
    """Detect from labels that right answers have changed.

    A candidate that was wrong against all expectation puts its group in doubt: its answers are not
    served until one of them was right again. Whether many answers have changed at once is tested
    by a cumulative sum of log likelihood ratios (Page, Continuous inspection schemes, 1954), of a
    fifth of all answers changed against none. At its alarm all groups are in doubt.

    Not thread-safe: its owner holds a lock.
    """

    __slots__ = (
        "_confirmed",
        "_count",
        "_doubted",
        "_epoch",
        "_evidence",
        "_predicted",
        "_wrong",
        "onset",
    )

    def __init__(self) -> None:
        self._doubted: dict[int, None] = {}
        self._confirmed: dict[int, int] = {}
        self._epoch = 0
        self._evidence = 0.0
        self._wrong = self._predicted = self._count = 0.0
        self.onset = 0
        """A number that grows whenever there is no evidence left for a change."""

    @property
    def attention(self) -> float:
        """How much speaks for a change; 0 in quiet times."""
        return max(0.0, self._evidence - _ATTENTION)

    def trusts(self, key: int) -> bool:
        """Return whether the answers of a group may be served."""
        return key not in self._doubted and (
            not self._epoch or self._confirmed.get(key, 0) == self._epoch
        )

    def note(self, key: int, risk: float, *, right: bool) -> float:
        """Note the label of a candidate.

        Args:
            key: Its group.
            risk: Its risk, as it was estimated before.
            right: Whether it was right.

        Returns:
            After an alarm, the share of answers that have changed by the labels since the onset;
            else 0.
        """
        counts = risk < _WORST and self.trusts(key)
        risk = min(max(risk, _LEAST), 1 - _LEAST)
        if right:
            self._doubted.pop(key, None)
            self.confirm(key)
        elif risk < _SURPRISE:
            _put(self._doubted, key, None)
        return self._test(risk, right=right) if counts else 0.0

    def confirm(self, key: int) -> None:
        """Trust the answers of a group again after an alarm, or of a new group from the start."""
        if self._epoch:
            _put(self._confirmed, key, self._epoch)

    def _test(self, risk: float, *, right: bool) -> float:
        ratio = 1 - _SHARE if right else (risk + (1 - risk) * _SHARE) / risk
        self._evidence += math.log(ratio)
        if self._evidence <= 0:
            self._restart()
            return 0.0
        self._wrong += not right
        self._predicted += risk
        self._count += 1
        if self._evidence <= _ALARM:
            return 0.0
        share = (self._wrong - self._predicted) / max(self._count - self._predicted, 1.0)
        self._epoch += 1
        self._restart()
        return max(0.0, share)

    def _restart(self) -> None:
        self._evidence = self._wrong = self._predicted = self._count = 0.0
        self.onset += 1

    def join(self, former: int, lead: int) -> None:
        """Treat the group of one key as that of another."""
        if self._doubted.pop(former, self) is None:
            _put(self._doubted, lead, None)
        epoch = self._confirmed.pop(former, 0)
        if epoch > self._confirmed.get(lead, 0):
            _put(self._confirmed, lead, epoch)


def _put(table: dict[int, _Value], key: int, value: _Value) -> None:
    table.pop(key, None)
    table[key] = value
    if len(table) > _MOST:
        del table[next(iter(table))]
