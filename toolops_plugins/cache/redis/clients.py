"""The redis-py clients of one tier: one for all threads, and one for each running event loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from toolops_plugins.cache.operation_deadline import DEADLINE
from toolops_plugins.cache.redis.url import Target
from toolops_plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from toolops_plugins.cache.redis.sockets import Limits

__all__ = ["Clients", "Seat"]

Package: TypeAlias = Literal["redis", "redis.asyncio"]
_UNBOUNDED = 2**31  # the tier's own gate stands before the pools, and waits where they would raise
_LARGEST = 65 * 1024 * 1024  # bytes of a reply, until a codec says what it takes
_DISCOVERY = 1.0  # seconds of computing that redis-py may need to take a cluster's answers in
_PATIENCE = 1.0  # seconds that closing waits for another thread's loop, or a server


class Seat:
    """The client of one event loop; all methods but :meth:`retire` run on that loop.

    Args:
        loop: The loop.
        client: Its client.
        closers: What to await in order to release it.
        limit: How many operations may be under way at once.
        quick: Seconds for a reply on an open connection.
        slow: Seconds for an operation that may have to find the server and connect to it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: Any,
        closers: list[Callable[[], Any]],
        limit: int,
        quick: float,
        slow: float,
    ) -> None:
        self.loop = loop
        self.client = client
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
        """Have the client released when the loop shuts down.

        ``asyncio.run`` and ``asyncio.Runner`` finish the loop's asynchronous generators before
        they close it; that is the one public hook by which connections can be closed in time.
        """
        await self._guard.asend(None)

    def patience(self) -> float:
        """Return the seconds that the operation which just began may take.

        As many operations as have succeeded side by side find an open connection; one more has
        to open its own.
        """
        return self.quick if self.users <= self.warm else self.slow

    async def enter(self, end: float) -> None:
        """Begin an operation, once there is room for it.

        Args:
            end: When it has to be over, on the loop's clock; it gives up while there is still time
                for a reply.

        Raises:
            TimeoutError: There is no room.
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
        """Release the client as soon as nobody uses it; from any thread."""
        self.retired = True
        with suppress(RuntimeError):  # the loop is closed, and took the client with it
            self.loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if not self.users:
            # The loop holds tasks weakly; this seat must last until its task has ended.
            self._task = self.loop.create_task(self._shut())

    async def _shut(self) -> None:
        with suppress(RuntimeError):  # the loop is shutting down and does it already
            await self._guard.aclose()

    async def _release_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.retired = True
            # TLS says goodbye, and may wait for it; so all of them have one bound.
            closing = [asyncio.ensure_future(close()) for close in self._closers]
            await asyncio.wait(closing, timeout=_PATIENCE)
            for each in closing:
                each.cancel()
            await asyncio.gather(*closing, return_exceptions=True)
            if not self.released.done():
                self.released.set_result(None)


class _Held:
    """The clients of one tier: one for all threads, and a seat for each event loop."""

    def __init__(self) -> None:
        self.client: Any = None
        self.closers: list[Callable[[], Any]] = []
        self.seats: dict[asyncio.AbstractEventLoop, Seat] = {}


_inherited: list[Seat] = []
"""In a forked child, the seats of its parent: were they collected, their loops would be changed."""


def _release(held: _Held) -> list[Seat]:
    """Close the client of all threads; have those of loops closed there, and return their seats."""
    closers, held.client, held.closers = held.closers, None, []
    seats, held.seats = list(held.seats.values()), {}
    for close in closers:
        with suppress(Exception):  # a connection that broke is closed already
            close()
    for seat in seats:
        seat.retire()
    return seats


class Clients:
    """Makes, keeps and releases the clients of one tier. Safe for any threads and loops.

    Args:
        target: Where to connect.
        socket_timeout: Seconds for an answer.
        connect_timeout: Seconds for a connection.
        max_loops: How many event loops keep a client.
        max_connections: How many operations may be under way for all threads together, and for
            each loop.
        options: Further options for redis-py, over those of the URL.

    Raises:
        ConfigurationError: redis-py does not take the options.
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
        # A cluster or sentinels are asked one after the other.
        asked = len(target.nodes) if target.kind in ("cluster", "sentinel") else 0
        self.slow = (socket_timeout + connect_timeout) * (1 + asked)
        if target.kind == "cluster":
            self.slow += _DISCOVERY
        self._max_connections = max_connections
        self._sentinel_options = options.pop("sentinel_kwargs", {})
        self._options = options
        self._turn = 0
        self._held = _Held()
        self.forget()
        # Whoever drops a tier without closing it must find its connections closed, and unwarned.
        weakref.finalize(self, _release, self._held).atexit = False
        # Everything is imported and read here, since it would block an event loop.
        for package in ("redis", "redis.asyncio"):
            for room in (".retry", ".sentinel", ".cluster"):
                import_module(package + room)
        self._settings = {
            "redis": self._read("redis"),
            "redis.asyncio": self._read("redis.asyncio"),
        }
        self.limits: Limits = self._bounds().Limits(_LARGEST)
        self.lost: type[Exception] = import_module("redis").ConnectionError
        try:
            # Makes no connection, but takes or refuses each option.
            import_module("redis").Redis(**self._settings["redis"])
        except Exception as error:
            raise ConfigurationError("url", f"or an option is not taken: {error}") from error

    def forget(self) -> None:
        """Let go of everything without closing it: in a forked child it is the parent's."""
        self._lock = threading.Lock()
        self.opening = threading.Lock()
        # A semaphore made of tokens: threading's own is written in Python, and ten times slower.
        self.gate: SimpleQueue[None] = SimpleQueue()
        for _ in range(self._max_connections):
            self.gate.put(None)
        _inherited.extend(self._held.seats.values())
        self._held.client, self._held.closers, self._held.seats = None, [], {}

    @property
    def client(self) -> Any:
        """The client of all threads, or None while there is none."""
        return self._held.client

    def open(self) -> Any:
        """Return the client of all threads; the caller holds ``opening``.

        A cluster is discovered meanwhile, within this thread's deadline.
        """
        held = self._held
        if held.client is None:
            discover = self._target.kind == "cluster"
            made = _in_time(lambda: self._make("redis")) if discover else self._make("redis")
            held.client, held.closers = made
        return held.client

    def _bounds(self) -> Any:
        return import_module("toolops_plugins.cache.redis.sockets")

    def here(self) -> Seat | None:
        """Return the seat of the running loop, or None while it has none."""
        seat = self._held.seats.get(asyncio.get_running_loop())
        if seat is None or seat.retired:
            return None
        self._turn += 1
        seat.used = self._turn
        return seat

    async def new_seat(self) -> Seat:
        """Make a seat for the running loop; it is there before this first suspends."""
        loop = asyncio.get_running_loop()
        client, closers = self._make("redis.asyncio")
        seat = Seat(
            loop,
            client,
            closers,
            self._max_connections,
            self.quick,
            self.slow,
        )
        seats = self._held.seats
        with self._lock:
            for other in [other for other in seats if other.is_closed()]:
                del seats[other]
            seats[loop] = seat
            self._turn += 1
            seat.used = self._turn
            while len(seats) > self._max_loops:
                oldest = min(seats.values(), key=lambda each: each.used)
                del seats[oldest.loop]
                oldest.retire()
        await seat.open()
        return seat

    def listener(self, attempt: int) -> tuple[Any, list[Callable[[], Any]]]:
        """Return a new client for one subscription, and what to call in order to release it.

        A subscription hears what is published anywhere in a cluster, so a plain connection to any
        of its nodes will do; each attempt takes the next.
        """
        return self._make("redis", attempt)

    def close(self) -> None:
        """Release everything, waiting up to a second for loops that run in other threads."""
        busy = [seat.released for seat in self._clear() if seat.loop is not _running()]
        wait(busy, timeout=_PATIENCE)

    async def aclose(self) -> None:
        """Release everything, waiting up to a second for loops that run in other threads."""
        futures = [asyncio.wrap_future(seat.released) for seat in self._clear()]
        if futures:
            await asyncio.wait(futures, timeout=_PATIENCE)

    def _clear(self) -> list[Seat]:
        with self._lock:
            seats = _release(self._held)
        return [seat for seat in seats if seat.loop.is_running()]

    def _read(self, package: Package) -> dict[str, Any]:
        """Return what every client of the package is made with."""
        no_backoff = import_module("redis.backoff").NoBackoff()
        settings: dict[str, Any] = {
            "socket_timeout": self._socket_timeout,
            "socket_connect_timeout": self._connect_timeout,
            # Retries belong to whoever sees the whole call.
            "retry": import_module(f"{package}.retry").Retry(no_backoff, 0),
            # RESP 3 would cost a HELLO for each connection and brings nothing that is used here.
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
            # One timeout stands round each whole operation. redis-py's own would make a task for
            # every write on Python 3.11, and bound each part but not their sum.
            settings |= {"socket_timeout": None, "socket_connect_timeout": None}
        return settings | self._target.options | self._options

    def _make(
        self, package: Package, node: int | None = None
    ) -> tuple[Any, list[Callable[[], Any]]]:
        target = self._target
        bounds = self._bounds()
        settings = dict(self._settings[package])
        end = "close" if package == "redis" else "aclose"
        if target.kind == "cluster" and node is None:
            cluster = import_module(f"{package}.cluster")
            nodes = [cluster.ClusterNode(host, port) for host, port in target.nodes]
            client = cluster.RedisCluster(startup_nodes=nodes, **settings)
            if package == "redis":
                bounds.bound_cluster(client, self.limits)
            else:
                bounds.bound_loop_cluster(client, self.limits)
            return client, [getattr(client, end)]
        settings["db"] = target.db
        if target.kind == "sentinel":
            alike = ("retry", "protocol", "driver_info", "lib_name", "lib_version")
            chosen = {
                name: value
                for name, value in settings.items()
                if name in alike or name.startswith("ssl")
            }
            # Of several sentinels one that hangs must not use up the time of all.
            chosen["socket_timeout"] = self._socket_timeout
            chosen["socket_connect_timeout"] = self._connect_timeout
            sentinel = import_module(f"{package}.sentinel").Sentinel(
                target.nodes, sentinel_kwargs=chosen | self._sentinel_options
            )
            client = sentinel.master_for(target.service, **settings)
            for each in (client, *sentinel.sentinels):
                bounds.bound(each, self.limits)
            return client, [getattr(each, end) for each in (client, *sentinel.sentinels)]
        if target.kind == "unix":
            settings["unix_socket_path"] = target.path
        else:
            settings["host"], settings["port"] = target.nodes[(node or 0) % len(target.nodes)]
        client = import_module(package).Redis(**settings)
        bounds.bound(client, self.limits)
        return client, [getattr(client, end)]


def _in_time(make: Callable[[], tuple[Any, list[Callable[[], Any]]]]) -> Any:
    """Run ``make`` in another thread, and return what it makes, within this thread's deadline.

    Raises:
        TimeoutError: It took longer; then what it makes is closed.
    """
    made: Future[Any] = Future()

    def work() -> None:
        closers: list[Callable[[], Any]] = []
        error = None
        try:
            client, closers = make()
        except BaseException as caught:  # noqa: BLE001 - raised where it is waited for
            error = caught
        if not made.set_running_or_notify_cancel():
            for close in closers:
                with suppress(Exception):  # nobody has used it
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
        return made.result()  # it was ready in this very moment, or has failed of itself


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
