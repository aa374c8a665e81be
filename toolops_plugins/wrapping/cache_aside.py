"""Cache-aside: a lookup and a store, between which the caller makes the call itself.

It serves frameworks whose caches have a lookup and an update. Since the runtime does not make the
call, it can neither coalesce nor refresh: stale answers are not served, and the policies for
attempts do not apply.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins import check
from toolops_plugins.cache.entry import Mark
from toolops_plugins.calls.answer import Answer, record_aside, tags_of
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.explaining import explain_call, is_large_call
from toolops_plugins.calls.plan import Plan
from toolops_plugins.calls.sync import aside as sync_calls
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING, Policy

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver
    from toolops_plugins.semantic.matches import Explanation

__all__ = ["CacheAside", "cache_aside_policy"]

_NOT_ASIDE = "does not apply to aside(), whose caller makes the call; leave it out"
_MISSES = 10_000
"""Lookups without an answer that are remembered until the answer is stored."""


class CacheAside:
    """A lookup and a store that belong together; made by :meth:`ToolOps.aside`.

    Safe to use from any threads and event loops. Trouble with the cache is a miss or a no-op, with
    a notice; it is not raised.

    Args:
        plan: The plan of the function whose signature names the arguments.
        threads: Does what takes time for synchronous callers.
        loops: Returns the driver that does so for asynchronous callers.
    """

    def __init__(self, plan: Plan, threads: ThreadDriver, loops: Callable[[], LoopDriver]) -> None:
        self._plan = plan
        self._threads = threads
        self._loops = loops
        self._lock = fork_safe(self, threading.Lock())
        self._misses: OrderedDict[bytes, Call] = OrderedDict()

    @property
    def __toolops_plan__(self) -> Plan:
        return self._plan

    @property
    def name(self) -> str:
        """The name under which its calls are counted."""
        return self._plan.name

    def __reduce__(self) -> tuple[Any, ...]:
        return CacheAside, (self._plan, self._threads, self._loops)

    def key(self, /, *args: Any, **kwargs: Any) -> bytes:
        """Return the key of these arguments.

        Raises:
            NotCanonicalError: An argument has no canonical form.
            TypeError: They do not fit the signature.
        """
        if self._plan.keyer is None:
            raise ConfigurationError("cache", f"{self.name} stores no results, so it has no key")
        return self._plan.keyer.key(args, kwargs)

    def lookup(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return the value stored for these arguments, or ``NOTHING``; every caller gets a copy."""
        found = self._plan.open(args, kwargs)
        if type(found) is not Call:
            return found
        if not self._plan.shared.active:
            return NOTHING
        return self._finish_lookup(found, sync_calls.look_aside(self._threads, found))

    async def alookup(self, /, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`lookup`, without blocking the event loop."""
        driver, calls = self._on_loop()
        found = self._plan.open(args, kwargs)
        if type(found) is not Call:
            return found
        if not self._plan.shared.active:
            return NOTHING
        return self._finish_lookup(found, await calls.look_aside(driver, found))

    def _on_loop(self) -> tuple[LoopDriver, Any]:
        """Return the driver for event loops, and the calls that it drives."""
        from toolops_plugins.calls.aio import aside  # noqa: PLC0415 - as the driver, where needed
        from toolops_plugins.concurrency.running_loop import get_running_loop  # noqa: PLC0415 - imports asyncio

        get_running_loop()
        return self._loops(), aside

    def store(self, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """Store the value for these arguments, and count the call that returned it.

        Its duration is the time since the lookup that missed.
        """
        self._store(value, args, kwargs)

    async def astore(self, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, without blocking the event loop."""
        await self._astore(value, args, kwargs)

    def store_for(self, ttl: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, for ``ttl`` seconds instead of the policy's.

        Raises:
            ConfigurationError: ``ttl`` is not more than 0.
        """
        self._store(value, args, kwargs, ttl=_check_ttl(ttl))

    async def astore_for(self, ttl: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store_for`, without blocking the event loop."""
        await self._astore(value, args, kwargs, ttl=_check_ttl(ttl))

    def store_took(self, seconds: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, with ``seconds`` as the duration of the call.

        For values that one call returns together: each counts its share of the time.
        """
        self._store(value, args, kwargs, seconds=seconds)

    async def astore_took(self, seconds: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store_took`, without blocking the event loop."""
        await self._astore(value, args, kwargs, seconds=seconds)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """Return why a lookup would be a hit or a miss now; it counts and stores nothing.

        Raises:
            TypeError: The arguments do not fit the signature.
        """
        return self._threads.run(explain_call(self._plan, args, kwargs))

    async def aexplain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """As :meth:`explain`, without blocking the event loop."""
        driver, _ = self._on_loop()
        if is_large_call(self._plan, args, kwargs):
            return await driver.run_in_thread(partial(self.explain, *args, **kwargs))
        return await driver.run(explain_call(self._plan, args, kwargs))

    def _finish_lookup(self, call: Call, answer: Answer | None) -> Any:
        if answer is not None:
            record_aside(call, answer.outcome, answer)
            return answer.value
        if call.key is not None:
            with self._lock:
                self._misses[call.key] = call
                self._misses.move_to_end(call.key)
                if len(self._misses) > _MISSES:
                    self._misses.popitem(last=False)
        return NOTHING

    def _match(
        self, seconds: float | None, call: Call
    ) -> tuple[Call, float, Sequence[Mark] | None]:
        """Return the call of the lookup that missed, its duration, and its marks."""
        with self._lock:
            miss = self._misses.pop(call.key, None) if call.key is not None else None
        if miss is None:
            call.tags = tags_of(call)
            return call, seconds or 0.0, None
        return miss, call.began - miss.began if seconds is None else seconds, miss.marks

    def warn(self, reason: str, error: str = "") -> None:
        """Emit a warning, once for each reason, that calls bypass this cache.

        Args:
            reason: A short machine-readable word.
            error: The type or the place of what is to blame. Default "".
        """
        self._plan.warn(reason, error)

    def _store(
        self,
        value: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        ttl: float | None = None,
        seconds: float | None = None,
    ) -> None:
        if self._plan.shared.active:
            call = self._plan.begin(args, kwargs)
            sync_calls.store_aside(self._threads, call, value, partial(self._match, seconds), ttl)

    async def _astore(
        self,
        value: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        ttl: float | None = None,
        seconds: float | None = None,
    ) -> None:
        driver, calls = self._on_loop()
        if self._plan.shared.active:
            call = self._plan.begin(args, kwargs)
            await calls.store_aside(driver, call, value, partial(self._match, seconds), ttl)


def cache_aside_policy(policy: Policy) -> Policy:
    """Return the policy without the parts of its cache that need the call itself.

    Raises:
        ConfigurationError: It has no cache, or a part that needs the call itself.
    """
    cache = policy.cache
    if cache is None:
        raise ConfigurationError("cache", "is required for aside(); give cache=Cache(...)")
    for part in ("retry", "breaker", "timeout", "rate_limit", "bulkhead", "hedge"):
        if getattr(policy, part) is not None:
            raise ConfigurationError(
                part,
                _NOT_ASIDE,
            )
    if policy.fallback is not NOTHING:
        raise ConfigurationError(
            "fallback",
            _NOT_ASIDE,
        )
    # All of these need a fresh call.
    cache = replace(cache, stale_ttl=0.0, stale_if_error=0.0, beta=0.0, negative=None)
    return policy.replace(cache=cache, coalesce=False)


def _check_ttl(ttl: float) -> float:
    return check.seconds("ttl", ttl, zero=False)
