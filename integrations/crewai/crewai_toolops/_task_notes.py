"""Notes on runs of tasks, each kept as long as its task lives; tasks of CrewAI have no hash."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any, Generic, TypeVar

from toolops_plugins.adapters.internals import fork_safe

__all__ = ["TaskNotes"]

_N = TypeVar("_N")
_lock = fork_safe(sys.modules[__name__], threading.Lock())


class TaskNotes(Generic[_N]):
    """One note for each task; safe to use from any threads."""

    def __init__(self) -> None:
        self._notes: dict[int, tuple[weakref.ref[Any], _N]] = {}

    def get(self, task: Any) -> _N | None:
        """Return the note of a task, or None where there is none."""
        reference, note = self._notes.get(id(task), (None, None))
        return note if reference is not None and reference() is task else None

    def set(self, task: Any, note: _N) -> None:
        """Write the note of a task, in place of an earlier one."""
        address = id(task)

        def forget(dead: Any) -> None:
            if self._notes.get(address, (None,))[0] is dead:
                self._notes.pop(address, None)

        try:
            reference = weakref.ref(task, forget)
        except TypeError:  # a stand-in of the user's
            return
        with _lock:
            self._notes[address] = (reference, note)

    def pop(self, task: Any) -> None:
        """Drop the note of a task, if there is one."""
        with _lock:
            self._notes.pop(id(task), None)
