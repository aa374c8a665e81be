"""LangChain's rate limiter for chat models, on the limits of a runtime."""

from __future__ import annotations

from langchain_core.rate_limiters import BaseRateLimiter

from toolops_plugins import ConfigurationError, RateLimit, RateLimited, ToolOps
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.resilience import Limiter

__all__ = ["ToolOpsRateLimiter"]


class ToolOpsRateLimiter(BaseRateLimiter):
    """Keeps models under a rate limit: ``ChatOpenAI(rate_limiter=ToolOpsRateLimiter("60/min"))``.

    Callers get their turns in the order of asking, and sleep exactly once, until their turn has
    come. One limiter may serve any models, threads and event loops. LangChain asks it after its
    cache, so a hit spends nothing, and once for each call of a model, whatever its length.

    LangChain ignores what ``acquire`` returns, so a call that would wait longer than the limit's
    ``wait`` is stopped by an error.

    Args:
        limit: The limit, or its rate, such as "60/min".
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        name: Limits of one name in one runtime share their units, those of its tools included, and
            must be equal. None: the limit's own name or, without one, units of its own.

    Raises:
        ConfigurationError: The limit is none, its name is known with another limit, or its cost
            depends on arguments, of which LangChain tells nothing.

    Example:
        >>> limiter = ToolOpsRateLimiter("2/min", ToolOps())
        >>> [limiter.acquire(blocking=False) for _ in range(3)]
        [True, True, False]
    """

    def __init__(
        self, limit: RateLimit | str, ops: ToolOps | None = None, *, name: str | None = None
    ) -> None:
        policy = RateLimit(limit) if isinstance(limit, str) else limit
        if not isinstance(policy, RateLimit):
            raise ConfigurationError("limit", f'must be a RateLimit or "60/min", not {limit!r}')
        if callable(policy.cost):
            raise ConfigurationError("cost", "must be a number: LangChain tells no arguments")
        self._cost = policy.cost
        runtime = runtime_of(ops)
        shared = policy.name or name
        self._limiter = (
            runtime.limiter(policy, shared)
            if shared
            else Limiter(policy, "langchain", runtime.clock)
        )

    def acquire(self, *, blocking: bool = True) -> bool:
        """Wait for the next turn, in this thread.

        Args:
            blocking: Whether to wait. False: spend nothing unless it is this caller's turn now.
                Default True.

        Returns:
            Whether the call may be made.

        Raises:
            RateLimited: The wait would be longer than the limit's ``wait``; not if ``blocking`` is
                False.
        """
        if not blocking:
            return self._now()
        self._limiter.acquire(self._cost)
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """As :meth:`acquire`, without blocking the event loop."""
        if not blocking:
            return self._now()
        await self._limiter.aacquire(self._cost)
        return True

    def _now(self) -> bool:
        try:
            self._limiter.reserve(self._cost, wait=0.0)
        except RateLimited:
            return False
        return True
