"""LlamaIndex's rate limiter for models and embeddings, on the limits of a runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from llama_index.core.rate_limiter import BaseRateLimiter

from llama_index.callbacks.toolops._token_settlement import estimate_tokens, settle
from toolops_plugins import ConfigurationError, RateLimit, ToolOps
from toolops_plugins.adapters.internals import fork_safe
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.resilience import Limiter, Reservation

__all__ = ["ToolOpsRateLimiter"]


class ToolOpsRateLimiter(BaseRateLimiter):
    """Keeps models under a limit: ``OpenAI(rate_limiter=ToolOpsRateLimiter("60/min"))``.

    Callers get their turns in the order of asking, and sleep exactly once, until their turn has
    come. One limiter may serve any models and embeddings, threads and event loops.

    **Tokens.** LlamaIndex asks before each call and tells nothing of it, so that nobody knows its
    tokens beforehand. They are counted afterwards: a call that comes while too many are spent waits
    until they are made up for. A limiter with ``tokens`` listens to LlamaIndex's instrumentation
    for that, and takes what the provider says, or an estimate where it says nothing: of embeddings,
    and of streams without usage. A call whose endpoint calls another of the same model, such as
    ``CustomLLM.achat``, is settled once; but it is a request for each of them, as LlamaIndex asks.
    Who calls a model without LlamaIndex tells its tokens by :meth:`acquire` or :meth:`spend`.

    Args:
        limit: The limit of requests, or its rate, such as "60/min". None: tokens alone.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        name: Limits of one name in one runtime share their units, those of its tools included, and
            must be equal; that of tokens has the name "<name> (tokens)". None: the limit's own name
            or, without one, units of its own.
        tokens: The limit of tokens, or its rate, such as "90000/min". None: no limit.
        count: Says how many tokens a text has, where the provider does not say what it took. None:
            one for every four bytes.

    Raises:
        ConfigurationError: A limit is none, its name is known with another limit, or its cost
            depends on arguments, of which LlamaIndex tells nothing.

    Example:
        >>> limiter = ToolOpsRateLimiter(RateLimit("2/min", wait=0), ToolOps())
        >>> limiter.acquire()
        >>> limiter.acquire()
        >>> limiter.acquire()
        Traceback (most recent call last):
            ...
        toolops_plugins.errors.RateLimited: the rate limit of 'llama_index' (2/min) is used up
    """

    def __init__(
        self,
        limit: RateLimit | str | None,
        ops: ToolOps | None = None,
        *,
        name: str | None = None,
        tokens: RateLimit | str | None = None,
        count: Callable[[str], float] | None = None,
    ) -> None:
        if limit is None and tokens is None:
            raise ConfigurationError("limit", "is needed, or tokens=")
        if isinstance(limit, ToolOps):
            raise ConfigurationError("limit", "comes first; a runtime is given by name: ops=...")
        runtime = runtime_of(ops)
        self._cost = 1.0
        self._requests = self._tokens = None
        if limit is not None:
            requests = _limit("limit", limit)
            if callable(requests.cost):
                raise ConfigurationError("cost", "must be a number: LlamaIndex tells no arguments")
            self._cost = requests.cost
            self._requests = _limiter(runtime, requests, name, "llama_index")
        if tokens is not None:
            counted = _limit("tokens", tokens)
            if counted.cost != 1.0:
                raise ConfigurationError("tokens", "must have no cost: each token is a unit")
            its_name = None if name is None else f"{name} (tokens)"
            self._tokens = _limiter(runtime, counted, its_name, "llama_index tokens")
            settle()
        self.count = estimate_tokens if count is None else count
        """Says how many tokens a text has, where nobody else does."""
        self._clock = runtime.clock
        self._lock = fork_safe(self, threading.Lock())

    def acquire(self, num_tokens: int = 0) -> None:
        """Wait for the next turn, in this thread.

        Args:
            num_tokens: Tokens that are known beforehand. Default 0: one is taken, and the rest when
                the call is over.

        Raises:
            RateLimited: The wait would be longer than the ``wait`` of a limit, or so many tokens
                never fit into theirs.
        """
        delay, reservations = self._reserve(num_tokens)
        if delay:
            try:
                self._clock.sleep(delay)
            except BaseException:
                _give_back(reservations)
                raise

    async def async_acquire(self, num_tokens: int = 0) -> None:
        """As :meth:`acquire`, without blocking the event loop."""
        delay, reservations = self._reserve(num_tokens)
        if delay:
            try:
                await self._clock.asleep(delay)
            except BaseException:
                _give_back(reservations)
                raise

    def spend(self, tokens: float) -> None:
        """Count tokens that have been used already; later calls wait until they are made up for.

        It never waits. Without a limit of tokens it does nothing.

        Args:
            tokens: How many, in addition to those that were acquired.
        """
        if self._tokens is not None:
            self._tokens.spend(tokens)

    def _reserve(self, num_tokens: int) -> tuple[float, list[Reservation]]:
        """Set units aside, in the order of asking; return how long to wait for all of them."""
        made: list[Reservation] = []
        with self._lock:  # else two callers might be each the first, of one limit
            try:
                if self._requests is not None:
                    made.append(self._requests.reserve(self._cost))
                if self._tokens is not None:
                    # What costs nothing would not wait for what others have spent.
                    made.append(self._tokens.reserve(max(1, num_tokens)))
            except BaseException:
                _give_back(made)
                raise
        return max(each.delay for each in made), made

    def __deepcopy__(self, memo: dict[int, Any]) -> ToolOpsRateLimiter:
        return self  # which copies of a model share


def _limit(option: str, given: RateLimit | str) -> RateLimit:
    limit = RateLimit(given) if isinstance(given, str) else given
    if not isinstance(limit, RateLimit):
        raise ConfigurationError(option, f'must be a RateLimit or "60/min", not {given!r}')
    return limit


def _limiter(ops: ToolOps, limit: RateLimit, name: str | None, alone: str) -> Limiter:
    shared = limit.name or name
    return ops.limiter(limit, shared) if shared else Limiter(limit, alone, ops.clock)


def _give_back(reservations: list[Reservation]) -> None:
    for each in reservations:
        each.cancel()
