"""Make the plan of a function: its key, its tags, and the state of its policies."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    TypeVar,
)

from toolops_plugins.cache.tiers import Tiers
from toolops_plugins.callables.pickling import Origin, RuntimePart
from toolops_plugins.callables.target import Target
from toolops_plugins.calls.plan import Plan, Shared
from toolops_plugins.clock import Clock
from toolops_plugins.codec.return_types import return_classes
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.keyer import Keyer, Keyspace
from toolops_plugins.keys.signature import check_names, is_secret_name, signature_of
from toolops_plugins.keys.tags import Tagger
from toolops_plugins.policy import NOTHING, Bulkhead, Hedge, Policy, RateLimit
from toolops_plugins.telemetry.stats import Stats
from toolops_plugins.wrapping.redefinition import Definition, definition_of, uses_of
from toolops_plugins.wrapping.registry import Registry

if TYPE_CHECKING:
    from toolops_plugins.calls.semantic_keyer import SemanticKeyer
    from toolops_plugins.resilience.breaker import Breaker
    from toolops_plugins.resilience.bulkhead import Gate
    from toolops_plugins.resilience.hedge import Hedger
    from toolops_plugins.resilience.ratelimit import Limiter
    from toolops_plugins.semantic.cache import SemanticCache

__all__ = ["Planner"]

_BODIES = 10_000
"""The maximum number of functions whose first body is remembered."""
_SHARED = "so that one user's answer would reach another"
S = TypeVar("S")


class Planner:
    """Makes the plans of one runtime. Thread-safe.

    Args:
        shared: The parts of the runtime that all functions share.
        keyspace: The keyspace of the runtime.
        tiers: The runtime's tiers.
        stats: Counts the calls.
        breakers: The runtime's breakers.
        semantic: The runtime's semantic cache, or None.
    """

    def __init__(
        self,
        shared: Shared,
        keyspace: Keyspace,
        tiers: Tiers,
        stats: Stats,
        breakers: Registry[Breaker],
        semantic: SemanticCache | None = None,
    ) -> None:
        clock: Clock = shared.clock
        self._shared = shared
        self._keyspace = keyspace
        self._tiers = tiers
        self._stats = stats
        self._breakers = breakers
        self._semantic = semantic
        self.limiters = Registry("rate_limit", partial(_make_limiter, clock))
        self.gates = Registry("bulkhead", _make_gate)
        self.owner: Callable[[], Any] = RuntimePart.owner
        self._lock = fork_safe(self, threading.Lock())
        self._labels: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._counts: dict[str, int] = {}
        self._uses: OrderedDict[str, str] = OrderedDict()
        self._bodies: OrderedDict[tuple[str, str], tuple[str, Definition]] = OrderedDict()

    def plan(
        self,
        target: Target,
        policy: Policy,
        *,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        key_name: str | None = None,
    ) -> Plan:
        """Return the plan of a function.

        Args:
            target: The function.
            policy: The policy of its calls.
            name: The tool's name. None: the function's own, made unique.
            secret: Parameters that are secret.
            ignore: Parameters that do not count in the key.
            key_name: The tool's name in its keys, if another process has chosen it. None: choose.

        Raises:
            ConfigurationError: The policy does not fit the function or the runtime.
        """
        self._check(target, policy, secret, ignore)
        label = name or self._unique_label(target)
        definition = definition_of(target.function, target.name)
        _, before = self._bodies.get((label, definition.place), (None, None))
        find = None
        if key_name is None:
            key_name = self._key_name(name, label, target, definition)
            find = self._make_uses_finder(name, key_name, target, definition, before)
        cache = policy.cache
        keyer = Keyer(
            target.function,
            self._keyspace,
            key_name,
            cache,
            ignore,
            secret=secret,
            method=target.method,
        )
        semantic_keyer = self._make_semantic_keyer(target, policy, key_name, ignore, secret)
        if find is not None:
            keyer.add_to_name(find)
            if semantic_keyer is not None:
                semantic_keyer.add_to_name(find)
        tags = (cache.tags if cache is not None else None) or policy.tags
        breaker, limit, bulkhead = policy.breaker, policy.rate_limit, policy.bulkhead

        def state(states: Registry[S], part: Any) -> S | None:
            return None if part is None else states.get(part.name or label, part, definition)

        tiers = self._tiers if cache is not None else self._tiers.only(())
        if cache is not None and cache.tiers is not None:
            tiers = self._tiers.only(cache.tiers)
        plan = Plan(
            name=label,
            function=self._function(target, policy),
            aio=target.kind in ("coroutine", "async_generator"),
            policy=policy,
            shared=self._shared,
            stats=self._stats.recorder(label),
            tiers=tiers,
            keyer=keyer if cache is not None or policy.coalesces else None,
            tagger=Tagger(tags, keyer, secret),
            signature=keyer.signature,
            breaker=state(self._breakers, breaker),
            limiter=state(self.limiters, limit),
            gate=state(self.gates, bulkhead),
            hedger=None if policy.hedge is None else _make_hedger(policy.hedge),
            stream=target.kind in ("generator", "async_generator"),
            semantic_keyer=semantic_keyer,
            declare=partial(self._declare, target.function),
        )
        plan.origin = Origin(self.owner, target, tuple(secret), tuple(ignore), key_name, find)
        if before is not None and plan.declare is not None:
            # Its class may be redefined too, and stored answers are decoded to the new class.
            with suppress(Exception):
                plan.declare()
        return plan

    def _declare(self, function: Callable[..., Any]) -> None:
        # An adapter's function calls the user's function, whose results are stored.
        source = getattr(function, "__toolops_source__", None)
        for kind in return_classes(function if source is None else source):
            self._shared.codec.register_from_annotation(kind)

    def _make_semantic_keyer(
        self,
        target: Target,
        policy: Policy,
        key_name: str,
        ignore: Sequence[str],
        secret: Sequence[str],
    ) -> SemanticKeyer | None:
        if self._semantic is None or policy.semantic is None or policy.cache is None:
            return None
        from toolops_plugins.calls.semantic_keyer import SemanticKeyer  # noqa: PLC0415 - rarely needed

        return SemanticKeyer(
            self._semantic,
            policy.semantic,
            target,
            self._keyspace,
            key_name,
            policy.cache,
            ignore,
            secret,
        )

    def _function(self, target: Target, policy: Policy) -> Callable[..., Any]:
        if target.kind == "generator":
            from toolops_plugins.coalesce.streams import Recording  # noqa: PLC0415 - rarely needed

            return Recording.make_opener(
                target.function,
                self._shared.codec,
                shares=policy.coalesces,
                monotonic=self._shared.clock.monotonic,
                isolates=self._has_starters,
            )
        if target.kind == "async_generator":
            from toolops_plugins.coalesce.async_streams import AsyncRecording  # noqa: PLC0415 - imports asyncio

            return AsyncRecording.make_opener(
                target.function,
                self._shared.codec,
                shares=policy.coalesces,
                monotonic=self._shared.clock.monotonic,
            )
        return target.function

    def _has_starters(self) -> bool:
        return bool(self._shared.emitter.starters)

    def _check(
        self, target: Target, policy: Policy, secret: Sequence[str], ignore: Sequence[str]
    ) -> None:
        parameters = signature_of(target.function).parameters
        check_names(parameters, "secret", secret)
        check_names(parameters, "ignore", ignore)
        chosen = policy.cache.key_params if policy.cache is not None else None
        for parameter in parameters:
            if parameter not in secret and not is_secret_name(parameter):
                continue
            if parameter in ignore:
                raise ConfigurationError(
                    "ignore", f"drops the secret {parameter!r} from the key, {_SHARED}"
                )
            if chosen is not None and parameter not in chosen:
                raise ConfigurationError("key_params", f"lacks the secret {parameter!r}, {_SHARED}")
        if policy.semantic is not None:
            check_names(parameters, "semantic", [policy.semantic.on])
            if self._semantic is None:
                raise ConfigurationError(
                    "semantic",
                    "needs a runtime with a semantic cache: ToolOps(semantic=SemanticCache())",
                )
            if target.kind in ("function", "generator"):
                self._semantic.refuse_sync()
        if policy.fallback is not NOTHING:
            from toolops_plugins.calls.fallback import check_fallback  # noqa: PLC0415 - rarely needed

            check_fallback(policy.fallback, target.kind)
        if target.kind in ("generator", "async_generator") and policy.hedge is not None:
            raise ConfigurationError("hedge", "does not apply to a stream; leave it out")
        timeout = policy.timeout
        pinned = timeout is not None and not timeout.in_thread
        if target.kind == "function" and policy.hedge is not None and pinned:
            raise ConfigurationError(
                "hedge", "runs a plain function in threads, which Timeout(in_thread=False) forbids"
            )

    def _key_name(
        self, name: str | None, label: str, target: Target, definition: Definition
    ) -> str:
        """Return the tool's name in its keys, which changes when its body is edited.

        The first body that a runtime sees shares its answers with all processes, and so does each
        equal one. A different body of the same place has answers of its own.
        """
        # The origin separates two programs that are both called main.py.
        key_name = name or f"{label}{target.origin}"
        if target.distinct and name is None:
            return key_name  # it is unique already
        place = label, definition.place
        with self._lock:
            first, before = self._bodies.setdefault(place, (definition.body, definition))
            if len(self._bodies) > _BODIES:
                self._bodies.popitem(last=False)
            self._bodies[place] = first, definition
        # Functions with an explicit name share their answers on purpose.
        if definition.body == first or (name is not None and not definition.replaces(before)):
            return key_name
        return f"{key_name}\0{definition.body}"

    def _make_uses_finder(
        self,
        name: str | None,
        key_name: str,
        target: Target,
        definition: Definition,
        before: Definition | None,
    ) -> Callable[[], str] | None:
        """Return the function that finds the part of the key for the functions that this one uses.

        It runs when the first key is made, since some may be defined further down. The first set
        that a runtime sees shares its answers with all processes, unless it is of a notebook.
        """
        if target.distinct and name is None:
            return None
        function = target.function
        interactive = name is None and target.interactive

        def find() -> str:
            uses = uses_of(function)
            with self._lock:
                first = self._uses.setdefault(key_name, uses)
                if len(self._uses) > _BODIES:
                    self._uses.popitem(last=False)
            if not uses or (uses == first and not interactive):
                return ""
            replaced = name is None or (before is not None and definition.replaces(before))
            return f"\0{uses}" if replaced else ""

        return find

    def _unique_label(self, target: Target) -> str:
        """Return the function's name, made unique among closures of the same name.

        Two closures of one name hold different values, such as the user of a request, and must not
        share answers. Only the first one of a runtime shares its name with other processes. A name
        is not reused after its closure is gone.
        """
        name, function = target.name, target.function
        if not target.distinct:
            return name
        with self._lock:
            label = self._labels.get(function)
            if label is not None:
                return label
            number = self._counts[name] = self._counts.get(name, 0) + 1
            label = name if number == 1 else f"{name}#{number}-{os.urandom(4).hex()}"
            self._labels[function] = label
        if number > 1:
            shared = self._shared
            shared.emitter.warn(
                name, "name_taken", started=shared.clock.time(), namespace=shared.namespace
            )
        return label


# The modules of these policies are imported where a policy asks for them.


def _make_limiter(clock: Clock, policy: RateLimit, name: str) -> Limiter:
    from toolops_plugins.resilience.ratelimit import Limiter  # noqa: PLC0415 - as it says above

    return Limiter(policy, name, clock)


def _make_gate(policy: Bulkhead, name: str) -> Gate:
    from toolops_plugins.resilience.bulkhead import Gate  # noqa: PLC0415 - as it says above

    return Gate(policy, name)


def _make_hedger(policy: Hedge) -> Hedger:
    from toolops_plugins.resilience.hedge import Hedger  # noqa: PLC0415 - as it says above

    return Hedger(policy)
