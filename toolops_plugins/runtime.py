"""The runtime: what calls share, and the decorators that put calls under it."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeGuard, TypeVar, Unpack, cast, overload

from toolops_plugins import check
from toolops_plugins.cache.entry import Tier
from toolops_plugins.cache.memory import Memory
from toolops_plugins.cache.tiers import Tiers
from toolops_plugins.canonical import Canon
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.coalesce.streams import Streams
from toolops_plugins.codec import Codec
from toolops_plugins.drivers import ThreadDriver
from toolops_plugins.environment import options_from
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.flow import DEADLINE, call_flow
from toolops_plugins.plan import Call, Plan, Shared
from toolops_plugins.policy import Cache, Policy, PolicyParts, Retry
from toolops_plugins.pool import Pool
from toolops_plugins.request import Keyspace, TenantLike
from toolops_plugins.resilience.breaker import Breaker
from toolops_plugins.resilience.retry import RetryBudget
from toolops_plugins.steps import Flow, Io
from toolops_plugins.target import dress, resolve
from toolops_plugins.telemetry.events import Emitter, Notice, NoticeKind, SinkLike
from toolops_plugins.telemetry.report import StatsSnapshot
from toolops_plugins.telemetry.stats import Stats
from toolops_plugins.wrap import Named, Planner, Tool, wrapper_of

if TYPE_CHECKING:
    from toolops_plugins.cache.bus import Bus
    from toolops_plugins.cache.redis import Redis
    from toolops_plugins.loop_driver import LoopDriver

__all__ = ["ToolOps", "all_runtimes"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_runtimes: weakref.WeakSet[ToolOps] = weakref.WeakSet()


class _Default:
    """The type of "not given", where None has a meaning of its own."""


_DEFAULT = _Default()
_PLANS = 1_024
"""Functions whose plans ``call`` and ``acall`` remember."""
_NO_POLICY = Policy()


class ToolOps:
    """Owns what calls share: tiers, flights, breakers, limits, statistics.

    Safe to use from any threads and event loops, and after a fork. It needs no closing, but
    ``close()``, ``await aclose()``, ``with`` and ``async with`` release connections and threads at
    once; a closed runtime opens again when it is used.

    Args:
        namespace: What keeps this runtime's keys from those of others; any text. Default
            "default".
        tiers: Cache tiers, nearest first. None: ``[Memory()]``. Those without a label of their own
            become "L1", "L2", and so on.
        tenant: Whose answers these are: a context variable or callable, asked at every call, a
            constant, or None. Part of every key.
        secret: With it keys are HMACs, and what is stored in Redis is signed: somebody who can
            write there but lacks the secret cannot plant a value. All who share the cache need it.
        sinks: Told of every call; see :class:`~toolops_plugins.telemetry.events.Sink`.
        retry_budget: Bounds the retries of all calls together; None: unbounded. By default a fifth
            of the calls and a small reserve.
        codec: Turns results into bytes; types are registered there. None: a new one.
        clock: The source of time. Default the computer's.
        max_flights: Coalesced calls that may be under way at once; more run uncoalesced. Default
            10,000.
        max_threads: Threads for plain functions that have a time limit, an asynchronous caller, or
            a background refresh. Default 64.

    Raises:
        ConfigurationError: A value is wrong; it names the parameter.
    """

    def __init__(
        self,
        namespace: str = "default",
        tiers: Sequence[Tier] | None = None,
        *,
        tenant: TenantLike = None,
        secret: str | bytes | None = None,
        sinks: Iterable[SinkLike] = (),
        retry_budget: RetryBudget | _Default | None = _DEFAULT,
        codec: Codec | None = None,
        clock: Clock = SYSTEM_CLOCK,
        max_flights: int = 10_000,
        max_threads: int = 64,
    ) -> None:
        if not isinstance(namespace, str) or not namespace:
            raise ConfigurationError("namespace", f"must be a non-empty string, not {namespace!r}")
        key = secret.encode() if isinstance(secret, str) else secret
        if key is not None and (not isinstance(key, bytes) or not key):
            raise ConfigurationError("secret", "must be non-empty text or bytes")
        self.namespace = namespace
        self.clock = clock
        self.canon = Canon()
        self.codec = codec or Codec()
        self._emitter = Emitter(sinks)
        self._stats = Stats()
        flights = Flights(check.count("max_flights", max_flights))
        self._pool = Pool(check.count("max_threads", max_threads))
        budget = RetryBudget(clock=clock) if isinstance(retry_budget, _Default) else retry_budget
        self._shared = Shared(
            namespace, clock, self.codec, self._emitter, flights, Streams(), budget
        )
        self._tiers = self._bound(tiers, key)
        self.breakers = Named("breaker", self._breaker)
        self._planner = Planner(
            self._shared,
            Keyspace(namespace, self.canon, tenant, key),
            self._tiers,
            self._stats,
            self.breakers,
        )
        self._threads = ThreadDriver(clock, flights, self._pool)
        self._loop_driver: LoopDriver | None = None
        self._called: OrderedDict[Any, Plan] = OrderedDict()
        self._lock = threading.Lock()
        self._bus = self._shared.bus = self._make_bus()
        _runtimes.add(self)

    def _on_loop(self) -> LoopDriver:
        """Return the driver for event loops; asyncio, which it imports, costs half an import."""
        if self._loop_driver is None:
            from toolops_plugins.loop_driver import LoopDriver  # noqa: PLC0415 - as it says

            self._loop_driver = LoopDriver(self.clock, self._shared.flights, self._pool)
        return self._loop_driver

    def _bound(self, tiers: Sequence[Tier] | None, secret: bytes | None) -> Tiers:
        chosen: list[Tier] = [Memory()] if tiers is None else list(tiers)
        for number, tier in enumerate(chosen, 1):
            if _is_redis(tier):
                from toolops_plugins.cache.envelope import Envelope  # noqa: PLC0415 - see _is_redis

                label = tier.label or f"L{number}"
                trouble = partial(self._codec_trouble, label)
                envelope = Envelope(self.codec, secret)
                tier.bind(self.namespace, envelope, self.clock, label, trouble)
            elif isinstance(tier, Memory):
                tier.bind(self.clock)
            elif not all(hasattr(tier, name) for name in ("get", "set", "local", "label")):
                raise ConfigurationError("tiers", f"must hold tiers only, not {tier!r}")
        return Tiers(chosen, self._tier_trouble)

    def _tier_trouble(self, label: str, error: Exception) -> None:
        self._notice("tier_failed", label, type(error.__cause__ or error).__name__)

    def _codec_trouble(self, label: str, kind: NoticeKind, error: Exception) -> None:
        self._notice(kind, label, type(error).__name__)

    def _breaker(self, policy: Any, name: str) -> Breaker:
        return Breaker(policy, name, self.clock, self._breaker_changed)

    def _breaker_changed(self, breaker: Breaker, old: str, new: str) -> None:
        self._notice("breaker", breaker.name, f"{old} -> {new}")

    def _notice(self, kind: NoticeKind, name: str, detail: str) -> None:
        self._emitter.notice(Notice(kind, name, detail, self.clock.time(), self.namespace))

    def _make_bus(self) -> Bus | None:
        """Return what tells the memory of other processes of invalidations, if there may be any."""
        remote = next((tier for tier in self._tiers.all if _is_redis(tier)), None)
        local = [tier for tier in self._tiers.all if isinstance(tier, Memory)]
        if remote is None or not local:
            return None
        from toolops_plugins.cache.bus import Bus  # noqa: PLC0415 - see _is_redis

        def void(keys: Sequence[bytes], tags: Sequence[str], everything: bool) -> None:  # noqa: FBT001 - as the bus calls it
            for key in keys:
                self._shared.flights.forget(key)
            if tags or everything:
                self._shared.flights.forget()
            for tier in local:
                tier.void(keys, tags, everything=everything)
            self._notice("invalidated", local[0].label, f"{len(keys)} keys, {len(tags)} tags")

        return Bus(remote, void, os.urandom(8).hex())

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
        - ``TOOLOPS_SECRET``: the secret for keys and signatures.

        Args:
            environ: Where to look. None: ``os.environ``.
            options: Arguments of the runtime, which win over the environment.

        Raises:
            ConfigurationError: A variable's value is wrong; it names the variable.
        """
        given = options_from(os.environ if environ is None else environ)
        return cls(**{**given, **options})

    # -- decorators --------------------------------------------------------------------------

    @overload
    def tool(self, function: Callable[P, R], /) -> Tool[P, R]: ...
    @overload
    def tool(
        self,
        function: None = None,
        /,
        *,
        policy: Policy | None = None,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        **parts: Unpack[PolicyParts],
    ) -> Callable[[Callable[P, R]], Tool[P, R]]: ...

    def tool(
        self,
        function: Any = None,
        /,
        *,
        policy: Policy | None = None,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        **parts: Unpack[PolicyParts],
    ) -> Any:
        """Put a function under a policy; a decorator, with or without arguments.

        Takes plain functions, coroutine functions, generators and asynchronous generators,
        methods, class methods, static methods, partials and callable objects. What it returns is
        as asynchronous as what it got, with the same signature, and has the names of
        :class:`~toolops_plugins.wrap.Tool` added.

        Args:
            function: The function, where the decorator stands without arguments.
            policy: A policy to start from. None: one that asks for nothing.
            name: The tool's name: functions of one name and version share their answers, in
                whatever framework or process they live. None: module and qualified name.
            secret: Parameters that are secret, beside those whose name says so. They count in the
                key, as part of its digest, and cannot be named in a tag.
            ignore: Parameters that do not count in the key.
            parts: The parts of a :class:`~toolops_plugins.policy.Policy` by name, such as
                ``cache=Cache(ttl=60)``; they win over ``policy``.

        Raises:
            ConfigurationError: A value is wrong, or does not fit the function or this runtime.
        """
        whole = (policy or Policy()).replace(**parts)

        def wrap(wanted: Any) -> Any:
            return self._wrap(wanted, whole, name, secret, ignore)

        return wrap if function is None else wrap(function)

    def readonly(
        self,
        function: Any = None,
        /,
        *,
        ttl: float | None = 300.0,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        **parts: Unpack[PolicyParts],
    ) -> Any:
        """Put a function that only reads under cache, coalescing and retry.

        Args:
            function: The function, where the decorator stands without arguments.
            ttl: Seconds for which results are fresh; ``cache=`` says more. Default 300.
            name: As in :meth:`tool`.
            secret: As in :meth:`tool`.
            ignore: As in :meth:`tool`.
            parts: As in :meth:`tool`; they win over the preset.

        Raises:
            ConfigurationError: As in :meth:`tool`.
        """
        preset: PolicyParts = {"cache": Cache(ttl=ttl), "retry": Retry(), "coalesce": True}
        whole = Policy().replace(**preset).replace(**parts)
        decorate = self.tool(policy=whole, name=name, secret=secret, ignore=ignore)
        return decorate if function is None else decorate(function)

    def sideeffect(
        self,
        function: Any = None,
        /,
        *,
        idempotent: bool = False,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        **parts: Unpack[PolicyParts],
    ) -> Any:
        """Put a function that changes something under everything but cache and coalescing.

        Args:
            function: The function, where the decorator stands without arguments.
            idempotent: Whether calling twice does no more than calling once. Only then is it
                retried (by default as ``Retry()`` says) or hedged. Default False.
            name: As in :meth:`tool`.
            secret: As in :meth:`tool`.
            ignore: As in :meth:`tool`.
            parts: As in :meth:`tool`, without ``cache``, ``semantic`` and ``coalesce``.

        Raises:
            ConfigurationError: As in :meth:`tool`; or a part is asked for that would run the
                function too rarely or too often.
        """
        whole = Policy().replace(**parts)
        for option in ("cache", "semantic", "coalesce"):
            if getattr(whole, option):
                raise ConfigurationError(option, "would drop calls that are to change something")
        for option in ("retry", "hedge"):
            if getattr(whole, option) is not None and not idempotent:
                raise ConfigurationError(
                    option, "would make the change more than once; say idempotent=True if it may be"
                )
        if idempotent and "retry" not in parts:
            whole = whole.replace(retry=Retry())
        whole = whole.replace(coalesce=False)
        decorate = self.tool(policy=whole, name=name, secret=secret, ignore=ignore)
        return decorate if function is None else decorate(function)

    def _wrap(
        self,
        wanted: Any,
        policy: Policy,
        name: str | None,
        secret: Sequence[str],
        ignore: Sequence[str],
    ) -> Any:
        if isinstance(wanted, classmethod | staticmethod):
            return type(wanted)(self._wrap(wanted.__func__, policy, name, secret, ignore))
        target = resolve(wanted)
        plan = self._planner.plan(target, policy, name=name, secret=secret, ignore=ignore)
        wrapper: Any = wrapper_of(plan, target, self._threads, self._on_loop)
        dress(wrapper, wanted)
        given, keywords = target.args, target.kwargs

        def digest(*args: Any, **kwargs: Any) -> bytes:
            if plan.keyer is None:
                raise ConfigurationError("cache", f"{plan.name} keeps no results, so it has no key")
            return plan.keyer.key((*given, *args), {**keywords, **kwargs})

        def key(*args: Any, **kwargs: Any) -> str:
            return digest(*args, **kwargs).hex()

        def invalidate(*args: Any, **kwargs: Any) -> None:
            self.invalidate(keys=[digest(*args, **kwargs)])

        async def ainvalidate(*args: Any, **kwargs: Any) -> None:
            await self.ainvalidate(keys=[digest(*args, **kwargs)])

        wrapper.name, wrapper.policy, wrapper.key = plan.name, policy, key
        wrapper.invalidate, wrapper.ainvalidate = invalidate, ainvalidate
        return wrapper

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
        found, kind = self._opened(function, args, kwargs, policy, name)
        if kind != "function":
            raise ConfigurationError("function", f"is a {kind}; use acall() or a decorator")
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
        found, kind = self._opened(function, args, kwargs, policy, name)
        if kind not in ("function", "coroutine"):
            raise ConfigurationError("function", f"is a {kind}; use a decorator")
        return await self._on_loop().run(call_flow(found)) if type(found) is Call else found

    def _opened(
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
        import asyncio  # noqa: PLC0415 - slow to import, and here it has been

        places = asyncio.Semaphore(check.count("limit", limit))

        async def one(call: Awaitable[T]) -> T:
            try:
                await places.acquire()
            except BaseException:
                if asyncio.iscoroutine(call):
                    call.close()
                raise
            try:
                return await call
            finally:
                places.release()

        tasks = [asyncio.ensure_future(one(call)) for call in calls]
        try:
            # With return_exceptions the list holds errors too, which its type cannot say.
            results: list[T] = await asyncio.gather(
                *tasks, return_exceptions=cast("Any", return_exceptions)
            )
            return results
        finally:
            left = [task for task in tasks if not task.done()]
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)

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
        places = threading.Semaphore(check.count("limit", limit))
        outcomes = []
        for item in items:
            places.acquire()
            outcomes.append(self._threads.start(partial(_one, function, item, places)))
        for outcome in outcomes:
            outcome.wait(None)
        return [outcome.result() for outcome in outcomes]

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Bound how long calls in this block are waited for; work that others wait for goes on.

        Args:
            seconds: From now on. An earlier deadline that stands already is kept.

        Raises:
            DeadlineExceeded: In the block, from the call that is not ready in time.
        """
        end = self.clock.monotonic() + check.seconds("seconds", seconds)
        known = DEADLINE.get()
        token = DEADLINE.set(end if known is None else min(end, known))
        try:
            yield
        finally:
            DEADLINE.reset(token)

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
        self._threads.run(self._invalidating(tags, keys))

    async def ainvalidate(
        self, tags: Iterable[str] = (), *, keys: Iterable[bytes | str] = ()
    ) -> None:
        """As :meth:`invalidate`, without blocking the event loop."""
        await self._on_loop().run(self._invalidating(tags, keys))

    def _invalidating(self, tags: Iterable[str], keys: Iterable[bytes | str]) -> Flow:
        if isinstance(tags, str) or isinstance(keys, str | bytes):
            raise ConfigurationError("tags", "and keys must be lists, not a lone string")
        names = [str(tag) for tag in tags]
        digests = [_digest(key) for key in keys]
        if names:
            # Which keys carry a tag is not known here, and flights are cheap to run apart.
            self._shared.flights.forget()
        for digest in digests:
            self._shared.flights.forget(digest)
        work = [self._tiers.delete(digest) for digest in digests]
        if names:
            work.append(self._tiers.invalidate(names))
        yield from self._telling(work, digests, names, everything=False)

    def clear(self) -> None:
        """Forget all results of this namespace, in every tier and the memory of every process.

        Raises:
            TierError: A tier could not be reached; all others have been told.
        """
        self._threads.run(self._clearing())

    async def aclear(self) -> None:
        """As :meth:`clear`, without blocking the event loop."""
        await self._on_loop().run(self._clearing())

    def _clearing(self) -> Flow:
        self._shared.flights.forget()
        yield from self._telling([self._tiers.clear()], (), (), everything=True)

    def _telling(
        self, work: Sequence[Flow], keys: Sequence[bytes], tags: Sequence[str], *, everything: bool
    ) -> Flow:
        """Do the work in the tiers, then tell other processes; one that fails stops no other."""
        trouble: TierError | None = None
        bus = self._bus
        if bus is not None:
            publish = partial(bus.publish, keys, tags, everything=everything)
            apublish = partial(bus.apublish, keys, tags, everything=everything)
            work = [*work, _published(publish, apublish)]
        for part in work:
            try:
                yield from part
            except TierError as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble

    # -- what happens ------------------------------------------------------------------------

    def stats(self) -> StatsSnapshot:
        """Return what calls have cost and saved so far, by tool; it prints itself as a table."""
        return self._stats.snapshot()

    def add_sink(self, sink: SinkLike) -> Callable[[], None]:
        """Have a sink told of every call from now on; return what takes it away again."""
        return self._emitter.add(sink)

    @property
    def active(self) -> bool:
        """False: every call goes straight to its function, as if it had never been wrapped."""
        return self._shared.active

    @active.setter
    def active(self, value: bool) -> None:
        self._shared.active = value

    def _forked(self) -> None:
        # Only the thread that forked lives on here, and it may have left any lock taken.
        self._shared.flights.forked()
        self._pool.forked()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Release connections and threads."""
        if self._bus is not None:
            self._bus.close()
        self._threads.run(self._tiers.close())

    async def aclose(self) -> None:
        """Wait for what this loop does in the background, and release connections and threads."""
        await self._on_loop().settle()
        if self._bus is not None:
            await self._on_loop().in_thread(self._bus.close)
        await self._on_loop().run(self._tiers.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"ToolOps({self.namespace!r}, tiers={list(self._tiers.all)!r})"


def _is_redis(tier: Tier) -> TypeGuard[Redis]:
    """Return whether a tier is a Redis, without importing what nobody has imported yet."""
    module = sys.modules.get("toolops_plugins.cache.redis")
    return module is not None and isinstance(tier, module.Redis)


def _one(function: Callable[[T], R], item: T, places: threading.Semaphore) -> R:
    try:
        return function(item)
    finally:
        places.release()


def _published(publish: Callable[[], None], apublish: Callable[[], Awaitable[None]]) -> Flow:
    yield Io(publish, apublish)


def _digest(key: bytes | str) -> bytes:
    try:
        digest = bytes.fromhex(key) if isinstance(key, str) else key
    except ValueError:
        digest = b""
    if not isinstance(digest, bytes) or len(digest) != 32:
        raise ConfigurationError("keys", f"must be 32 bytes or 64 hexadecimal digits, not {key!r}")
    return digest


def all_runtimes() -> tuple[ToolOps, ...]:
    """Return all runtimes that are alive."""
    return tuple(_runtimes)


def _after_fork() -> None:
    for runtime in all_runtimes():
        runtime._forked()  # noqa: SLF001 - a function of this class in all but place


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
