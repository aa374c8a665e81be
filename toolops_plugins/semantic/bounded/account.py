"""The account of wrong answers under a bound: how many are expected so far, and are allowed."""

from __future__ import annotations

import math
from collections import Counter, deque
from contextlib import suppress
from typing import Final

import numpy as np

from toolops_plugins.semantic.bounded.changes import Finding
from toolops_plugins.semantic.bounded.logistic import Floats

__all__ = ["Account", "allowed_errors"]

_EARLY: Final = 1.5  # multiple of the bound that is allowed ...
_SETTLED: Final = 2_000  # ... before this many requests
_FIRST: Final = 100  # the bound is promised from this request on
_SIGMAS: Final = 2.6  # chance of more wrong answers than allowed: about 1 in 200 ...
_SIGMAS_AT_MOST: Final = 2.2  # ... and about 1 in 70 where risks turned out to be higher
_SIGMAS_OF_HITS: Final = 1.0  # a looser limit: early hits are few, and a start without any is bad
_OF_HITS: Final = 2.0  # multiple of the bound that is allowed of the hits
_AHEAD: Final = 0.25  # what is left is spent within this multiple of the requests so far, ...
_LEAST_AHEAD: Final = 200.0  # ... but not within fewer requests
_STEEPEST: Final = 2.0  # multiple of the bound that may be spent in a request
_MOST_LEFT: Final = 2_000.0  # what the bound gives for more requests than this is not saved
_LEFT_TO_RESUME: Final = 20.0  # a process begins with what the bound gives for these requests
_REMEMBERED: Final = 100  # answers served since the last sign of quiet
_MOST_PRICED: Final = 10_000.0  # served answers whose risk is estimated anew


def allowed_errors(count: float, sigmas: float) -> float:
    """Return the expected number of errors under which more than ``count`` are improbable.

    The mean of a Poisson distribution, by the approximation of Wilson and Hilferty (The
    distribution of chi-square, 1931).

    Args:
        count: Errors that may happen.
        sigmas: How improbable more errors are, in standard deviations.
    """
    more = math.floor(count) + 1
    return more * float(max(0.0, 1 - 1 / (9 * more) - sigmas / (3 * math.sqrt(more)))) ** 3


class Account:
    """The expected wrong answers among those served under one bound.

    Every served answer is charged with the risk that it was wrong. The risks of recent answers are
    estimated anew whenever more is known, so an answer that looked safe can turn out to have been
    expensive. The account allows so few expected errors that more actual ones than promised are
    improbable at every request from the hundredth on: the promise is 1.5 times the bound before
    2,000 requests, and the bound afterwards. If the risks are right, the chance at a single request
    is about one in two hundred.

    Not thread-safe: its owner holds a lock.

    Args:
        max_error: The share of all requests that may get a wrong answer.
        cells: Number of cells of risk.
    """

    __slots__ = (
        "_charged",
        "_max_error",
        "_prices",
        "_served",
        "_since",
        "_sunk",
        "_suspected",
        "hits",
        "requests",
    )

    def __init__(self, max_error: float, cells: int) -> None:
        self._max_error = max_error
        self._prices: Floats = np.ones(cells)
        self._served: Floats = np.zeros(cells)
        self._sunk = 0.0
        self._since: deque[int] = deque(maxlen=_REMEMBERED)
        self._suspected: Counter[int] = Counter()
        self._charged = 0  # for answers that were suspected at the last alarm
        self.requests = 0
        """Requests under the bound."""
        self.hits = 0
        """Answers served, repetitions included."""

    @property
    def spent(self) -> float:
        """The expected number of wrong answers so far."""
        return float(self._served @ self._prices) + self._sunk

    @property
    def allowed(self) -> float:
        """The expected number of wrong answers that may have been served by now."""
        return self._allowed(self.requests, _SIGMAS)

    def _allowed(self, requests: float, sigmas: float) -> float:
        count = max(requests, _FIRST)
        most = max(count, min(_EARLY * count, _SETTLED))
        return allowed_errors(self._max_error * most, sigmas)

    def serve(self, cell: int, key: int, count: int = 1) -> None:
        """Charge a served answer.

        Args:
            cell: The cell of its risk.
            key: Its group.
            count: How often it was served. Default 1.
        """
        self.hits += count
        self._served[cell] += count
        self._since.extend([key] * min(count, _REMEMBERED))

    def take_back(self, cell: int, key: int) -> None:
        """Undo a charge of :meth:`serve` for an answer that was not served after all."""
        self.hits -= 1
        self._served[cell] = max(0.0, self._served[cell] - 1)
        with suppress(ValueError):  # it is not among the last ones any more
            self._since.remove(key)

    def price(self, prices: Floats) -> None:
        """Set upper estimates of the risks by cell, at which recent answers are charged anew."""
        self._prices = prices
        if self._served.sum() > _MOST_PRICED:
            self._sunk += float(self._served @ prices) / 2
            self._served /= 2
        unused = self.allowed - self.spent - self._max_error * _MOST_LEFT
        self._sunk += max(0.0, unused)

    def affords(self, cost: float) -> bool:
        """Return whether an answer with this expected error may be served.

        What was served is charged anew when risks turn out to be higher. So the account may be
        overdrawn a little, rather than refuse everything for hundreds of requests;
        :meth:`rate` brings it back.
        """
        return self.spent + cost <= self._allowed(self.requests, _SIGMAS_AT_MOST)

    def rate(self) -> float:
        """Return the expected wrong answers a request that may be served from now on."""
        requests = max(self.requests, _FIRST)
        ahead = max(_LEAST_AHEAD, _AHEAD * requests)
        rate = (self._allowed(requests + ahead, _SIGMAS) - self.spent) / ahead
        return min(max(rate, 0.0), _STEEPEST * self._max_error)

    def rate_of_hits(self) -> float:
        """Return the expected wrong answers a hit that may be served from now on."""
        hits = max(1 / self._max_error, (1 + _AHEAD) * self.hits)
        return allowed_errors(_OF_HITS * self._max_error * hits, _SIGMAS_OF_HITS) / hits

    def note(self, finding: Finding, key: int) -> None:
        """Charge what was served of changed answers before an alarm, once it is known.

        If the alarm was false, give it back.

        Args:
            finding: The meaning of the last label.
            key: Its group.
        """
        if finding is Finding.QUIET:
            self._since.clear()
        elif finding is Finding.ALARM:
            self._suspected = Counter(self._since)
            self._since.clear()
            self._charged = 0
        if finding in (Finding.ALARM, Finding.REFUTED):
            wrong = self._suspected.pop(key, 0)
            self._charged += wrong
            self._sunk += wrong
        elif finding is Finding.CONFIRMED:
            self._suspected.pop(key, None)
        elif finding is Finding.FALSE_ALARM:
            self._sunk -= self._charged
            self._charged = 0
            self._suspected.clear()

    def resume(self, requests: int, hits: int) -> None:
        """Go on at the pace of an earlier process, with little of what it had left."""
        self.requests += min(requests, _SETTLED)
        self.hits += min(hits, _SETTLED)
        left = self._max_error * _LEFT_TO_RESUME
        self._sunk += max(0.0, self.allowed - self.spent - left)
