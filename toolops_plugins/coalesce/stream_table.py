"""The table of recordings that readers can join."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolops_plugins.coalesce.streams import BaseRecording

__all__ = ["Streams"]


class Streams:
    """The recordings of one runtime that readers can join.

    Safe to use from any threads and event loops.

    Args:
        limit: Recordings that can be joined at once; further ones have their first reader only.
            Default 1,000.
    """

    def __init__(self, limit: int = 1_000) -> None:
        self.limit = limit
        self._table: weakref.WeakValueDictionary[bytes, BaseRecording] = (
            weakref.WeakValueDictionary()
        )

    def __len__(self) -> int:
        """Return the number of recordings that can be joined."""
        return len(self._table)

    def offer(self, place: bytes, recording: BaseRecording) -> bool:
        """Let others join a recording, unless there is one for that place.

        Returns:
            Whether there is room for it.
        """
        known = self._table.get(place)
        has_room = len(self._table) < self.limit
        if has_room and (known is None or not known.joinable):
            self._table[place] = recording
        return has_room

    def look(self, place: bytes) -> BaseRecording | None:
        """Return the recording of that place that can be joined, or None."""
        recording = self._table.get(place)
        return recording if recording is not None and recording.joinable else None

    def find(self, place: bytes, reader: object) -> BaseRecording | None:
        """Return the recording of that place, joined by ``reader``, or None."""
        recording = self._table.get(place)
        return recording if recording is not None and recording.join(reader) else None

    def forget(self, key: bytes | None = None) -> None:
        """Let later readers of ``key`` (None: of all) start anew; present readers continue."""
        for place in list(self._table.keys()):
            if key is None or place.endswith(key):
                self._table.pop(place, None)

    def remove(self, place: bytes, recording: BaseRecording) -> None:
        """Let nobody join a recording any more."""
        if self._table.get(place) is recording:
            self._table.pop(place, None)

    def reset_after_fork(self) -> None:
        """Start empty in a forked child, where only this thread survives."""
        self._table = weakref.WeakValueDictionary()
