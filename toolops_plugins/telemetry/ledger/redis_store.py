"""A ledger in Redis or Valkey: standalone, with Sentinel, or a cluster.

All keys of a namespace have one hash tag, so they lie in one slot of a cluster and one script adds
a batch: either all of it or, where the server refuses (such as one that is out of memory), nothing.
They begin with ``toolops:{namespace}:ledger:``, beside the keys of tiers, whose namespace has no
braces. What is too old expires by itself, by the server's clock. A sorted set beside them lists the
namespaces.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import quote

import orjson

from toolops_plugins.cache.operation_deadline import until
from toolops_plugins.cache.redis.clients import Clients
from toolops_plugins.cache.redis.server_time import tell_time
from toolops_plugins.cache.redis.url import Target, parse
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.telemetry.ledger.levels import DAY, retention_of
from toolops_plugins.telemetry.ledger.records import (
    Command,
    LedgerError,
    ProcessState,
    StoredNotice,
)
from toolops_plugins.telemetry.ledger.store import (
    COMMAND_SECONDS,
    MOST_NOTICES,
    NOT_WRITTEN,
    NOTICE_SECONDS,
    PROCESS_SECONDS,
    VERSION,
    Batch,
    by_level,
)
from toolops_plugins.telemetry.ledger.sums import Cell

if TYPE_CHECKING:
    from toolops_plugins.cache.redis import Redis

__all__ = ["RedisStore"]

Answer = TypeVar("Answer")

_NAMESPACES: Final = "toolops:{ledger}:namespaces"
_SOCKET_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 0.5
_SLOW_SECONDS: Final = 10.0
"""Seconds in which a reader's whole request must end."""
_CHUNK: Final = 200
"""Hashes in one request of a reader."""
_NAMESPACES_EVERY: Final = 3_600.0
"""Seconds between two entries of a writer's namespace in the list."""
_TIME_EVERY: Final = 10.0
"""Seconds between two questions for the server's time."""

# KEYS: meta, serials, states, seen, notices, commands, then the hashes of sums.
# ARGV: version, retention, writer, serial, state, now, seconds of commands, of notices, of writers,
# maximum of notices, number of notices, (time, notice)*, and for each hash its end, its number of
# fields, and (field, record)*.
# Returns the version, the commands, and whether there was a ledger of this namespace.
_ADD: Final = """
local known = redis.call('HGET', KEYS[1], 'version')
local version = tonumber(known or ARGV[1])
if version > tonumber(ARGV[1]) then return {version, {}, 1} end
local writer, serial, now = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[6])
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'retention', ARGV[2])
if serial > tonumber(redis.call('HGET', KEYS[2], writer) or '0') then
  local at = 12
  for _ = 1, tonumber(ARGV[11]) do
    redis.call('ZADD', KEYS[5], ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  for k = 7, #KEYS do
    local stop, fields = ARGV[at], tonumber(ARGV[at + 1])
    at = at + 2
    for _ = 1, fields do
      local record = ARGV[at + 1]
      local held = redis.call('HGET', KEYS[k], ARGV[at])
      if held then
        local sums = cjson.decode(held)
        for group, numbers in pairs(cjson.decode(record)) do
          local mine = sums[group]
          if mine then
            for name, number in pairs(numbers) do mine[name] = (mine[name] or 0) + number end
          else
            sums[group] = numbers
          end
        end
        record = cjson.encode(sums)
      end
      redis.call('HSET', KEYS[k], ARGV[at], record)
      at = at + 2
    end
    redis.call('EXPIREAT', KEYS[k], stop)
  end
  redis.call('HSET', KEYS[2], writer, serial)
end
redis.call('HSET', KEYS[3], writer, ARGV[5])
redis.call('ZADD', KEYS[4], now, writer)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - tonumber(ARGV[9]))) do
  redis.call('HDEL', KEYS[2], old)
  redis.call('HDEL', KEYS[3], old)
  redis.call('ZREM', KEYS[4], old)
end
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now - tonumber(ARGV[8]))
redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - tonumber(ARGV[10]))
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now - tonumber(ARGV[7]))
return {version, redis.call('ZRANGE', KEYS[6], 0, -1), known and 1 or 0}
"""


class _Keys:
    """The names of a namespace's keys."""

    def __init__(self, namespace: str) -> None:
        # Quoted text has no brace, so the hash tag is the whole namespace.
        self.root = f"toolops:{{{quote(namespace, '', errors='surrogatepass')}}}:ledger:"
        self.meta = f"{self.root}meta"
        self.states = f"{self.root}states"
        self.seen = f"{self.root}seen"
        self.notices = f"{self.root}notices"
        self.commands = f"{self.root}commands"
        self.common = [
            self.meta, f"{self.root}serials", self.states, self.seen, self.notices, self.commands,
        ]  # fmt: skip

    def sums(self, level: int, at: int) -> str:
        return f"{self.root}{level}:{at}"


