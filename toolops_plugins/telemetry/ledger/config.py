"""The configuration of a ledger."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.signature import is_secret_name
from toolops_plugins.telemetry.ledger.levels import DAY, retention_of
from toolops_plugins.telemetry.ledger.urls import path_of

if TYPE_CHECKING:
    from toolops_plugins.cache.redis import Redis
    from toolops_plugins.telemetry.ledger.store import Store

__all__ = ["Ledger"]


class Ledger:
    """The place of a ledger, and how a runtime writes to it what its calls have counted.

    A background thread writes every few seconds, so a process that is killed loses at most that. It
    holds no argument, result or question: only names of tools, models and agents, numbers, and the
    notices that sinks get. Several processes add up exactly. Calls never wait for it, and go on
    without it while it is out of reach; what they count waits in bounded memory.

    Immutable, and safe to share between runtimes.

    Args:
        url: ``sqlite:///file`` with a path from the working folder, ``sqlite:////file`` with an
            absolute one, for the processes of one host; or the URL of a Redis, as
            :class:`~toolops_plugins.cache.redis.Redis` takes it. Default None: the runtime's first
            Redis tier.
        retention: How long a day's sums are kept, in seconds or as a timedelta. Those of hours are
            kept for 100 days, of ten minutes for 15 and of minutes for two, or as long as this if
            it is shorter. Default 400 days.
        interval: Seconds between two writes, from 0.05 to 10. Default 5.
        allow_commands: Whether readers, such as ``toolops dashboard --allow-actions``, may force
            circuit breakers and invalidate tags. Whoever can write to the ledger can do so then.
            Default False.
        max_pending: Records, of one minute and cell each, that may wait while the ledger is out of
            reach. Default 10,000.

    Raises:
        ConfigurationError: A value is wrong; it names the parameter.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        retention: float | timedelta = 400 * DAY,
        interval: float = 5.0,
        allow_commands: bool = False,
        max_pending: int = 10_000,
    ) -> None:
        self.url = url
        self.retention = check.seconds("retention", retention)
        retention_of(self.retention)
        self.interval = check.seconds("interval", interval)
        if not 0.05 <= self.interval <= 10:
            raise ConfigurationError("interval", f"must be 0.05 to 10 seconds, not {interval!r}")
        self.allow_commands = bool(allow_commands)
        self.max_pending = check.count("max_pending", max_pending, least=100)
        self.place = "the Redis tier"
        """The URL, without user and password."""
        if url is not None:
            path = path_of(url)
            self.place = f"sqlite:///{path}" if path is not None else _parse_redis(url)

    def import_store(self) -> None:
        """Import all that the store needs, so that the thread that writes imports nothing.

        A process that ends cannot import any more, and a fork amid an import leaves half a module
        to the child.
        """
        import_module("email.parser")  # for this package's version
        if self.url is not None and path_of(self.url) is not None:
            import_module("toolops_plugins.telemetry.ledger.sqlite")
            return
        import_module("toolops_plugins.telemetry.ledger.redis_store")
        import_module("toolops_plugins.cache.redis.sockets")
        import_module("toolops_plugins.cache.redis.host_lookup")
        import_module("encodings.idna")  # for names of hosts
        for package in ("redis", "redis.asyncio"):
            for room in (".retry", ".sentinel", ".cluster"):
                import_module(package + room)

    def open_store(self, tier: Redis | None = None) -> Store:
        """Open the store for writing; it connects with its first operation.

        Args:
            tier: The first Redis tier of the runtime, or None.
        """
        path = None if self.url is None else path_of(self.url)
        if path is not None:
            from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore  # noqa: PLC0415 - imports sqlite3

            return SQLiteStore(path, self.retention)
        from toolops_plugins.telemetry.ledger.redis_store import RedisStore  # noqa: PLC0415 - imports redis

        if self.url is not None:
            return RedisStore.of_url(self.url, self.retention)
        if tier is None:
            raise ConfigurationError("ledger", "names no place, and there is no Redis tier")
        return RedisStore.of_tier(tier, self.retention)

    def _identity(self) -> tuple[Any, ...]:
        return self.url, self.retention, self.interval, self.allow_commands, self.max_pending

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"Ledger({self.place!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.url is not None and path_of(self.url) is None and _has_password(self.url):
            raise TypeError(f"{self!r} has a password, which must not be in a pickle")
        return _rebuild, (self._identity(),)


def _parse_redis(url: str) -> str:
    from toolops_plugins.cache.redis.url import parse  # noqa: PLC0415 - not for a file

    try:
        return str(parse(url))
    except ConfigurationError as error:
        problem = error.problem
    raise ConfigurationError(
        "ledger", f"must be sqlite:///file, or the URL of a Redis; as such it {problem}"
    )


def _has_password(url: str) -> bool:
    from toolops_plugins.cache.redis.url import parse  # noqa: PLC0415 - not for a file

    return any(is_secret_name(name) for name in parse(url).options)


def _rebuild(identity: tuple[Any, ...]) -> Ledger:
    url, retention, interval, allow_commands, max_pending = identity
    return Ledger(
        url,
        retention=retention,
        interval=interval,
        allow_commands=allow_commands,
        max_pending=max_pending,
    )
