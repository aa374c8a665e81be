"""The redis-py clients of a tier: one for all threads, and one for each event loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from toolops_plugins.cache.operation_deadline import DEADLINE
from toolops_plugins.cache.redis.url import Target
from toolops_plugins.cache.redis.value_requests import ReadyConnections
from toolops_plugins.concurrency.tokens import Tokens
from toolops_plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from toolops_plugins.cache.redis.sockets import Limits

__all__ = ["Clients", "LoopClient"]

Package: TypeAlias = Literal["redis", "redis.asyncio"]
_UNBOUNDED = 2**31  # the tier limits connections itself, and waits where redis-py would raise
_LARGEST = 65 * 1024 * 1024  # bytes of a reply, until the codec sets its own limit
_DISCOVERY = 1.0  # seconds of CPU time that redis-py may need to parse the answers of a cluster
_CLOSE_TIMEOUT = 1.0  # seconds that closing waits for the loop of another thread, or a server


class LoopClient:
    """The client of one event loop; all methods except :meth:`retire` run on that loop.

    Args:
        loop: The loop.
        client: The redis-py client.
        closers: Coroutine functions that release the client.
        ready: The connections that are kept ready, or None if none may be.
        limit: Largest number of concurrent operations.
        quick: Seconds for a reply on an open connection.
        slow: Seconds for an operation that may have to discover the server and connect to it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: Any,
        closers: list[Callable[[], Any]],
        ready: ReadyConnections | None,
        limit: int,
        quick: float,
        slow: float,
    ) -> None:
        self.loop = loop
        self.client = client
        self.ready = ready
        self.gate = asyncio.Semaphore(limit)
        self.users = 0
        self.used = 0
        self.warm = 0
        self.retired = False
        self.released: Future[None] = Future()
        self._closers = closers
        self.quick = quick
        self.slow = slow
        self._guard = self._release_with_loop()

    async def open(self) -> None:
        """Register the client for release when the loop shuts down.

        ``asyncio.run`` and ``asyncio.Runner`` close the asynchronous generators of a loop before
        they close the loop. That is the only public hook for closing connections in time.
        """
        await self._guard.asend(None)

    def patience(self) -> float:
        """Return the time limit, in seconds, of the operation that has just begun.

        There are as many open connections as operations have succeeded concurrently; one more
        operation has to open its own.
        """
        return self.quick if self.users <= self.warm else self.slow

    async def enter(self, end: float) -> None:
        """Begin an operation, as soon as the limit allows.

        Args:
            end: Time by which the operation must end, on the clock of the loop. The wait ends early
                enough to leave time for a reply.

        Raises:
            TimeoutError: The limit was not free in time.
        """
        if self.gate.locked():
            async with asyncio.timeout_at(end - self.quick):
                await self.gate.acquire()
        else:
            await self.gate.acquire()
        self.users += 1

    async def leave(self) -> None:
        """End an operation."""
        self.users -= 1
        self.gate.release()
        if self.retired and not self.users:
            await self._shut()

    def retire(self) -> None:
        """Release the client as soon as no operation uses it; callable from any thread."""
        self.retired = True
        with suppress(RuntimeError):  # the loop is closed, and so is its client
            self.loop.call_soon_threadsafe(self._shut_if_idle)

    def _shut_if_idle(self) -> None:
        if not self.users:
            # Loops refer to tasks weakly, so the task is stored here until it has ended.
            self._task = self.loop.create_task(self._shut())

    async def _shut(self) -> None:
        with suppress(RuntimeError):  # the loop is shutting down and does it already
            await self._guard.aclose()

    async def _release_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.retired = True
            # A TLS shutdown may wait for the server, so one time limit covers all closers.
            closing = [asyncio.ensure_future(close()) for close in self._closers]
            await asyncio.wait(closing, timeout=_CLOSE_TIMEOUT)
            for each in closing:
                each.cancel()
            await asyncio.gather(*closing, return_exceptions=True)
            if not self.released.done():
                self.released.set_result(None)


class _OpenClients:
    """The open clients of a tier: one for all threads, and one for each event loop."""

    def __init__(self) -> None:
        self.client: Any = None
        self.ready: ReadyConnections | None = None
        self.closers: list[Callable[[], Any]] = []
        self.loops: dict[asyncio.AbstractEventLoop, LoopClient] = {}


_inherited: list[LoopClient] = []
"""In a forked child, the loop clients of its parent. Collecting them would change their loops."""


def _release(clients: _OpenClients) -> list[LoopClient]:
    """Close the client of all threads, retire those of loops, and return the latter."""
    closers, clients.client, clients.closers = clients.closers, None, []
    clients.ready = None
    loop_clients, clients.loops = list(clients.loops.values()), {}
    for close in closers:
        with suppress(Exception):  # a broken connection is closed already
            close()
    for loop_client in loop_clients:
        loop_client.retire()
    return loop_clients


