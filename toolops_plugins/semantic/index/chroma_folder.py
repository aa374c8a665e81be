"""Embedded folders of Chroma, with one client and one lock for each folder of this process.

Chroma writes the files of its vector index in place. A process that is killed meanwhile leaves them
torn, and the next load raises or crashes the process (chroma-core/chroma issues 7238 and 7678, with
1.5.9). Everything else is in SQLite and safe. So the lock file records a running write; if there
was one, the torn files are removed before Chroma reads them, and the index is rebuilt from the
vectors in the metadata by :meth:`~toolops_plugins.semantic.index.chroma.Store.rebuild`.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.semantic.index.chroma_folder_lock import (
    FolderError,
    FolderLock,
    find_holder,
)
from toolops_plugins.semantic.index.folder_warnings import note_free, warn_in_use
from toolops_plugins.telemetry.log import write_line

__all__ = [
    "LAYOUT",
    "STATE",
    "Folder",
    "enter",
    "index_files",
    "is_corrupt",
    "warn_if_in_use",
]

_DATABASE = "chroma.sqlite3"
_PARTS = re.compile(
    rf"{re.escape(_DATABASE)}(-\w+)?|[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}"
)
"""The names in a folder of Chroma: the database with its logs, and a folder for each index."""
_CORRUPT = re.compile(r"code: (11|26)\b|is malformed|not a database", re.IGNORECASE)
"""SQLite's messages for a corrupt database: SQLITE_CORRUPT and SQLITE_NOTADB."""
_CHECKED = 256 * 1024 * 1024
"""Largest database, in bytes, that is checked before Chroma opens it."""

LAYOUT = "toolops_layout"
"""The key in the metadata of our collections of entries."""
STATE = "toolops_state"
"""The key in the metadata of our collections of learned state."""


class Folder:
    """An open embedded folder, created by :func:`enter`. Safe to use from any threads.

    Args:
        path: The folder, without links in its path; None for a client in memory.
        client: The user's client; None: a new one.
    """

    def __init__(self, path: Path | None, client: Any) -> None:
        self.path = path
        self.aside: Path | None = None
        """The folder to which a corrupt database was moved, or None."""
        self.users = 1
        self._own = client is None
        self._changing = fork_safe(self, threading.RLock(), "_changing")
        self._lock = None if path is None else FolderLock(path)
        try:
            if path is not None and self._lock is not None and self._lock.torn:
                self._lock.mend(self._lock.stale | set(_drop_torn_files(path)))
            self.client = client or self._make_client()
        except BaseException:
            self._unlock()
            raise

    def _make_client(self) -> Any:
        """Return a new client, with a new database if the old one is corrupt."""
        if self.path is not None and _has_damage(self.path):
            self._set_aside()
        try:
            return _make_client(self.path)
        except FolderError as error:
            if self.path is None or not is_corrupt(error):
                raise
        self._set_aside()
        return _make_client(self.path)

    def _set_aside(self) -> None:
        path, lock = self.path, self._lock
        if path is None or lock is None:
            return
        self.aside = _set_files_aside(path)
        lock.mend(set())
        write_line(
            "toolops_plugins.semantic",
            "The semantic index in %(folder)s is corrupt; it was set aside as %(aside)s, and a new"
            " one begins",
            folder=path,
            aside=self.aside,
        )

    def replace(self) -> bool:
        """Replace a corrupt database by a new one; return whether that was possible."""
        with _opening:
            if self.path is None or not self._own or self.users > 1:
                return False
            with suppress(Exception):  # closing a corrupt database may raise anything
                self.client.close()
            self._set_aside()
            self.client = _make_client(self.path)
            return True

    @contextmanager
    def write_note(self) -> Iterator[None]:
        """Serialise writes, with a note in the folder of the running one.

        Raises:
            TierError: The folder was released.
        """
        with self._changing:
            if not self.users:
                problem = "closed a moment ago"
                raise TierError.of(f"Chroma at {self.path or 'memory'} was {problem}", problem)
            with nullcontext() if self._lock is None else self._lock.write_note():
                yield

    def repair(self) -> bool:
        """Remove broken index files; return whether that was possible."""
        with _opening:
            if self.path is None or self._lock is None or not self._own or self.users > 1:
                return False
            self.client.close()
            self._lock.mend(self._lock.stale | set(_drop_torn_files(self.path)))
            self.client = _make_client(self.path)
            return True

    def renew(self, name: str) -> bool:
        """Remove the index files of a collection for a rebuild; return whether that was possible.

        Chroma never reuses the slot of a deleted entry, in its files or in memory.
        """
        with _opening, self._changing:
            if self.path is None or self._lock is None or not self._own or self.users > 1:
                return False
            # The note first: without its files the collection must not be searched.
            self._lock.mend(self._lock.stale | {name})
            self.client.close()
            for files in index_files(self.path, name):
                shutil.rmtree(files, ignore_errors=True)
            self.client = _make_client(self.path)
            return True

    def is_stale(self, name: str) -> bool:
        """Return whether a collection's index must be rebuilt."""
        return self._lock is not None and name in self._lock.stale

    def note_rebuilt(self, name: str) -> None:
        """Record that a collection's index is complete again."""
        if self._lock is not None and name in self._lock.stale:
            self._lock.mend(self._lock.stale - {name})

    def leave(self) -> None:
        """Release the folder; the last release closes the client, between two writes."""
        with _opening, self._changing:
            self.users -= 1
            if self.users:
                return
            if self.path is not None:
                _folders.pop(self.path, None)
            try:
                if self._own:
                    self.client.close()
            finally:
                self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def abandon(self) -> None:
        """Leave the client and the lock to the parent, in a forked child."""
        self._unlock()
        # Its destructor waits for threads that only the parent has, so it must never run.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.client))


