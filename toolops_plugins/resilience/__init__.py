"""Retries, circuit breakers, rate limits, bulkheads and hedges, each usable without a runtime."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from toolops_plugins.resilience.retry import RetryBudget, Retrying

if TYPE_CHECKING:
    from toolops_plugins.resilience.breaker import Breaker, BreakerSnapshot
    from toolops_plugins.resilience.bulkhead import Gate
    from toolops_plugins.resilience.hedge import Hedger
    from toolops_plugins.resilience.ratelimit import Limiter, Reservation

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

_MODULES = {
    "Breaker": "breaker",
    "BreakerSnapshot": "breaker",
    "Gate": "bulkhead",
    "Hedger": "hedge",
    "Limiter": "ratelimit",
    "Reservation": "ratelimit",
}


def __getattr__(name: str) -> Any:
    # Imported where a policy asks for them, since most programs need few of them.
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
