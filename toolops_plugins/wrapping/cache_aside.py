"""Cache-aside: looking up and keeping, where somebody else makes the call in between.

Frameworks whose caches have a lookup and an update of their own stand here. Without the call in
its hands the runtime can neither coalesce nor refresh, so stale answers are not served, and the
policies of the call itself have no place.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.entry import Mark
from toolops_plugins.calls.answer import Answer, record, walk_optional
from toolops_plugins.calls.flow import keyed, served, start_listening, tags_of
from toolops_plugins.calls.plan import Call, Plan
from toolops_plugins.calls.results import encoded, entry_of, wanted
from toolops_plugins.calls.semantic_lookup import by_meaning, kept_by_meaning
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING, Cache, Policy
from toolops_plugins.steps import Flow, Step
from toolops_plugins.telemetry.events import Outcome

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

__all__ = ["CacheAside", "aside_policy"]

_MISSES = 10_000
"""Lookups without an answer that are remembered until that is brought."""


class CacheAside:
    """A lookup and a store that belong together; made by :meth:`ToolOps.aside`.

    Safe to use from any threads and event loops. Trouble with the cache is a miss or a no-op, with
    a notice; nothing here raises for it.

    Args:
        plan: What is known of the function whose signature names the arguments.
        threads: Walks the flows of synchronous callers.
        loops: Makes what walks those of asynchronous ones.
    """

    def __init__(self, plan: Plan, threads: ThreadDriver, loops: Callable[[], LoopDriver]) -> None:
        self._plan = plan
        self._threads = threads
        self._loops = loops
        self._lock = fork_safe(self, threading.Lock())
        self._missed: OrderedDict[bytes, Call] = OrderedDict()

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
            raise ConfigurationError("cache", f"{self.name} keeps no results, so it has no key")
        return self._plan.keyer.key(args, kwargs)

    def lookup(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is kept for these arguments, or ``NOTHING``; every caller gets a copy."""
        found = self._plan.open(args, kwargs)
        return self._threads.run(self._looking(found)) if type(found) is Call else found

    async def alookup(self, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`lookup`, without blocking the event loop."""
        found = self._plan.open(args, kwargs)
        return await self._loops().run(self._looking(found)) if type(found) is Call else found

    def store(self, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """Keep the value for these arguments, and count the call that brought it.

        What it took is the time since the lookup that missed.
        """
        self._threads.run(self._keeping(value, args, kwargs, self._plan.policy.cache))

    async def astore(self, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, without blocking the event loop."""
        await self._loops().run(self._keeping(value, args, kwargs, self._plan.policy.cache))

    def store_for(self, ttl: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, for ``ttl`` seconds instead of what the policy says.

        Raises:
            ConfigurationError: ``ttl`` is not more than 0.
        """
        self._threads.run(self._keeping(value, args, kwargs, self._cache_for(ttl)))

    async def astore_for(self, ttl: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store_for`, without blocking the event loop."""
        await self._loops().run(self._keeping(value, args, kwargs, self._cache_for(ttl)))

    def store_took(self, seconds: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store`, where the call has taken ``seconds``, whenever the lookup was.

        For values that one call brings together: each is worth its share of the time.
        """
        self._threads.run(self._keeping(value, args, kwargs, self._plan.policy.cache, seconds))

    async def astore_took(self, seconds: float, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`store_took`, without blocking the event loop."""
        cache = self._plan.policy.cache
        await self._loops().run(self._keeping(value, args, kwargs, cache, seconds))

    def _cache_for(self, ttl: float) -> Cache | None:
        cache = self._plan.policy.cache
        return None if cache is None else replace(cache, ttl=ttl)

    def _looking(self, call: Call) -> Flow:
        if not self._plan.shared.active:
            return NOTHING
        if call.large:
            yield from keyed(call)
        answer = yield from walk_optional(call, "lookup", _looked_up(call))
        if answer is not None:
            record(call, answer.outcome, answer)
            return answer.value
        if call.key is not None:
            with self._lock:
                self._missed[call.key] = call
                self._missed.move_to_end(call.key)
                if len(self._missed) > _MISSES:
                    self._missed.popitem(last=False)
        return NOTHING

    def warn(self, reason: str) -> None:
        """Tell, once for each reason, that calls go past this cache.

        Args:
            reason: A short machine word.
        """
        self._plan.warn(reason)

    def _keeping(
        self,
        value: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        cache: Cache | None,
        seconds: float | None = None,
    ) -> Flow:
        if not self._plan.shared.active:
            return
        call = self._plan.begin(args, kwargs)
        if call.large:
            yield from keyed(call)
        took = 0.0 if seconds is None else seconds
        with self._lock:
            asked = self._missed.pop(call.key, None) if call.key is not None else None
        if asked is not None:
            if seconds is None:
                took = call.began - asked.began
            call = asked
        else:
            call.tags = tags_of(call)
        marks = call.marks if asked is not None else None
        yield from walk_optional(call, "store", _kept(call, cache, value, took, marks))


def aside_policy(policy: Policy) -> Policy:
    """Return the policy without what takes the call itself, which is not made here.

    Raises:
        ConfigurationError: It keeps nothing, or asks for what only the call itself can have.
    """
    cache = policy.cache
    if cache is None:
        raise ConfigurationError("cache", "is needed: it is all that there is aside")
    for part in ("retry", "breaker", "timeout", "rate_limit", "bulkhead", "hedge"):
        if getattr(policy, part) is not None:
            raise ConfigurationError(part, "has no place where somebody else makes the call")
    if policy.fallback is not NOTHING:
        raise ConfigurationError("fallback", "has no place where somebody else makes the call")
    # Neither of these can be had without somebody who fetches anew.
    cache = replace(cache, stale_ttl=0.0, stale_if_error=0.0, beta=0.0, negative=None)
    return policy.replace(cache=cache, coalesce=False)


def _looked_up(call: Call) -> Generator[Step, Any, Answer | None]:
    """Return the answer that is kept for a call, or None."""
    plan = call.plan
    cache = plan.policy.cache
    call.tags = tags_of(call)
    if call.key is None or cache is None:
        return None
    bus = plan.shared.bus
    if bus is not None and not bus.ready.is_set():
        yield from walk_optional(call, "bus", start_listening(bus))
    found = yield from plan.tiers.lookup(call.key, call.tags, plan.shared.clock.monotonic())
    call.marks = found.marks
    answer: Answer | None = None
    if found.entry is not None:
        answer = yield from served(call, cache, found.entry, found.tier)
    if answer is None and plan.meaning is not None:
        answer, _ = yield from by_meaning(call, plan.meaning, found, _nobody)
    return answer


def _nobody() -> Flow:
    raise AssertionError("nobody can be called where the cache stands aside")


def _kept(
    call: Call, cache: Cache | None, value: Any, took: float, marks: Sequence[Mark] | None
) -> Flow:
    """Keep a value that somebody else has brought; what has been invalidated meanwhile is not.

    Args:
        call: The call.
        cache: How to keep it, or None for not at all.
        value: Its result.
        took: Seconds that it took.
        marks: Those of the lookup before; None: there was none.
    """
    plan = call.plan
    price = plan.charge(call, value)
    call.attempts = 1
    payload = None
    if call.key is not None and cache is not None and wanted(call, cache, value):
        payload = encoded(call, value, kept=True)
        if payload is not None:
            entry = entry_of(call, cache, payload, took, price)
            yield from plan.tiers.store(call.key, entry, marks)
            if plan.meaning is not None:
                yield from kept_by_meaning(call, value, payload, entry, plan.meaning.mark())
    outcome: Outcome = "bypass" if call.key is None else "miss"
    record(call, outcome, Answer(value, payload, "miss", None, took, price))
