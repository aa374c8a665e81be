"""Writes behind the calls: what changes the index is gathered, and stored in batches by a thread.

What waits here is lost if the process is killed; it is never more than a batch and what a pause
brings. At a normal exit, and on close, everything is written.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

from toolops_plugins.clock import Clock
from toolops_plugins.cooldown import Cooldown
from toolops_plugins.errors import TierError
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.steps import as_tier_error

__all__ = ["Sink", "Writer"]

_BATCH = 1_000
"""Rows of one write: Chroma takes 5 ms for one, and 0.3 ms each for a thousand."""
_COUNTED = 60.0
"""Seconds for which it is only gathered which rows were served."""
_IDLE = 5.0
"""Seconds that the thread stays when there is nothing to do."""


class Sink(Protocol):
    """Where batches go; any method may raise ``TierError``."""

    def write(self, rows: Sequence[Row], vectors: Any) -> None:
        """Store rows with their vectors, one to a row."""
        ...

    def touch(self, rows: Sequence[Row]) -> None:
        """Store how often, and when last, the rows were served."""
        ...


class Writer:
    """Gathers rows and stores them in batches. Safe to use from any threads and event loops.

    Args:
        sink: Where batches go.
        clock: Its monotonic time is used.
        pause: Seconds for which rows are gathered before they are written.
        most: Rows that may wait; beyond them the oldest are dropped, and found no more after a
            restart.
        before: Called in the thread before a batch is written: may put rows that were expected.
        after: Called in the thread when a batch has been written, for upkeep.
        on_trouble: Told of writes that failed; they are tried again.
    """

    def __init__(
        self,
        sink: Sink,
        clock: Clock,
        *,
        pause: float,
        most: int,
        before: Callable[[], None],
        after: Callable[[], None],
        on_trouble: Callable[[TierError], None],
    ) -> None:
        self._sink = sink
        self._pause = pause
        self._most = most
        self._before = before
        self._after = after
        self._on_trouble = on_trouble
        self._clock = clock
        self._cooldown = Cooldown(clock, lease=30.0)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Forget what waits: in a forked child, whose parent will write it."""
        self._rows: OrderedDict[str, tuple[Row, Any]] = OrderedDict()
        self._served: dict[str, Row] = {}
        self._changed = threading.Condition()
        self._writing = threading.RLock()  # one batch at a time, and no deletion in its midst
        self._thread: threading.Thread | None = None
        self._expected = False
        self._idle = False
        self._counted = self._clock.monotonic()

    def __len__(self) -> int:
        """Return how many rows wait to be written."""
        return len(self._rows)

    def queue(self) -> list[tuple[Row, Any]]:
        """Return the rows that wait to be written, with their vectors."""
        with self._changed:
            return list(self._rows.values())

    def put(self, rows: Sequence[Row], vectors: Sequence[Any]) -> None:
        """Have rows written soon."""
        with self._changed:
            for row, vector in zip(rows, vectors, strict=True):
                self._rows[row.id] = row, vector
                self._rows.move_to_end(row.id)
            while len(self._rows) > self._most:
                self._rows.popitem(last=False)
            self._wake()

    def note_hit(self, row: Row) -> None:
        """Have it written some time that a row was served; that costs as much as a new row."""
        with self._changed:
            if len(self._served) < self._most:
                self._served[row.id] = row
            if self._due():
                self._wake()

    def drop(self, ids: Sequence[str]) -> None:
        """Drop rows that wait."""
        with self._changed:
            for id_ in ids:
                self._rows.pop(id_, None)
                self._served.pop(id_, None)

    def forget(
        self, ids: Sequence[str], delete: Callable[[], object], seconds: float = -1.0
    ) -> None:
        """Drop rows that wait, then delete what is stored, with no write in between.

        Args:
            ids: The rows that may wait.
            delete: Deletes what is stored.
            seconds: How long to wait for the write that is under way. Default: until it has ended.

        Raises:
            TierError: ``delete`` did, or a write took too long.
        """
        self.drop(ids)
        with self.no_write(seconds):
            self.drop(ids)  # what was put back by a write that failed
            delete()

    @contextmanager
    def no_write(self, seconds: float = -1.0) -> Iterator[None]:
        """Have no batch written in the block.

        Args:
            seconds: As in :meth:`forget`.

        Raises:
            TierError: A write took too long.
        """
        if not self._writing.acquire(timeout=seconds):
            raise TierError("a write to the semantic index is under way, and takes too long")
        try:
            yield
        finally:
            self._writing.release()

    def flush(self, seconds: float = -1.0) -> None:
        """Write everything that waits, now and in this thread.

        Args:
            seconds: As in :meth:`forget`.

        Raises:
            TierError: The index could not be reached; what waits goes on waiting.
        """
        while self._rows:
            self._write(seconds)

    def finish(self, seconds: float = -1.0) -> None:
        """Write everything, how often rows were served too.

        Args:
            seconds: As in :meth:`forget`.

        Raises:
            TierError: The index could not be reached.
        """
        self.flush(seconds)
        self._count(seconds)

    def expect(self) -> None:
        """Have ``before`` called soon, since there are rows that lack their vectors."""
        with self._changed:
            self._expected = True
            self._wake()

    def _wake(self) -> None:
        # Called with the lock held. Whoever puts many rows wakes the thread once.
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="toolops-index", daemon=True)
            self._thread.start()
        elif self._idle or len(self._rows) == _BATCH:
            self._changed.notify()

    def _has_work(self) -> bool:
        return bool(self._rows or self._expected or self._due())

    def _due(self) -> bool:
        return bool(self._served) and self._clock.monotonic() - self._counted >= _COUNTED

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._has_work():
                    self._idle = True
                    found = self._changed.wait_for(self._has_work, _IDLE)
                    self._idle = False
                    if not found:
                        self._thread = None
                        return
                self._changed.wait_for(lambda: len(self._rows) >= _BATCH, self._pause)
                self._expected = False
            ticket = self._cooldown.enter()
            if ticket is None:
                self._rest()
                continue
            try:
                self._before()
                self._write()
                if self._due():
                    self._count()
                self._after()
            except Exception as error:  # noqa: BLE001 - whatever fails in the background is told
                self._cooldown.fail(ticket)
                self._on_trouble(as_tier_error(error))
            else:
                self._cooldown.succeed(ticket)

    def _rest(self) -> None:
        """Wait out a pause while the index cannot be reached."""
        with self._changed:
            self._changed.wait(self._pause)

    def _write(self, seconds: float = -1.0) -> None:
        with self.no_write(seconds):
            with self._changed:
                batch = dict(islice(self._rows.items(), _BATCH))
            if not batch:
                return
            self._sink.write(
                [row for row, _ in batch.values()], [vector for _, vector in batch.values()]
            )
            with self._changed:
                for id_, (row, _) in batch.items():
                    # Unless it has been replaced meanwhile.
                    if self._rows.get(id_, (None,))[0] is row:
                        del self._rows[id_]
                    self._served.pop(id_, None)

    def _count(self, seconds: float = -1.0) -> None:
        with self.no_write(seconds):
            with self._changed:
                served = list(self._served.values())
                self._served = {}
                self._counted = self._clock.monotonic()
            if served:
                self._sink.touch(served)
