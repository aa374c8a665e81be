"""Policies of a call: frozen, validated, reusable and composable values.

Every class here is immutable, hashable where its fields are, and free of state. All durations are
in seconds. A wrong value raises :class:`~toolops_plugins.errors.ConfigurationError`, which names
the parameter, when the policy is made: at the decoration of a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict, Union, Unpack

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy.attempts import (
    Bulkhead,
    CircuitBreaker,
    Hedge,
    RateLimit,
    Retry,
    Timeout,
    WaitLike,
)
from toolops_plugins.policy.base import (
    NOTHING,
    ExceptionFilter,
    Nothing,
    PolicyBase,
    TagsLike,
    matches,
    policy_class,
)

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
    "matches",
]

PriceLike: TypeAlias = Union[float, "Price", Callable[[Any], float]]


@policy_class
class Cache(PolicyBase):
    """Store results and return them to later calls.

    Args:
        ttl: Seconds (or timedelta) that a result is fresh. None: as long as the tiers keep it.
        stale_ttl: Seconds after ``ttl`` in which a result may still be served at once, while a
            fresh one is fetched in the background (stale-while-revalidate, RFC 5861). Default 0.
        jitter: Share of ``ttl`` by which it is shortened at random, so that results that were
            stored together do not expire together. Default 0.1.
        version: Part of the key; change it when the function's meaning changes. Default "1".
        tags: Names under which results can be invalidated together; ``"ticker:{ticker}"`` takes
            the argument of that name, a callable gets the arguments by name. Default none.
        tiers: Labels of the only tiers to use, such as ``["L1"]``. None: all.
        key: Callable over the arguments whose result replaces them in the key. None: all
            arguments count.
        key_params: The only parameters that count in the key. None: all but the ignored ones.
        beta: Eagerness of early refresh (XFetch; Vattani et al., VLDB 2015). 0: off. Default 1.
        negative: Exceptions (types or predicate) that are stored and raised again, with their
            arguments and attributes alone; one that holds a value that no codec takes is not
            stored.
            None: none.
        negative_ttl: Seconds for which they are stored. Default 5.
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


@policy_class
class Semantic(PolicyBase):
    """Share answers between questions in other words; needs a runtime with a semantic cache.

    By default at most 1 % of all requests may get a wrong answer. At first only repetitions in
    another writing are served, and in English questions for which the guards vouch word by word.
    Each call that is made shows whether a near answer would have been right, and the more is
    known, the more is served.

    Args:
        on: The parameter that holds the question; all others belong to the scope and must be equal.
        max_error: The share of all requests that may get a wrong answer. None: what the semantic
            cache was given, else 0.01.
        threshold: Least similarity to serve, without learning. None: the bound decides.
        answer: Callable over the result that returns the part of it that answers the question. This
            part is compared with other answers, and shown to a judge. None: the whole result, or
            the text of a stream of texts.
    """

    on: str
    max_error: float | None = None
    threshold: float | None = None
    answer: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.on, str) or not self.on:
            raise ConfigurationError("on", f"must name the parameter that is text, not {self.on!r}")
        if self.max_error is not None:
            check.share("max_error", self.max_error)
        if self.threshold is not None:
            check.share("threshold", self.threshold)
        if self.max_error is not None and self.threshold is not None:
            raise ConfigurationError("threshold", "cannot stand beside max_error; choose one")
        check.function("answer", self.answer)


@policy_class
class Price(PolicyBase):
    """The cost of a call.

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
    coalesce: bool | Literal["semantic"] | None
    fallback: Any
    price: PriceLike | None
    tags: TagsLike


@policy_class
class Policy(PolicyBase):
    """All policies of a call; the decorators take the same keywords.

    Policies compose: ``base | Policy(retry=...)`` takes from the right the parts that are set
    there. ``base.replace(retry=None)`` also removes parts.

    Args:
        cache: Store results. None: do not.
        retry: Try again. None: do not.
        breaker: Stop calling a callee that keeps failing. None: do not.
        timeout: Bound the time. None: do not.
        rate_limit: Keep under a limit. None: do not.
        bulkhead: Bound the concurrency. None: do not.
        hedge: Race a second attempt. None: do not.
        semantic: Share answers between questions in other words. None: do not.
        coalesce: Run concurrent equal calls once; "semantic": also those that ask the same in
            other words. None: where results are cached, and in other words too where ``semantic``
            shares their answers.
        fallback: Value to return instead of raising, or a callable that gets as many of (error,
            arguments by name, stale value or None) as it takes; a class such as ``dict`` makes an
            empty one. In place of a stream a list or tuple holds the items, as does an iterator
            that the callable returns; any other value is the only item. NOTHING: none.
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
    coalesce: bool | Literal["semantic"] | None = None
    fallback: Any = NOTHING
    price: PriceLike | None = None
    tags: TagsLike = ()

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ConfigurationError(name, f"must be a {kind.__name__} or None, not {value!r}")
        if self.coalesce not in (None, True, False, "semantic"):
            raise ConfigurationError(
                "coalesce", f'must be True, False, "semantic" or None, not {self.coalesce!r}'
            )
        if self.coalesce == "semantic" and self.semantic is None:
            raise ConfigurationError(
                "coalesce", "by meaning needs semantic=, which says what is the question"
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
        """Return this policy with every part that ``other`` sets."""
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
        """Return this policy with the named parts changed; None removes a part.

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
        """True if concurrent equal calls run once."""
        return self.cache is not None if self.coalesce is None else bool(self.coalesce)

    @property
    def coalesces_meaning(self) -> bool:
        """True if concurrent calls that ask the same in other words run once."""
        return self.semantic is not None and self.coalesce in (None, "semantic")
