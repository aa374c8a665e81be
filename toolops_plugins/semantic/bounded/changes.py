"""Changes of right answers: which groups of answers are in doubt, and an alarm for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum, auto
from itertools import islice
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Changes", "Doubts", "Finding"]

_SURPRISE: Final = 0.06  # a wrong candidate of a lower risk puts its group in doubt
_WORST: Final = 0.5  # candidates that are more likely wrong than right tell nothing
_TELLING: Final = 0.25  # a wrong candidate of a lower risk tells that its group has changed
_LEAST: Final = 0.02  # risks below this are taken for it, since none is known better
_SHARE: Final = 0.2  # share of answers that have changed, in the hypothesis that is tested
_ALARM: Final = 7.0  # evidence for a change, as a log of a likelihood ratio
_ATTENTION: Final = 1.0  # evidence above which more candidates are audited
_NEW: Final = 0.5  # share of wrong candidates whose question has an answer that is new, at first
_DECAY: Final = 0.5 ** (1 / 100)  # half-life of that share: 100 wrong candidates
_MOST: Final = 65_536  # groups that are remembered
_MOST_STORED: Final = 16_384  # groups of each sort that a later process remembers

_Value = TypeVar("_Value")


class Finding(Enum):
    """The meaning of a label for the answers that were served before it."""

    NONE = auto()
    """Nothing new."""
    QUIET = auto()
    """Nothing speaks for a change."""
    ALARM = auto()
    """Many answers have changed; all groups are in doubt."""
    CONFIRMED = auto()
    """The answers of a group that was in doubt are right."""
    REFUTED = auto()
    """The answers of a group that was in doubt are wrong."""
    FALSE_ALARM = auto()
    """Nothing has changed at the last alarm."""


class Doubts(NamedTuple):
    """The groups in doubt, as arrays.

    Args:
        doubted: The groups that are in doubt by themselves.
        confirmed: The groups that were right since the last alarm; None: there was no alarm.
    """

    doubted: NDArray[np.int64]
    confirmed: NDArray[np.int64] | None


class Changes:
    """Detect from labels that right answers have changed.

    A candidate that was wrong against all expectation puts its group in doubt: its answers are not
    served until one of them was right again. Whether many answers have changed at once is tested
    by a cumulative sum of log likelihood ratios (Page, Continuous inspection schemes, 1954), of a
    fifth of all answers changed against none. A changed answer is wrong whatever its risk was, and
    at first it is unlike those of all neighbours, which wrong candidates seldom are else. At an
    alarm all groups are in doubt. Their labels go on with the test: if they tell that there was no
    change, the alarm was false, and only those groups stay in doubt that were wrong meanwhile.

    Not thread-safe: its owner holds a lock.
    """

    __slots__ = ("_confirmed", "_doubted", "_epoch", "_evidence", "_new", "_since_alarm", "_wrong")

    def __init__(self) -> None:
        self._doubted: dict[int, None] = {}
        self._confirmed: dict[int, int] = {}
        self._epoch = 0
        self._evidence = 0.0
        self._since_alarm = 0.0  # evidence for the last alarm from labels since, 0 at the alarm
        self._wrong = 10.0
        self._new = _NEW * self._wrong

    @property
    def attention(self) -> float:
        """The evidence for a change; 0 in quiet times."""
        return max(0.0, self._evidence - _ATTENTION)

    def trusts(self, key: int) -> bool:
        """Return whether the answers of a group may be served."""
        return key not in self._doubted and (
            not self._epoch or self._confirmed.get(key, 0) == self._epoch
        )

    def note(self, key: int, risk: float, *, right: bool, new: bool) -> Finding:
        """Note the label of a candidate, and return what it means.

        Args:
            key: Its group.
            risk: Its risk, as it was estimated before.
            right: Whether it was right.
            new: Whether the right answer is unlike those of all neighbours.
        """
        trusted = self.trusts(key)
        finding = Finding.NONE
        if right:
            self.confirm(key)
            if not trusted:
                finding = Finding.CONFIRMED
        elif risk < (_SURPRISE if trusted else _WORST):
            _put(self._doubted, key, None)
        if new and not (right or trusted) and risk < _TELLING:
            finding = Finding.REFUTED
        if risk < _WORST:
            known = max(risk, _LEAST)
            usual = self._new / self._wrong
            if trusted:
                finding = self._test(_ratio(known, usual, right=right, new=new))
                if not right:
                    self._wrong = self._wrong * _DECAY + 1
                    self._new = self._new * _DECAY + new
            elif self._epoch:
                # New answers became usual by those that raised the alarm, perhaps; that must not
                # be what ends it.
                ratio = _ratio(known, min(usual, _NEW), right=right, new=new)
                if self._test_alarm(ratio):
                    finding = Finding.FALSE_ALARM
        return finding

    def confirm(self, key: int) -> None:
        """Trust the answers of a group that was right, or of a new group from the start."""
        self._doubted.pop(key, None)
        if self._epoch:
            _put(self._confirmed, key, self._epoch)

    def _test(self, ratio: float) -> Finding:
        self._evidence = max(0.0, self._evidence + math.log(ratio))
        if self._evidence == 0.0:
            return Finding.QUIET
        if self._evidence <= _ALARM:
            return Finding.NONE
        self._evidence = self._since_alarm = 0.0
        self._epoch += 1
        return Finding.ALARM

    def _test_alarm(self, ratio: float) -> bool:
        """End the last alarm, and return True, if as much speaks against it as spoke for it.

        Without this a false alarm would cost each group a call, of which a large index has many.
        """
        self._since_alarm += math.log(ratio)
        if self._since_alarm >= -_ALARM:
            return False
        self._epoch = 0
        self._confirmed.clear()
        return True

    def doubts(self) -> Doubts:
        """Return the groups in doubt."""
        confirmed = (key for key, epoch in self._confirmed.items() if epoch == self._epoch)
        return Doubts(
            _last(self._doubted), _last(dict.fromkeys(confirmed)) if self._epoch else None
        )

    def recall(self, doubts: Doubts, called: Callable[[int], int]) -> None:
        """Doubt the groups that another process doubted, and no others.

        Args:
            doubts: Its doubts.
            called: Returns the name of a group here.
        """
        self._doubted = dict.fromkeys(map(called, doubts.doubted.tolist()))
        self._epoch = int(doubts.confirmed is not None)
        confirmed = [] if doubts.confirmed is None else doubts.confirmed.tolist()
        self._confirmed = dict.fromkeys(map(called, confirmed), self._epoch)

    def forget(self, key: int) -> None:
        """Forget a group without entries; the same answer, given anew, is right."""
        self._doubted.pop(key, None)
        self._confirmed.pop(key, None)

    def join(self, former: int, lead: int) -> None:
        """Treat the group of one key as that of another."""
        if self._doubted.pop(former, self) is None:
            _put(self._doubted, lead, None)
        epoch = self._confirmed.pop(former, 0)
        if epoch > self._confirmed.get(lead, 0):
            _put(self._confirmed, lead, epoch)


def _ratio(risk: float, usual: float, *, right: bool, new: bool) -> float:
    """Return how much likelier a label is if answers have changed.

    Args:
        risk: The risk of the candidate.
        usual: The share of wrong candidates whose question has a new answer, without a change.
        right: Whether the candidate was right.
        new: Whether the right answer is new.
    """
    ratio = 1 - _SHARE
    if new and not right:
        ratio += _SHARE / (risk * usual)
    return ratio


def _put(table: dict[int, _Value], key: int, value: _Value) -> None:
    table.pop(key, None)
    table[key] = value
    if len(table) > _MOST:
        del table[next(iter(table))]


def _last(table: dict[int, None]) -> NDArray[np.int64]:
    keys = list(islice(reversed(table), _MOST_STORED))
    return np.array(keys[::-1], np.int64)