def enter(path: str | os.PathLike[str] | None, client: Any = None) -> Folder:
    """Open a folder, or share the one that is open in this process.

    Args:
        path: The folder; None for a client in memory.
        client: The user's client of the folder; the first one counts.

    Raises:
        ConfigurationError: Another process has it open, or Chroma cannot use it.
    """
    if path is None:
        return Folder(None, client)
    place = Path(path).resolve()
    with _opening:
        folder = _folders.get(place)
        if folder is None:
            folder = _folders[place] = Folder(place, client)
        else:
            folder.users += 1
    note_free(place)
    return folder


def warn_if_in_use(path: Path) -> None:
    """Log once that another process uses a folder, if one does now."""
    try:
        place = path.resolve()
    except (OSError, RuntimeError):  # opening it will say what is wrong
        return
    with _opening:  # a folder that this process is opening is locked already
        if place not in _folders and (error := find_holder(place)) is not None:
            warn_in_use(error)


def index_files(path: Path, name: str) -> list[Path]:
    """Return the folders with the vector index of a collection."""
    query = "SELECT s.id, c.name FROM segments s JOIN collections c ON s.collection = c.id"
    return [
        path / id_
        for id_, owner in _ask(path, f"{query} WHERE s.scope = 'VECTOR'")
        if owner == name
    ]


def _drop_torn_files(path: Path) -> list[str]:
    """Remove the index files of all our collections; return the names of those to rebuild."""
    query = "SELECT c.name, m.key FROM collections c JOIN collection_metadata m"
    query += " ON m.collection_id = c.id"
    ours = [(name, key) for name, key in _ask(path, query) if key in (LAYOUT, STATE)]
    for name, _ in ours:
        for files in index_files(path, name):
            shutil.rmtree(files, ignore_errors=True)
    # Learned state is never searched by vector.
    return [name for name, key in ours if key == LAYOUT]


def _ask(path: Path, query: str) -> list[tuple[str, str]]:
    """Query Chroma's database, which also rolls back the transaction of a killed process."""
    file = path / _DATABASE
    if not file.exists():
        return []
    with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as database:
        return [(str(first), str(second)) for first, second in database.execute(query)]
    return []


def _has_damage(path: Path) -> bool:
    """Return whether SQLite finds the structure of Chroma's database damaged.

    Chroma aborts the process for some of these. The check takes 2 ms a megabyte, so large
    databases are not checked.
    """
    file = path / _DATABASE
    if not file.is_file() or file.stat().st_size > _CHECKED:
        return False
    try:
        with closing(sqlite3.connect(file)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # not reachable now
        return False
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return True
    return str(found).startswith("***")


def _make_client(path: Path | None) -> Any:
    import chromadb  # noqa: PLC0415 - takes a second
    from chromadb.config import Settings  # noqa: PLC0415 - the same

    try:
        return chromadb.PersistentClient(str(path), settings=Settings(anonymized_telemetry=False))
    except ValueError as error:
        if "different settings" in str(error):
            raise ConfigurationError(
                "path",
                f"Chroma cannot open {path}: {error}. A client of that folder was made elsewhere "
                "in this process: give it as `client`",
            ) from error
        raise _unusable(path, error) from error
    except Exception as error:
        raise _unusable(path, error) from error
    except BaseException as error:
        # A panic in Chroma's Rust is none of Python's exceptions.
        if type(error).__name__ != "PanicException":
            raise
        raise _unusable(path, error) from error


def _unusable(path: Path | None, error: BaseException) -> FolderError:
    """Return the error for a folder that Chroma cannot open; it can be opened again."""
    from chromadb.api.shared_system_client import SharedSystemClient  # noqa: PLC0415 - as above

    # Chroma would reuse the incomplete client.
    with suppress(Exception):  # not a public interface
        SharedSystemClient._identifier_to_system.pop(str(path), None)  # noqa: SLF001 - as above
    return FolderError("path", f"Chroma cannot open {path}: {error}")


def is_corrupt(error: BaseException) -> bool:
    """Return whether an error reports a damaged database, not an unreachable one."""
    return _CORRUPT.search(str(error)) is not None


def _set_files_aside(path: Path) -> Path:
    """Move all files of Chroma in a folder into a new subfolder, and return it."""
    stem = time.strftime("corrupt-%Y%m%d-%H%M%S")
    names = (stem, *(f"{stem}-{number}" for number in range(2, 1_000)))
    try:
        aside = next(path / name for name in names if not (path / name).exists())
        aside.mkdir()
        for each in [each for each in path.iterdir() if _PARTS.fullmatch(each.name)]:
            each.rename(aside / each.name)
    except OSError as error:
        raise FolderError("path", f"{path} is corrupt and cannot be set aside: {error}") from error
    return aside


_folders: dict[Path, Folder] = {}
_opening = threading.RLock()


def _after_fork() -> None:
    global _opening  # noqa: PLW0603 - another thread of the parent may have held it
    _opening = threading.RLock()
    for folder in _folders.values():
        folder.abandon()
    _folders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
