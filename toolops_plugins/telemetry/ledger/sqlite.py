"""A ledger in a SQLite file, for the processes of one host."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import orjson

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.telemetry.ledger.levels import DAY, LEVELS, retention_of
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
    Record,
    add_record,
    by_level,
)
from toolops_plugins.telemetry.ledger.sums import Cell

__all__ = ["SQLiteStore"]

_APPLICATION: Final = 0x544F4C47
"""The mark of a ledger in the header of its file: "TOLG"."""

_BUSY_SECONDS: Final = 5.0
"""Seconds to wait for another process that writes."""

_PRUNE_SECONDS: Final = 60.0
_DOUBT_SECONDS: Final = 3_600.0
"""Seconds for which nothing is dropped after time has passed by more than a day at once: the clock
may be wrong, and is likely to be set right soon."""

# A record is found by its time, since all readers ask for a span; WITHOUT ROWID stores it there.
_SCHEMA: Final = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cell (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL, tool TEXT NOT NULL, kind TEXT NOT NULL,
    model TEXT NOT NULL, agent TEXT NOT NULL,
    UNIQUE (namespace, tool, kind, model, agent)
);
CREATE TABLE sums (
    level INTEGER NOT NULL, time INTEGER NOT NULL, cell INTEGER NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (level, time, cell)
) WITHOUT ROWID;
CREATE TABLE process (
    id TEXT PRIMARY KEY, serial INTEGER NOT NULL, seen REAL NOT NULL, record BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE notice (at REAL NOT NULL, record BLOB NOT NULL);
CREATE INDEX notice_at ON notice (at);
CREATE TABLE command (
    id TEXT PRIMARY KEY, namespace TEXT NOT NULL, sent REAL NOT NULL, record BLOB NOT NULL
) WITHOUT ROWID;
"""

_inherited: list[sqlite3.Connection] = []
"""In a forked child, the connections of its parent. Closing them would release its locks."""