class Clients:
    """Opens and releases the clients of a tier. Safe for any threads and loops.

    Args:
        target: The servers.
        socket_timeout: Seconds for a reply.
        connect_timeout: Seconds for a connection.
        max_loops: Largest number of event loops with an open client.
        max_connections: Largest number of concurrent operations of all threads together, and of
            each loop.
        options: Further options for redis-py. They override those of the URL.

    Raises:
        ConfigurationError: redis-py refuses an option.
    """

    def __init__(
        self,
        target: Target,
        socket_timeout: float,
        connect_timeout: float,
        max_loops: int,
        max_connections: int,
        options: dict[str, Any],
    ) -> None:
        self._target = target
        self._socket_timeout = socket_timeout
        self._connect_timeout = connect_timeout
        self._max_loops = max_loops
        self.quick = socket_timeout
        # The nodes of a cluster, and Sentinels, are asked one after the other.
        discovery = len(target.nodes) if target.kind in ("cluster", "sentinel") else 0
        self.slow = (socket_timeout + connect_timeout) * (1 + discovery)
        if target.kind == "cluster":
            self.slow += _DISCOVERY
        self._max_connections = max_connections
        self._sentinel_options = options.pop("sentinel_kwargs", {})
        self._options = options
        self._turn = 0
        self._clients = _OpenClients()
        self.forget()
        # The connections of a tier that is dropped without close() are closed without a warning.
        weakref.finalize(self, _release, self._clients).atexit = False
        # All imports and file reads happen here, because they would block an event loop.
        for package in ("redis", "redis.asyncio"):
            for room in (".retry", ".sentinel", ".cluster"):
                import_module(package + room)
        self._settings = {
            "redis": self._client_options("redis"),
            "redis.asyncio": self._client_options("redis.asyncio"),
        }
        # Pools of clusters and Sentinels choose the server, and those of credential providers renew
        # passwords, when a connection is checked out or returned.
        settings = self._settings["redis"]
        self.keeps_ready = (
            target.kind in ("standalone", "unix")
            and str(settings["protocol"]) == "2"
            and not settings.get("credential_provider")
            and not settings.get("health_check_interval")
        )
        """Whether connections for values are kept ready beside the pool."""
        self.limits: Limits = self._sockets().Limits(_LARGEST)
        self.lost = (import_module("redis").ConnectionError, ConnectionError)
        try:
            # Validates the options; it does not connect.
            import_module("redis").Redis(**self._settings["redis"])
        except Exception as error:
            raise ConfigurationError("url", f"or an option is not accepted: {error}") from error

    def forget(self) -> None:
        """Drop all clients without closing them: in a forked child they belong to the parent."""
        self._lock = threading.Lock()
        self.opening = threading.Lock()
        self.gate = Tokens(self._max_connections)
        _inherited.extend(self._clients.loops.values())
        self._clients.client, self._clients.closers, self._clients.loops = None, [], {}
        self._clients.ready = None

    @property
    def client(self) -> Any:
        """The client of all threads, or None if it is not open."""
        return self._clients.client

    @property
    def ready(self) -> ReadyConnections | None:
        """The connections of all threads that are kept ready, or None."""
        return self._clients.ready

    def open(self) -> Any:
        """Return the client of all threads; the caller holds ``opening``.

        The discovery of a cluster is bounded by the deadline of this thread.
        """
        clients = self._clients
        if clients.client is None:
            discover = self._target.kind == "cluster"
            made = _run_in_time(lambda: self._make("redis")) if discover else self._make("redis")
            client, clients.closers = made
            clients.ready = self._ready(client)
            clients.client = client
        return clients.client

    def _ready(self, client: Any) -> ReadyConnections | None:
        return ReadyConnections(client.connection_pool) if self.keeps_ready else None

    def _sockets(self) -> Any:
        return import_module("toolops_plugins.cache.redis.sockets")

    def of_running_loop(self) -> LoopClient | None:
        """Return the client of the running loop, or None if it has none."""
        seat = self._clients.loops.get(asyncio.get_running_loop())
        if seat is None or seat.retired:
            return None
        self._turn += 1
        seat.used = self._turn
        return seat

    async def open_loop_client(self) -> LoopClient:
        """Open a client for the running loop; it is registered before the first suspension."""
        loop = asyncio.get_running_loop()
        client, closers = self._make("redis.asyncio")
        seat = LoopClient(
            loop,
            client,
            closers,
            self._ready(client),
            self._max_connections,
            self.quick,
            self.slow,
        )
        loops = self._clients.loops
        with self._lock:
            for other in [other for other in loops if other.is_closed()]:
                del loops[other]
            loops[loop] = seat
            self._turn += 1
            seat.used = self._turn
            while len(loops) > self._max_loops:
                oldest = min(loops.values(), key=lambda each: each.used)
                del loops[oldest.loop]
                oldest.retire()
        await seat.open()
        return seat

    def listener(self, attempt: int) -> tuple[Any, list[Callable[[], Any]]]:
        """Return a new client for one subscription, and the functions that release it.

        A subscription receives messages from all nodes of a cluster, so a plain connection to one
        node is enough; each attempt takes the next node.
        """
        return self._make("redis", attempt)

    def close(self) -> None:
        """Release all clients; wait up to a second for loops that run in other threads."""
        busy = [seat.released for seat in self._clear() if seat.loop is not _current_loop()]
        wait(busy, timeout=_CLOSE_TIMEOUT)

    async def aclose(self) -> None:
        """Release all clients; wait up to a second for loops that run in other threads."""
        futures = [asyncio.wrap_future(seat.released) for seat in self._clear()]
        if futures:
            await asyncio.wait(futures, timeout=_CLOSE_TIMEOUT)

    def _clear(self) -> list[LoopClient]:
        with self._lock:
            seats = _release(self._clients)
        return [seat for seat in seats if seat.loop.is_running()]

    def _client_options(self, package: Package) -> dict[str, Any]:
        """Return the options of every client of a package."""
        no_backoff = import_module("redis.backoff").NoBackoff()
        settings: dict[str, Any] = {
            "socket_timeout": self._socket_timeout,
            "socket_connect_timeout": self._connect_timeout,
            # Retries belong to the policy of the call.
            "retry": import_module(f"{package}.retry").Retry(no_backoff, 0),
            # RESP 3 would cost a HELLO for each connection, and nothing here needs it.
            "protocol": 2,
            "max_connections": _UNBOUNDED,
        }
        if find_spec("redis.driver_info") is None:
            settings |= {"lib_name": None, "lib_version": None}
        else:
            settings["driver_info"] = None
        if self._target.tls:
            settings["ssl"] = True
        if package == "redis.asyncio" and self._target.kind != "cluster":
            # One timer bounds each operation as a whole. The timeouts of redis-py would make a task
            # for every write on Python 3.11, and bound each part but not the sum.
            settings |= {"socket_timeout": None, "socket_connect_timeout": None}
        return settings | self._target.options | self._options

    def _make(
        self, package: Package, node: int | None = None
    ) -> tuple[Any, list[Callable[[], Any]]]:
        target = self._target
        sockets = self._sockets()
        settings = dict(self._settings[package])
        end = "close" if package == "redis" else "aclose"
        if target.kind == "cluster" and node is None:
            cluster = import_module(f"{package}.cluster")
            nodes = [cluster.ClusterNode(host, port) for host, port in target.nodes]
            client = cluster.RedisCluster(startup_nodes=nodes, **settings)
            if package == "redis":
                sockets.bound_cluster(client, self.limits)
            else:
                sockets.bound_loop_cluster(client, self.limits)
            return client, [getattr(client, end)]
        settings["db"] = target.db
        if target.kind == "sentinel":
            alike = ("retry", "protocol", "driver_info", "lib_name", "lib_version")
            chosen = {
                name: value
                for name, value in settings.items()
                if name in alike or name.startswith("ssl")
            }
            # One Sentinel that hangs must not use up the time of the others.
            chosen["socket_timeout"] = self._socket_timeout
            chosen["socket_connect_timeout"] = self._connect_timeout
            sentinel = import_module(f"{package}.sentinel").Sentinel(
                target.nodes, sentinel_kwargs=chosen | self._sentinel_options
            )
            client = sentinel.master_for(target.service, **settings)
            for each in (client, *sentinel.sentinels):
                sockets.bound(each, self.limits)
            return client, [getattr(each, end) for each in (client, *sentinel.sentinels)]
        if target.kind == "unix":
            settings["unix_socket_path"] = target.path
        else:
            settings["host"], settings["port"] = target.nodes[(node or 0) % len(target.nodes)]
        client = import_module(package).Redis(**settings)
        sockets.bound(client, self.limits)
        return client, [getattr(client, end)]


def _run_in_time(make: Callable[[], tuple[Any, list[Callable[[], Any]]]]) -> Any:
    """Run ``make`` in another thread and return its result, within the deadline of this thread.

    Raises:
        TimeoutError: It took longer. The client that it makes is closed.
    """
    made: Future[Any] = Future()

    def work() -> None:
        closers: list[Callable[[], Any]] = []
        error = None
        try:
            client, closers = make()
        except BaseException as caught:  # noqa: BLE001 - the waiting thread raises it
            error = caught
        if not made.set_running_or_notify_cancel():
            for close in closers:
                with suppress(Exception):  # it was never used
                    close()
        elif error is None:
            made.set_result((client, closers))
        else:
            made.set_exception(error)

    threading.Thread(target=work, name="toolops-discovery", daemon=True).start()
    try:
        return made.result(DEADLINE.left())
    except TimeoutError:
        if made.cancel():
            raise TimeoutError("the cluster was not discovered in time") from None
        return made.result()  # it became ready, or failed, in this very moment


def _current_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
