"""Parsing of Redis URLs, without redis-py, so that an invalid URL is refused at once.

redis-py parses neither several hosts nor the service name of a Sentinel, and reports invalid
options only at the first connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from toolops_plugins.errors import ConfigurationError

__all__ = ["Target", "parse"]

Kind: TypeAlias = Literal["standalone", "unix", "sentinel", "cluster"]

# scheme -> (kind, TLS); valkey is the same protocol under another name
_SCHEMES: dict[str, tuple[Kind, bool]] = {"unix": ("unix", False)}
for _plain, _secure in (("redis", "rediss"), ("valkey", "valkeys")):
    for _suffix, _kind in (("", "standalone"), ("+sentinel", "sentinel"), ("+cluster", "cluster")):
        _SCHEMES[_plain + _suffix] = (_kind, False)  # type: ignore[assignment] # literal of a tuple
        _SCHEMES[_secure + _suffix] = (_kind, True)  # type: ignore[assignment] # literal of a tuple

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_BOOLEANS = frozenset({"ssl_check_hostname", "socket_keepalive"})
_NUMBERS: dict[str, type[int | float]] = {
    "db": int,
    "protocol": int,
    "max_connections": int,
    "socket_timeout": float,
    "socket_connect_timeout": float,
    "health_check_interval": int,
}
# Set by other parts of the URL, or by the tier itself.
_REFUSED = frozenset({"host", "port", "path", "retry", "retry_on_timeout", "decode_responses"})


@dataclass(frozen=True, slots=True)
class Target:
    """The servers to connect to.

    Args:
        kind: The topology.
        nodes: Host and port of the server, of the Sentinels, or of the first cluster nodes to ask.
        tls: Whether connections are encrypted.
        db: The number of the database.
        service: The Sentinel service name of the primary.
        path: The file of a Unix socket.
        options: User name, password and further options for redis-py; never shown.
    """

    kind: Kind
    nodes: tuple[tuple[str, int], ...] = ()
    tls: bool = False
    db: int = 0
    service: str = ""
    path: str = ""
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """Return the URL without user, password and options."""
        if self.kind == "unix":
            return f"unix://{self.path}"
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes
        )
        suffix = "" if self.kind == "standalone" else f"+{self.kind}"
        service = f"/{quote(self.service, safe='')}" if self.service else ""
        return f"redis{'s' if self.tls else ''}{suffix}://{hosts}{service}/{self.db}"


def parse(url: str) -> Target:
    """Parse a Redis URL.

    Args:
        url: ``redis://[user:password@]host[:port][/db]``, ``rediss://`` for TLS,
            ``unix://[user:password@]/path[?db=n]``,
            ``redis+sentinel://host:port,host:port/service[/db]`` or
            ``redis+cluster://host:port,host:port``, each with ``valkey`` for ``redis`` and with
            redis-py's options (``ssl_ca_certs=...``) as its query. User, password, path and
            options are percent-encoded.

    Raises:
        ConfigurationError: The URL is invalid. The error names ``url`` and never shows a password.
    """
    if not isinstance(url, str):
        raise ConfigurationError("url", f"must be a string, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("url", "is no well-formed URL") from None
    if parts.scheme not in _SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise ConfigurationError(
            "url", f"has no known scheme, such as redis://127.0.0.1:6379; known are: {known}"
        )
    kind, tls = _SCHEMES[parts.scheme]
    user, _, place = parts.netloc.rpartition("@")
    options = _credentials(user) | _query(parts)
    db = options.pop("db", None)
    if kind == "unix":
        if place or not parts.path:
            raise ConfigurationError("url", "must be unix:///path/of/the/socket")
        return Target("unix", path=unquote(parts.path), db=_database(db), options=options)
    nodes = _nodes(place, 26379 if kind == "sentinel" else 6379)
    path = [unquote(part) for part in parts.path.split("/") if part]
    service = ""
    if kind == "sentinel":
        if not path:
            raise ConfigurationError("url", "must name the service: redis+sentinel://host/service")
        service = path.pop(0)
    if kind == "standalone" and len(nodes) > 1:
        raise ConfigurationError(
            "url", "names several hosts; use redis+cluster:// or redis+sentinel://"
        )
    if len(path) > 1:
        raise ConfigurationError("url", "has too many parts in its path")
    if path and db is None:
        db = path[0]
    number = _database(db)
    if kind == "cluster" and number:
        raise ConfigurationError("url", "must not name a database: a cluster has only number 0")
    return Target(kind, nodes=nodes, tls=tls, db=number, service=service, options=options)


def _credentials(user: str) -> dict[str, Any]:
    name, _, password = user.partition(":")
    found = {"username": unquote(name), "password": unquote(password)}
    return {key: value for key, value in found.items() if value}


def _nodes(place: str, default: int) -> tuple[tuple[str, int], ...]:
    nodes = []
    for item in place.split(","):
        try:
            one = SplitResult("", item, "", "", "")
            nodes.append((unquote(one.hostname or "localhost"), one.port or default))
        except ValueError:
            raise ConfigurationError("url", "has a port that is no number up to 65535") from None
    return tuple(nodes)


def _query(parts: SplitResult) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name in _REFUSED:
            raise ConfigurationError("url", f"must not set {name!r}")
        try:
            if name in _BOOLEANS:
                options[name] = _TRUTH[text.lower()]
            else:
                options[name] = _NUMBERS.get(name, str)(text)
        except (KeyError, ValueError):
            raise ConfigurationError("url", f"has a wrong value for {name!r}") from None
    return options


def _database(db: Any) -> int:
    try:
        number = int(db or 0)
    except ValueError:
        number = -1
    if number < 0:
        raise ConfigurationError("url", "must name its database by a number of 0 or more")
    return number
