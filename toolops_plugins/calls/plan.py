"""All that is known of a function before it is called, and all that is noted while it is.

A :class:`Plan` is made once, when a function is wrapped. Its :meth:`Plan.open` is the hot path:
it answers a call that is fresh in this process, and makes a :class:`Call` of every other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.entry import Mark
from toolops_plugins.cache.memory import MOST, Memory
from toolops_plugins.cache.memory_slot import Slot
from toolops_plugins.cache.tiers import Tiers
from toolops_plugins.callables.pickling import Origin, owner_of
from toolops_plugins.callables.target import Target
from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.coalesce.streams import Streams
from toolops_plugins.codec import Codec
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.keyer import Keyer
from toolops_plugins.keys.signature import arguments_of
from toolops_plugins.keys.tags import Tagger
from toolops_plugins.policy import Policy, Price
from toolops_plugins.resilience.breaker import Breaker
from toolops_plugins.resilience.bulkhead import Gate
from toolops_plugins.resilience.hedge import Hedger
from toolops_plugins.resilience.ratelimit import Limiter
from toolops_plugins.resilience.retry import RetryBudget
from toolops_plugins.telemetry.events import CallEvent, Emitter
from toolops_plugins.telemetry.stats import ToolStats

if TYPE_CHECKING:
    from toolops_plugins.cache.invalidation_bus import Bus
    from toolops_plugins.calls.semantic_keyer import SemanticKeyer
    from toolops_plugins.semantic.lookup import Lookup

__all__ = ["Call", "Plan", "Shared", "replan"]

_EMPTY = Memory(max_items=1)
"""Looked at where there is no memory to look at, so that the hot path need not ask."""


@dataclass(slots=True)
class Shared:
    """What all functions of a runtime share.

    Args:
        namespace: The runtime's namespace.
        clock: The runtime's clock.
        codec: Turns results into payloads.
        emitter: Hands events to the sinks.
        flights: The flights under way.
        streams: The recordings under way.
        budget: The retry budget.
        active: False: every call goes straight to its function.
        bus: Hears what other processes invalidate, or None.
    """

    namespace: str
    clock: Clock
    codec: Codec
    emitter: Emitter
    flights: Flights
    streams: Streams
    budget: RetryBudget | None
    active: bool = True
    bus: Bus | None = None


class Call:
    """One call on its way, and what is noted for its event."""

    __slots__ = (
        "args",
        "attempts",
        "began",
        "error",
        "hedged",
        "key",
        "kwargs",
        "large",
        "lookup",
        "marks",
        "near",
        "place",
        "plan",
        "priced",
        "reason",
        "seconds",
        "spent",
        "tags",
        "tells",
    )

    def __init__(
        self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any], began: float
    ) -> None:
        self.plan = plan
        self.args = args
        self.kwargs = kwargs
        self.began = began
        self.key: bytes | None = None
        self.tags: tuple[str, ...] = ()
        self.attempts = 0
        self.spent = 0.0
        self.seconds = 0.0  # that the last attempt took, without any wait before it
        self.priced = 0  # attempts whose price is in `spent` already
        self.hedged = False
        self.reason: str | None = None
        self.error: BaseException | None = None
        self.marks: Sequence[Mark] = ()
        self.lookup: Lookup | None = None  # what the semantic cache had to say
        self.tells = True  # whether the semantic cache is to be told of the answer
        self.large = False  # whether its key is still to be made, off the event loop
        self.near = True  # whether the first tier may hold something for it
        self.place = b""  # where a stream can be joined: one event loop, or any thread


class Plan:
    """A function with its policy, compiled. Immutable once made; safe to share.

    Args:
        name: The tool's name.
        function: What is called.
        aio: Whether calling it makes an awaitable.
        policy: What is asked of its calls.
        shared: What all functions of the runtime share.
        stats: Where its calls are counted.
        tiers: The tiers that its results are kept in.
        keyer: Its keys; None where results are neither kept nor shared.
        tagger: Its tags.
        signature: Its parameters.
        breaker: Its circuit breaker, or None.
        limiter: Its rate limiter, or None.
        gate: Its bulkhead, or None.
        hedger: Decides when to hedge, or None.
        stream: Whether what it returns is a recording.
        meaning: Its part in the semantic cache, or None.
        declare: Registers with the codec what the function declares to return, before its first
            call that is not answered from memory: annotations may name what is defined later. None:
            it was done, or there is nothing to keep.
    """

    __slots__ = (
        "_count_hit",
        "_decode",
        "_emitter",
        "_memory",
        "_monotonic",
        "_peek",
        "aio",
        "breaker",
        "declare",
        "function",
        "gate",
        "hedger",
        "in_thread",
        "keyer",
        "limiter",
        "meaning",
        "name",
        "origin",
        "policy",
        "shared",
        "signature",
        "stats",
        "stream",
        "tagger",
        "tiers",
    )

    def __init__(
        self,
        *,
        name: str,
        function: Callable[..., Any],
        aio: bool,
        policy: Policy,
        shared: Shared,
        stats: ToolStats,
        tiers: Tiers,
        keyer: Keyer | None,
        tagger: Tagger,
        signature: inspect.Signature,
        breaker: Breaker | None = None,
        limiter: Limiter | None = None,
        gate: Gate | None = None,
        hedger: Hedger | None = None,
        stream: bool = False,
        meaning: SemanticKeyer | None = None,
        declare: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.function = function
        self.aio = aio
        self.policy = policy
        self.shared = shared
        self.stats = stats
        self.tiers = tiers
        self.keyer = keyer
        self.tagger = tagger
        self.signature = signature
        self.breaker = breaker
        self.limiter = limiter
        self.gate = gate
        self.hedger = hedger
        self.stream = stream
        self.meaning = meaning
        self.in_thread = _moves(policy)
        self.origin: Origin | None = None
        """What it was made of, for its pickle."""
        self.declare = declare
        self._monotonic = shared.clock.monotonic
        self._decode = shared.codec.decode
        self._count_hit = stats.hit
        self._emitter = shared.emitter
        # Only the first tier is looked at in the hot path; all others are the flow's.
        first = tiers.all[0] if tiers.all and policy.cache is not None else None
        self._memory = first if isinstance(first, Memory) else _EMPTY
        self._peek = self._memory.peek

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self.origin is None:
            raise TypeError("a plan that belongs to no runtime cannot be pickled")
        owner, *origin, key_name, find = self.origin
        origin.append(key_name if find is None else key_name + find())
        return replan, (owner_of(owner), self.policy, self.name, *origin)

    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the fresh result that this process holds for a call, or a :class:`Call`."""
        began = self._monotonic()
        keyer = self.keyer
        if keyer is None or not self.shared.active:
            return Call(self, args, kwargs, began)
        try:
            key = keyer.key(args, kwargs, large=False)
        except Exception as error:  # noqa: BLE001 - a key that cannot be made is a cache that is not asked
            return self.unkeyed(Call(self, args, kwargs, began), error)
        if key is None:
            call = Call(self, args, kwargs, began)
            call.large = True
            return call
        slot: Slot | None = None
        try:
            slot = self._peek(key)
            if slot is not None and began < slot.soft and slot.seq >= self._memory.era:
                if slot.freq < MOST:
                    slot.freq += 1
                value = self._decode(slot.payload)
                latency = self._monotonic() - began
                saved = slot.took - latency
                self._count_hit(latency, max(0.0, saved), slot.price)
                if self._emitter.active:
                    self._tell_hit(slot, key, latency)
                return value
        except Exception:  # noqa: BLE001, S110 - met again, and reported, in the flow
            pass
        call = Call(self, args, kwargs, began)
        call.key = key
        call.near = slot is not None or self._memory is _EMPTY
        return call

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Return the :class:`Call`, with its key, whatever this process holds."""
        call = Call(self, args, kwargs, self._monotonic())
        if self.keyer is not None and self.shared.active:
            try:
                call.key = self.keyer.key(args, kwargs, large=False)
                call.large = call.key is None
            except Exception as error:  # noqa: BLE001 - as in open()
                self.unkeyed(call, error)
        return call

    def _tell_hit(self, slot: Slot, key: bytes, latency: float) -> None:
        shared = self.shared
        shared.emitter.emit(
            CallEvent(
                self.name,
                "hit",
                latency,
                shared.clock.time() - latency,
                shared.namespace,
                self._memory.label,
                max(slot.took - latency, 0.0),
                slot.price,
                key.hex(),
                slot.tags,
            )
        )

    def unkeyed(self, call: Call, error: Exception) -> Call:
        """Note why a call has no key, and warn of it."""
        if isinstance(error, NotCanonicalError):
            call.reason = "not_canonical"
        elif isinstance(error, TypeError) and not self.fits(call):
            # The function itself will say so, in the words that its users know.
            call.reason = "bad_call"
            return call
        else:
            call.reason = "key_failed"
        kind = error.kind if isinstance(error, NotCanonicalError) else type(error).__name__
        self.warn(call.reason, kind)
        return call

    def register_from_annotation(self) -> None:
        """Register what the function declares to return, once."""
        declare, self.declare = self.declare, None
        if declare is not None:
            with suppress(Exception):  # a class may be anything; what is unknown is not kept
                declare()

    def fits(self, call: Call) -> bool:
        """Return whether the arguments of a call fit the function's signature."""
        try:
            self.signature.bind(*call.args, **call.kwargs)
        except TypeError:
            return False
        return True

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by name, as far as they fit the signature."""
        try:
            return arguments_of(self.signature, args, kwargs)
        except TypeError:
            return dict(kwargs)

    def charge(self, call: Call, value: Any) -> float:
        """Add the price of the attempt that gave ``value`` to the call's; return it."""
        price = self.price(value)
        call.spent += price
        call.priced += 1
        return price

    def warn(self, reason: str, error: str = "") -> None:
        """Tell, once for this tool and reason, that calls go past the cache.

        Args:
            reason: A short machine word.
            error: The type of the exception, or of the argument, that is to blame.
        """
        shared = self.shared
        shared.emitter.warn(
            self.name,
            reason,
            started=shared.clock.time(),
            namespace=shared.namespace,
            error=error,
        )

    def price(self, value: Any) -> float:
        """Return what the call that gave ``value`` cost; a price that cannot be told is 0."""
        price = self.policy.price
        if price is None:
            return 0.0
        try:
            return float(price(value)) if callable(price) else float(price)
        except Exception as error:  # noqa: BLE001 - a broken price must not cost the user the answer
            self.warn("price_failed", type(error).__name__)
            return 0.0

    def price_of_failure(self) -> float:
        """Return what an attempt costs that gave no result."""
        price = self.policy.price
        if isinstance(price, Price):
            return price.per_call
        return 0.0 if price is None or callable(price) else float(price)


def _moves(policy: Policy) -> bool | None:
    """Return whether a plain function under this policy runs in a thread; None: nothing is said."""
    timeout = policy.timeout
    if timeout is not None and not timeout.in_thread:
        return False
    limited = timeout is not None and (timeout.attempt is not None or timeout.total is not None)
    return True if limited or policy.hedge is not None else None


def replan(
    runtime: Any,
    policy: Policy,
    name: str,
    target: Target,
    secret: Sequence[str],
    ignore: Sequence[str],
    key_name: str,
) -> Plan:
    """Return the plan of a function that was pickled elsewhere, in the runtime that was found."""
    made: Plan = runtime._planner.plan(  # noqa: SLF001 - of the same core
        target, policy, name=name, secret=secret, ignore=ignore, key_name=key_name
    )
    return made
