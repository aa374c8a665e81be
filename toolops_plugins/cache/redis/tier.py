"""A tier in Redis or Valkey, shared by processes: its configuration and its two faces.

What is stored is told in :mod:`toolops_plugins.cache.redis.commands`, how servers are reached in
:mod:`toolops_plugins.cache.redis.connection`.
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
from toolops_plugins.cache.redis.commands import Store, chunks
from toolops_plugins.cache.redis.connection import (
    READING,
    Action,
    Link,
    Work,
    afetch,
    fetch,
    mget,
    one,
    route,
)
from toolops_plugins.cache.redis.signed_commands import SignedStore
from toolops_plugins.cache.redis.survey import Survey, survey
from toolops_plugins.cache.redis.url import parse
from toolops_plugins.clock import Clock
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.signature import is_secret_name

__all__ = ["Redis"]

Answer = TypeVar("Answer")

# What would break the tier, or contradict what it is told otherwise.
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

# For the child of a fork, which must let go of what its parent uses.
_tiers: weakref.WeakSet[Redis] = weakref.WeakSet()


class Redis:
    """A tier in Redis or Valkey: standalone, behind Sentinels, or a cluster.

    Safe for use from any threads and event loops. A server that fails is left alone for a pause
    that doubles from half a second to half a minute, so that it costs one timeout and then nothing.

    Each operation as a whole is bounded, however slowly a server answers: a reply by
    ``socket_timeout``, and all of a lookup, a write or an invalidation, with the wait for one of
    ``max_connections`` places, names, connecting and every reply, by the sum of both timeouts; once
    more for each node that the URL of a cluster or of Sentinels names, a second more for a cluster,
    and as much again for each 500 keys or tags. ``clear`` and ``survey``, which go through all
    keys, have ``scan_timeout``. A reply larger than the codec's ``max_value_bytes`` is refused by
    the length that it declares.

    Deletions and invalidations of tags void marks in every process. ``clear`` voids the marks of
    tagged lookups in every process, and those of other lookups in this one.

    Entries live by the server's clock, which is asked about every half minute, so that the clocks
    of two hosts are never compared.

    The server's user needs GET, MGET, SET, PEXPIRE, EVAL, UNLINK, SCAN, PUBLISH, SUBSCRIBE, PING,
    INFO and TIME; one who may not ask for the time takes this host's clock for the server's.

    Args:
        url: Where to connect; see :func:`~toolops_plugins.cache.redis.url.parse`. Its options for
            timeouts and connections win over the arguments, as with redis-py.
        ttl: Seconds for which an entry is kept at most. Default 3600.
        label: The tier's name in keys and events. None: the runtime gives one.
        socket_timeout: Seconds to wait for a whole answer. Default 0.25.
        connect_timeout: Seconds to wait for a connection. Default 0.25.
        max_loops: How many event loops keep a client; beyond it the one unused for longest is
            released. Default 16.
        max_connections: How many operations may be under way at once for all threads together,
            and for each event loop; others wait. Default 32.
        scan_timeout: Seconds for an operation that goes through all keys. Default 60.
        client_options: Further options for redis-py, such as ``username``, ``password``,
            ``ssl_ca_certs`` or ``sentinel_kwargs``.

    Raises:
        ConfigurationError: A value is wrong; it names the parameter.
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
        self._given = bool(label)
        self._scan = check.seconds("scan_timeout", scan_timeout, zero=False)
        self._target = replace(target, options=chosen)
        # More than an action can take: who lets a hung server be tried must not keep it longer.
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
        self._signed: SignedStore | None = None
        self._fetch: Action = route if cluster else fetch
        self._afetch: Action = route if cluster else afetch
        self._link: Link | None = None
        self._namespace: str | None = None
        _tiers.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # Its configuration: connections belong to this process, and passwords to nobody else.
        named = {**self._options, **parse(self._options["url"]).options}
        if any(is_secret_name(name) or name in _CREDENTIALS for name in named):
            raise TypeError(f"{self!r} has a password, which must not be in a pickle")
        return _rebuild, (type(self), {**self._options, "label": self.label or None})

    def __repr__(self) -> str:
        return f"Redis({str(self._target)!r}, ttl={self._ttl:g}, label={self.label!r})"

    def bind(
        self,
        namespace: str,
        envelope: Envelope,
        clock: Clock,
        label: str,
        on_trouble: Callable[[str, Exception], None] | None = None,
    ) -> None:
        """Give the tier what it shares with its runtime; needed before use.

        Args:
            namespace: What keeps this runtime's keys from those of others; any text.
            envelope: Turns entries into bytes.
            clock: The source of time.
            label: The tier's name, if the user gave none.
            on_trouble: Called with ``"unknown_format"`` or ``"tampered"`` and the error when bytes
                under a key of ours cannot be read; they count as a miss, and are left alone. Also
                with ``"not_encodable"`` when an entry has no bytes; it is not kept.

        Raises:
            ConfigurationError: The tier serves another namespace already.
        """
        if self._namespace not in (None, namespace):
            raise ConfigurationError("tiers", f"{self!r} serves another namespace already")
        self._namespace = namespace
        self._clock = clock
        if not self._given:
            self.label = label
        self._store: Store = (Store if envelope.secret is None else SignedStore)(
            namespace,
            self.label,
            self._ttl,
            envelope,
            clock,
            cluster=self._target.kind == "cluster",
            on_trouble=on_trouble,
        )
        self._signed = self._store if isinstance(self._store, SignedStore) else None
        # Called when a connection is made: another server may have another clock.
        self._clients.limits.on_connect = self._store.server.renew
        self._clients.limits.largest = envelope.largest
        self._link = Link(self._clients, clock, self._lease, self.label or str(self._target))

    @property
    def link(self) -> Link:
        """The way to the servers.

        Raises:
            ConfigurationError: No runtime has bound the tier yet.
        """
        if self._link is None:
            raise ConfigurationError("tiers", f"{self!r} is used before a runtime has bound it")
        return self._link

    @property
    def channel(self) -> str:
        """The name under which this namespace broadcasts what became void."""
        _ = self.link  # bound, or an error that says so
        return self._store.channel

    def listener(self, attempt: int) -> tuple[Any, list[Callable[[], Any]]]:
        """Return a new blocking client for one subscription, and what to call to release it.

        Args:
            attempt: Counts up; each attempt takes the next of the nodes that the URL names.
        """
        return self._clients.listener(attempt)

    # The two faces ------------------------------------------------------------------------------

    def get(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """Return the entry, or None, and a mark for a later :meth:`set`."""
        link = self._link or self.link
        store = self._store
        if tags or store.server.due():
            return link.walk(store.look(key, tags))
        if (signed := self._signed) is not None:
            if not self._cluster:
                found = signed.read_plain(key, link.do(READING, mget, signed.names(key)))
                if found is not None:
                    return found
            return link.walk(store.look(key, tags))
        plain = store.plain
        data = link.do(READING, self._fetch, store.prefix + key.hex())
        return store.read(key, data, plain)

    async def aget(self, key: bytes, tags: Sequence[str] = ()) -> tuple[Entry | None, Mark]:
        """As :meth:`get`."""
        link = self._link or self.link
        store = self._store
        if tags or store.server.due():
            return await link.awalk(store.look(key, tags))
        if (signed := self._signed) is not None:
            if not self._cluster:
                found = signed.read_plain(key, await link.ado(READING, mget, signed.names(key)))
                if found is not None:
                    return found
            return await link.awalk(store.look(key, tags))
        plain = store.plain
        data = await link.ado(READING, self._afetch, store.prefix + key.hex())
        return store.read(key, data, plain)

    def set(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """Keep the entry for ``ttl`` seconds, but never past its ``stale_until``."""
        self.link.walk(self._store.keep({key: entry}, mark))

    async def aset(self, key: bytes, entry: Entry, mark: Mark = None) -> None:
        """As :meth:`set`."""
        await self.link.awalk(self._store.keep({key: entry}, mark))

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Entry]:
        """Return those entries that are there, whatever their tags."""
        return self._walk_many(self._store.look_many, list(keys))

    async def aget_many(self, keys: Iterable[bytes]) -> dict[bytes, Entry]:
        """As :meth:`get_many`."""
        return await self._awalk_many(self._store.look_many, list(keys))

    def set_many(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep the entries, as computed now."""
        self._walk_many(self._store.keep, entries, None)

    async def aset_many(self, entries: Mapping[bytes, Entry]) -> None:
        """As :meth:`set_many`."""
        await self._awalk_many(self._store.keep, entries, None)

    def delete(self, key: bytes) -> None:
        """Forget the key, and void every earlier mark of it for ten minutes."""
        self.delete_many([key])

    async def adelete(self, key: bytes) -> None:
        """As :meth:`delete`."""
        await self.adelete_many([key])

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """As :meth:`delete`, for many keys in one go."""
        self._walk_many(self._store.bury_many, keys)

    async def adelete_many(self, keys: Sequence[bytes]) -> None:
        """As :meth:`delete_many`."""
        await self._awalk_many(self._store.bury_many, keys)

    def invalidate(self, tags: Sequence[str]) -> None:
        """Forget every entry that carries one of the tags, and void earlier marks."""
        self._walk_many(self._store.restamp, tags)

    async def ainvalidate(self, tags: Sequence[str]) -> None:
        """As :meth:`invalidate`."""
        await self._awalk_many(self._store.restamp, tags)

    def tags_in_use(self, tags: Sequence[str]) -> list[str]:
        """Return those of the tags under which something may be kept."""
        return self.link.walk(self._store.tags_in_use(tags))

    def clear(self) -> None:
        """Forget everything of this namespace and label."""
        self.link.walk(self._store.clear(), self._scan)

    async def aclear(self) -> None:
        """As :meth:`clear`."""
        await self.link.awalk(self._store.clear(), self._scan)

    def _walk_many(self, operation: Callable[..., Work[Answer]], many: Any, *more: Any) -> Answer:
        link = self.link
        return link.walk(operation(many, *more), link.clients.slow * chunks(len(many)))

    async def _awalk_many(
        self, operation: Callable[..., Work[Answer]], many: Any, *more: Any
    ) -> Answer:
        link = self.link
        return await link.awalk(operation(many, *more), link.clients.slow * chunks(len(many)))

    def expire(
        self, keys: Sequence[bytes], tags: Sequence[str], moment: float, *, everything: bool
    ) -> None:
        """Note an invalidation by another process; without a secret nothing needs to be noted.

        Args:
            keys: Keys of entries.
            tags: Tags of entries.
            moment: Seconds since the epoch at which it began, by the server's clock.
            everything: Whether all entries are void.
        """
        _ = self.link  # bound, or an error that says so
        if self._signed is not None:
            self._signed.expire(keys, tags, moment, everything=everything)

    def close(self) -> None:
        """Release every client, those of running loops within a second; used again, it reopens."""
        self._clients.close()

    async def aclose(self) -> None:
        """As :meth:`close`."""
        await self._clients.aclose()

    def send(self, *command: Any) -> Any:
        """Run one command that needs no server for writes, and return its reply."""
        return self.link.do(READING, one, command)

    async def asend(self, *command: Any) -> Any:
        """As :meth:`send`."""
        return await self.link.ado(READING, one, command)

    def ping(self) -> None:
        """Return if the server answers, else raise TierError."""
        self.send("PING")

    async def aping(self) -> None:
        """As :meth:`ping`."""
        await self.asend("PING")

    def write_check(self) -> None:
        """Return if an entry can be written and deleted, else raise TierError."""
        self.link.walk(self._store.try_write())

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
        """Tell what the whole namespace keeps here, in this tier and in those of other labels.

        Besides what the tier itself needs, the server's user needs STRLEN, PTTL and, for true
        sizes, MEMORY.

        Args:
            seconds: When to stop, at least one round trip after the start. Default None: at the
                end.
            measure: Whether to ask for sizes and lives. Default True.

        Raises:
            TierError: The server could not be reached, or refused.
        """
        link = self.link
        prefix = self._store.prefix
        root = prefix[: prefix.rindex(":", 0, -1) + 1]
        cluster = self._target.kind == "cluster"
        work = survey(root, cluster=cluster, seconds=seconds, measure=measure)
        return link.walk(work, self._scan)

    def raw(self, key: bytes) -> tuple[bytes | None, float | None]:
        """Return what is stored under a key, as it is, and the seconds that it has left.

        The first eight bytes are a generation, the rest is an envelope; a deletion leaves a
        generation alone. None: there is nothing, or nothing that ends it.

        Raises:
            TierError: The server could not be reached, or refused.
        """
        _ = self.link  # bound, or an error that says so
        name = self._store.prefix + key.hex()
        data = self.send("GET", name)
        left = self.send("PTTL", name)
        return data, left / 1000 if left >= 0 else None

    def secret_problem(self) -> str | None:
        """Return what keeps this tier's secret from fitting what is kept here, or None.

        Raises:
            TierError: The server could not be reached, or refused.
        """
        _ = self.link  # bound, or an error that says so
        space = self.send("GET", self._store.space_name)
        if self._signed is None:
            return None if space is None else "is needed: what is kept here is signed"
        if space is None:
            return "is set, but what is kept here was written without a secret"
        return None if self._signed.is_own(space) else "is not the one that signs what is kept here"

    def moment(self) -> float:
        """Return the server's time as far as it is known, without asking for it."""
        _ = self.link  # bound, or an error that says so
        return self._store.server.moment()

    def now(self) -> float:
        """Return the server's time, which is that of the entries in :meth:`raw`.

        Raises:
            TierError: The server could not be reached.
        """
        self.link.walk(self._store.ask_time())
        return self._clock.monotonic() + self._store.server.offset

    def _after_fork(self) -> None:
        self._clients.forget()
        if self._link is not None:
            self._link.after_fork()


def _rebuild(kind: type[Redis], options: dict[str, Any]) -> Redis:
    return kind(**options)


def _after_fork() -> None:
    for tier in list(_tiers):
        tier._after_fork()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
