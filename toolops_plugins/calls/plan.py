"""The plan of a wrapped function.

A :class:`Plan` is made once, when a function is wrapped. Its :attr:`Plan.open` is the hot path: it
returns the fresh result that this process holds, or else a :class:`Call` for the flow.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from toolops_plugins.cache.tiers import Tiers
from toolops_plugins.callables.pickling import Origin, owner_of
from toolops_plugins.callables.target import Target
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.context import ForcedRefresh
from toolops_plugins.calls.opening import Open, make_open
from toolops_plugins.clock import Clock
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.codec import Codec
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.keyer import Keyer
from toolops_plugins.keys.signature import arguments_of
from toolops_plugins.keys.tags import Tagger
from toolops_plugins.policy import NOTHING, Cache, Policy, Price
from toolops_plugins.telemetry.emitter import Emitter
from toolops_plugins.telemetry.events import CallKind, Details
from toolops_plugins.telemetry.stats import ToolStats

if TYPE_CHECKING:
    from toolops_plugins.cache.invalidation_bus import Bus
    from toolops_plugins.calls.semantic_keyer import SemanticKeyer
    from toolops_plugins.coalesce.stream_table import Streams
    from toolops_plugins.resilience.breaker import Breaker
    from toolops_plugins.resilience.bulkhead import Gate
    from toolops_plugins.resilience.hedge import Hedger
    from toolops_plugins.resilience.ratelimit import Limiter
    from toolops_plugins.resilience.retry import RetryBudget

__all__ = ["Plan", "Shared", "replan"]


@dataclass(slots=True)
class Shared:
    """The parts of a runtime that all its functions share.

    Args:
        namespace: The runtime's namespace.
        clock: The runtime's clock.
        codec: Encodes results.
        emitter: Hands events to the sinks.
        flights: The flights under way.
        streams: The recordings under way.
        budget: The retry budget, or None.
        active: False: every call goes straight to its function. Default True.
        bus: Receives the invalidations of other processes; None: there is none.
        forced_refreshes: The blocks that are open now, in any context, whose calls are made anew.
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
    forced_refreshes: set[ForcedRefresh] = field(default_factory=set)

    def forget_flight(self, key: bytes | None) -> None:
        """Let no caller join the flight and stream of a key from now on; None: of all keys."""
        self.flights.forget(key)
        self.streams.forget(key)


class Lifetimes(NamedTuple):
    """The durations of a cache policy, in seconds.

    Args:
        ttl: How long a result is fresh. None: as long as the tiers keep it.
        stale_ttl: How long it may be served after that.
        stale_if_error: How long it may be served after that in place of an error.
        negative_ttl: How long an exception is kept.
        stale: How long it is kept after it was fresh: the longer one of the two.
    """

    ttl: float | None = None
    stale_ttl: float = 0.0
    stale_if_error: float = 0.0
    negative_ttl: float = 0.0
    stale: float = 0.0


