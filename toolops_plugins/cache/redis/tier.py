"""The tier in Redis or Valkey, shared by processes.

The stored format is described in :mod:`toolops_plugins.cache.redis.commands`, the access to servers
in :mod:`toolops_plugins.cache.redis.connection`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from toolops_plugins import check
from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.redis.clients import Clients
from toolops_plugins.cache.redis.commands import Commands, chunks
from toolops_plugins.cache.redis.connection import (
    READING,
    WRITING,
    Action,
    Connection,
    Work,
    afetch,
    fetch,
    mget,
    one,
    route,
)
from toolops_plugins.cache.redis.ready_reads import ReadyReads
from toolops_plugins.cache.redis.signed_commands import SignedCommands
from toolops_plugins.cache.redis.survey import Survey, survey
from toolops_plugins.cache.redis.url import Target, parse
from toolops_plugins.cache.redis.value_requests import value_request
from toolops_plugins.clock import Clock
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.signature import is_secret_name

__all__ = ["Redis"]

Answer = TypeVar("Answer")

# Options that would break the tier, or contradict its other arguments.
_REFUSED = frozenset(
    {
        "cluster_error_retry_attempts",
        "connection_pool",
        "decode_responses",
        "db",
        "driver_info",
        "host",
        "port",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "single_connection_client",
        "socket_connect_timeout",
        "ssl",
        "startup_nodes",
        "unix_socket_path",
    }
)

# Options that may hold a password under another name.
_CREDENTIALS = frozenset({"credential_provider", "sentinel_kwargs"})

# All tiers of this process, to be reset in the child of a fork.
_tiers: weakref.WeakSet[Redis] = weakref.WeakSet()


class Redis:
    """A tier in Redis or Valkey: standalone, with Sentinel, or a cluster.

    Safe for use from any threads and event loops. After a failure the server is skipped for a pause
    that doubles from half a second to half a minute, so a dead server costs one timeout and then
    nothing.

    Every operation has a time limit, however slowly the server answers. A reply must arrive within
    ``socket_timeout``. A whole lookup, write or invalidation, including the wait for one of
    ``max_connections`` connections, name resolution, connecting and all replies, must end within
    the sum of both timeouts. That limit grows by the same amount for each node in the URL of a
    cluster or of Sentinels and for each 500 keys or tags, and by one second for a cluster.
    ``clear`` and ``survey``, which scan all keys, must end within ``scan_timeout``. A reply that
    declares more bytes than the codec's ``max_value_bytes`` is refused unread.

    Deletions and invalidations of tags void marks in every process. ``clear`` voids the marks of
    tagged lookups in every process, and the marks of untagged lookups in this process.

    Entries expire by the server's clock, which is read every half minute, so clocks of different
    hosts are never compared.

    The user of the server needs the commands GET, MGET, SET, PEXPIRE, EVAL, UNLINK, SCAN, PUBLISH,
    SUBSCRIBE, PING, INFO and TIME, for keys and a channel that begin with ``toolops:`` and the
    namespace. Without TIME, the clock of this host is used instead.

    Args:
        url: The servers; see :func:`~toolops_plugins.cache.redis.url.parse`. Its options for
            timeouts and connections override the arguments, as in redis-py.
        ttl: Longest lifetime of an entry in seconds. Default 3600.
        label: The name of the tier in keys and events. Default None: set by the runtime.
        socket_timeout: Seconds to wait for a complete reply. Default 0.25.
        connect_timeout: Seconds to wait for a connection. Default 0.25.
        max_loops: Largest number of event loops with an open client. The least recently used client
            is released when there are more. Default 16.
        max_connections: Largest number of concurrent operations of all threads together, and of
            each event loop; further operations wait. Default 32.
        scan_timeout: Seconds for an operation that scans all keys. Default 60.
        client_options: Further options for redis-py, such as ``username``, ``password``,
            ``ssl_ca_certs`` or ``sentinel_kwargs``.

    Raises:
        ConfigurationError: A value is invalid. The error names the parameter.
    """

    local = False

    def __init__(
        self,
        url: str,
        ttl: float = 3600,
        *,
        label: str | None = None,
        socket_timeout: float = 0.25,
        connect_timeout: float = 0.25,
        max_loops: int = 16,
        max_connections: int = 32,
        scan_timeout: float = 60.0,
        **client_options: Any,
    ) -> None:
        for name in client_options.keys() & _REFUSED:
            raise ConfigurationError(name, "is decided by the tier")
        self._options: dict[str, Any] = {
            "url": url,
            "ttl": ttl,
            "socket_timeout": socket_timeout,
            "connect_timeout": connect_timeout,
            "max_loops": max_loops,
            "max_connections": max_connections,
            "scan_timeout": scan_timeout,
            **client_options,
        }
        target = parse(url)
        chosen = dict(target.options)
        quick = check.seconds(
            "socket_timeout", chosen.pop("socket_timeout", socket_timeout), zero=False
        )
        connecting = check.seconds(
            "connect_timeout", chosen.pop("socket_connect_timeout", connect_timeout), zero=False
        )
        self._ttl = check.seconds("ttl", ttl, zero=False)
        self.ttl: float | None = self._ttl
        self.label = label or ""
        self._has_label = bool(label)
        self._scan = check.seconds("scan_timeout", scan_timeout, zero=False)
        self._target = replace(target, options=chosen)
        self._client_options = dict(client_options)
        # Longer than any action, so that the probe of a hung server ends within its lease.
        self._lease = (quick + connecting) * (2 + len(self._target.nodes)) + 1.0
        self._clients = Clients(
            self._target,
            quick,
            connecting,
            check.count("max_loops", max_loops),
            check.count("max_connections", chosen.pop("max_connections", max_connections)),
            client_options,
        )
        self._cluster = cluster = target.kind == "cluster"
        self._signed: SignedCommands | None = None
        self._fetch: Action = route if cluster else fetch
        self._afetch: Action = route if cluster else afetch
        self._reads: ReadyReads | None = None
        self._connection: Connection | None = None
        self._namespace: str | None = None
        _tiers.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # Only the configuration: connections belong to this process, and a pickle has no passwords.
        named = {**self._options, **parse(self._options["url"]).options}
        if any(is_secret_name(name) or name in _CREDENTIALS for name in named):
            raise TypeError(f"{self!r} has a password, which must not be in a pickle")
        return _rebuild, (type(self), {**self._options, "label": self.label or None})

    def __repr__(self) -> str:
        return f"Redis({str(self._target)!r}, ttl={self._ttl:g}, label={self.label!r})"

    def make_clients(self, socket_timeout: float, connect_timeout: float) -> tuple[Target, Clients]:
        """Return the servers, and new clients for them that share nothing with this tier.

        Args:
            socket_timeout: Seconds for a reply.
            connect_timeout: Seconds for a connection.
        """
        options = dict(self._client_options)
        return self._target, Clients(self._target, socket_timeout, connect_timeout, 1, 2, options)

    def bind(
        self,
        namespace: str,
        envelope: Envelope,
        clock: Clock,
        label: str,
        on_trouble: Callable[[str, Exception], None] | None = None,
    ) -> None:
        """Attach the tier to a runtime; required before use.

        Args:
            namespace: Separates the keys of this runtime from those of others; any text.
            envelope: Converts entries to bytes.
            clock: The source of time.
            label: The name of the tier, if the user has set none.
            on_trouble: Called with ``"unknown_format"`` or ``"tampered"`` and the error when a
                stored entry cannot be read; the entry is left in place and counts as a miss. Also
                called with ``"not_encodable"`` when an entry cannot be stored.

        Raises:
            ConfigurationError: The tier is attached to another namespace already.
        """
        if self._namespace not in (None, namespace):
            raise ConfigurationError("tiers", f"{self!r} serves another namespace already")
        self._namespace = namespace
        self._clock = clock
        if not self._has_label:
            self.label = label
        self._commands: Commands = (Commands if envelope.secret is None else SignedCommands)(
            namespace,
            self.label,
            self._ttl,
            envelope,
            clock,
            cluster=self._target.kind == "cluster",
            on_trouble=on_trouble,
        )
        self._signed = self._commands if isinstance(self._commands, SignedCommands) else None
        # Another server may have another clock.
        self._clients.limits.on_connect = self._commands.server.renew
        self._clients.limits.largest = envelope.largest
        self._connection = Connection(
            self._clients, clock, self._lease, self.label or str(self._target)
        )
        self._reads = ReadyReads(self._connection) if self._clients.keeps_ready else None

    @property
    def connection(self) -> Connection:
        """The connection to the servers.

        Raises:
            ConfigurationError: The tier is not attached to a runtime yet.
        """
        if self._connection is None:
            raise ConfigurationError("tiers", f"{self!r} is used before a runtime has bound it")
        return self._connection

    @property
    def channel(self) -> str:
        """The name of the channel for the invalidations of this namespace."""
        _ = self.connection  # raises if the tier is not bound
        return self._commands.channel

    @property
    def place(self) -> str:
        """The URL, without user and password."""
        return str(self._target)

    def listener(self, attempt: int) -> tuple[Any, list[Callable[[], Any]]]:
        """Return a new blocking client for one subscription, and the functions that release it.

        Args:
            attempt: Number of the attempt; each attempt takes the next node of the URL.
        """
        return self._clients.listener(attempt)

    # Synchronous and asynchronous methods --------------------------------------------------------

    def get(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """Return the entry, or None, and a mark for a later :meth:`set`."""
        connection = self._connection or self.connection
        commands = self._commands
        if tags or commands.server.due():
            return connection.walk(commands.lookup(key, tags))
        if (signed := self._signed) is not None:
            if not self._cluster:
                found = signed.read_plain(key, self._values(connection, signed.names(key)))
                if found is not None:
                    return found
            return connection.walk(commands.lookup(key, tags))
        plain = commands.plain
        if (reads := self._reads) is not None:
            data = reads.read(commands.get_request(key))
        else:
            data = connection.do(READING, self._fetch, commands.prefix + key.hex())
        return commands.read(key, data, plain)

    async def aget(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """As :meth:`get`."""
        connection = self._connection or self.connection
        commands = self._commands
        if tags or commands.server.due():
            return await connection.awalk(commands.lookup(key, tags))
        if (signed := self._signed) is not None:
            if not self._cluster:
                found = signed.read_plain(key, await self._avalues(connection, signed.names(key)))
                if found is not None:
                    return found
            return await connection.awalk(commands.lookup(key, tags))
        plain = commands.plain
        if (reads := self._reads) is not None:
            data = await reads.aread(commands.get_request(key))
        else:
            data = await connection.ado(READING, self._afetch, commands.prefix + key.hex())
        return commands.read(key, data, plain)

    def _values(self, connection: Connection, names: list[str]) -> Any:
        if (reads := self._reads) is not None:
            return reads.read(value_request([name.encode() for name in names]))
        return connection.do(READING, mget, names)

    async def _avalues(self, connection: Connection, names: list[str]) -> Any:
        if (reads := self._reads) is not None:
            return await reads.aread(value_request([name.encode() for name in names]))
        return await connection.ado(READING, mget, names)

    def set(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """Commands the entry for at most ``ttl`` seconds, never past its ``stale_until``."""
        self.connection.walk(self._commands.store({key: entry}, mark))

    async def aset(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """As :meth:`set`."""
        await self.connection.awalk(self._commands.store({key: entry}, mark))

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Entry]:
        """Return the entries among the keys, whatever their tags."""
        return self._walk_many(self._commands.lookup_many, list(keys))

    async def aget_many(self, keys: Iterable[bytes]) -> dict[bytes, Entry]:
        """As :meth:`get_many`."""
        return await self._awalk_many(self._commands.lookup_many, list(keys))

    def set_many(self, entries: Mapping[bytes, Entry]) -> None:
        """Commands the entries, as computed now."""
        self._walk_many(self._commands.store, entries, None)

    async def aset_many(self, entries: Mapping[bytes, Entry]) -> None:
        """As :meth:`set_many`."""
        await self._awalk_many(self._commands.store, entries, None)

    def delete(self, key: bytes) -> None:
        """Delete the entry, and void earlier marks of the key for ten minutes."""
        self.delete_many([key])

    async def adelete(self, key: bytes) -> None:
        """As :meth:`delete`."""
        await self.adelete_many([key])

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """As :meth:`delete`, for many keys in one request."""
        self._walk_many(self._commands.delete_many, keys)

    async def adelete_many(self, keys: Sequence[bytes]) -> None:
        """As :meth:`delete_many`."""
        await self._awalk_many(self._commands.delete_many, keys)

    def invalidate(self, tags: Sequence[str]) -> None:
        """Delete all entries with one of the tags, and void earlier marks of these tags."""
        self._walk_many(self._commands.invalidate, tags)

    async def ainvalidate(self, tags: Sequence[str]) -> None:
        """As :meth:`invalidate`."""
        await self._awalk_many(self._commands.invalidate, tags)

    def tags_in_use(self, tags: Sequence[str]) -> list[str]:
        """Return the tags under which an entry may be stored."""
        return self.connection.walk(self._commands.tags_in_use(tags))

    def clear(self) -> None:
        """Delete all entries of this namespace and label."""
        self.connection.walk(self._commands.clear(), self._scan)

    async def aclear(self) -> None:
        """As :meth:`clear`."""
        await self.connection.awalk(self._commands.clear(), self._scan)

    def _walk_many(self, operation: Callable[..., Work[Answer]], many: Any, *more: Any) -> Answer:
        connection = self.connection
        return connection.walk(operation(many, *more), connection.clients.slow * chunks(len(many)))

    async def _awalk_many(
        self, operation: Callable[..., Work[Answer]], many: Any, *more: Any
    ) -> Answer:
        connection = self.connection
        return await connection.awalk(
            operation(many, *more), connection.clients.slow * chunks(len(many))
        )

    def expire(
        self, keys: Sequence[bytes], tags: Sequence[str], moment: float, *, everything: bool
    ) -> None:
        """Record an invalidation by another process; does nothing without a secret.

        Args:
            keys: Keys of void entries.
            tags: Tags of void entries.
            moment: Start of the invalidation, in seconds since the epoch by the server's clock.
            everything: Whether all entries are void.
        """
        _ = self.connection  # raises if the tier is not bound
        if self._signed is not None:
            self._signed.expire(keys, tags, moment, everything=everything)

    def close(self) -> None:
        """Release all clients, those of running loops within a second; they reopen on use."""
        self._clients.close()

    async def aclose(self) -> None:
        """As :meth:`close`."""
        await self._clients.aclose()

    def send(self, *command: Any) -> Any:
        """Run one command that does not write, and return its reply."""
        return self.connection.do(READING, one, command)

    async def asend(self, *command: Any) -> Any:
        """As :meth:`send`."""
        return await self.connection.ado(READING, one, command)

    def change(self, *command: Any) -> Any:
        """Run one command that writes, and return its reply."""
        return self.connection.do(WRITING, one, command)

    async def achange(self, *command: Any) -> Any:
        """As :meth:`change`."""
        return await self.connection.ado(WRITING, one, command)

    def ping(self) -> None:
        """Raise TierError if the server does not answer."""
        self.send("PING")

    async def aping(self) -> None:
        """As :meth:`ping`."""
        await self.asend("PING")

    def write_check(self) -> None:
        """Raise TierError if an entry cannot be written and deleted."""
        self.connection.walk(self._commands.try_write())

    def describe(self) -> dict[str, str]:
        """Return ``kind``, ``server`` and ``version``, all as text."""
        found = self.send("INFO", "server")
        name = "valkey" if "valkey_version" in found else "redis"
        return {
            "kind": self._target.kind,
            "server": name,
            "version": str(found.get(f"{name}_version", "")),
        }

    def survey(self, seconds: float | None = None, *, measure: bool = True) -> Survey:
        """Count the keys of the whole namespace, in this tier and in those of other labels.

        The user of the server also needs STRLEN, PTTL and, for exact sizes, MEMORY.

        Args:
            seconds: Time limit in seconds; at least one round trip is made. Default None: no limit.
            measure: Whether to request sizes and lifetimes. Default True.

        Raises:
            TierError: The server could not be reached, or refused.
        """
        connection = self.connection
        prefix = self._commands.prefix
        root = prefix[: prefix.rindex(":", 0, -1) + 1]
        cluster = self._target.kind == "cluster"
        work = survey(root, cluster=cluster, seconds=seconds, measure=measure)
        return connection.walk(work, self._scan)

    def raw(self, key: bytes) -> tuple[bytes | None, float | None]:
        """Return the stored bytes of a key, and its remaining lifetime in seconds.

        The first eight bytes are a generation, the rest is an envelope. After a deletion there is
        only a generation. The bytes are None if there are none, the lifetime if it is unlimited.

        Raises:
            TierError: The server could not be reached, or refused.
        """
        _ = self.connection  # raises if the tier is not bound
        name = self._commands.prefix + key.hex()
        data = self.send("GET", name)
        left = self.send("PTTL", name)
        return data, left / 1000 if left >= 0 else None

    def secret_problem(self) -> str | None:
        """Return the problem if the secret does not fit the stored entries, else None.

        Raises:
            TierError: The server could not be reached, or refused.
        """
        _ = self.connection  # raises if the tier is not bound
        space = self.send("GET", self._commands.space_name)
        if self._signed is None:
            return None if space is None else "is needed: what is kept here is signed"
        if space is None:
            return "is set, but what is kept here was written without a secret"
        return None if self._signed.is_own(space) else "is not the one that signs what is kept here"

    def moment(self) -> float:
        """Return the estimated time of the server, without a request."""
        _ = self.connection  # raises if the tier is not bound
        return self._commands.server.moment()

    def now(self) -> float:
        """Return the server's time, by which the entries in :meth:`raw` are dated.

        Raises:
            TierError: The server could not be reached.
        """
        self.connection.walk(self._commands.ask_time())
        return self._clock.monotonic() + self._commands.server.offset

    def _after_fork(self) -> None:
        self._clients.forget()
        if self._connection is not None:
            self._connection.after_fork()


def _rebuild(kind: type[Redis], options: dict[str, Any]) -> Redis:
    return kind(**options)


def _after_fork() -> None:
    for tier in list(_tiers):
        tier._after_fork()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