class SQLiteStore:
    """A ledger in a file. Safe to use from any threads and, by SQLite's locks, any processes.

    The file is opened with the first operation, and anew in a forked child. It needs a local disk:
    SQLite's locks do not work on most network file systems.

    Args:
        path: The file. A writer makes it.
        retention: Seconds for which a day's sums are kept, for a writer. Default 400 days.
        read_only: Whether it is opened for reading, and must exist. Default False.
    """

    def __init__(
        self, path: Path, retention: float = 400 * DAY, *, read_only: bool = False
    ) -> None:
        self.place = f"sqlite:///{path}"
        self._path = path
        self._own_retention = retention_of(retention)
        self._read_only = read_only
        self._lock = fork_safe(self, threading.RLock())
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._cells: dict[int, Cell] = {}
        self._file: tuple[int, int] | None = None
        self._next_prune = 0.0
        self._latest: float | None = None
        if read_only:
            with self._open():
                pass

    def now(self) -> float:
        """Return this host's time in seconds since the epoch."""
        return time.time()

    def retention(self) -> Mapping[int, int]:
        """Return the seconds for which the last writer keeps each level."""
        with self._open() as connection:
            row = connection.execute("SELECT value FROM setting WHERE name = 'retention'")
            found = row.fetchone()
        return self._own_retention if found is None else retention_of(float(found[0]))

    def add(self, batch: Batch) -> Sequence[Command]:
        """Add a batch in one transaction, and return the commands for its namespace."""
        now = self.now()
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._add(connection, batch, now)
                self._prune_in_time(connection, now)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have rolled it back already
                    connection.execute("ROLLBACK")
                raise
            rows = connection.execute(
                "SELECT record FROM command WHERE namespace = ? AND sent >= ?",
                (batch.state.namespace, now - COMMAND_SECONDS),
            )
            return Command.from_json(record for (record,) in rows)

    def _add(self, connection: sqlite3.Connection, batch: Batch, now: float) -> None:
        serial = connection.execute(
            "SELECT serial FROM process WHERE id = ?", (batch.writer,)
        ).fetchone()
        if serial is None or serial[0] < batch.serial:
            self._add_sums(connection, by_level(batch.sums, now, self._own_retention))
            connection.executemany(
                "INSERT INTO notice VALUES (?, ?)",
                [(notice.at, orjson.dumps(notice.to_record())) for notice in batch.notices],
            )
        connection.execute(
            "INSERT OR REPLACE INTO process VALUES (?, ?, ?, ?)",
            (batch.writer, batch.serial, now, orjson.dumps(batch.state.to_record())),
        )

    def _add_sums(
        self, connection: sqlite3.Connection, sums: Mapping[tuple[int, int, Cell], Record]
    ) -> None:
        # Numbers of cells are not remembered: another process may have dropped unused ones.
        ids: dict[Cell, int] = {}
        changed = []
        for (level, at, cell), record in sums.items():
            number = ids.get(cell)
            if number is None:
                number = ids[cell] = _cell_id(connection, cell)
            found = connection.execute(
                "SELECT record FROM sums WHERE level = ? AND time = ? AND cell = ?",
                (level, at, number),
            ).fetchone()
            total = record
            if found is not None:
                total = orjson.loads(found[0])
                add_record(total, record)
            changed.append((level, at, number, orjson.dumps(total)))
        connection.executemany("INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?)", changed)

    def _prune_in_time(self, connection: sqlite3.Connection, now: float) -> None:
        latest = self._latest
        if latest is None:  # that of all processes
            (latest,) = connection.execute(
                "SELECT max(seen) FROM process WHERE seen < ?", (now,)
            ).fetchone()
        self._latest = now
        if latest is not None and now - latest > DAY:
            self._next_prune = now + _DOUBT_SECONDS
        if now < self._next_prune < now + 2 * _DOUBT_SECONDS:
            return
        self._prune(connection, now)
        self._next_prune = now + _PRUNE_SECONDS

    def _prune(self, connection: sqlite3.Connection, now: float) -> None:
        for level in LEVELS:
            # Readers may still ask for the last record that a moment ago was young enough.
            until = now - self._own_retention[level] - 2 * level
            connection.execute("DELETE FROM sums WHERE level = ? AND time < ?", (level, until))
        connection.execute("DELETE FROM notice WHERE at < ?", (now - NOTICE_SECONDS,))
        connection.execute(
            "DELETE FROM notice WHERE rowid <= (SELECT max(rowid) FROM notice) - ?",
            (MOST_NOTICES,),
        )
        connection.execute("DELETE FROM command WHERE sent < ?", (now - COMMAND_SECONDS,))
        # The serial of a writer that is only slow must not be forgotten.
        connection.execute("DELETE FROM process WHERE seen < ?", (now - DAY,))

    def read(
        self,
        level: int,
        start: int,
        end: int,
        namespace: str | None = None,  # noqa: ARG002 - one file is read at once
    ) -> Iterator[tuple[int, Cell, bytes]]:
        """Return the records of a level that begin in a span: time, cell and JSON."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT time, cell, record FROM sums WHERE level = ? AND time >= ? AND time < ?",
                (level, start, end),
            ).fetchall()
            if any(number not in self._cells for _, number, _ in rows):
                found = connection.execute("SELECT * FROM cell").fetchall()
                self._cells = {number: Cell(*names) for number, *names in found}
        cells = self._cells
        return ((at, cells[number], record) for at, number, record in rows)

    def processes(self) -> list[ProcessState]:
        """Return the processes that have written of late."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT seen, record FROM process WHERE seen >= ?",
                (self.now() - PROCESS_SECONDS,),
            ).fetchall()
        return [
            ProcessState.from_record(orjson.loads(record) | {"seen": seen}) for seen, record in rows
        ]

    def notices(self, since: float, until: float, limit: int) -> list[StoredNotice]:
        """Return the latest notices of a span, latest first."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT record FROM notice WHERE at >= ? AND at <= ? ORDER BY at DESC LIMIT ?",
                (since, until, limit),
            ).fetchall()
        return [StoredNotice.from_record(orjson.loads(record)) for (record,) in rows]

    def send(self, command: Command) -> None:
        """Store a command for the processes of its namespace."""
        row = (command.id, command.namespace, command.sent, orjson.dumps(command.to_record()))
        # A reader's own connection must not write, so that nothing but this can.
        with _clear_errors(self.place):
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw", timeout=_BUSY_SECONDS, uri=True
            )
            try:
                with connection:
                    connection.execute("INSERT INTO command VALUES (?, ?, ?, ?)", row)
            finally:
                connection.close()

    def close(self) -> None:
        """Close the file; the next operation opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None and self._pid == os.getpid():
                with suppress(sqlite3.Error):
                    connection.close()

    # -- the file --------------------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection of this process, under the lock."""
        with self._lock, _clear_errors(self.place):
            if self._pid != os.getpid() and self._connection is not None:
                _inherited.append(self._connection)
                self._connection = None
            self._pid = os.getpid()
            if self._connection is not None and self._file != _identity(self._path):
                self.close()  # somebody has deleted the file, or put another one in its place
            if self._connection is None:
                self._connection = self._connect()
                self._file = _identity(self._path)
            yield self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._read_only and not self._path.exists():
            raise LedgerError(f"{self.place}: there is no such file; {NOT_WRITTEN}")
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode={'ro' if self._read_only else 'rwc'}",
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check that the file is a ledger, and make it one if it is new."""
        if self._read_only:
            self._check(connection)
            return
        # A process that is killed loses nothing then; a host that loses power, its last writes.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _is_empty(connection):
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            self._check(connection)
            connection.execute(
                "INSERT OR REPLACE INTO setting VALUES ('retention', ?)",
                (str(self._own_retention[DAY]),),
            )
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _check(self, connection: sqlite3.Connection) -> None:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if mark != _APPLICATION:
            raise LedgerError(f"{self.place}: the file is no ledger")
        if version > VERSION:
            raise LedgerError(
                f"{self.place}: the ledger has version {version}, and this release of "
                f"toolops-plugins knows {VERSION}; upgrade it, or name another file"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one at its path; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return not tables


def _cell_id(connection: sqlite3.Connection, cell: Cell) -> int:
    query = (
        "SELECT id FROM cell WHERE namespace = ? AND tool = ? AND kind = ? AND model = ?"
        " AND agent = ?"
    )
    found = connection.execute(query, cell).fetchone()
    if found is None:
        connection.execute(
            "INSERT INTO cell (namespace, tool, kind, model, agent) VALUES (?, ?, ?, ?, ?)", cell
        )
        found = connection.execute(query, cell).fetchone()
    number: int = found[0]
    return number


@contextmanager
def _clear_errors(place: str) -> Iterator[None]:
    """Turn errors of SQLite into one clear line."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"{place}: {error}") from error
