"""What may be asked of a call: frozen, validated, reusable and composable values.

Every class here is immutable, hashable by identity of its fields where they are hashable, and free
of state: what a policy *does* lives in the rooms above. All durations are in seconds. A wrong
value raises :class:`~toolops_plugins.errors.ConfigurationError` when the policy is made, which is
when the function is decorated, and names the parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, Union, Unpack, dataclass_transform

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError

__all__ = [
    "NOTHING",
    "Bulkhead",
    "Cache",
    "CircuitBreaker",
    "ExceptionFilter",
    "Hedge",
    "Nothing",
    "Policy",
    "PolicyParts",
    "Price",
    "PriceLike",
    "RateLimit",
    "Retry",
    "Semantic",
    "TagsLike",
    "Timeout",
    "WaitLike",
]


T = TypeVar("T")


class Nothing:
    """The type of :data:`NOTHING`: no value at all, which is not the same as the value None."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"

    def __bool__(self) -> Literal[False]:
        return False


NOTHING = Nothing()

Exceptions: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
ExceptionFilter: TypeAlias = Exceptions | Callable[[Exception], bool]
"""Exception types, or a predicate over the exception."""
TagsLike: TypeAlias = Sequence[str] | Callable[..., Iterable[str]]
"""Tags, where ``{name}`` stands for the argument of that name; or a callable over the arguments."""
WaitLike: TypeAlias = (
    Literal["expo", "fibo", "constant"] | float | Callable[[], Generator[float, Any, None]]
)
PriceLike: TypeAlias = Union[float, "Price", Callable[[Any], float]]


def matches(wanted: ExceptionFilter, error: BaseException) -> bool:
    """Return whether ``error`` is among ``wanted``; a predicate that raises says no."""
    if isinstance(wanted, type | tuple):
        return isinstance(error, wanted)
    if not isinstance(error, Exception):
        return False
    try:
        return bool(wanted(error))
    except Exception:  # noqa: BLE001 - a broken predicate must not replace the user's own error
        return False


class _Value:
    """What frozen dataclasses share, written once.

    Generating it for each of them took a tenth of the time of importing this package.
    """

    def _fields(self) -> tuple[Any, ...]:
        return tuple(vars(self).values())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({parts})"


@dataclass_transform(frozen_default=True)
def _value(kind: type[T]) -> type[T]:
    return dataclass(frozen=True, eq=False, repr=False)(kind)


@_value
class Cache(_Value):
    """Keep results.

    Args:
        ttl: Seconds (or timedelta) that a result is fresh. None: as long as the tiers keep it.
        stale_ttl: Seconds after ``ttl`` in which a result may still be served at once, while a
            fresh one is fetched in the background (stale-while-revalidate, RFC 5861). Default 0.
        jitter: Share of ``ttl`` by which it is shortened at random, so that what was stored
            together does not expire together. Default 0.1.
        version: Part of the key; change it when the function's meaning changes. Default "1".
        tags: Names under which results can be invalidated together; ``"ticker:{ticker}"`` takes
            the argument of that name, a callable gets the arguments by name. Default none.
        tiers: Labels of the only tiers to use, such as ``["L1"]``. None: all.
        key: Callable over the arguments whose result replaces them in the key. None: all
            arguments count.
        key_params: The only parameters that count in the key. None: all but the ignored ones.
        beta: Eagerness of early refresh (XFetch; Vattani et al., VLDB 2015). 0: off. Default 1.
        negative: Exceptions (types or predicate) that are remembered and raised again. None: none.
        negative_ttl: Seconds for which they are. Default 5.
        stale_if_error: Seconds after ``ttl`` in which a result may stand in for an error
            (stale-if-error, RFC 5861). None: as long as ``stale_ttl``.
        when: Predicate over the result: store it only where this is true. None: store all results.
    """

    ttl: float | timedelta | None = None
    stale_ttl: float | timedelta = 0.0
    jitter: float = 0.1
    version: str = "1"
    tags: TagsLike = ()
    tiers: Sequence[str] | None = None
    key: Callable[..., Any] | None = None
    key_params: Sequence[str] | None = None
    beta: float = 1.0
    negative: ExceptionFilter | None = None
    negative_ttl: float | timedelta = 5.0
    when: Callable[[Any], bool] | None = None
    stale_if_error: float | timedelta | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.stale_if_error is not None:
            put(self, "stale_if_error", check.seconds("stale_if_error", self.stale_if_error))
        if self.ttl is not None:
            put(self, "ttl", check.seconds("ttl", self.ttl, zero=False))
        put(self, "stale_ttl", check.seconds("stale_ttl", self.stale_ttl))
        put(self, "negative_ttl", check.seconds("negative_ttl", self.negative_ttl, zero=False))
        check.share("jitter", self.jitter, zero=True)
        if check.number("beta", self.beta) < 0:
            raise ConfigurationError("beta", f"must be 0 or more, not {self.beta!r}")
        if not isinstance(self.version, str):
            raise ConfigurationError("version", f"must be a string, not {self.version!r}")
        if not callable(self.tags):
            put(self, "tags", check.texts("tags", self.tags))
        if self.tiers is not None:
            put(self, "tiers", check.texts("tiers", self.tiers))
            if not self.tiers:
                raise ConfigurationError(
                    "tiers", "names no tier; leave the cache policy out instead"
                )
        if self.key_params is not None:
            put(self, "key_params", check.texts("key_params", self.key_params))
        if self.key is not None and self.key_params is not None:
            raise ConfigurationError("key_params", "cannot stand beside key=, which replaces it")
        check.function("key", self.key)
        check.function("when", self.when)
        if self.negative is not None:
            check.exceptions("negative", self.negative)


