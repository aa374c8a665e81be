"""A lock on a folder that its process cannot leave behind, with a note of what it was doing.

The lock is the operating system's, on an open file: whatever ends the process ends the lock. The
file tells, for the next process, whether a write was under way, and which indexes have to be built
again because of that.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toolops_plugins.errors import ConfigurationError, TierError

__all__ = ["FolderError", "FolderLock"]

_NAME = "toolops.lock"
_BUSY, _IDLE = b"w", b"-"
_FAR = 1 << 30  # Windows keeps others from reading what is locked: lock where nothing is


class FolderError(ConfigurationError, TierError):
    """A folder that cannot be used now: it is held by another process, full, or not writable.

    Who opens it is told so; in the call of a tool it is trouble with the cache like any other.
    """


class FolderLock:
    """Holds a folder for this process; its methods are for one thread at a time.

    Args:
        folder: The folder; it is made if it is missing.

    Raises:
        FolderError: Another process holds it, or it cannot be locked or written to.
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
            # Whatever it was: a file that stays open would keep everybody out, this process too.
            self.close()
            if isinstance(error, OSError):
                raise FolderError("path", f"{folder} cannot be used: {error}") from error
            raise

    def _hold(self, folder: Path) -> None:
        held = self._read()
        try:
            _lock(self._file)
        except OSError as error:
            if not isinstance(error, BlockingIOError | PermissionError):
                raise FolderError("path", f"{folder} cannot be locked: {error}") from error
            raise FolderError(
                "path",
                f"{folder} is in use by another process (pid {held.get('pid', 'unknown')}). "
                "Chroma's embedded index is for one process only, and two would corrupt it. To "
                "share it, start a server with `chroma run --path "
                f"{folder}` and give its URL instead: SemanticCache(url='http://localhost:8000')",
            ) from error
        held = self._read()
        self.torn: bool = held.get("state") == _BUSY.decode()
        """Whether the last process that had the folder ended in the middle of a write."""
        self.stale: set[str] = set(held.get("stale", ()))
        """The collections whose index lacks entries that the collection has."""
        self._state = _BUSY if self.torn else _IDLE
        self.note()

    def mend(self, stale: set[str]) -> None:
        """Note that what the last process left torn is gone, and what has to be built again."""
        self.torn = False
        self.stale = stale
        self._state = _IDLE
        self.note()

    def note(self) -> None:
        """Write the state down."""
        text = json.dumps({"pid": os.getpid(), "stale": sorted(self.stale)})
        _put(self._file, self._state + text.encode() + b"\n")

    @contextmanager
    def write_note(self) -> Iterator[None]:
        """Note that a write is under way; if it fails, the note stays until one succeeds.

        One thread at a time.
        """
        before, self._state = self._state, _BUSY
        try:
            if before != _BUSY:
                _put(self._file, _BUSY, cut=False)
        except OSError as error:  # nothing has been changed
            self._state = before
            raise TierError(f"the semantic index cannot be written to: {error}") from error
        yield
        if not self.torn:
            self._state = _IDLE
            with suppress(OSError):  # then the next process looks closer than it must
                _put(self._file, _IDLE, cut=False)

    def close(self) -> None:
        """Let go of the folder. In a forked child the parent keeps it."""
        with suppress(OSError):
            os.close(self._file)

    def _read(self) -> dict[str, Any]:
        os.lseek(self._file, 0, os.SEEK_SET)
        text = os.read(self._file, 1 << 20)
        if not text:
            return {}
        try:
            found = json.loads(text[1:])
            stale = [name for name in found["stale"] if isinstance(name, str)]
            return {"state": chr(text[0]), "pid": found["pid"], "stale": stale}
        except (KeyError, TypeError, ValueError):
            return {"state": _BUSY.decode()}  # cut off in the middle: nothing is known


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
        # Of the open file, not of the process: reading the file elsewhere does not end it.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
