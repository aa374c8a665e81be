"""The peers, each configured as its documentation recommends.

A peer that is not installed, or lacks the feature, raises :class:`Absent` with the reason, which
the report prints in place of figures. ToolOps 1.0.0 and cachekit are installed in a folder of their
own, ``build/peers`` (see the Makefile), which is last on the path, so that it hides nothing. The
log of ToolOps 1.0.0, three lines a call on standard output by default, is silenced, in its favour.

Some peers promise less for a call, which is part of the difference in time:

- Every peer's cache in memory hands out the object that it stores, so that a caller who changes a
  result changes the next. Ours hands out copies.
- The arguments themselves are the keys of nopanic and pyresilience, for which 1, 1.0 and True are
  one key; functools.lru_cache and async_lru tell some of the three apart.
- When a leader of nopanic is cancelled, each follower runs the function on its own. pyresilience
  runs it for every task (see ``coalesce``).
- nopanic counts calls of a breaker by time (30 s); ours, pyresilience's and interlock's count the
  last hundred calls.
- nopanic, pyresilience and ToolOps 1.0.0 report nothing about a call that succeeds. Ours counts
  it, and sends an event to each sink.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "build" / "peers"
TTL = 600  # seconds, for all contestants
ITEMS = 1_000  # the bound on entries of all contestants that have one
SLOTS = 1_000  # of every bulkhead
LIMIT = 10  # seconds for an attempt
PER_SECOND = 10**9  # what every rate limit lets through

Function = Callable[..., Any]


class Absent(Exception):  # noqa: N818 - a result, not an error
    """Nothing can be measured; the text gives the reason."""


def show_folder() -> None:
    """Append ``build/peers`` to the import path."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))


def load(name: str) -> ModuleType:
    """Import a peer.

    Raises:
        Absent: The peer is not installed.
    """
    show_folder()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Absent(f"not installed ({error}); `make bench` installs it") from error


def _coroutines_only(function: Function) -> None:
    if not inspect.iscoroutinefunction(function):
        raise Absent("takes coroutine functions only")


def _toolops() -> ModuleType:
    package = load("toolops")
    logging.getLogger("toolops").setLevel(logging.CRITICAL + 1)
    return package


# A cache in memory


def lru_cache(function: Function) -> Function:
    if inspect.iscoroutinefunction(function):
        raise Absent("takes plain functions only")
    return functools.lru_cache(maxsize=ITEMS)(function)


def pyresilience(function: Function) -> Function:
    return _resilient("cache")(function)


def nopanic(function: Function) -> Function:
    return load("nopanic").cache(ttl=TTL, maxsize=ITEMS)(function)


def cachekit(function: Function) -> Function:
    # Its other presets store bytes in memory, which takes twice the time.
    return load("cachekit").cache.local(ttl=TTL, max_entries=ITEMS)(function)


def async_lru(function: Function) -> Function:
    _coroutines_only(function)
    return load("async_lru").alru_cache(maxsize=ITEMS, ttl=TTL)(function)


def aiocache(function: Function) -> Function:
    _coroutines_only(function)
    return load("aiocache").cached(ttl=TTL)(function)


def aiocache_stampede(function: Function) -> Function:
    _coroutines_only(function)
    # The lease is the time for one caller to compute; the others wait for it.
    return load("aiocache").cached_stampede(ttl=TTL, lease=60)(function)


def cashews(function: Function) -> Function:
    _coroutines_only(function)
    cache = load("cashews").Cache()
    cache.setup("mem://", size=ITEMS)
    return cache(ttl=TTL, key=f"{function.__name__}:{{text}}")(function)


def toolops(function: Function) -> Function:
    package = _toolops()
    package.cache_manager.register("memory", load("toolops.cache").MemoryCache(), is_default=True)
    return package.tool(
        name=function.__name__, cache_backend="memory", cache_ttl=TTL, coalesce=True
    )(function)


MEMORY: Mapping[str, Callable[[Function], Function]] = {
    "functools.lru_cache": lru_cache,
    "async_lru": async_lru,
    "nopanic": nopanic,
    "pyresilience": pyresilience,
    "cachekit": cachekit,
    "aiocache": aiocache,
    "cashews": cashews,
    "ToolOps 1.0.0": toolops,
}

COALESCED: Mapping[str, Callable[[Function], Function]] = {
    **MEMORY,
    "aiocache": aiocache_stampede,
}


# A cache in Redis


async def aiocache_redis(function: Function, host: str, port: int) -> Function:
    _coroutines_only(function)
    package = load("aiocache")
    return package.cached(ttl=TTL, cache=package.Cache.REDIS, endpoint=host, port=port)(function)


