"""The runtime: what calls share, and the decorators that put calls under it."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

from toolops_plugins import check
from toolops_plugins.cache.entry import Tier
from toolops_plugins.cache.memory import Memory
from toolops_plugins.callables.pickling import (
    Configuration,
    RuntimeLocation,
    find_runtime,
    locate_runtime,
)
from toolops_plugins.callables.target import resolve
from toolops_plugins.calls.context import DEADLINE, Deadline, current_deadline
from toolops_plugins.calls.flow import call_flow
from toolops_plugins.calls.plan import Call, Plan, Shared
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.closing import Closing
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.coalesce.streams import Streams
from toolops_plugins.codec import MAX_VALUE_BYTES, Codec
from toolops_plugins.codec.encryption import make_cipher
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.environment import options_from
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.keys.keyer import Keyspace, TenantLike
from toolops_plugins.policy import CircuitBreaker, Policy, RateLimit
from toolops_plugins.resilience.breaker import Breaker
from toolops_plugins.resilience.ratelimit import Limiter
from toolops_plugins.resilience.retry import RetryBudget
from toolops_plugins.storage import Storage
from toolops_plugins.telemetry.events import CallEvent, Emitter, SinkLike
from toolops_plugins.telemetry.report import StatsSnapshot
from toolops_plugins.telemetry.stats import Stats
from toolops_plugins.wrapping.decorators import Decorators
from toolops_plugins.wrapping.planner import Planner
from toolops_plugins.wrapping.registry import Registry

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver
    from toolops_plugins.semantic.cache import SemanticCache

__all__ = ["ToolOps", "all_runtimes"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_runtimes: weakref.WeakSet[ToolOps] = weakref.WeakSet()


class _Default:
    """The type of "not given", where None has a meaning of its own."""

    def __reduce__(self) -> str:
        return "_DEFAULT"


_DEFAULT = _Default()
_DRAIN_SECONDS = 5.0
"""Seconds that ``aclose`` waits for what goes on in the background."""
_PLANS = 1_024
"""Functions whose plans ``call`` and ``acall`` remember."""
_NO_POLICY = Policy()


class ToolOps(Decorators, Closing):
    """Owns what calls share: tiers, flights, breakers, limits, statistics.

    Safe to use from any threads and event loops, and after a fork. Pickled, it is found or made
    again in the other process; see :mod:`toolops_plugins.callables.pickling`. It needs no closing,
    but ``close()``, ``await aclose()``, ``with`` and ``async with`` release connections and threads
    at once; a closed runtime opens again when it is used.

    Args:
        namespace: What keeps this runtime's keys from those of others; any text. Default
            "default".
        tiers: Cache tiers, nearest first, or one alone. None: ``[Memory()]``. Those without a label
            of their own become "L1", "L2", and so on.
        semantic: The semantic cache that tools with ``semantic=`` share, whose own keys, scopes and
            collection are those of this runtime; see
            :class:`~toolops_plugins.semantic.cache.SemanticCache`. Default none.
        tenant: Whose answers these are: a context variable or callable, asked at every call, a
            constant, or None. Part of every key.
        secret: With it keys are HMACs, and what is stored in Redis and in Chroma is signed: who
            can write there but lacks the secret cannot plant a value, move one to another tenant,
            or bring back one that was invalidated; the threat model in docs/ says what remains
            possible. All who share the cache need the same.
        encrypt: True: what is stored in Redis, and questions, answers and tags in Chroma, is
            encrypted with a key derived from the secret; text or bytes: with a key derived from
            these. Needs the package ``cryptography`` (extra "encrypt") and a secret. Default
            False.
        sinks: StreamResult of every call; see :class:`~toolops_plugins.telemetry.events.Sink`.
        retry_budget: Bounds the retries of all calls together; None: unbounded. By default a fifth
            of the calls and a small reserve.
        codec: Turns results into bytes; types are registered there. None: a new one.
        max_value_bytes: Bytes of an encoded result at most; a larger one is returned and not kept.
            None: 64 MiB, or what ``codec`` says.
        clock: The source of time. Default the computer's.
        max_flights: Coalesced calls that may be under way at once; more run uncoalesced. Default
            10,000.
        max_threads: Threads for plain functions that have a time limit, an asynchronous caller, a
            hedge or a background refresh. One tool gets another only while more are free than it
            holds: at most half of them, so that a tool which hangs leaves some for all others.
            Default 64.

    Raises:
        ConfigurationError: A value is wrong; it names the parameter.
    """

    def __init__(
        self,
        namespace: str = "default",
        tiers: Tier | Iterable[Tier] | None = None,
        *,
        semantic: SemanticCache | None = None,
        tenant: TenantLike = None,
        secret: str | bytes | None = None,
        encrypt: bool | str | bytes = False,
        sinks: Iterable[SinkLike] = (),
        retry_budget: RetryBudget | _Default | None = _DEFAULT,
        codec: Codec | None = None,
        max_value_bytes: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        max_flights: int = 10_000,
        max_threads: int = 64,
    ) -> None:
        if not isinstance(namespace, str) or not namespace:
            raise ConfigurationError("namespace", f"must be a non-empty string, not {namespace!r}")
        key = check.secret("secret", secret)
        cipher = make_cipher(encrypt, key)
        self.namespace = namespace
        self.semantic = semantic
        self.clock = clock
        self.canon = Canon()
        if codec is not None and max_value_bytes is not None:
            raise ConfigurationError(
                "max_value_bytes", "is given beside a codec; say Codec(max_value_bytes=...)"
            )
        self.codec = codec or Codec(MAX_VALUE_BYTES if max_value_bytes is None else max_value_bytes)
        self._emitter = Emitter(sinks, clock=clock)
        self._stats = Stats()
        flights = Flights(check.count("max_flights", max_flights))
        self._pool = Pool(check.count("max_threads", max_threads))
        self._pool.end_with(self)
        budget = RetryBudget(clock=clock) if isinstance(retry_budget, _Default) else retry_budget
        self._shared = Shared(
            namespace, clock, self.codec, self._emitter, flights, Streams(), budget
        )
        chosen = [Memory()] if tiers is None else tiers
        self._storage = Storage(self._shared, chosen, key, semantic, cipher)
        self._tiers = self._storage.tiers
        self._pool.on_full = weakref.WeakMethod(self._storage.notify_threads_full)
        self._configuration = Configuration(
            {
                "namespace": namespace,
                "tiers": self._tiers.all,
                "tenant": tenant,
                "retry_budget": retry_budget,
                "max_flights": max_flights,
                "max_threads": max_threads,
                "max_value_bytes": self.codec.max_value_bytes,
            },
            _obstacle(self, secret=key is not None, clock=clock),
        )
        self.breakers = Registry("breaker", self._breaker)
        self._planner = Planner(
            self._shared,
            Keyspace(namespace, self.canon, tenant, key),
            self._tiers,
            self._stats,
            self.breakers,
            semantic,
        )
        self._planner.owner = weakref.ref(self)
        self._threads = ThreadDriver(clock, flights, self._pool)
        self._threads.owner = weakref.ref(self)
        self._loop_driver: LoopDriver | None = None
        self._called: OrderedDict[Any, Plan] = OrderedDict()
        self._lock = fork_safe(self, threading.Lock())
        _runtimes.add(self)

    def _in_threads(self) -> ThreadDriver:
        return self._threads

    def _on_loop(self) -> LoopDriver:
        """Return the driver for event loops; asyncio, which it imports, costs half an import."""
        if self._loop_driver is None:
            from toolops_plugins.drivers.loop import LoopDriver  # noqa: PLC0415 - as it says

            self._loop_driver = LoopDriver(self.clock, self._shared.flights, self._pool)
            self._loop_driver.owner = weakref.ref(self)
        return self._loop_driver

    def _breaker(self, policy: CircuitBreaker, name: str) -> Breaker:
        return Breaker(policy, name, self.clock, self._storage.notify_breaker_change)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """Return a runtime that is configured by environment variables.

        - ``TOOLOPS_NAMESPACE``: the namespace. Default "default".
        - ``TOOLOPS_REDIS_URL``: adds two Redis tiers; see
          :class:`~toolops_plugins.cache.redis.Redis`. ``REDIS_URL`` is never read.
        - ``TOOLOPS_MEMORY_ITEMS``, ``TOOLOPS_MEMORY_TTL``: entries of the memory tier, and seconds
          for which it keeps them. Default 10,000 and, with Redis, 300.
        - ``TOOLOPS_REDIS_TTL``, ``TOOLOPS_REDIS_LONG_TTL``: seconds for which the first and the
          second Redis tier keep entries. Default 3,600 and 86,400.
        - ``TOOLOPS_CHROMA_PATH`` or ``TOOLOPS_CHROMA_URL``: folder or server of a semantic
          cache. Default: none.
        - ``TOOLOPS_SECRET``: the secret for keys and signatures.
        - ``TOOLOPS_ENCRYPT``: 1 to encrypt what is stored, with a key derived from the secret.

        Args:
            environ: Where to look. None: ``os.environ``.
            options: Arguments of the runtime, which win over the environment.

        Raises:
            ConfigurationError: A variable's value is wrong; it names the variable.
        """
        given = options_from(os.environ if environ is None else environ)
        runtime = cls(**{**given, **options})
        if environ is None and not options:
            runtime._configuration = runtime._configuration._replace(from_environment=True)
        return runtime

    # -- calls that cannot be decorated ----------------------------------------------------------

    def call(
        self,
        function: Callable[..., R],
        /,
        *args: Any,
        policy: Policy | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> R:
        """Call a function once, under a policy.

        Args:
            function: The function; ``functools.partial`` serves where one of its parameters is
                called ``policy`` or ``name``.
            args: Its positional arguments.
            policy: The policy. None: one that asks for nothing.
            name: The tool's name. None: the function's module and qualified name.
            kwargs: Its keyword arguments.

        Raises:
            ConfigurationError: The function is asynchronous or a generator, or the policy does not
                fit it.
            Exception: What the function raised, or a policy in its place.
        """
        found, kind = self._open(function, args, kwargs, policy, name)
        if kind != "function":
            raise ConfigurationError(
                "function", f"is a {kind}; use `await ops.acall(...)`, or a decorator"
            )
        return cast("R", self._threads.run(call_flow(found)) if type(found) is Call else found)

    async def acall(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        policy: Policy | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Await a coroutine function, or a plain one in a thread, once, under a policy.

        Args:
            function: As in :meth:`call`.
            args: As in :meth:`call`.
            policy: As in :meth:`call`.
            name: As in :meth:`call`.
            kwargs: As in :meth:`call`.

        Raises:
            ConfigurationError: The function is a generator, or the policy does not fit it.
            Exception: What the function raised, or a policy in its place.
        """
        found, kind = self._open(function, args, kwargs, policy, name)
        if kind not in ("function", "coroutine"):
            raise ConfigurationError("function", f"is a {kind}; use a decorator")
        return await self._on_loop().run(call_flow(found)) if type(found) is Call else found

    def _open(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        policy: Policy | None,
        name: str | None,
    ) -> tuple[Any, str]:
        target = resolve(function)
        # The plan holds function and policy, so that these identities stay theirs.
        policy = policy or _NO_POLICY
        known = (id(target.function), id(policy), name)
        plan = self._called.get(known)
        if plan is None:
            plan = self._planner.plan(target, policy, name=name)
            with self._lock:
                self._called[known] = plan
                if len(self._called) > _PLANS:
                    self._called.popitem(last=False)
        return plan.open((*target.args, *args), {**target.kwargs, **kwargs}), target.kind

    async def gather(
        self, *calls: Awaitable[T], limit: int = 10, return_exceptions: bool = False
    ) -> list[T]:
        """Await independent calls, at most ``limit`` at a time, and return results in order.

        Args:
            calls: Coroutines or other awaitables.
            limit: How many may be under way at once. Default 10.
            return_exceptions: True: errors stand among the results. False: the first is raised,
                and all other calls are cancelled.

        Raises:
            ConfigurationError: ``limit`` is no positive number.
            Exception: The first error of a call.
        """
        from toolops_plugins.concurrency.gather import gather_calls  # noqa: PLC0415 - imports asyncio

        places = check.count("limit", limit)
        return await gather_calls(calls, places, return_exceptions=return_exceptions)

    def map(self, function: Callable[[T], R], items: Iterable[T], *, limit: int = 10) -> list[R]:
        """Call a function for each item in threads, at most ``limit`` at a time; results in order.

        Args:
            function: A plain function, wrapped or not. It sees the caller's context variables.
            items: Its arguments.
            limit: How many may be under way at once. Default 10.

        Raises:
            ConfigurationError: ``limit`` is no positive number.
            Exception: The first error in the order of the items, once all have ended.
        """
        return self._threads.map(function, items, check.count("limit", limit))

    @contextmanager
    def deadline(self, seconds: float, *, in_thread: bool | None = None) -> Iterator[None]:
        """Bound how long calls in this block are waited for; work that others wait for goes on.

        The block may be left in another context than it was entered in, as happens in generators
        and in fixtures of asynchronous tests: the deadline is over then wherever it was seen.

        Args:
            seconds: From now on. An earlier deadline that stands already is kept.
            in_thread: Whether plain functions run in another thread, so that they can be left in
                time. Default: as in the block around this one; True in the outermost. False keeps
                those without a ``Timeout`` of their own in this thread, whose connections and
                transactions they may need: the deadline then bounds the waits before and between
                attempts (for other callers' calls, retries, limits, bulkheads), and a result that
                comes later is returned all the same. ``Timeout(in_thread=False)`` does so for one
                tool. Coroutines, and functions that run in a thread anyway, are left in time
                always.

        Raises:
            DeadlineExceeded: In the block, from the call that is not ready in time.
        """
        end = self.clock.monotonic() + check.seconds("seconds", seconds)
        outer = current_deadline()
        if outer is not None:
            end = min(end, outer.at)
            in_thread = outer.in_thread if in_thread is None else in_thread
        own = Deadline(end, outer, in_thread=in_thread is not False)
        token = DEADLINE.set(own)
        try:
            yield
        finally:
            try:
                DEADLINE.reset(token)
            except ValueError:  # this is another context
                own.over = True

    # -- what is kept ------------------------------------------------------------------------

    def invalidate(self, tags: Iterable[str] = (), *, keys: Iterable[bytes | str] = ()) -> None:
        """Forget results by tag or key, in every tier, and in the memory of every process.

        A call that is under way keeps its own result, but that is not stored, and who asks from
        now on does not join it.

        Args:
            tags: The tags.
            keys: Keys, as bytes or in hexadecimal.

        Raises:
            ConfigurationError: ``tags`` is a lone string, or a key is none.
            TierError: A tier could not be reached; all others have been told.
        """
        self._threads.run(self._storage.invalidate(tags, keys))

    async def ainvalidate(
        self, tags: Iterable[str] = (), *, keys: Iterable[bytes | str] = ()
    ) -> None:
        """As :meth:`invalidate`, without blocking the event loop."""
        await self._on_loop().run(self._storage.invalidate(tags, keys))

    def clear(self) -> None:
        """Forget all results of this namespace, in every tier and the memory of every process.

        Raises:
            TierError: A tier could not be reached; all others have been told.
        """
        self._threads.run(self._storage.clear())

    async def aclear(self) -> None:
        """As :meth:`clear`, without blocking the event loop."""
        await self._on_loop().run(self._storage.clear())

    # -- what happens ------------------------------------------------------------------------

    def stats(self) -> StatsSnapshot:
        """Return what calls have cost and saved so far, by tool; it prints itself as a table."""
        return self._stats.snapshot()

    def add_sink(self, sink: SinkLike) -> Callable[[], None]:
        """Have a sink told of every call from now on; return what takes it away again."""
        return self._emitter.add(sink)

    def tell(self, event: CallEvent) -> None:
        """Count a call that was made elsewhere, and have the sinks told of it.

        For frameworks whose own events tell of calls that no tool of this runtime made. Nothing
        happens while the runtime is not active.

        Args:
            event: The call; its namespace becomes that of this runtime.
        """
        if not self._shared.active:
            return
        event = event._replace(namespace=self.namespace)
        self._stats.recorder(event.name).record(event)
        if self._emitter.active:
            self._emitter.emit(event)

    def limiter(self, policy: RateLimit, name: str) -> Limiter:
        """Return what keeps calls that are made elsewhere under a rate limit.

        Args:
            policy: The limit; its own ``name`` comes first.
            name: Tools and callers whose limits have one name share their units.

        Raises:
            ConfigurationError: The name is in use with another policy.
        """
        return self._planner.limiters.get(policy.name or name, policy)

    @property
    def active(self) -> bool:
        """False: every call goes straight to its function, as if it had never been wrapped."""
        return self._shared.active

    @active.setter
    def active(self, value: bool) -> None:
        self._shared.active = value

    def _reset_after_fork(self) -> None:
        # Only the thread that forked lives on here.
        self._shared.flights.reset_after_fork()
        self._shared.streams.reset_after_fork()
        self._storage.reset_after_fork()
        if self._loop_driver is not None:
            self._loop_driver.reset_after_fork()

    def close(self) -> None:
        """Release connections and threads. Calls that hang in threads are not waited for."""
        self._storage.stop_listening()
        self._threads.run(self._storage.close())
        self._pool.end_idle_threads()

    async def aclose(self) -> None:
        """Wait for what this loop does in the background, and release connections and threads.

        It waits for 5 seconds at most, and cancels what goes on then.
        """
        driver = self._on_loop()
        await driver.drain(_DRAIN_SECONDS)
        await driver.run_in_thread(self._storage.stop_listening)
        await driver.run(self._storage.close())
        self._pool.end_idle_threads()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _unpickle, (locate_runtime(self, self._configuration),)

    def __repr__(self) -> str:
        return f"ToolOps({self.namespace!r}, tiers={list(self._tiers.all)!r})"


def all_runtimes() -> tuple[ToolOps, ...]:
    """Return all runtimes that are alive."""
    return tuple(_runtimes)


def _obstacle(runtime: ToolOps, *, secret: bool, clock: Clock) -> str:
    """Return what of a runtime must not, or cannot, be in a pickle; "" if nothing."""
    if secret:
        return "it has a secret"
    if runtime.semantic is not None:
        return "it has a semantic cache, which belongs to one process"
    if clock is not SYSTEM_CLOCK:
        return "it goes by a clock of its own"
    return "" if type(runtime.codec) is Codec else "it has a codec of its own class"


def _unpickle(place: RuntimeLocation) -> Any:
    alive = all_runtimes()
    return find_runtime(place, [(runtime, runtime._configuration) for runtime in alive])  # noqa: SLF001 - of this module


def _after_fork() -> None:
    for runtime in all_runtimes():
        runtime._reset_after_fork()  # noqa: SLF001 - a function of this class in all but place


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
