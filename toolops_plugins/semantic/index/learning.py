"""What an index has learned: by this process, by earlier ones, and by others that are running."""

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
from toolops_plugins.errors import TierError
from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.memory import MemoryIndex
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.steps import as_tier_error

__all__ = ["Home", "LearnerState"]

_STATES = 16
"""States of other processes from which on they are tidied up."""
_PAUSE = 5.0
"""Seconds between two writes of what was learned."""


class Home(Protocol):
    """The index of which something is learned. Each attribute is read anew whenever it is used."""

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Guards the entries in memory and what is learned of them; reentrant; new after a fork."""
        ...

    @property
    def memory(self) -> MemoryIndex:
        """The entries in memory; new each time that the index is opened."""
        ...

    @property
    def store(self) -> Store:
        """Where states are kept; new each time that the index is opened."""
        ...

    @property
    def is_loaded(self) -> threading.Event:
        """Set when the stored entries have been brought into memory."""
        ...


class LearnerState:
    """The learner of an index, which is read from its store and written there.

    Safe to use from any threads and event loops; it has no lock but that of the index.

    Args:
        home: The index.
        clock: Its monotonic time is used.
        pool: Where stored states are read.
        on_trouble: Told if they cannot be read.
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
        """Return what has learned when an answer may be served; made when it is first asked for."""
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
                except RuntimeError:
                    self._recall_done.set()
                    raise
            return self._learner

    def _vector_of(self, id_: str) -> npt.NDArray[np.float32] | None:
        x = self._home.memory.vector(id_)
        return self._announced.get(id_) if x is None else x

    def _recall(self) -> None:
        """Take over what earlier and other processes have learned."""
        self._home.is_loaded.wait()
        try:
            states = self._home.store.read_states()
            for process, state in states.items():
                if process != self._process and self._learner is not None:
                    self._learner.merge(state)
            self._merged = [process for process in states if process != self._process]
            self._recalled = True
        except Exception as error:  # noqa: BLE001 - whatever fails in the background is told
            self._on_trouble(as_tier_error(error))
        finally:
            self._recall_done.set()

    def wait(self, seconds: float) -> None:
        """Wait until what was learned earlier has been taken over, if that is under way.

        Args:
            seconds: How long at most.
        """
        self._recall_done.wait(seconds)

    def reset_after_fork(self) -> None:
        """Go on in a forked child, where nothing is under way."""
        self._recall_done.set()

    # -- entries that come and go ----------------------------------------------------------------

    def add(
        self,
        rows: Sequence[Row],
        vectors: npt.NDArray[np.float32],
        agreeing: Sequence[str] = (),
    ) -> None:
        """Take note of entries. Called with the index's lock held.

        Args:
            rows: The entries.
            vectors: Their vectors, one to a row.
            agreeing: Ids of entries whose answers are the same, in other words.
        """
        if self._learner is not None:
            for row, x in zip(rows, vectors, strict=True):
                self._learner.add(row.id, x, row.answer, row.scope, agreeing)

    def forget(self, ids: Sequence[str]) -> None:
        """Forget entries. Called with the index's lock held."""
        if self._learner is not None:
            for id_ in ids:
                self._learner.remove(id_)

    def announce(self, row: Row, x: npt.NDArray[np.float32]) -> None:
        """Take note of a question whose answer is still under way."""
        with self._home.lock:
            self._announced[row.id] = x
            self.learner().add(row.id, x, row.answer, row.scope)

    def withdraw(self, row: Row) -> None:
        """Forget what was announced, unless its answer has been kept meanwhile."""
        with self._home.lock:
            if self._home.memory.get(row.id) is None:
                self.learner().remove(row.id)
            self._announced.pop(row.id, None)

    def agree(self, id_: str, agreeing: Sequence[str]) -> None:
        """Note that the answer of an entry is the same as those of others, in other words."""
        with self._home.lock:
            memory = self._home.memory
            row, x = memory.get(id_), memory.vector(id_)
            if row is not None and x is not None and self._learner is not None:
                self._learner.add(id_, x, row.answer, row.scope, agreeing)

    # -- keeping it ------------------------------------------------------------------------------

    def note_change(self) -> None:
        """Note that there is something new to be kept."""
        self._unsaved = True

    def save_if_due(self) -> None:
        """As :meth:`save`, but not more often than every few seconds."""
        now = self._clock.monotonic()
        if now - self._saved >= _PAUSE:
            self._saved = now
            self.save()

    def save(self) -> None:
        """Store what is new, once what was learned earlier has been taken over.

        Raises:
            TierError: The store could not be reached.
        """
        if not self._unsaved or not self._recalled or self._learner is None:
            return
        self._unsaved = False
        home = self._home
        home.store.write_state(self._process, self._learner.state())
        # A state holds all that its writer has merged; those of processes that live come again.
        if self._merged and (not home.store.shared or len(self._merged) >= _STATES):
            home.store.drop_states(self._merged)
            self._merged = []
