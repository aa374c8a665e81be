"""Cache-aside: a lookup and a store, between which the caller makes the call itself.

It serves frameworks whose caches have a lookup and an update. Since the runtime does not make the
call, it can neither coalesce nor refresh: stale answers are not served, and the policies for
attempts do not apply.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolops_plugins import check
from toolops_plugins.cache.entry import Mark
from toolops_plugins.calls.answer import Answer, record_call, run_optional
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.flow import make_key, start_bus, tags_of
from toolops_plugins.calls.plan import Plan
from toolops_plugins.calls.results import encode_result, is_cacheable, make_entry
from toolops_plugins.calls.semantic_lookup import lookup_semantic, store_semantic
from toolops_plugins.calls.serving import serve_entry
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING, Policy
from toolops_plugins.steps import Flow, Step
from toolops_plugins.telemetry.events import Outcome

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

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
        threads: Runs the flows of synchronous callers.
        loops: Returns the driver that runs those of asynchronous callers.
    """

    def __init__(self, plan: Plan, threads: ThreadDriver, loops: Callable[[], LoopDriver]) -> None:
        self._plan = plan
        self._threads = threads
        self._loops = loops
        self._lock = fork_safe(self, threading.Lock())
        self._misses: OrderedDict[bytes, Call] = OrderedDict()

    @property
    def name(self) -> str:
        """The name under which its calls are counted."""
        return self._plan.name

    def __reduce__(self) -> tuple[Any, ...]:
        return CacheAside, (self._plan, self._threads, self._loops)

    def key(self, *args: Any, **kwargs: Any) -> bytes:
        """Return the key of these arguments.

        Raises:
            NotCanonicalError: An argument has no canonical form.
            TypeError: They do not fit the signature.
        """
        if self._plan.keyer is None:
            raise ConfigurationError("cache", f"{self.name} stores no results, so it has no key")
        return self._plan.keyer.key(args, kwargs)

    def lookup(self, *args: Any, **kwargs: Any) -> Any:
        """Return the value stored for these arguments, or ``NOTHING``; every caller gets a copy."""
        found = self._plan.open(args, kwargs)
        return self._threads.run(self._lookup(found)) if type(found) is Call else found

    async def alookup(self, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`lookup`, without blocking the event loop."""
        found = self._plan.open(args, kwargs)
        return await self._loops().run(self._lookup(found)) if type(found) is Call else found

    def store(self, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """Store the value for these arguments, and count the call that returned it.

        Its duration is the time since the lookup that missed.
        """
        self._threads.run(self._store(value, args, kwargs))

    async def astore(self, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, without blocking the event loop."""
        await self._loops().run(self._store(value, args, kwargs))

    def store_for(self, ttl: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, for ``ttl`` seconds instead of the policy's.

        Raises:
            ConfigurationError: ``ttl`` is not more than 0.
        """
        self._threads.run(self._store(value, args, kwargs, ttl=_check_ttl(ttl)))

    async def astore_for(self, ttl: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store_for`, without blocking the event loop."""
        await self._loops().run(self._store(value, args, kwargs, ttl=_check_ttl(ttl)))

    def store_took(self, seconds: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, with ``seconds`` as the duration of the call.

        For values that one call returns together: each counts its share of the time.
        """
        self._threads.run(self._store(value, args, kwargs, seconds=seconds))

    async def astore_took(self, seconds: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store_took`, without blocking the event loop."""
        await self._loops().run(self._store(value, args, kwargs, seconds=seconds))

    def _lookup(self, call: Call) -> Flow:
        if not self._plan.shared.active:
            return NOTHING
        if call.large:
            yield from make_key(call)
        answer = yield from run_optional(call, "lookup", _find_answer(call))
        if answer is not None:
            record_call(call, answer.outcome, answer)
            return answer.value
        if call.key is not None:
            with self._lock:
                self._misses[call.key] = call
                self._misses.move_to_end(call.key)
                if len(self._misses) > _MISSES:
                    self._misses.popitem(last=False)
        return NOTHING

    def warn(self, reason: str) -> None:
        """Emit a warning, once for each reason, that calls bypass this cache.

        Args:
            reason: A short machine-readable word.
        """
        self._plan.warn(reason)

    def _store(
        self,
        value: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        ttl: float | None = None,
        seconds: float | None = None,
    ) -> Flow:
        if not self._plan.shared.active:
            return
        call = self._plan.begin(args, kwargs)
        if call.large:
            yield from make_key(call)
        took = 0.0 if seconds is None else seconds
        with self._lock:
            miss = self._misses.pop(call.key, None) if call.key is not None else None
        if miss is not None:
            if seconds is None:
                took = call.began - miss.began
            call = miss
        else:
            call.tags = tags_of(call)
        marks = call.marks if miss is not None else None
        yield from run_optional(call, "store", _store_value(call, value, took, marks, ttl))


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


def _find_answer(call: Call) -> Generator[Step, Any, Answer | None]:
    """Return the answer that is stored for a call, or None."""
    plan = call.plan
    cache = plan.policy.cache
    call.tags = tags_of(call)
    if call.key is None or cache is None:
        return None
    bus = plan.shared.bus
    if bus is not None and not bus.ready.is_set():
        yield from run_optional(call, "bus", start_bus(bus))
    found = yield from plan.tiers.lookup(call.key, call.tags, plan.shared.clock.monotonic())
    call.marks = found.marks
    answer: Answer | None = None
    if found.entry is not None:
        answer = yield from serve_entry(call, cache, found.entry, found.tier)
    if answer is None and plan.semantic_keyer is not None:
        answer, _ = yield from lookup_semantic(call, plan.semantic_keyer, found, _no_fetch)
    return answer


def _no_fetch() -> Flow:
    raise AssertionError("a cache-aside cannot make the call")


def _check_ttl(ttl: float) -> float:
    return check.seconds("ttl", ttl, zero=False)


def _store_value(
    call: Call, value: Any, took: float, marks: Sequence[Mark] | None, ttl: float | None
) -> Flow:
    """Store a value, unless it was invalidated since the lookup.

    Args:
        call: The call.
        value: Its result.
        took: Seconds that it took.
        marks: The invalidation marks of the lookup. None: there was no lookup.
        ttl: Seconds that it is fresh. None: as the policy says.
    """
    plan = call.plan
    cache = plan.policy.cache
    price = plan.charge(call, value)
    call.attempts = 1
    payload = None
    if call.key is not None and cache is not None and is_cacheable(call, cache, value):
        payload = encode_result(call, value, report=True)
        if payload is not None:
            entry = make_entry(call, cache, payload, took, price, ttl=ttl)
            yield from plan.tiers.store(call.key, entry, marks)
            if plan.semantic_keyer is not None:
                yield from store_semantic(call, value, payload, entry, plan.semantic_keyer.mark())
    outcome: Outcome = "bypass" if call.key is None else "miss"
    record_call(call, outcome, Answer(value, payload, "miss", None, took, price))
