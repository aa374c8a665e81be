"""A lock on a folder that ends with its process, with a note of running writes.

The operating system locks an open file, so the lock ends with the process in any case. For the next
process the file records a running write and the indexes that must be rebuilt.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toolops_plugins.errors import ConfigurationError, TierError

__all__ = ["FolderError", "FolderInUseError", "FolderLock", "find_holder"]

_NAME = "toolops.lock"
_BUSY, _IDLE = b"w", b"-"
_FAR = 1 << 30  # Windows blocks reads of a locked range, so an unused one is locked
_ATTEMPTS = 4
_PAUSE = 0.005
"""Seconds between two attempts: a process that looks for a holder has the lock for a moment."""


class FolderError(ConfigurationError, TierError):
    """A folder that cannot be used now: locked by another process, full or not writable.

    Opening it raises; in the call of a tool it is a failure of the cache like any other.
    """


class FolderInUseError(FolderError):
    """A folder that another process has locked.

    Args:
        folder: The folder.
        pid: The id of that process, or "unknown".
    """

    notice = "folder_in_use"

    def __init__(self, folder: Path, pid: object) -> None:
        super().__init__(
            "path",
            f"{folder} is in use by another process (pid {pid}). "
            "Chroma's embedded index is for one process only, and two would corrupt it. To "
            "share it, start a server with `chroma run --path "
            f"{folder}` and give its URL instead: SemanticCache(url='http://localhost:8000')",
        )
        self.folder = folder
        self.pid = pid


class FolderLock:
    """The lock of this process on a folder; used by one thread at a time.

    Args:
        folder: The folder, created if it is missing.

    Raises:
        FolderError: Another process has locked it, or it cannot be locked or written to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FolderError("path", f"{folder} cannot be used: {error}") from error
        try:
            self._hold(folder)
        except BaseException as error:
            # An open file would keep the lock, for this process too.
            self.close()
            if isinstance(error, OSError):
                raise FolderError("path", f"{folder} cannot be used: {error}") from error
            raise

    def _hold(self, folder: Path) -> None:
        for attempt in range(_ATTEMPTS):
            held = _read(self._file)
            try:
                _lock(self._file)
                break
            except (BlockingIOError, PermissionError) as error:
                if attempt + 1 == _ATTEMPTS:
                    raise FolderInUseError(folder, held.get("pid", "unknown")) from error
                time.sleep(_PAUSE)
            except OSError as error:
                raise FolderError("path", f"{folder} cannot be locked: {error}") from error
        held = _read(self._file)
        self.torn: bool = held.get("state") == _BUSY.decode()
        """True if the last process ended during a write."""
        self.stale: set[str] = set(held.get("stale", ()))
        """The collections whose index lacks entries."""
        self._state = _BUSY if self.torn else _IDLE
        self.note()

    def mend(self, stale: set[str]) -> None:
        """Record that torn files are removed, and the collections to rebuild."""
        self.torn = False
        self.stale = stale
        self._state = _IDLE
        self.note()

    def note(self) -> None:
        """Write the state to the file."""
        text = json.dumps({"pid": os.getpid(), "stale": sorted(self.stale)})
        _put(self._file, self._state + text.encode() + b"\n")

    @contextmanager
    def write_note(self) -> Iterator[None]:
        """Record a running write; if it fails, the note stays until a write succeeds.

        One thread at a time.
        """
        before, self._state = self._state, _BUSY
        try:
            if before != _BUSY:
                _put(self._file, _BUSY, cut=False)
        except OSError as error:  # nothing was written
            self._state = before
            raise TierError(f"the semantic index cannot be written to: {error}") from error
        yield
        if not self.torn:
            self._state = _IDLE
            with suppress(OSError):  # then the next process repairs without need
                _put(self._file, _IDLE, cut=False)

    def close(self) -> None:
        """Release the folder; in a forked child the parent keeps it."""
        with suppress(OSError):
            os.close(self._file)


def find_holder(folder: Path) -> FolderInUseError | None:
    """Return the error of opening a folder that another process has locked, or None.

    Nothing is created, and nothing stays locked.
    """
    try:
        file = os.open(folder / _NAME, os.O_RDWR)
    except OSError:
        return None  # nobody has used it yet, or opening it will say why it cannot be used
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):
        with suppress(OSError):
            return FolderInUseError(folder, _read(file).get("pid", "unknown"))
    except OSError:
        pass
    finally:
        os.close(file)
    return None


def _read(file: int) -> dict[str, Any]:
    os.lseek(file, 0, os.SEEK_SET)
    text = os.read(file, 1 << 20)
    if not text:
        return {}
    try:
        found = json.loads(text[1:])
        stale = [name for name in found["stale"] if isinstance(name, str)]
        return {"state": chr(text[0]), "pid": found["pid"], "stale": stale}
    except (KeyError, TypeError, ValueError):
        return {"state": _BUSY.decode()}  # truncated, so the state is unknown


def _put(file: int, content: bytes, *, cut: bool = True) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, content)
    if cut:
        os.ftruncate(file, len(content))


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        # A lock of the open file, not of the process: another open file does not end it.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