class RedisStore:
    """A ledger in Redis. Safe to use from any threads; a forked child connects anew.

    Args:
        clients: Opens the connections.
        target: The servers.
        retention: Seconds for which a day's sums are kept, for a writer. Default 400 days.
        read_only: Whether there must be a ledger already. Default False.
    """

    def __init__(
        self,
        clients: Clients,
        target: Target,
        retention: float = 400 * DAY,
        *,
        read_only: bool = False,
    ) -> None:
        self.place = str(target)
        self._clients = clients
        self._seconds = _SLOW_SECONDS if read_only else clients.slow
        self._own_retention = retention_of(retention)
        self._lock = fork_safe(self, threading.RLock())
        self._pid = os.getpid()
        self._offset: float | None = None
        self._asked = 0.0
        self._listed: dict[str, float] = {}
        if read_only:
            self._check()

    @classmethod
    def of_url(cls, url: str, retention: float = 400 * DAY, *, read_only: bool = False) -> Self:
        """Return the ledger of a URL.

        Raises:
            ConfigurationError: The URL is invalid.
            LedgerError: There is no ledger yet, or it cannot be read; for ``read_only``.
        """
        target = parse(url)
        options = dict(target.options)
        quick = options.pop("socket_timeout", _SOCKET_SECONDS)
        connecting = options.pop("socket_connect_timeout", _CONNECT_SECONDS)
        options.pop("max_connections", None)
        target = replace(target, options=options)
        clients = Clients(target, quick, connecting, 1, 2, {})
        return cls(clients, target, retention, read_only=read_only)

    @classmethod
    def of_tier(cls, tier: Redis, retention: float = 400 * DAY) -> Self:
        """Return the ledger on the servers of a tier, with connections of its own."""
        target, clients = tier.make_clients(_SOCKET_SECONDS, _CONNECT_SECONDS)
        return cls(clients, target, retention)

    def now(self) -> float:
        """Return the server's time in seconds since the epoch, asked for every few seconds."""
        offset = self._offset
        if offset is None or time.monotonic() - self._asked > _TIME_EVERY:
            learned = self._run(lambda client: tell_time(client, _NAMESPACES))
            # A server that refuses TIME: then hosts must agree on the time.
            offset = time.time() - time.monotonic() if learned is None else float(learned[0])
            self._offset, self._asked = offset, time.monotonic()
        return time.monotonic() + offset

    def retention(self) -> Mapping[int, int]:
        """Return the seconds for which the last writer of any namespace keeps each level."""
        longest = [self._check_version(*self._meta(name)) for name in self._namespaces()]
        return retention_of(max((each for each in longest if each), default=400 * DAY))

    def add(self, batch: Batch) -> Sequence[Command]:
        """Add a batch by one script, and return the commands for its namespace."""
        now = self.now()
        namespace = batch.state.namespace
        keys = _Keys(namespace)
        names = list(keys.common)
        arguments: list[Any] = [
            VERSION, self._own_retention[DAY], batch.writer, batch.serial,
            orjson.dumps(batch.state.to_record()), repr(now),
            COMMAND_SECONDS, NOTICE_SECONDS, DAY, MOST_NOTICES, len(batch.notices),
        ]  # fmt: skip
        for number, notice in enumerate(batch.notices):
            # Members of a set are different, also those of equal notices.
            record = notice.to_record() | {"id": f"{batch.writer}.{batch.serial}.{number}"}
            arguments += (repr(notice.at), orjson.dumps(record))
        hashes: dict[tuple[int, int], list[Any]] = {}
        for (level, at, cell), record in by_level(batch.sums, now, self._own_retention).items():
            fields = hashes.setdefault((level, at), [])
            fields += (orjson.dumps(cell[1:]), orjson.dumps(record))
        for (level, at), fields in hashes.items():
            names.append(keys.sums(level, at))
            # Readers may still ask for the last record that a moment ago was young enough.
            stop = at + self._own_retention[level] + 3 * level
            arguments += (stop, len(fields) // 2, *fields)
        version, commands, known = self._run(
            lambda client: client.eval(_ADD, len(names), *names, *arguments)
        )
        self._check_version(version, None)
        # In another slot of a cluster, so by itself; again after the server has lost its memory.
        if not known or now - self._listed.get(namespace, 0.0) > _NAMESPACES_EVERY:
            self._run(lambda client: client.zadd(_NAMESPACES, {namespace: now}))
            self._listed[namespace] = now
        return Command.from_json(commands)

    def read(
        self, level: int, start: int, end: int, namespace: str | None = None
    ) -> Iterator[tuple[int, Cell, bytes]]:
        """Return the records of a level that begin in a span: time, cell and JSON."""
        cells: dict[bytes, Cell] = {}
        for name in self._namespaces() if namespace is None else [namespace]:
            keys = _Keys(name)
            times = range(start, end, level)
            for first in range(0, len(times), _CHUNK):
                some = times[first : first + _CHUNK]
                hashes = self._many([("HGETALL", keys.sums(level, at)) for at in some])
                for at, fields in zip(some, hashes, strict=True):
                    for field, record in _pairs(fields):
                        cell = cells.get(field)
                        if cell is None:
                            cell = cells[field] = Cell(name, *orjson.loads(field))
                        yield at, cell, record
                cells = {} if len(cells) > 100_000 else cells

    def processes(self) -> list[ProcessState]:
        """Return the processes that have written of late."""
        since = self.now() - PROCESS_SECONDS
        found = []
        for name in self._namespaces():
            keys = _Keys(name)
            seen, states = self._many(
                [
                    ("ZRANGEBYSCORE", keys.seen, repr(since), "+inf", "WITHSCORES"),
                    ("HGETALL", keys.states),
                ]
            )
            records = dict(_pairs(states))
            for writer, at in _pairs(seen):
                if writer in records:
                    state = orjson.loads(records[writer]) | {"seen": float(at)}
                    found.append(ProcessState.from_record(state))
        return found

    def notices(self, since: float, until: float, limit: int) -> list[StoredNotice]:
        """Return the latest notices of a span, latest first."""
        found: list[StoredNotice] = []
        for name in self._namespaces():
            (records,) = self._many(
                [
                    (
                        "ZREVRANGEBYSCORE", _Keys(name).notices, repr(until), repr(since),
                        "LIMIT", 0, limit,
                    )
                ]
            )  # fmt: skip
            found += (StoredNotice.from_record(orjson.loads(record)) for record in records)
        return sorted(found, key=lambda notice: -notice.at)[:limit]

    def send(self, command: Command) -> None:
        """Store a command for the processes of its namespace."""
        keys = _Keys(command.namespace)
        record = orjson.dumps(command.to_record())

        def store(client: Any) -> None:
            client.zadd(keys.commands, {record: command.sent})
            client.expire(keys.commands, int(2 * COMMAND_SECONDS))

        self._run(store)

    def close(self) -> None:
        """Release connections; the next operation opens them again."""
        with self._lock:
            if self._pid == os.getpid():
                self._clients.close()

    # -- the servers -----------------------------------------------------------------------------

    def _check(self) -> None:
        names = self._namespaces()
        if not names:
            raise LedgerError(f"{self.place}: there is no ledger; {NOT_WRITTEN}")
        for name in names:
            self._check_version(*self._meta(name))

    def _namespaces(self) -> list[str]:
        found = self._run(lambda client: client.zrange(_NAMESPACES, 0, -1))
        return [name.decode("utf-8", "surrogateescape") for name in found]

    def _meta(self, namespace: str) -> tuple[Any, Any]:
        ((version, retention),) = self._many(
            [("HMGET", _Keys(namespace).meta, "version", "retention")]
        )
        return version, retention

    def _check_version(self, version: Any, retention: Any) -> float | None:
        """Return the retention, unless the ledger is of a newer version."""
        if version is not None and int(version) > VERSION:
            raise LedgerError(
                f"{self.place}: the ledger has version {int(version)}, and this release of "
                f"toolops-plugins knows {VERSION}; upgrade it, or name another place"
            )
        return None if retention is None else float(retention)

    def _many(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Run commands that read in one request, and return their replies."""

        def run(client: Any) -> Any:
            pipeline = client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return pipeline.execute()

        replies: list[Any] = self._run(run)
        return replies

    def _run(self, action: Callable[[Any], Answer]) -> Answer:
        with self._lock, _clear_errors(self.place), until(time.monotonic() + self._seconds):
            if self._pid != os.getpid():
                self._clients.forget()
                self._pid = os.getpid()
            return action(self._clients.open())


def _pairs(reply: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs of a reply, which is a flat list, a list of pairs, or a dictionary."""
    if isinstance(reply, dict):
        yield from reply.items()
    elif reply and isinstance(reply[0], tuple | list):
        yield from map(tuple, reply)
    else:
        flat = iter(reply)
        yield from zip(flat, flat, strict=True)


@contextmanager
def _clear_errors(place: str) -> Iterator[None]:
    """Turn errors of redis-py into one clear line."""
    from redis import RedisError  # noqa: PLC0415 - redis is imported on first use

    try:
        yield
    except (RedisError, OSError) as error:
        text = " ".join(str(error).split())[:300]
        raise LedgerError(f"{place}: {type(error).__name__}{': ' if text else ''}{text}") from error
