"""Notes on objects that have no hash, each kept as long as its object lives."""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

__all__ = ["ObjectNotes"]

_N = TypeVar("_N")


class ObjectNotes(Generic[_N]):
    """One note for each object; safe to use from any threads."""

    def __init__(self) -> None:
        self._notes: dict[int, tuple[weakref.ref[Any], _N]] = {}

    def get(self, noted: Any) -> _N | None:
        """Return the note of an object, or None where there is none."""
        reference, note = self._notes.get(id(noted), (None, None))
        return note if reference is not None and reference() is noted else None

    def set(self, noted: Any, note: _N) -> None:
        """Write the note of an object, in place of an earlier one."""
        address = id(noted)

        def forget(dead: Any) -> None:
            if self._notes.get(address, (None,))[0] is dead:
                self._notes.pop(address, None)

        try:
            reference = weakref.ref(noted, forget)
        except TypeError:  # a stand-in of the user's, of which nobody would know when it ends
            return
        self._notes[address] = (reference, note)

    def pop(self, noted: Any) -> None:
        """Drop the note of an object, if there is one."""
        self._notes.pop(id(noted), None)
