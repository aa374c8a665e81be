"""Policies: frozen values that describe how a wrapped call is made."""

from toolops_plugins.policy.base import NOTHING, ExceptionFilter, matches
from toolops_plugins.policy.policy import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    Hedge,
    Policy,
    PolicyParts,
    Price,
    RateLimit,
    Retry,
    Semantic,
    TagsLike,
    Timeout,
)

__all__ = [
    "NOTHING",
    "Bulkhead",
    "Cache",
    "CircuitBreaker",
    "ExceptionFilter",
    "Hedge",
    "Policy",
    "PolicyParts",
    "Price",
    "RateLimit",
    "Retry",
    "Semantic",
    "TagsLike",
    "Timeout",
    "matches",
]
