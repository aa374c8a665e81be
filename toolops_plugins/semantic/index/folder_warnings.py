"""One warning for a folder that another process uses, and one when it is free again.

Whether the folder is found in use when the cache is made, at its first use or after a fork, this
process says so once, however many caches and runtimes it has on that folder.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.index.chroma_folder_lock import FolderInUseError
from toolops_plugins.telemetry.log import write_line

__all__ = ["note_free", "warn_in_use", "warn_of_fork"]

_LOGGER = "toolops_plugins.semantic"
_lock = fork_safe(sys.modules[__name__], threading.Lock(), "_lock")
_in_use: set[Path] = set()
_inherited: set[str] = set()


def warn_in_use(error: FolderInUseError) -> None:
    """Log that a folder is in use, unless this process has done so since it was last free."""
    with _lock:
        if error.folder in _in_use:
            return
        _in_use.add(error.folder)
    write_line(
        _LOGGER,
        "The semantic index in %(folder)s is in use by another process (pid %(pid)s), so this "
        "process answers no questions by meaning until it is free; to share it, start `chroma run "
        "--path %(folder)s` and use SemanticCache(url='http://localhost:8000') in all processes",
        folder=error.folder, pid=error.pid,
    )  # fmt: skip


def note_free(folder: Path) -> None:
    """Log that this process uses a folder now, if it has logged that another one does."""
    with _lock:
        if folder not in _in_use:
            return
        _in_use.discard(folder)
    write_line(
        _LOGGER,
        "The semantic index in %(folder)s is free, and this process uses it now",
        folder=folder,
    )


def warn_of_fork(place: str) -> None:
    """Log once that an index belongs to the process from which this one was forked."""
    with _lock:
        if place in _inherited:
            return
        _inherited.add(place)
    write_line(
        _LOGGER,
        "The semantic index in %(place)s was opened before this process was forked, so it answers "
        "here from its copy in memory, and stores nothing; to share it, start a server by `chroma "
        "run --path %(place)s` and use its URL in all processes",
        place=place,
    )


def _forget_after_fork() -> None:
    _in_use.clear()
    _inherited.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
