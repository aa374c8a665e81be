"""The peers, each configured as its documentation recommends.

A peer that is not installed, or lacks the feature, raises :class:`Absent` with the reason, which
the report prints in place of figures. ToolOps 1.0.0 is installed in a folder of its own,
``build/peers`` (see the Makefile), which is last on the path, so that it hides nothing. Its log,
three lines a call on standard output by default, is silenced, in its favour.
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
ITEMS = 10_000  # the bound on entries of all contestants that have one

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
    package = load("pyresilience")
    return package.resilient(cache=package.CacheConfig(max_size=ITEMS, ttl=TTL))(function)


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
    "pyresilience": pyresilience,
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
    "cashews": cashews_redis,
    "ToolOps 1.0.0": toolops_redis,
}


# Every policy around a call


def pyresilience_whole(function: Function) -> Function:
    package = load("pyresilience")
    return package.resilient(
        cache=package.CacheConfig(max_size=ITEMS, ttl=TTL),
        retry=package.RetryConfig(),
        retry_budget=package.RetryBudgetConfig(),
        circuit_breaker=package.CircuitBreakerConfig(sliding_window_size=100, minimum_calls=10),
        timeout=package.TimeoutConfig(seconds=10),
        rate_limiter=package.RateLimiterConfig(max_calls=10**9),
        bulkhead=package.BulkheadConfig(max_concurrent=1_000),
    )(function)


def toolops_whole(function: Function) -> Function:
    package = _toolops()
    package.cache_manager.register("memory", load("toolops.cache").MemoryCache(), is_default=True)
    return package.tool(
        name=function.__name__,
        cache_backend="memory",
        cache_ttl=TTL,
        coalesce=True,
        retry_count=2,
        circuit_breaker=True,
        timeout=10,
    )(function)


WHOLE: Mapping[str, Callable[[Function], Function]] = {
    "pyresilience": pyresilience_whole,
    "ToolOps 1.0.0": toolops_whole,
}