@_value
class Semantic(_Value):
    """Let questions in other words share an answer; needs a runtime with a semantic cache.

    Args:
        on: The parameter that holds the question; all others belong to the scope and must be equal.
        max_error: The share of all requests that may get a wrong answer, or None for a threshold.
        threshold: Least similarity to serve, or None for the one calibrated for the embedder.
    """

    on: str
    max_error: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.on, str) or not self.on:
            raise ConfigurationError("on", f"must name the parameter that is text, not {self.on!r}")
        if self.max_error is not None:
            check.share("max_error", self.max_error)
        if self.threshold is not None:
            check.share("threshold", self.threshold)
        if self.max_error is not None and self.threshold is not None:
            raise ConfigurationError("threshold", "cannot stand beside max_error; choose one")


@_value
class Retry(_Value):
    """Try again after a failure that may pass.

    Args:
        attempts: Attempts in all, the first included. Default 3.
        wait: "expo", "fibo", "constant", seconds, or a callable that makes a ``backoff`` wait
            generator. Default "expo".
        base: Seconds that the named waits start from. Default 0.1.
        max_wait: Longest single wait in seconds, a server's Retry-After included: where that asks
            for more, the error is raised at once. Default 30.
        jitter: "full" (a uniform draw up to the wait; Brooker, AWS Architecture Blog, 2015), or
            None. Default "full".
        max_elapsed: Seconds after the first attempt's start past which no new one starts. None: no
            limit.
        on: Exceptions (types or predicate) that are worth another attempt. Default Exception.
            Rejections by our own policies and cancellation never are.
        on_result: Predicate: results for which it is true are failures too. None: no result is.
    """

    attempts: int = 3
    wait: WaitLike = "expo"
    max_elapsed: float | timedelta | None = None
    on: ExceptionFilter = Exception
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


@_value
class CircuitBreaker(_Value):
    """Stop calling what keeps failing, and probe whether it has come back.

    Args:
        failure_rate: Share of failures in the window that opens the circuit. Default 0.5.
        window: Size of the window: a number of calls, or a timedelta. Default 100 calls.
        min_calls: Calls that the window must hold before its rates mean anything. Default 10, or
            the window's size where that is smaller.
        slow_call: Seconds from which a call counts as slow, or None. Default None.
        slow_rate: Share of slow calls that opens the circuit. Default 1.0.
        open_for: Seconds that the circuit stays open before probing. Default 30.
        probes: Calls let through half-open; all must succeed to close. Default 3.
        on: Exceptions (types or predicate) that count as failures. Default Exception.
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
    on: ExceptionFilter = Exception
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


@_value
class Timeout(_Value):
    """Bound the time that a call may take.

    A coroutine that runs out of time is cancelled. A plain function runs in a bounded pool of
    threads, with the caller's context variables, and is abandoned there: Python cannot stop a
    thread, so its work goes on and its result is dropped.

    Args:
        attempt: Seconds for one attempt, or None. Running out counts as a failure and is retried.
        total: Seconds for all attempts and waits together, or None.
    """

    attempt: float | timedelta | None = None
    total: float | timedelta | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("attempt", "total"):
            value = getattr(self, name)
            if value is not None:
                put(self, name, check.seconds(name, value, zero=False))


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


@_value
class RateLimit(_Value):
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

    def _parsed(self) -> tuple[float, float]:
        match = re.fullmatch(_RATE, self.rate) if isinstance(self.rate, str) else None
        if not match or match[3] not in _UNITS:
            raise ConfigurationError(
                "rate", f'must look like "60/min", "5/s" or "1000/10min", not {self.rate!r}'
            )
        return float(match[1]), float(match[2] or 1) * _UNITS[match[3]]

    @property
    def count(self) -> float:
        """Units in one period."""
        return self._parsed()[0]

    @property
    def period(self) -> float:
        """The period in seconds."""
        return self._parsed()[1]


@_value
class Bulkhead(_Value):
    """Bound how many calls run at once.

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


@_value
class Hedge(_Value):
    """Start a second attempt when the first is slower than usual, and take whichever ends first.

    Only for calls that may safely run twice (Dean and Barroso, The Tail at Scale, CACM 2013).

    Args:
        quantile: Quantile of recent latencies after which the second attempt starts. Default 0.95.
        min_calls: Successful calls seen before any hedging. Default 20.
        least: Seconds before which no second attempt ever starts. Default 0.
    """

    quantile: float = 0.95
    min_calls: int = 20
    least: float | timedelta = 0.0

    def __post_init__(self) -> None:
        if not 0 < check.number("quantile", self.quantile) < 1:
            raise ConfigurationError("quantile", f"must lie inside 0 and 1, not {self.quantile!r}")
        check.count("min_calls", self.min_calls)
        object.__setattr__(self, "least", check.seconds("least", self.least))


