"""The types of the policies, checked in `make lint` and never run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from toolops_plugins.policy import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    Hedge,
    Policy,
    Price,
    RateLimit,
    Retry,
    Semantic,
    Timeout,
)


def tokens(result: Any) -> float:
    return float(result["tokens"])


def tags_of(ticker: str) -> list[str]:
    return [f"ticker:{ticker}"]


base = Policy(
    cache=Cache(ttl=timedelta(minutes=10), stale_ttl=3600, tags=tags_of),
    retry=Retry(attempts=3, on=(TimeoutError, ConnectionError)),
    breaker=CircuitBreaker(window=timedelta(seconds=30)),
    timeout=Timeout(attempt=10, total=30.0),
    rate_limit=RateLimit("100000/min", cost=len),
    bulkhead=Bulkhead(8, queue=2),
    hedge=Hedge(quantile=0.99),
    price=Price(per_token=1e-6, tokens=tokens),
    tags=["ticker:{ticker}"],
)

assert_type(base | Policy(retry=None), Policy)
assert_type(base.replace(cache=None, semantic=None), Policy)
assert_type(base.cache, Cache | None)
assert_type(base.coalesces, bool)
assert_type(Cache(ttl=5), Cache)
assert_type(RateLimit("60/min").count, float)
assert_type(Price(per_call=0.01)({"any": "result"}), float)
Policy(cache=Cache(ttl=5), semantic=Semantic(on="question"))
Policy(price=0.01, fallback=lambda error: None)

# What must not pass. The checker complains of an ignore that nothing needs, so these are tests.
Cache(ttl="5")  # type: ignore[arg-type]  # a text is no duration
RateLimit(60)  # type: ignore[arg-type]  # a rate names its period
Retry(wait="soon")  # type: ignore[arg-type]  # no such wait
base | {"retry": None}  # type: ignore[operator]  # policies compose with policies only
base.cache = None  # type: ignore[misc]  # policies are frozen
