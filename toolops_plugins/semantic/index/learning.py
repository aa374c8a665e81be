"""The state of the learner of an index, shared with earlier and other processes."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import numpy.typing as npt

from toolops_plugins.clock import Clock
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.errors import ThreadPoolFull, TierError
from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.memory import MemoryIndex
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.steps import as_tier_error

__all__ = ["Home", "LearnerState"]

_STATES = 16
"""States of other processes above which they are merged."""
_PAUSE = 5.0
"""Seconds between two writes of learned state."""


class Home(Protocol):
    """The index that owns the learner. Each attribute is read again at each use."""

    @property
    def lock(self) -> AbstractContextManager[object]:
        """The lock of the entries and of learned state; reentrant; replaced after a fork."""
        ...

    @property
    def memory(self) -> MemoryIndex:
        """The entries in memory, replaced at each opening of the index."""
        ...

    @property
    def store(self) -> Store:
        """The store of states, replaced at each opening of the index."""
        ...

    @property
    def is_loaded(self) -> threading.Event:
        """Set when the stored entries are loaded into memory."""
        ...


class LearnerState:
    """The learner of an index, which is loaded from its store and saved there.

    Safe to use from any threads and event loops; it uses the lock of the index.

    Args:
        home: The index.
        clock: Its monotonic time is used.
        pool: The pool in which stored states are read.
        on_trouble: Called with the error if they cannot be read.
    """

    def __init__(
        self, home: Home, *, clock: Clock, pool: Pool, on_trouble: Callable[[TierError], None]
    ) -> None:
        self._home = home
        self._clock = clock
        self._pool = pool
        self._on_trouble = on_trouble
        self._learner: Bounded | None = None
        self._announced: dict[str, npt.NDArray[np.float32]] = {}
        self._process = uuid.uuid4().hex
        self._saved = clock.monotonic()
        self._unsaved = False
        self._recalled = False
        self._recall_done = threading.Event()
        self._recall_done.set()
        self._merged: list[str] = []

    def learner(self) -> Bounded:
        """Return the learner, created at first use."""
        home = self._home
        with home.lock:
            if self._learner is None:
                learner = Bounded(vector_of=self._vector_of)
                for row in home.memory.rows():
                    x = home.memory.vector(row.id)
                    if x is not None:
                        learner.add(row.id, x, row.answer, row.scope)
                self._learner = learner
                self._recall_done.clear()
                try:
                    self._pool.submit(self._recall)
                except ThreadPoolFull:  # such as at exit; what was learned before is not read
                    self._recall_done.set()
            return self._learner

    def _vector_of(self, id_: str) -> npt.NDArray[np.float32] | None:
        x = self._home.memory.vector(id_)
        return self._announced.get(id_) if x is None else x

    def _recall(self) -> None:
        """Merge the states of earlier and other processes."""
        self._home.is_loaded.wait()
        try:
            states = self._home.store.states.read()
            for process, state in states.items():
                if process != self._process and self._learner is not None:
                    self._learner.merge(state)
            self._merged = [process for process in states if process != self._process]
            self._recalled = True
        except Exception as error:  # noqa: BLE001 - errors in the background are reported
            self._on_trouble(as_tier_error(error))
        finally:
            self._recall_done.set()

    def wait(self, seconds: float) -> None:
        """Wait until the states of earlier processes are merged, if that is running.

        Args:
            seconds: Timeout in seconds.
        """
        self._recall_done.wait(seconds)

    def reset_after_fork(self) -> None:
        """Continue in a forked child, where no work is running."""
        self._recall_done.set()

    # -- added and removed entries ---------------------------------------------------------------

    def add(
        self,
        rows: Sequence[Row],
        vectors: npt.NDArray[np.float32],
        agreeing: Sequence[str] = (),
    ) -> None:
        """Add entries. Called with the index's lock held.

        Args:
            rows: The entries.
            vectors: Their vectors, one to a row.
            agreeing: Ids of entries whose answers agree with theirs.
        """
        if self._learner is not None:
            for row, x in zip(rows, vectors, strict=True):
                self._learner.add(row.id, x, row.answer, row.scope, agreeing)

    def forget(self, ids: Sequence[str]) -> None:
        """Remove entries. Called with the index's lock held."""
        if self._learner is not None:
            for id_ in ids:
                self._learner.remove(id_)

    def announce(self, row: Row, x: npt.NDArray[np.float32]) -> None:
        """Add a question in flight."""
        with self._home.lock:
            self._announced[row.id] = x
            self.learner().add(row.id, x, row.answer, row.scope)

    def withdraw(self, row: Row) -> None:
        """Remove a question in flight, unless its answer was stored meanwhile."""
        with self._home.lock:
            self._announced.pop(row.id, None)
            if self._home.memory.get(row.id) is None:
                self.learner().remove(row.id)

    def agree(self, id_: str, agreeing: Sequence[str]) -> None:
        """Record that the answer of an entry agrees with those of others."""
        with self._home.lock:
            memory = self._home.memory
            row, x = memory.get(id_), memory.vector(id_)
            if row is not None and x is not None and self._learner is not None:
                self._learner.add(id_, x, row.answer, row.scope, agreeing)

    # -- persistence ----------------------------------------------------------------------------

    def note_change(self) -> None:
        """Record that there is new state to save."""
        self._unsaved = True

    def save_if_due(self) -> None:
        """Like :meth:`save`, but at most every few seconds."""
        now = self._clock.monotonic()
        if now - self._saved >= _PAUSE:
            self._saved = now
            self.save()

    def save(self) -> None:
        """Store new state, once the states of earlier processes are merged.

        Raises:
            TierError: The store could not be reached.
        """
        if not self._unsaved or not self._recalled or self._learner is None:
            return
        self._unsaved = False
        home = self._home
        home.store.states.write(self._process, self._learner.state())
        # A state holds everything that its writer has merged; running processes store theirs again.
        if self._merged and (not home.store.shared or len(self._merged) >= _STATES):
            home.store.states.drop(self._merged)
            self._merged = []
