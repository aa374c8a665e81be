"""Retries: the decision to try again, and the wait before it.

The waits are those of the ``backoff`` package. Decided here are the errors that are worth another
attempt, the wait that the server asks for, the time that is left, and the budget.
"""

from __future__ import annotations

import math
import random
import sys
import threading
from collections.abc import Callable, Generator
from datetime import timedelta
from itertools import chain, repeat
from typing import Any, cast

from toolops_plugins import check
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError, DeadlineExceeded, Rejected, TotalTimeout
from toolops_plugins.policy import Retry
from toolops_plugins.policy.base import iter_leaves, matches
from toolops_plugins.policy.error_details import retry_after
from toolops_plugins.policy.faults import callee_failed, fault_of

__all__ = ["RetryBudget", "Retrying", "retry_after"]

_NEVER = (Rejected, TotalTimeout, DeadlineExceeded, ConfigurationError)


class RetryBudget:
    """Bounds the retries of many callers together, so that an outage is not multiplied.

    A token bucket after Finagle's ``RetryBudget`` (com.twitter.finagle.service): every first
    attempt puts ``ratio`` of a token in, every retry takes a whole one out. So that a quiet service
    can retry too, the bucket starts with ``reserve`` tokens and refills up to that by itself in 10
    seconds. The bucket overflows at ten reserves (at least one token), so that a long healthy time
    does not save up for a storm.

    Over any time, retries stay under ``ratio`` of the first attempts, plus the content of the
    bucket, plus ``reserve`` every 10 seconds. Safe to share between any threads and event loops.

    Args:
        ratio: Retries per first attempt that are allowed in the long run. Default 0.2.
        reserve: Retries that are allowed in every 10 seconds besides. Default 10.
        clock: The source of time.

    Attributes:
        exhausted: Retries that were refused.

    Raises:
        ConfigurationError: ``ratio`` or ``reserve`` is negative or not finite.
    """

    _REFILL = 10.0  # seconds in which the reserve comes back

    def __init__(
        self, ratio: float = 0.2, reserve: float = 10.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        for name, value in (("ratio", ratio), ("reserve", reserve)):
            if check.number(name, value) < 0:
                raise ConfigurationError(name, f"must be 0 or more, not {value!r}")
        self._ratio = ratio
        self._reserve = reserve
        self._cap = max(10 * self._reserve, 1.0)
        self._clock = clock
        self._tokens = self._reserve
        self._refilled = clock.monotonic()
        self._lock = fork_safe(self, threading.Lock())
        self.exhausted = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return RetryBudget, (self._ratio, self._reserve)

    @property
    def tokens(self) -> float:
        """Retries that are allowed now."""
        with self._lock:
            self._refill()
            return self._tokens

    def deposit(self) -> None:
        """Count a first attempt."""
        # Read without the lock, which takes as long as all the rest: a full bucket stays full.
        if self._tokens >= self._cap:
            return
        with self._lock:
            self._tokens = min(self._cap, self._tokens + self._ratio)

    def withdraw(self) -> bool:
        """Ask for one retry; return whether it is allowed."""
        with self._lock:
            self._refill()
            if self._tokens < 1:
                self.exhausted += 1
                return False
            self._tokens -= 1
            return True

    def _refill(self) -> None:
        now = self._clock.monotonic()
        if self._tokens < self._reserve:
            gained = (now - self._refilled) * self._reserve / self._REFILL
            self._tokens = min(self._reserve, self._tokens + gained)
        self._refilled = now


class Retrying:
    """The retries of one call: ask it after each failure, and wait for as long as it says.

    Make one just before the first attempt. It belongs to that call, and must not be shared.
    :meth:`after_first_attempt` makes one only when the first attempt has failed.

    Args:
        policy: What to retry, how often and after which waits.
        clock: The source of time.
        budget: The budget to share with other calls, or None.

    Attributes:
        attempts: Attempts made or under way.

    Example:
        >>> retrying = Retrying(Retry(attempts=2, wait=1.5, jitter=None))
        >>> retrying.after_error(ConnectionError("reset"))
        1.5
        >>> retrying.after_error(ConnectionError("reset")) is None
        True
    """

    __slots__ = ("_budget", "_clock", "_outside", "_policy", "_started", "_waits", "attempts")

    def __init__(
        self, policy: Retry, clock: Clock = SYSTEM_CLOCK, budget: RetryBudget | None = None
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._budget = budget
        self._waits: Callable[[Any], float] | None = None
        self._started = 0.0 if policy.max_elapsed is None else clock.monotonic()
        self.attempts = 1
        # An exception that the caller is handling becomes the context of the attempts' own.
        self._outside = sys.exception()
        if budget is not None:
            budget.deposit()

    @classmethod
    def after_first_attempt(
        cls,
        policy: Retry,
        clock: Clock,
        budget: RetryBudget | None,
        *,
        started: float,
        outside: BaseException | None,
    ) -> Retrying:
        """Return the retries of a call whose first attempt is over.

        Before that attempt the caller must have called ``budget.deposit()``, unless there is no
        budget.

        Args:
            policy: The policy.
            clock: The source of time.
            budget: The budget to share with other calls, or None.
            started: The clock's monotonic time before the attempt; of no account where
                ``policy.max_elapsed`` is None.
            outside: The exception that the caller was handling before the attempt, which is
                ``sys.exception()`` there; or None.
        """
        retrying = cls(policy, clock)
        retrying._budget = budget
        retrying._started = started
        retrying._outside = outside
        return retrying

    def after_error(self, error: BaseException) -> float | None:
        """Return the seconds to wait before the next attempt, or None to raise ``error``.

        Rejections by our own policies, the total timeout, a caller's deadline and every kind of
        cancellation or exit are never retried. A group of exceptions is retried only if each of
        them is.

        Args:
            error: The attempt's exception.
        """
        # That of asyncio is no Exception, and neither are GeneratorExit and KeyboardInterrupt.
        from concurrent.futures import CancelledError  # noqa: PLC0415 - on a failure, not at import

        if self.attempts >= self._policy.attempts:
            return None
        leaves = tuple(iter_leaves(error)) if isinstance(error, BaseExceptionGroup) else (error,)
        for leaf in leaves:
            if not isinstance(leaf, Exception) or isinstance(leaf, (*_NEVER, CancelledError)):
                return None
        if self._policy.on is callee_failed:
            wanted = all(fault_of(leaf, self._outside) == "callee" for leaf in leaves)
        else:
            wanted = matches(self._policy.on, error)
        return self._next(error) if wanted else None

    def after_result(self, result: Any) -> float | None:
        """Return the seconds to wait before the next attempt, or None to take ``result``.

        The last attempt's result is taken even where ``on_result`` calls it a failure. A predicate
        that raises counts as false.

        Args:
            result: The attempt's result.
        """
        failed = self._policy.on_result
        if failed is None or self.attempts >= self._policy.attempts:
            return None
        try:
            if not failed(result):
                return None
        except Exception:  # noqa: BLE001 - a broken predicate must not cost the user a result
            return None
        return self._next(result)

    def _next(self, outcome: Any) -> float | None:
        policy, longest = self._policy, _plain(self._policy.max_wait)
        wait = self._wait(outcome, longest)
        asked = retry_after(outcome, self._clock, self._outside)
        if wait is None or (asked is not None and asked > longest):
            return None
        if asked is not None:
            # Clients that were all given the same second must not all return in it.
            spread = random.uniform(0, asked / 10) if policy.jitter else 0.0  # noqa: S311 - timing
            wait = max(wait, min(asked + spread, longest))
        if policy.max_elapsed is not None:
            end = self._started + _plain(policy.max_elapsed)
            if self._clock.monotonic() + wait > end:
                return None
        if self._budget is not None and not self._budget.withdraw():
            return None
        self.attempts += 1
        return wait

    def _wait(self, outcome: Any, longest: float) -> float | None:
        """Return the policy's own wait; None where its generator has ended or raises."""
        from backoff import full_jitter  # noqa: PLC0415 - on the first failure, not at import

        try:
            if self._waits is None:
                self._waits = _waits(self._policy, longest)
            wait = self._waits(outcome)
            wait = max(0.0, min(_unit(self._policy) * wait, longest))
        except Exception:  # noqa: BLE001 - a broken generator must not replace the user's own error
            return None
        return full_jitter(wait) if self._policy.jitter else wait


def _waits(policy: Retry, longest: float) -> Callable[[Any], float]:
    """Return a function from an attempt's outcome to the next wait, in the policy's unit.

    The generators of backoff 2 yield nothing at first and are then sent outcomes. Those of backoff
    1, and simple generators of users, yield their first wait at once and are sent nothing.
    """
    import backoff  # noqa: PLC0415 - on the first failure, not at import

    made: Generator[float, Any, None]
    # No generator may count up forever: numbers too large for a float would end it with an error.
    most = int(min(longest / (_unit(policy) or math.inf), 1e15)) + 1
    if callable(policy.wait):
        made = policy.wait()
    elif policy.wait == "expo":
        made = backoff.expo(max_value=most)
    elif policy.wait == "fibo":
        made = backoff.fibo(max_value=most)
    elif policy.wait == "constant":
        made = backoff.constant(1)
    else:
        made = backoff.constant(repeat(policy.wait))
    first: Any = next(made)
    if first is None:
        return made.send
    plain = chain((first,), made)
    return lambda _: next(plain)


def _unit(policy: Retry) -> float:
    """Return the seconds in one unit of the generator: only the named ones start from ``base``."""
    return _plain(policy.base) if isinstance(policy.wait, str) else 1.0


def _plain(seconds: float | timedelta) -> float:
    """Return a policy's seconds, which are a number: the policy has made one of a timedelta."""
    return cast("float", seconds)
