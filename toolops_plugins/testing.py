"""Tools for users' tests: a fake clock, chaos, a switch for policies, and a view of the layers."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, cast

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.fake_clock import FakeClock
from toolops_plugins.runtime import ToolOps, all_runtimes

__all__ = ["Chaos", "ChaosError", "FakeClock", "composed", "set_active"]

F = TypeVar("F", bound=Callable[..., Any])


class ChaosError(Exception):
    """The default error of :class:`Chaos`."""


class Chaos:
    """Makes functions slow and unreliable, with given probabilities. Thread-safe.

    Args:
        error_rate: The share of calls that fail before the function is called. Default 0.
        error: The exception, or its type. Default :class:`ChaosError`.
        latency: Seconds that are added to a call; or a pair, for a random number between the two.
            Default 0.
        latency_rate: The share of calls that get the latency. Default 1.
        seed: The seed of the random numbers. None: runs are not repeatable.

    Raises:
        ConfigurationError: A value is wrong.

    Example:
        >>> chaos = Chaos(error_rate=1.0, error=OSError("cable cut"))
        >>> @chaos
        ... def fetch(url):
        ...     return "page"
        >>> fetch("/")
        Traceback (most recent call last):
        ...
        OSError: cable cut
    """

    def __init__(
        self,
        *,
        error_rate: float = 0.0,
        error: Exception | type[Exception] = ChaosError,
        latency: float | tuple[float, float] = 0.0,
        latency_rate: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self._error_rate = check.share("error_rate", error_rate, zero=True)
        self._error = error
        low, high = latency if isinstance(latency, tuple) else (latency, latency)
        self._low = check.seconds("latency", low)
        self._high = check.seconds("latency", high)
        self._latency_rate = check.share("latency_rate", latency_rate, zero=True)
        self._random = random.Random(seed)  # noqa: S311 - repeatable is the point
        self._lock = fork_safe(self, threading.Lock())
        self.calls = 0
        """The number of calls."""
        self.failed = 0
        """The number of calls that failed."""

    def _draw(self) -> tuple[float, Exception | None]:
        with self._lock:
            self.calls += 1
            slow = self._random.random() < self._latency_rate
            delay = self._random.uniform(self._low, self._high) if slow else 0.0
            if self._random.random() >= self._error_rate:
                return delay, None
            self.failed += 1
        return delay, self._error() if isinstance(self._error, type) else self._error

    def __call__(self, function: F) -> F:
        """Return a function of the same kind that is slow and fails at random."""
        wrapper: Any
        if inspect.isasyncgenfunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                await self._adisturb()
                async for item in function(*args, **kwargs):
                    yield item
        elif inspect.iscoroutinefunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                await self._adisturb()
                return await function(*args, **kwargs)
        elif inspect.isgeneratorfunction(function):

            def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                self._disturb()
                return (yield from function(*args, **kwargs))
        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                self._disturb()
                return function(*args, **kwargs)

        functools.update_wrapper(wrapper, function)
        return cast("F", wrapper)

    def _disturb(self) -> None:
        delay, error = self._draw()
        if delay:
            threading.Event().wait(delay)
        if error is not None:
            raise error

    async def _adisturb(self) -> None:
        delay, error = self._draw()
        if delay:
            await asyncio.sleep(delay)
        if error is not None:
            raise error


@contextmanager
def _restore_at_end(before: dict[ToolOps, bool]) -> Iterator[None]:
    try:
        yield
    finally:
        for runtime, active in before.items():
            runtime.active = active


def set_active(active: bool, *runtimes: ToolOps) -> Any:  # noqa: FBT001 - stamina spells it so
    """Switch runtimes off, so that every call goes straight to its function, or on again.

    It takes effect at once. As a context manager it restores the former state at the end.

    Args:
        active: Whether policies apply.
        runtimes: The runtimes. Default all that exist.

    Example:
        >>> ops = ToolOps()
        >>> with set_active(False, ops):
        ...     ops.active
        False
        >>> ops.active
        True
    """
    chosen = runtimes or all_runtimes()
    before = {runtime: runtime.active for runtime in chosen}
    for runtime in chosen:
        runtime.active = active
    return _restore_at_end(before)


Layer = Literal[
    "fallback", "cache", "coalesce", "total timeout", "retry", "breaker", "hedge",
    "rate limit", "bulkhead", "attempt timeout",
]  # fmt: skip


def composed(tool: Any) -> list[tuple[Layer, Any]]:
    """Return the layers of a wrapped function, outermost first, each with its part of the policy.

    Args:
        tool: A wrapped function.

    Raises:
        ConfigurationError: It is not a wrapped function.

    Example:
        >>> from toolops_plugins import Retry
        >>> @ToolOps().tool(retry=Retry(attempts=2), coalesce=True)
        ... def fetch(url): ...
        >>> [layer for layer, _ in composed(fetch)]
        ['coalesce', 'retry']
    """
    policy = getattr(tool, "policy", None)
    if policy is None:
        raise ConfigurationError("tool", f"must be a wrapped function, not {tool!r}")
    timeout = policy.timeout
    layers: list[tuple[Layer, Any, bool]] = [
        ("fallback", policy.fallback, repr(policy.fallback) != "NOTHING"),
        ("coalesce", True, policy.coalesces),
        ("cache", policy.cache, policy.cache is not None),
        ("total timeout", timeout and timeout.total, bool(timeout and timeout.total)),
        ("retry", policy.retry, policy.retry is not None),
        ("breaker", policy.breaker, policy.breaker is not None),
        ("hedge", policy.hedge, policy.hedge is not None),
        ("rate limit", policy.rate_limit, policy.rate_limit is not None),
        ("bulkhead", policy.bulkhead, policy.bulkhead is not None),
        ("attempt timeout", timeout and timeout.attempt, bool(timeout and timeout.attempt)),
    ]
    return [(name, part) for name, part, present in layers if present]