@_value
class Price(_Value):
    """What a call costs.

    Args:
        per_call: Money for each call. Default 0.
        per_token: Money for each token. Default 0.
        tokens: Callable over the result that returns its tokens; needed with ``per_token``.
    """

    per_call: float = 0.0
    per_token: float = 0.0
    tokens: Callable[[Any], float] | None = None

    def __post_init__(self) -> None:
        for name in ("per_call", "per_token"):
            if check.number(name, getattr(self, name)) < 0:
                raise ConfigurationError(name, "must be 0 or more")
        check.function("tokens", self.tokens)
        if self.per_token and self.tokens is None:
            raise ConfigurationError("tokens", "is needed to price a call per token")

    def __call__(self, result: Any) -> float:
        """Return the price of the call that gave ``result``."""
        if self.tokens is None:
            return self.per_call
        return self.per_call + self.per_token * self.tokens(result)


_KINDS: Mapping[str, type] = {
    "cache": Cache,
    "retry": Retry,
    "breaker": CircuitBreaker,
    "timeout": Timeout,
    "rate_limit": RateLimit,
    "bulkhead": Bulkhead,
    "hedge": Hedge,
    "semantic": Semantic,
}


class PolicyParts(TypedDict, total=False):
    """The keywords of a :class:`Policy`, as decorators take them."""

    cache: Cache | None
    retry: Retry | None
    breaker: CircuitBreaker | None
    timeout: Timeout | None
    rate_limit: RateLimit | None
    bulkhead: Bulkhead | None
    hedge: Hedge | None
    semantic: Semantic | None
    coalesce: bool | None
    fallback: Any
    price: PriceLike | None
    tags: TagsLike


@_value
class Policy(_Value):
    """All that is asked of a call; the decorators take the same keywords.

    Policies compose: ``base | Policy(retry=...)`` takes from the right what is set there.
    ``base.replace(retry=None)`` also takes things away.

    Args:
        cache: Keep results. None: do not.
        retry: Try again. None: do not.
        breaker: Stop calling what keeps failing. None: do not.
        timeout: Bound the time. None: do not.
        rate_limit: Keep under a limit. None: do not.
        bulkhead: Bound the concurrency. None: do not.
        hedge: Race a second attempt. None: do not.
        semantic: Share answers between questions in other words. None: do not.
        coalesce: Run concurrent equal calls once. None: where results are cached.
        fallback: Value to return instead of raising, or a callable that gets as many of (error,
            arguments by name, stale value or None) as it takes. NOTHING: none.
        price: Money per call, a :class:`Price`, or a callable over the result. None: free.
        tags: Tags of every event and cached result of the call, as in :class:`Cache`.
    """

    cache: Cache | None = None
    retry: Retry | None = None
    breaker: CircuitBreaker | None = None
    timeout: Timeout | None = None
    rate_limit: RateLimit | None = None
    bulkhead: Bulkhead | None = None
    hedge: Hedge | None = None
    semantic: Semantic | None = None
    coalesce: bool | None = None
    fallback: Any = NOTHING
    price: PriceLike | None = None
    tags: TagsLike = ()

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ConfigurationError(name, f"must be a {kind.__name__} or None, not {value!r}")
        if self.coalesce is not None and not isinstance(self.coalesce, bool):
            raise ConfigurationError(
                "coalesce", f"must be True, False or None, not {self.coalesce!r}"
            )
        if (
            self.price is not None
            and not callable(self.price)
            and check.number("price", self.price) < 0
        ):
            raise ConfigurationError("price", f"must be 0 or more, not {self.price!r}")
        if not callable(self.tags):
            object.__setattr__(self, "tags", check.texts("tags", self.tags))
        if self.semantic is not None and self.cache is None:
            raise ConfigurationError("semantic", "needs cache=, which holds the answers it shares")

    def __or__(self, other: Policy) -> Policy:
        """Return this policy with everything that ``other`` sets."""
        if not isinstance(other, Policy):
            return NotImplemented
        unset = Policy()
        changes = {
            field.name: getattr(other, field.name)
            for field in fields(other)
            if getattr(other, field.name) != getattr(unset, field.name)
        }
        return replace(self, **changes)

    def replace(self, **changes: Unpack[PolicyParts]) -> Policy:
        """Return this policy with the named parts changed; None takes a part away.

        Raises:
            ConfigurationError: A name is no part of a policy, or a value does not fit it.
        """
        known = {field.name for field in fields(self)}
        for name in changes:
            if name not in known:
                raise ConfigurationError(
                    name, f"is no part of a policy; these are: {', '.join(sorted(known))}"
                )
        return replace(self, **changes)

    @property
    def coalesces(self) -> bool:
        """Whether concurrent equal calls run once."""
        return self.cache is not None if self.coalesce is None else self.coalesce
