"""Policies for the attempts of a call: their number, timing and concurrency."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy.base import ExceptionFilter, PolicyBase, policy_class
from toolops_plugins.policy.faults import callee_failed

__all__ = [
    "Bulkhead",
    "CircuitBreaker",
    "Hedge",
    "RateLimit",
    "Retry",
    "Timeout",
    "WaitLike",
]

WaitLike: TypeAlias = (
    Literal["expo", "fibo", "constant"] | float | Callable[[], Generator[float, Any, None]]
)


@policy_class
class Retry(PolicyBase):
    """Try again after a failure that may pass.

    Args:
        attempts: Attempts in all, the first included. Default 3.
        wait: "expo", "fibo", "constant", seconds, or a callable that returns a ``backoff`` wait
            generator. Default "expo".
        base: Seconds that the named waits start from. Default 0.1.
        max_wait: Longest single wait in seconds, a server's Retry-After included. If a server asks
            for more, the error is raised at once. Default 30.
        jitter: "full" (a uniform draw up to the wait; Brooker, AWS Architecture Blog, 2015), or
            None. Default "full".
        max_elapsed: Seconds after the start of the first attempt past which no new attempt starts.
            None: no limit.
        on: Exceptions (types or predicate) that are worth another attempt. Default: those that
            speak against the callee (:func:`~toolops_plugins.policy.faults.callee_failed`), which
            excludes bad arguments and HTTP errors of the 4xx kind. Rejections by our own policies
            and cancellation are never retried; of a group each exception must match.
        on_result: Predicate: results for which it is true are failures too. None: no result is.
    """

    attempts: int = 3
    wait: WaitLike = "expo"
    max_elapsed: float | timedelta | None = None
    on: ExceptionFilter = callee_failed
    base: float | timedelta = 0.1
    max_wait: float | timedelta = 30.0
    jitter: Literal["full"] | None = "full"
    on_result: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        check.count("attempts", self.attempts)
        if isinstance(self.wait, str):
            if self.wait not in ("expo", "fibo", "constant"):
                raise ConfigurationError(
                    "wait",
                    f'must be "expo", "fibo", "constant", seconds or a callable, not {self.wait!r}',
                )
        elif not callable(self.wait):
            put(self, "wait", check.seconds("wait", self.wait))
        put(self, "base", check.seconds("base", self.base))
        put(self, "max_wait", check.seconds("max_wait", self.max_wait))
        if self.max_elapsed is not None:
            put(self, "max_elapsed", check.seconds("max_elapsed", self.max_elapsed, zero=False))
        if self.jitter not in ("full", None):
            raise ConfigurationError("jitter", f'must be "full" or None, not {self.jitter!r}')
        check.exceptions("on", self.on)
        check.function("on_result", self.on_result)


@policy_class
class CircuitBreaker(PolicyBase):
    """Stop calling a callee that keeps failing, and probe whether it has recovered.

    Args:
        failure_rate: Share of failures in the window that opens the circuit. Default 0.5.
        window: Size of the window: a number of calls, or a timedelta. Default 100 calls.
        min_calls: Calls that the window must hold before its rates count. Default 10, or the
            window's size where that is smaller.
        slow_call: Seconds from which a call counts as slow, or None. Default None.
        slow_rate: Share of slow calls that opens the circuit. Default 1.0.
        open_for: Seconds that the circuit stays open before probing. Default 30.
        probes: Calls that a half-open circuit admits; all must succeed to close it. Default 3.
        on: Exceptions (types or predicate) that count as failures. Default: those that speak
            against the callee, as in :class:`Retry`. Of a group one is enough.
        on_result: Predicate: results for which it is true count as failures. None: none do.
        name: Breakers of one name in one runtime are one breaker. None: the tool's name.
    """

    failure_rate: float = 0.5
    window: int | timedelta = 100
    min_calls: int = 10
    slow_call: float | timedelta | None = None
    open_for: float | timedelta = 30.0
    probes: int = 3
    slow_rate: float = 1.0
    on: ExceptionFilter = callee_failed
    on_result: Callable[[Any], bool] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        check.share("failure_rate", self.failure_rate)
        check.share("slow_rate", self.slow_rate)
        check.count("min_calls", self.min_calls)
        if isinstance(self.window, timedelta):
            check.seconds("window", self.window, zero=False)
        else:
            check.count("window", self.window)
            put(self, "min_calls", min(self.min_calls, self.window))
        if self.slow_call is not None:
            put(self, "slow_call", check.seconds("slow_call", self.slow_call, zero=False))
        put(self, "open_for", check.seconds("open_for", self.open_for, zero=False))
        check.count("probes", self.probes)
        check.exceptions("on", self.on)
        check.function("on_result", self.on_result)


@policy_class
class Timeout(PolicyBase):
    """Bound the time that a call may take.

    A coroutine that runs out of time is cancelled, and its caller does not wait for a body that
    resists. A plain function can be abandoned only where it runs in another thread than its caller.
    So with a time limit it runs in a bounded pool of threads, with the caller's context variables.
    Python cannot stop a thread: an abandoned function runs on, and its result is dropped.

    The caller's thread-bound state is not there: connections of ``sqlite3``, Django's transactions
    and connections, ``threading.local``. Functions that use such state need ``in_thread=False``.
    They stay in the caller's thread, whatever limits and deadlines there are; time is then checked
    before each attempt, and bounds every wait of ours.

    Args:
        attempt: Seconds for one attempt, or None. Running out counts as a failure and is retried.
            It begins when the function does: the wait for a thread has as many seconds of its own,
            after which the call is rejected with ``ThreadPoolFull``.
        total: Seconds for all attempts and waits together, or None.
        in_thread: Whether a plain function with a limit runs in another thread, where it can be
            abandoned. Default True. Coroutines stay on their loop.
    """

    attempt: float | timedelta | None = None
    total: float | timedelta | None = None
    in_thread: bool = True

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("attempt", "total"):
            value = getattr(self, name)
            if value is not None:
                put(self, name, check.seconds(name, value, zero=False))
        if not isinstance(self.in_thread, bool):
            raise ConfigurationError("in_thread", f"must be True or False, not {self.in_thread!r}")


_RATE = r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*"
_UNITS = {
    unit: length
    for units, length in (
        ("s sec secs second seconds", 1),
        ("m min mins minute minutes", 60),
        ("h hour hours", 3600),
        ("d day days", 86400),
    )
    for unit in units.split()
}


@policy_class
class RateLimit(PolicyBase):
    """Keep under a provider's limit.

    Args:
        rate: ``"60/min"``, ``"5/s"``, ``"100000/10min"``: units in a period of s, min, h or d.
        burst: Units that may go at once after a quiet time. None: the whole rate's count.
        wait: Seconds that a call may wait for its turn: 0 rejects at once, None waits as long as
            it takes. Default None.
        algorithm: "token_bucket" (smooth refill), or "sliding_window" (never more than the count
            in any period). Default "token_bucket".
        cost: Units of a call: a number, or a callable over the arguments (for example the tokens
            of a prompt). Default 1.
        name: Limits of one name in one runtime share their units. None: the tool's name.
    """

    rate: str
    burst: float | None = None
    wait: float | timedelta | None = None
    algorithm: Literal["token_bucket", "sliding_window"] = "token_bucket"
    cost: float | Callable[..., float] = 1.0
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        count, period = self.count, self.period
        if count <= 0 or period <= 0:
            raise ConfigurationError("rate", f"must allow something, not {self.rate!r}")
        if self.burst is not None and check.number("burst", self.burst) <= 0:
            raise ConfigurationError("burst", f"must be more than 0, not {self.burst!r}")
        if self.wait is not None:
            put(self, "wait", check.seconds("wait", self.wait))
        if self.algorithm not in ("token_bucket", "sliding_window"):
            raise ConfigurationError(
                "algorithm", f'must be "token_bucket" or "sliding_window", not {self.algorithm!r}'
            )
        if self.algorithm == "sliding_window" and self.burst is not None:
            raise ConfigurationError("burst", "has no meaning in a sliding window")
        if not callable(self.cost) and check.number("cost", self.cost) <= 0:
            raise ConfigurationError("cost", f"must be more than 0, not {self.cost!r}")
        most = count if self.burst is None else self.burst
        if not callable(self.cost) and self.cost > most:
            raise ConfigurationError("cost", f"is {self.cost!r}; at most {most:g} ever fit")

    def _parse(self) -> tuple[float, float]:
        match = re.fullmatch(_RATE, self.rate) if isinstance(self.rate, str) else None
        if not match or match[3] not in _UNITS:
            raise ConfigurationError(
                "rate", f'must look like "60/min", "5/s" or "1000/10min", not {self.rate!r}'
            )
        return float(match[1]), float(match[2] or 1) * _UNITS[match[3]]

    @property
    def count(self) -> float:
        """Units in one period."""
        return self._parse()[0]

    @property
    def period(self) -> float:
        """The period in seconds."""
        return self._parse()[1]


@policy_class
class Bulkhead(PolicyBase):
    """Bound the number of calls that run at once.

    Args:
        limit: Calls that may run at the same time.
        queue: Callers that may wait for a place, first come first served. Default 0.
        name: Bulkheads of one name in one runtime are one. None: the tool's name.
    """

    limit: int
    queue: int = 0
    name: str | None = None

    def __post_init__(self) -> None:
        check.count("limit", self.limit)
        check.count("queue", self.queue, least=0)


@policy_class
class Hedge(PolicyBase):
    """Start a second attempt when the first is slower than usual, and take the first that ends.

    Only for calls that may safely run twice (Dean and Barroso, The Tail at Scale, CACM 2013). Both
    attempts of a plain function run in threads of the runtime's pool, as with :class:`Timeout`.

    Args:
        quantile: Quantile of recent latencies after which the second attempt starts. Default 0.95.
        min_calls: Successful calls that must have been seen before any hedging. Default 20.
        least: Seconds before which no second attempt starts. Default 0.
    """

    quantile: float = 0.95
    min_calls: int = 20
    least: float | timedelta = 0.0

    def __post_init__(self) -> None:
        if not 0 < check.number("quantile", self.quantile) < 1:
            raise ConfigurationError("quantile", f"must lie between 0 and 1, not {self.quantile!r}")
        check.count("min_calls", self.min_calls)
        object.__setattr__(self, "least", check.seconds("least", self.least))
