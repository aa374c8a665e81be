"""The URLs of ledgers."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.ledger.store import Store

__all__ = ["open_store", "path_of"]

_SQLITE = "sqlite:///"


def path_of(url: str) -> Path | None:
    """Return the file of a SQLite URL, or None if the URL is of another sort.

    Raises:
        ConfigurationError: It names no file.
    """
    if not isinstance(url, str):
        raise ConfigurationError("ledger", f"must be a URL, not {type(url).__name__}")
    if not url.startswith("sqlite:"):
        return None
    name = unquote(url[len(_SQLITE) :]) if url.startswith(_SQLITE) else ""
    if not name or name == ":memory:":
        raise ConfigurationError(
            "ledger", "must name a file: sqlite:///ledger.db, or sqlite:////var/lib/ledger.db"
        )
    return Path(name).expanduser().absolute()


def open_store(url: str) -> Store:
    """Open the store of a URL for reading.

    Raises:
        ConfigurationError: It is no URL of a ledger.
        LedgerError: The ledger is out of reach, of a newer version, or no ledger.
    """
    path = path_of(url)
    if path is None:
        from toolops_plugins.telemetry.ledger.redis_store import RedisStore  # noqa: PLC0415 - imports redis

        try:
            return RedisStore.of_url(url, read_only=True)
        except ConfigurationError as error:
            problem = error.problem
        raise ConfigurationError(
            "ledger", f"must be sqlite:///file, or the URL of a Redis; as such it {problem}"
        )
    from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore  # noqa: PLC0415 - imports sqlite3

    return SQLiteStore(path, read_only=True)
