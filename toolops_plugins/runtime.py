"""The runtime: the state that calls share, and the methods that users call."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, cast

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
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.context import (
    DEADLINE,
    FORCED_REFRESH,
    Deadline,
    ForcedRefresh,
    current_deadline,
    reset_variable,
)
from toolops_plugins.calls.plan import Plan, Shared
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.closing import Closing
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.coalesce.stream_table import Streams
from toolops_plugins.codec import MAX_VALUE_BYTES, Codec
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.keys.keyer import Keyspace, TenantLike
from toolops_plugins.policy import CircuitBreaker, Policy, RateLimit
from toolops_plugins.resilience.retry import RetryBudget
from toolops_plugins.storage import Storage
from toolops_plugins.telemetry.emitter import Emitter
from toolops_plugins.telemetry.events import CallEvent, Notice, SinkLike
from toolops_plugins.telemetry.outside_events import clean_event
from toolops_plugins.telemetry.stats import Stats
from toolops_plugins.wrapping.decorators import Decorators
from toolops_plugins.wrapping.planner import Planner
from toolops_plugins.wrapping.registry import Registry

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver
    from toolops_plugins.resilience.breaker import Breaker
    from toolops_plugins.resilience.ratelimit import Limiter
    from toolops_plugins.semantic.cache import SemanticCache
    from toolops_plugins.telemetry.ledger.config import Ledger
    from toolops_plugins.telemetry.ledger.records import Command
    from toolops_plugins.telemetry.ledger.writer import Writer
    from toolops_plugins.telemetry.live.live_stats import LiveStats
    from toolops_plugins.telemetry.report import StatsSnapshot
    from toolops_plugins.telemetry.runtime_state import RuntimeState

__all__ = ["ToolOps", "all_runtimes"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_runtimes: weakref.WeakSet[ToolOps] = weakref.WeakSet()


class _Default:
    """The type of a default value where None has a meaning of its own."""

    def __reduce__(self) -> str:
        return "_DEFAULT"


_DEFAULT = _Default()
_DRAIN_SECONDS = 5.0
"""Seconds that ``aclose`` waits for background work."""
_PLANS = 1_024
"""The maximum number of plans that ``call`` and ``acall`` remember."""
_NO_POLICY = Policy()


class ToolOps(Decorators, Closing):
    """Owns what calls share: tiers, flights, breakers, limits, statistics.

    Safe to use from any threads and event loops, and after a fork. When it is pickled, another
    process finds it or makes it again; see :mod:`toolops_plugins.callables.pickling`. It need not
    be closed, but ``close()``, ``await aclose()``, ``with`` and ``async with`` release connections
    and threads at once. A closed runtime opens again when it is used.

    Args:
        namespace: Separates the keys of this runtime from those of others; any text. Default
            "default".
        tiers: The cache tiers, nearest first; or a single one. None: ``[Memory()]``. Tiers without
            a label are named "L1", "L2", and so on.
        semantic: The semantic cache for tools with ``semantic=``; see
            :class:`~toolops_plugins.semantic.cache.SemanticCache`. Default none.
        tenant: The owner of the answers, as part of every key: a context variable or callable that
            is asked at every call, or a constant. None: no tenant.
        secret: Makes keys HMACs, and signs the entries in Redis and Chroma. Whoever can write there
            but lacks the secret cannot plant a value, move one to another tenant, or restore one
            that was invalidated; the threat model in docs/ says what remains possible. All
            processes that share the cache need the same secret. None: no signatures.
        encrypt: True: entries in Redis, and questions, answers and tags in Chroma, are encrypted
            with a key derived from the secret. Text or bytes: with a key derived from these. Needs
            the package ``cryptography`` (extra "encrypt") and a secret. Default False.
        sinks: Receive the event of every call; see
            :class:`~toolops_plugins.telemetry.events.Sink`. Default none.
        ledger: Where the figures of all processes are kept, for dashboards and reports: the URL of
            a SQLite file or a Redis, or a :class:`~toolops_plugins.telemetry.ledger.Ledger`. None:
            in the Redis of the tiers, if there is one and ``clock`` is the system's. False:
            nowhere.
        retry_budget: Limits the retries of all calls together. None: no limit. Default a fifth of
            the calls, and a small reserve.
        codec: Encodes results; types are registered there. None: a new one.
        max_value_bytes: The maximum size of an encoded result; a larger one is returned and not
            stored. None: 64 MiB, or the limit of ``codec``.
        clock: The source of time. Default the system's.
        max_flights: The maximum number of coalesced calls under way; further calls are not
            coalesced. Default 10,000.
        max_threads: The number of threads for plain functions with a time limit, an asynchronous
            caller, a hedge or a background refresh. One tool gets another thread only while more
            are free than it holds, so at most half of them: a tool that hangs leaves some for all
            others. Default 64.

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
        ledger: str | Ledger | Literal[False] | None = None,
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
        cipher = None
        if encrypt is not False:
            from toolops_plugins.codec.encryption import make_cipher  # noqa: PLC0415 - rarely needed

            cipher = make_cipher(encrypt, key)
        if isinstance(ledger, str):
            from toolops_plugins.telemetry.ledger.config import Ledger  # noqa: PLC0415 - rarely needed

            ledger = Ledger(ledger)  # a pickle must not have its password
        self.namespace = namespace
        self.semantic = semantic
        self.clock = clock
        self.canon = Canon()
        if codec is not None and max_value_bytes is not None:
            raise ConfigurationError(
                "max_value_bytes", "is set beside codec=; use Codec(max_value_bytes=...)"
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
        flights.on_full = weakref.WeakMethod(self._storage.notify_flights_full)
        self._configuration = Configuration(
            {
                "namespace": namespace,
                "tiers": self._tiers.all,
                "tenant": tenant,
                "retry_budget": retry_budget,
                "max_flights": max_flights,
                "max_threads": max_threads,
                "max_value_bytes": self.codec.max_value_bytes,
                "ledger": ledger,
            },
            _pickle_obstacle(self, secret=key is not None, clock=clock),
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
        self._ledger = self._open_ledger(ledger)
        self._emitter.connect(partial(_state_of, weakref.ref(self)))
        _runtimes.add(self)

    def _open_ledger(self, ledger: Ledger | Literal[False] | None) -> Writer | None:
        """Return the writer of the ledger that is asked for, or None."""
        tier = self._storage.first_redis
        if ledger is False or (ledger is None and (tier is None or self.clock is not SYSTEM_CLOCK)):
            return None
        from toolops_plugins.telemetry.ledger.opening import open_writer  # noqa: PLC0415 - rarely needed

        found = weakref.ref(self)
        writer = open_writer(
            ledger,
            tier,
            self.namespace,
            self._stats,
            self._emitter,
            partial(_state_of, found),
            partial(_execute, found),
        )
        weakref.finalize(self, writer.end).atexit = False
        return writer

    def _in_threads(self) -> ThreadDriver:
        return self._threads

    def _on_loop(self) -> LoopDriver:
        """Return the driver for event loops; made late, since its import of asyncio is slow."""
        if self._loop_driver is None:
            from toolops_plugins.drivers.loop import LoopDriver  # noqa: PLC0415 - as it says

            self._loop_driver = LoopDriver(self.clock, self._shared.flights, self._pool)
            self._loop_driver.owner = weakref.ref(self)
        return self._loop_driver

    def _breaker(self, policy: CircuitBreaker, name: str) -> Breaker:
        from toolops_plugins.resilience.breaker import Breaker  # noqa: PLC0415 - rarely needed

        return Breaker(policy, name, self.clock, self._storage.notify_breaker_change)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """Return a runtime configured by environment variables.

        - ``TOOLOPS_NAMESPACE``: the namespace. Default "default".
        - ``TOOLOPS_REDIS_URL``: adds two Redis tiers; see
          :class:`~toolops_plugins.cache.redis.Redis`. ``REDIS_URL`` is never read.
        - ``TOOLOPS_MEMORY_ITEMS``, ``TOOLOPS_MEMORY_TTL``: the maximum number of entries in the
          memory tier, and their TTL in seconds. Default 10,000, and with Redis 300.
        - ``TOOLOPS_REDIS_TTL``, ``TOOLOPS_REDIS_LONG_TTL``: the TTL in seconds of the first and the
          second Redis tier. Default 3,600 and 86,400.
        - ``TOOLOPS_CHROMA_PATH`` or ``TOOLOPS_CHROMA_URL``: the folder or server of a semantic
          cache. Default none.
        - ``TOOLOPS_SECRET``: the secret for keys and signatures.
        - ``TOOLOPS_ENCRYPT``: 1 to encrypt stored entries with a key derived from the secret.
        - ``TOOLOPS_LEDGER``: the URL of the ledger, or "off". Default the Redis of the tiers.
        - ``TOOLOPS_LEDGER_COMMANDS``: 1 to carry out commands of the ledger's readers.

        Args:
            environ: The environment. None: ``os.environ``.
            options: Arguments of the runtime, which override the environment.

        Raises:
            ConfigurationError: A variable's value is wrong; it names the variable.
        """
        from toolops_plugins.environment import options_from  # noqa: PLC0415 - needed here alone

        configured = options_from(os.environ if environ is None else environ)
        runtime = cls(**{**configured, **options})
        if environ is None and not options:
            runtime._configuration = runtime._configuration._replace(from_environment=True)
        return runtime

    # -- calls without a decorator ---------------------------------------------------------------

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
            function: The function. If one of its parameters is called ``policy`` or ``name``, use
                ``functools.partial``.
            args: Its positional arguments.
            policy: The policy. None: an empty one.
            name: The tool's name. None: the function's module and qualified name.
            kwargs: Its keyword arguments.

        Raises:
            ConfigurationError: The function is asynchronous or a generator, or the policy does not
                fit it.
            Exception: The error of the function, or of a policy.
        """
        found, kind = self._open(function, args, kwargs, policy, name)
        if kind != "function":
            raise ConfigurationError(
                "function", f"is a {kind}; use `await ops.acall(...)`, or a decorator"
            )
        if type(found) is not Call:
            return cast("R", found)
        from toolops_plugins.calls.sync.flow import run_call  # noqa: PLC0415 - as in acall()

        return cast("R", run_call(self._threads, found))

    async def acall(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        policy: Policy | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a coroutine function, or a plain one in a thread, once, under a policy.

        Args:
            function: As in :meth:`call`.
            args: As in :meth:`call`.
            policy: As in :meth:`call`.
            name: As in :meth:`call`.
            kwargs: As in :meth:`call`.

        Raises:
            ConfigurationError: The function is a generator, or the policy does not fit it.
            Exception: The error of the function, or of a policy.
        """
        found, kind = self._open(function, args, kwargs, policy, name)
        if kind not in ("function", "coroutine"):
            raise ConfigurationError("function", f"is a {kind}; use a decorator")
        if type(found) is not Call:
            return found
        from toolops_plugins.calls.aio.flow import run_call as arun_call  # noqa: PLC0415 - as asyncio
        from toolops_plugins.concurrency.running_loop import get_running_loop  # noqa: PLC0415 - imports asyncio

        get_running_loop()
        return await arun_call(self._on_loop(), found)

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
            limit: The maximum number of calls under way. Default 10.
            return_exceptions: True: errors are among the results. False: the first error is raised,
                and all other calls are cancelled. Default False.

        Raises:
            ConfigurationError: ``limit`` is not a positive number.
            Exception: The first error of a call.
        """
        from toolops_plugins.concurrency.gather import gather_calls  # noqa: PLC0415 - imports asyncio

        places = check.count("limit", limit)
        return await gather_calls(calls, places, return_exceptions=return_exceptions)

    def map(self, function: Callable[[T], R], items: Iterable[T], *, limit: int = 10) -> list[R]:
        """Call a function for each item in threads, and return the results in order.

        Args:
            function: A plain function, wrapped or not. It sees the caller's context variables.
            items: Its arguments.
            limit: The maximum number of calls under way. Default 10.

        Raises:
            ConfigurationError: ``limit`` is not a positive number.
            Exception: The first error in the order of the items, raised when all calls have ended.
        """
        return self._threads.map(function, items, check.count("limit", limit))

    @contextmanager
    def deadline(self, seconds: float, *, in_thread: bool | None = None) -> Iterator[None]:
        """Limit the time that this block waits for calls; work that other callers need goes on.

        The block may be left in another context than it was entered in, as in generators and in
        fixtures of asynchronous tests. The deadline then ends in every context that has seen it.

        Args:
            seconds: Seconds from now. An earlier deadline of an enclosing block stays in force.
            in_thread: Whether plain functions run in another thread, so that they can be abandoned
                in time. None: as in the enclosing block; True in the outermost. False keeps
                functions without a ``Timeout`` in this thread, whose connections and transactions
                they may need. The deadline then limits the waits before and between attempts (for
                other flights, retries, limits, bulkheads), and a result that comes later is still
                returned. ``Timeout(in_thread=False)`` does so for one tool. Coroutines, and
                functions that run in a thread anyway, are always abandoned in time.

        Raises:
            DeadlineExceeded: From a call in the block that has no result in time.
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

    @contextmanager
    def force_refresh(self) -> Iterator[None]:
        """Make each call in this block anew, once, as when a user asks to regenerate an answer.

        What is stored for such a call is forgotten first: the exact results in every tier and in
        the memory of every process, and the stored answer to that question in other words. Then the
        call is made and its result is stored, under the same policies as ever. Equal calls in one
        block are made once, and calls under way outside of it are not joined. If the call fails,
        its error reaches the caller, and nothing is stored. Where a tier cannot be reached to
        forget, the call is made and not stored, with ``reason`` "not_forgotten" in its event.

        The block counts for this runtime, in this thread and task and whatever these start with
        their context: tasks, ``asyncio.to_thread``, the steps of an agent. Other callers go on as
        before; while one call is made anew they may have to make theirs, too. It may be left in
        another context than it was entered in.

        Example:
            >>> from toolops_plugins import Cache
            >>> ops, runs = ToolOps("regenerate"), []
            >>> count = ops.tool(cache=Cache(ttl=60))(lambda: runs.append(1) or len(runs))
            >>> count(), count()
            (1, 1)
            >>> with ops.force_refresh():
            ...     count()
            2
            >>> count()
            2
        """
        outer = FORCED_REFRESH.get()
        block = ForcedRefresh(self._shared, partial(self._storage.invalidate, ()), outer)
        self._shared.forced_refreshes.add(block)
        token = FORCED_REFRESH.set(block)
        try:
            yield
        finally:
            block.over = True
            self._shared.forced_refreshes.discard(block)
            reset_variable(FORCED_REFRESH, token)

    # -- invalidation --------------------------------------------------------------------------

    def invalidate(self, tags: Iterable[str] = (), *, keys: Iterable[bytes | str] = ()) -> None:
        """Invalidate results by tag or key, in every tier and in the memory of every process.

        The semantic index, and those of all processes that share the Redis, drop them too, with
        what was served in other words; a process that is down follows when it starts. A call under
        way still returns its result, but does not store it, and later calls do not join it.

        Args:
            tags: The tags.
            keys: Keys, as bytes or in hexadecimal.

        Raises:
            ConfigurationError: ``tags`` is a string, or a key is malformed.
            TierError: A tier could not be reached; the others have invalidated.
        """
        self._threads.run(self._storage.invalidate(tags, keys))

    async def ainvalidate(
        self, tags: Iterable[str] = (), *, keys: Iterable[bytes | str] = ()
    ) -> None:
        """As :meth:`invalidate`, without blocking the event loop."""
        await self._on_loop().run(self._storage.invalidate(tags, keys))

    def clear(self) -> None:
        """Invalidate all results of this namespace, in every tier and the memory of every process.

        The semantic indexes follow as after :meth:`invalidate`.

        Raises:
            TierError: A tier could not be reached; the others have invalidated.
        """
        self._threads.run(self._storage.clear())

    async def aclear(self) -> None:
        """As :meth:`clear`, without blocking the event loop."""
        await self._on_loop().run(self._storage.clear())

    # -- events and statistics -----------------------------------------------------------------

    def stats(self) -> StatsSnapshot:
        """Return the statistics of all calls so far, by tool; they print as a table.

        They also count the notices of trouble by their kind.
        """
        return self._stats.snapshot(self._emitter.notices)

    def state(self) -> RuntimeState:
        """Return the present state of breakers, tiers, the semantic index and sinks, for exporters.

        It takes no I/O: what only a server knows is None.
        """
        from toolops_plugins.telemetry.runtime_state import (  # noqa: PLC0415 - for exporters only
            RuntimeState,
            list_breakers,
            list_bulkheads,
            list_limits,
            list_tiers,
        )

        entries = None if self.semantic is None else self.semantic.entries_in_memory
        return RuntimeState(
            self.namespace,
            list_breakers(self.breakers.items()),
            list_tiers(self._tiers.all, [label for label, _ in tuple(self._tiers.failing)]),
            {} if entries is None else {"entries": entries},
            self._emitter.dropped,
            list_limits(self._planner.limiters.items()),
            list_bulkheads(self._planner.gates.items()),
        )

    def live(self, *, interval: float | timedelta = 1.0) -> LiveStats:
        """Return a view of the statistics that follows the calls while it is shown in a notebook.

        It is a widget where the extra "notebook" is installed, and updates while a cell runs. Where
        widgets are off it is the table of :meth:`stats`, which stands still; in a terminal, its
        text.

        Args:
            interval: Seconds between two updates, or a timedelta; at least 0.1. Default 1.

        Raises:
            ConfigurationError: ``interval`` is no such duration.
        """
        from toolops_plugins.telemetry.live.live_stats import LiveStats  # noqa: PLC0415 - for notebooks only

        seconds = check.seconds("interval", interval)
        if seconds < 0.1:
            raise ConfigurationError("interval", f"must be at least 0.1 seconds, not {interval!r}")
        return LiveStats(self, seconds)

    def add_sink(self, sink: SinkLike) -> Callable[[], None]:
        """Add a sink for the events of all calls from now on; return a function that removes it."""
        return self._emitter.add(sink)

    def tell(self, event: CallEvent) -> None:
        """Count a call that no tool of this runtime made, and emit its event.

        It is for frameworks that report such calls by events of their own. Nothing happens while
        the runtime is not active.

        Args:
            event: The event; its namespace is replaced by that of this runtime. A number that is
                not finite or negative counts as 0.

        Raises:
            ConfigurationError: A part of the event has a wrong type, or its outcome is unknown.
        """
        if not self._shared.active:
            return
        event, wrong = clean_event(event._replace(namespace=self.namespace))
        if wrong:
            started = self.clock.time()
            self._emitter.notice(
                Notice("bypass", event.name, "price_invalid", started, self.namespace, wrong)
            )
        self._stats.recorder(event.name).record(event)
        if self._emitter.active:
            self._emitter.emit(event)

    def limiter(self, policy: RateLimit, name: str) -> Limiter:
        """Return a rate limiter for calls that no tool of this runtime makes.

        Args:
            policy: The limit. Its own ``name`` takes precedence.
            name: Limits with the same name share their units.

        Raises:
            ConfigurationError: The name is in use with another policy.
        """
        return self._planner.limiters.get(policy.name or name, policy)

    @property
    def active(self) -> bool:
        """True if policies apply. False: every call goes straight to its function."""
        return self._shared.active

    @active.setter
    def active(self, value: bool) -> None:
        self._shared.active = value

    def _reset_after_fork(self) -> None:
        # The other threads of the parent do not exist in the child.
        self._shared.flights.reset_after_fork()
        self._shared.streams.reset_after_fork()
        self._storage.reset_after_fork()
        if self._loop_driver is not None:
            self._loop_driver.reset_after_fork()

    def close(self) -> None:
        """Release connections and threads, without waiting for calls that hang in threads.

        What was counted is written to the ledger, within a second and a half.
        """
        self._storage.stop_bus()
        self._threads.run(self._storage.close())
        if self._ledger is not None:
            self._ledger.close()
        self._pool.end_idle_threads()

    async def aclose(self) -> None:
        """Wait for the background work of this loop, and release connections and threads.

        It waits for at most 5 seconds, and cancels the rest.
        """
        driver = self._on_loop()
        await driver.drain(_DRAIN_SECONDS)
        await driver.run_in_thread(self._storage.stop_bus)
        await driver.run(self._storage.close())
        if self._ledger is not None:
            await driver.run_in_thread(self._ledger.close)
        self._pool.end_idle_threads()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _unpickle, (locate_runtime(self, self._configuration),)

    def __repr__(self) -> str:
        return f"ToolOps({self.namespace!r}, tiers={list(self._tiers.all)!r})"


def _state_of(find: Callable[[], ToolOps | None]) -> RuntimeState | None:
    runtime = find()
    return None if runtime is None else runtime.state()


def _execute(find: Callable[[], ToolOps | None], command: Command) -> None:
    from toolops_plugins.telemetry.ledger.opening import execute_command  # noqa: PLC0415 - as its writer

    runtime = find()
    if runtime is not None:
        execute_command(command, runtime.breakers.find, runtime.invalidate)


def all_runtimes() -> tuple[ToolOps, ...]:
    """Return all runtimes that are alive."""
    return tuple(_runtimes)


def _pickle_obstacle(runtime: ToolOps, *, secret: bool, clock: Clock) -> str:
    """Return the reason why a runtime cannot be pickled; "" if it can."""
    if secret:
        return "it has a secret"
    if runtime.semantic is not None:
        return "it has a semantic cache, which belongs to one process"
    if clock is not SYSTEM_CLOCK:
        return "it has a clock of its own"
    return "" if type(runtime.codec) is Codec else "it has a codec of its own class"


def _unpickle(location: RuntimeLocation) -> Any:
    alive = all_runtimes()
    return find_runtime(location, [(runtime, runtime._configuration) for runtime in alive])  # noqa: SLF001 - of this module


def _after_fork() -> None:
    for runtime in all_runtimes():
        runtime._reset_after_fork()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