async def cachekit_redis(function: Function, host: str, port: int) -> Function:
    package = load("cachekit")
    backend = load("cachekit.backends.redis").RedisBackend(f"redis://{host}:{port}/0")
    # Without the tier in memory, and without the protections that cost most.
    return package.cache.minimal(ttl=TTL, backend=backend, l1_enabled=False)(function)


async def cashews_redis(function: Function, host: str, port: int) -> Function:
    _coroutines_only(function)
    cache = load("cashews").Cache()
    cache.setup(f"redis://{host}:{port}/0")
    return cache(ttl=TTL, key=f"{function.__name__}:{{text}}")(function)


async def toolops_redis(function: Function, host: str, port: int) -> Function:
    if not inspect.iscoroutinefunction(function):
        raise Absent("its client belongs to the loop of one call, and each sync call starts a loop")
    package = _toolops()
    cache = load("toolops.cache").RedisCache.from_url(f"redis://{host}:{port}/0")
    await cache.connect()
    package.cache_manager.register("redis", cache)
    return package.tool(
        name=function.__name__, cache_backend="redis", cache_ttl=TTL, coalesce=True
    )(function)


REDIS: Mapping[str, Callable[[Function, str, int], Awaitable[Function]]] = {
    "aiocache": aiocache_redis,
    "cachekit": cachekit_redis,
    "cashews": cashews_redis,
    "ToolOps 1.0.0": toolops_redis,
}


# One policy around a call that no cache answers


def nopanic_breaker(function: Function) -> Function:
    return load("nopanic").circuit_breaker()(function)


def pyresilience_breaker(function: Function) -> Function:
    return _resilient("circuit_breaker")(function)


def interlock_breaker(function: Function) -> Function:
    return load("interlock").CircuitBreaker(name=function.__name__)(function)


def nopanic_limit(function: Function) -> Function:
    return load("nopanic").rate_limit(PER_SECOND)(function)


def pyresilience_limit(function: Function) -> Function:
    return _resilient("rate_limiter")(function)


def throttled_limit(function: Function) -> Function:
    package = load("throttled.asyncio" if inspect.iscoroutinefunction(function) else "throttled")
    return package.Throttled(key=function.__name__, quota=f"{PER_SECOND}/s")(function)


def nopanic_retry(function: Function) -> Function:
    package = load("nopanic")
    return package.retry(budget=package.RetryBudget())(function)


def pyresilience_retry(function: Function) -> Function:
    return _resilient("retry", "retry_budget")(function)


def nopanic_timeout(function: Function) -> Function:
    return load("nopanic").timeout(LIMIT)(function)


def pyresilience_timeout(function: Function) -> Function:
    return _resilient("timeout")(function)


def interlock_timeout(function: Function) -> Function:
    return load("interlock").Pipeline.builder().timeout(LIMIT).build()(function)


# Six policies around a call: cache, retry, breaker, rate limit, bulkhead and attempt timeout


def nopanic_six(function: Function) -> Function:
    package = load("nopanic")
    return package.compose(
        package.cache(ttl=TTL, maxsize=ITEMS),
        package.retry(budget=package.RetryBudget()),
        package.circuit_breaker(),
        package.rate_limit(PER_SECOND),
        package.bulkhead(SLOTS),
        package.timeout(LIMIT),
    )(function)


def pyresilience_six(function: Function) -> Function:
    return _resilient(
        "cache", "retry", "retry_budget", "circuit_breaker", "rate_limiter", "bulkhead", "timeout"
    )(function)


def toolops_four(function: Function) -> Function:
    """Wrap with what ToolOps 1.0.0 has of the six: no bulkhead and no rate limit."""
    package = _toolops()
    package.cache_manager.register("memory", load("toolops.cache").MemoryCache(), is_default=True)
    return package.tool(
        name=function.__name__,
        cache_backend="memory",
        cache_ttl=TTL,
        coalesce=True,
        retry_count=2,
        circuit_breaker=True,
        timeout=LIMIT,
    )(function)


def _resilient(*policies: str) -> Callable[[Function], Function]:
    """Return the decorator of pyresilience for some of its policies."""
    package = load("pyresilience")
    configurations = {
        "cache": lambda: package.CacheConfig(max_size=ITEMS, ttl=TTL),
        "retry": package.RetryConfig,
        "retry_budget": package.RetryBudgetConfig,
        "circuit_breaker": lambda: package.CircuitBreakerConfig(
            sliding_window_size=100, minimum_calls=10
        ),
        "timeout": lambda: package.TimeoutConfig(seconds=LIMIT),
        "rate_limiter": lambda: package.RateLimiterConfig(max_calls=PER_SECOND),
        "bulkhead": lambda: package.BulkheadConfig(max_concurrent=SLOTS),
    }
    decorator: Callable[[Function], Function] = package.resilient(
        **{policy: configurations[policy]() for policy in policies}
    )
    return decorator
