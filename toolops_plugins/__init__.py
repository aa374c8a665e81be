"""A caching, coalescing and resilience core for AI agents.

These are the public names. Further errors are in :mod:`toolops_plugins.errors`, events in
:mod:`toolops_plugins.telemetry`, and tools for tests in :mod:`toolops_plugins.testing`.
"""

from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.memory import Memory
from toolops_plugins.codec import Codec
from toolops_plugins.default_runtime import get_default, readonly, set_default, sideeffect, tool
from toolops_plugins.errors import (
    AttemptTimeout,
    BulkheadFull,
    CallTimeout,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    RateLimited,
    Rejected,
    TierError,
    ToolOpsError,
    TotalTimeout,
)
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
from toolops_plugins.resilience.retry import RetryBudget
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.events import CallEvent, Notice

if TYPE_CHECKING:
    from toolops_plugins.cache.redis import Redis
    from toolops_plugins.semantic.cache import SemanticCache
    from toolops_plugins.semantic.matches import Explanation

__all__ = [
    "AttemptTimeout",
    "Bulkhead",
    "BulkheadFull",
    "Cache",
    "CallEvent",
    "CallTimeout",
    "CircuitBreaker",
    "CircuitOpen",
    "Codec",
    "ConfigurationError",
    "DeadlineExceeded",
    "Explanation",
    "Hedge",
    "Memory",
    "Notice",
    "Policy",
    "Price",
    "RateLimit",
    "RateLimited",
    "Redis",
    "Rejected",
    "Retry",
    "RetryBudget",
    "Semantic",
    "SemanticCache",
    "TierError",
    "Timeout",
    "ToolOps",
    "ToolOpsError",
    "TotalTimeout",
    "get_default",
    "readonly",
    "set_default",
    "sideeffect",
    "tool",
]


def __getattr__(name: str) -> Any:
    # These classes need modules whose import takes as long as all the rest together.
    if name == "Redis":
        from toolops_plugins.cache.redis import Redis  # noqa: PLC0415 - as it says

        return Redis
    if name == "Explanation":
        from toolops_plugins.semantic.matches import Explanation  # noqa: PLC0415 - rarely needed

        return Explanation
    if name == "SemanticCache":
        try:
            from toolops_plugins.semantic.cache import SemanticCache  # noqa: PLC0415 - imports numpy
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "numpy":
                raise
            # Not an error yet: `from toolops_plugins import *` asks for every name.
            from toolops_plugins.semantic.unavailable import SemanticCache as Missing  # noqa: PLC0415 - rarely needed

            return Missing
        return SemanticCache
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