class Plan:
    """A function with its policy, compiled. Immutable once called; safe to share between threads.

    Args:
        name: The tool's name.
        function: The function to call.
        aio: Whether calling it returns an awaitable.
        policy: The policy of its calls.
        shared: The parts of the runtime that all functions share.
        stats: Counts its calls.
        tiers: The tiers that store its results.
        keyer: Makes its keys; None: results are neither stored nor shared.
        tagger: Makes its tags.
        signature: Its parameters.
        breaker: Its circuit breaker, or None.
        limiter: Its rate limiter, or None.
        gate: Its bulkhead, or None.
        hedger: Decides when to hedge, or None.
        stream: Whether it returns a recording. Default False.
        semantic_keyer: Makes its questions to the semantic cache, or None.
        declare: Registers the types in the function's return annotation with the codec. It runs
            before the first call that memory cannot answer, since annotations may name classes
            that are defined later. None: there is nothing to register.
    """

    __slots__ = (
        "__weakref__",
        "aio",
        "aio_attempts",
        "aio_parts",
        "attempt_seconds",
        "breaker",
        "coalesces",
        "declare",
        "describe_result",
        "describe_start",
        "encloses",
        "function",
        "gate",
        "hedger",
        "in_thread",
        "keyer",
        "kind",
        "lifetimes",
        "limiter",
        "name",
        "open",
        "origin",
        "policy",
        "semantic_keyer",
        "shared",
        "signature",
        "stats",
        "stream",
        "sync_attempts",
        "sync_parts",
        "tagger",
        "tiers",
        "total_seconds",
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
        semantic_keyer: SemanticKeyer | None = None,
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
        self.semantic_keyer = semantic_keyer
        self.coalesces = policy.coalesces
        self.in_thread = _runs_in_thread(policy)
        self.lifetimes = _lifetimes_of(policy.cache)
        timeout = policy.timeout
        self.attempt_seconds = None if timeout is None else _seconds(timeout.attempt)
        self.total_seconds = None if timeout is None else _seconds(timeout.total)
        self.aio_attempts: Any = None
        """Makes the attempts on an event loop; composed when the first call comes."""
        self.sync_attempts: Any = None
        """Makes them in a thread."""
        self.aio_parts: tuple[Any, ...] | None = None
        """What a call with nothing but attempts needs, on an event loop."""
        self.sync_parts: tuple[Any, ...] | None = None
        """The same in a thread."""
        self.kind: CallKind = "tool"
        """The kind of the callee; :meth:`describe` sets it and the two functions below."""
        self.encloses = False
        """True if the framework's own run of the callee happens inside of a call."""
        self.describe_start: Callable[[tuple[Any, ...], dict[str, Any]], Details | None] | None = (
            None
        )
        """Returns what is known of a call before it is made, from its arguments."""
        self.describe_result: Callable[[Any], Details | None] | None = None
        """Returns what a result says about its call, such as tokens; of a stream's items too."""
        self.origin: Origin | None = None
        """What it was made of, for its pickle."""
        self.declare = declare
        self.open: Open = make_open(self)
        """Returns the fresh result that this process holds for a call, or a :class:`Call`.

        Takes the arguments of the call, as a tuple and a dict.
        """

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self.origin is None:
            raise TypeError("a plan that belongs to no runtime cannot be pickled")
        owner, *origin, key_name, find = self.origin
        origin.append(key_name if find is None else key_name + find())
        return replan, (owner_of(owner), self.policy, self.name, *origin)

    @property
    def only_attempts(self) -> bool:
        """True if its calls have nothing but attempts: no cache, flight, stream or fallback."""
        return self.keyer is None and not self.stream and self.policy.fallback is NOTHING

    @property
    def is_described(self) -> bool:
        """True if its events say more of a call than a tool's do, such as the model."""
        return (
            self.describe_result is not None
            or self.describe_start is not None
            or self.kind != "tool"
        )

    def describe(
        self,
        kind: CallKind = "tool",
        start: Callable[[tuple[Any, ...], dict[str, Any]], Details | None] | None = None,
        result: Callable[[Any], Details | None] | None = None,
        *,
        encloses: bool = False,
    ) -> None:
        """Say what the events of its calls tell besides; an adapter does so before the first call.

        Args:
            kind: The kind of the callee. Default "tool".
            start: Returns what is known of a call before it is made, from its arguments.
            result: Returns what a result says about its call, such as tokens; of a stream, its
                items.
            encloses: Whether the framework's own run of the callee happens inside of a call.
                Default False.
        """
        self.encloses = encloses
        self.kind, self.describe_start, self.describe_result = kind, start, result
        self.open = make_open(self)  # which remembers these

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Return a :class:`Call` with its key, without looking for a result."""
        call = Call(self, args, kwargs, self.shared.clock.monotonic())
        if self.keyer is not None and self.shared.active:
            try:
                call.key = self.keyer.key(args, kwargs, large=False)
                call.large = call.key is None
            except Exception as error:  # noqa: BLE001 - as in open()
                self.note_missing_key(call, error)
        return call

    def note_missing_key(self, call: Call, error: Exception) -> Call:
        """Record why a call has no key, and emit a warning."""
        if isinstance(error, NotCanonicalError):
            call.reason = "not_canonical"
        elif isinstance(error, TypeError) and not self.fits(call):
            # The function itself raises an error that its users know.
            call.reason = "bad_call"
            return call
        else:
            call.reason = "key_failed"
        if isinstance(error, NotCanonicalError):
            self.warn(call.reason, error.kind, error.argument)
        else:
            self.warn(call.reason, type(error).__name__)
        return call

    def register_from_annotation(self) -> None:
        """Register the types in the function's return annotation with the codec, once."""
        declare, self.declare = self.declare, None
        if declare is not None:
            with suppress(Exception):  # what cannot be registered is not stored
                declare()

    def fits(self, call: Call) -> bool:
        """Return whether the arguments of a call fit the signature."""
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
        """Add the price of the attempt that returned ``value`` to the call; return it."""
        price = self.price(value)
        call.spent += price
        call.charges += 1
        return price

    def warn(self, reason: str, error: str = "", place: str = "") -> None:
        """Emit a warning that a call bypasses the cache; see :meth:`Emitter.warn`.

        Args:
            reason: A short machine-readable word.
            error: The type of the exception or argument that is the cause. Default "".
            place: The parameter that is the cause. Default "".
        """
        shared = self.shared
        shared.emitter.warn(
            self.name,
            reason,
            started=shared.clock.time(),
            namespace=shared.namespace,
            error=error,
            place=place,
        )

    def details_of_start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Details | None:
        """Return what is known of a call before it is made; None also if that fails."""
        return self._describe(self.describe_start, args, kwargs)

    def details_of_result(self, value: Any) -> Details | None:
        """Return what a result says about its call; None also if that fails, or for ``NOTHING``."""
        return None if value is NOTHING else self._describe(self.describe_result, value)

    def _describe(
        self, describe: Callable[..., Details | None] | None, *args: Any
    ) -> Details | None:
        if describe is None:
            return None
        try:
            return describe(*args)
        except Exception as error:  # noqa: BLE001 - the call goes on without details
            self.warn("details_failed", type(error).__name__)
            return None

    def price(self, value: Any) -> float:
        """Return the price of the call that returned ``value``; 0 if the price callable fails."""
        price = self.policy.price
        if price is None:
            return 0.0
        try:
            money = float(price(value)) if callable(price) else float(price)
        except Exception as error:  # noqa: BLE001 - the user gets the answer all the same
            self.warn("price_failed", type(error).__name__)
            return 0.0
        if isfinite(money) and money >= 0:
            return money
        self.warn("price_invalid", str(money))  # which would make nonsense of every sum
        return 0.0

    def price_of_failure(self) -> float:
        """Return the price of an attempt that returned no result."""
        price = self.policy.price
        if isinstance(price, Price):
            return price.per_call
        return 0.0 if price is None or callable(price) else float(price)


def _seconds(value: Any) -> float | None:
    """Return a duration of a policy, which holds plain seconds; its type is what users may pass."""
    return None if value is None else float(value)


def _lifetimes_of(cache: Cache | None) -> Lifetimes:
    if cache is None:
        return Lifetimes()
    stale = _seconds(cache.stale_ttl) or 0.0
    stale_if_error = _seconds(cache.stale_if_error)
    if stale_if_error is None:
        stale_if_error = stale
    return Lifetimes(
        _seconds(cache.ttl),
        stale,
        stale_if_error,
        _seconds(cache.negative_ttl) or 0.0,
        max(stale, stale_if_error),
    )


def _runs_in_thread(policy: Policy) -> bool | None:
    """Return whether the policy runs a plain function in a thread; None: it does not say."""
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
    """Return the plan of an unpickled function, in the runtime that was found for it."""
    made: Plan = runtime._planner.plan(  # noqa: SLF001 - of the same core
        target, policy, name=name, secret=secret, ignore=ignore, key_name=key_name
    )
    return made
