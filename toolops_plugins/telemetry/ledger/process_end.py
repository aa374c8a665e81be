"""The last write of all ledgers of a process, at its end."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from toolops_plugins.telemetry.ledger.writer import Writer

__all__ = ["close_at_child_exit", "close_at_exit"]

_SECONDS: Final = 2.0
"""The longest time that the end of a process waits for all writers together."""

_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


class _Processes(set[int]):
    """Numbers of processes; a class, so that it can be referred to weakly."""


_watched = _Processes()
"""The processes that write a last time at their end."""


def close_at_exit(writer: Writer) -> None:
    """Let a writer write a last time when this process ends; its forked children inherit that.

    A child of multiprocessing that makes its own runtime may end without the functions of atexit.
    """
    _writers.add(writer)
    pid = os.getpid()
    if pid in _watched:
        return
    if not _watched:
        atexit.register(_close_all)
    _watched.add(pid)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        import_module("multiprocessing.util").Finalize(None, _close_all, exitpriority=10)


def close_at_child_exit() -> None:
    """Do the same in a child of multiprocessing, which ends without the functions of atexit.

    It drops the finalizers that it has inherited, so the new one is made when it has begun.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None and os.getpid() not in _watched:
        _watched.add(os.getpid())
        util.register_after_fork(
            _watched, lambda _: util.Finalize(None, _close_all, exitpriority=10)
        )


def _close_all() -> None:
    """Write what all runtimes have counted."""
    writers = list(_writers)
    for writer in writers:
        writer.end()
    end = time.monotonic() + _SECONDS
    for writer in writers:
        with suppress(Exception):  # the interpreter ends
            writer.close(max(end - time.monotonic(), 0.0))
