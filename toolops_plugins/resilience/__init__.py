"""Retries, circuit breakers, rate limits, bulkheads and hedges, each usable without a runtime."""

from toolops_plugins.resilience.breaker import Breaker, BreakerSnapshot
from toolops_plugins.resilience.bulkhead import Gate
from toolops_plugins.resilience.hedge import Hedger
from toolops_plugins.resilience.ratelimit import Limiter, Reservation
from toolops_plugins.resilience.retry import RetryBudget, Retrying

__all__ = [
    "Breaker",
    "BreakerSnapshot",
    "Gate",
    "Hedger",
    "Limiter",
    "Reservation",
    "RetryBudget",
    "Retrying",
]
