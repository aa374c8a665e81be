"""The write-behind queue of the index: a thread stores changes in batches.

A killed process loses the queue, which is at most a batch and the changes of one pause. A normal
exit and a close write everything.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Protocol

from toolops_plugins.clock import Clock
from toolops_plugins.cooldown import Cooldown
from toolops_plugins.errors import TierError
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.steps import as_tier_error

__all__ = ["Sink", "Writer"]

_BATCH = 1_000
"""Rows of a write: Chroma takes 5 ms for one, and 0.3 ms each for a thousand."""
_COUNTED = 60.0
"""Seconds for which hit counts are collected."""
_IDLE = 5.0
"""Seconds after which an idle thread ends."""


class Sink(Protocol):
    """The destination of batches; any method may raise ``TierError``."""

    def write(self, rows: Sequence[Row], vectors: Any) -> None:
        """Store rows with their vectors, one to a row."""
        ...

    def touch(self, rows: Sequence[Row]) -> None:
        """Store the hit counts and last use of rows."""
        ...


class Writer:
    """A queue of rows that are stored in batches. Safe to use from any threads and event loops.

    Args:
        sink: The destination of batches.
        clock: Its monotonic time is used.
        pause: Seconds for which rows are collected before a write.
        most: Rows in the queue at most; then the oldest are dropped and missing after a
            restart.
        before: Called in the thread before a write; may put expected rows.
        after: Called in the thread after a write, for maintenance.
        on_trouble: Called with the error of a failed write, which is retried.
        on_success: Called after a write.
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
        on_success: Callable[[], None] = lambda: None,
    ) -> None:
        self._sink = sink
        self._pause = pause
        self._most = most
        self._before = before
        self._after = after
        self._on_trouble = on_trouble
        self._on_success = on_success
        self._clock = clock
        self._cooldown = Cooldown(clock, lease=30.0)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Drop the queue in a forked child; the parent writes it."""
        self._rows: OrderedDict[str, tuple[Row, Any]] = OrderedDict()
        self._served: dict[str, Row] = {}
        self._changed = threading.Condition()
        self._writing = threading.RLock()  # one batch at a time, without deletions in between
        self._thread: threading.Thread | None = None
        self._expected = False
        self._idle = False
        self._counted = self._clock.monotonic()

    def __len__(self) -> int:
        """Return the number of rows in the queue."""
        return len(self._rows)

    def queue(self) -> list[tuple[Row, Any]]:
        """Return the rows in the queue with their vectors."""
        with self._changed:
            return list(self._rows.values())

    def put(self, rows: Sequence[Row], vectors: Sequence[Any]) -> None:
        """Queue rows."""
        with self._changed:
            for row, vector in zip(rows, vectors, strict=True):
                self._rows[row.id] = row, vector
                self._rows.move_to_end(row.id)
            while len(self._rows) > self._most:
                self._rows.popitem(last=False)
            self._wake()

    def note_hit(self, row: Row) -> None:
        """Queue the hit count of a row, whose write costs as much as a new row."""
        with self._changed:
            if len(self._served) < self._most:
                self._served[row.id] = row
            if self._due():
                self._wake()

    def drop(self, ids: Sequence[str]) -> None:
        """Drop rows from the queue."""
        with self._changed:
            for id_ in ids:
                self._rows.pop(id_, None)
                self._served.pop(id_, None)

    def forget(
        self, ids: Sequence[str], delete: Callable[[], object], seconds: float = -1.0
    ) -> None:
        """Drop rows from the queue, then delete stored ones, without a write in between.

        Args:
            ids: The ids of the rows.
            delete: Deletes the stored rows.
            seconds: Timeout for a running write. Default: no timeout.

        Raises:
            TierError: ``delete`` raised it, or a write took too long.
        """
        self.drop(ids)
        with self.no_write(seconds):
            self.drop(ids)  # rows that a failed write returned to the queue
            delete()

    @contextmanager
    def no_write(self, seconds: float = -1.0) -> Iterator[None]:
        """Block writes in the block.

        Args:
            seconds: As in :meth:`forget`.

        Raises:
            TierError: A write took too long.
        """
        if not self._writing.acquire(timeout=seconds):
            problem = "a running write takes too long"
            raise TierError.of(f"the semantic index: {problem}", problem)
        try:
            yield
        finally:
            self._writing.release()

    def flush(self, seconds: float = -1.0) -> None:
        """Write the queue now, in this thread.

        Args:
            seconds: As in :meth:`forget`.

        Raises:
            TierError: The index could not be reached; the rows stay in the queue.
        """
        while self._rows:
            self._write(seconds)

    def finish(self, seconds: float = -1.0) -> None:
        """Write the queue and the hit counts.

        Args:
            seconds: As in :meth:`forget`.

        Raises:
            TierError: The index could not be reached.
        """
        self.flush(seconds)
        self._count(seconds)

    def expect(self) -> None:
        """Call ``before`` soon, since some rows lack their vectors."""
        with self._changed:
            self._expected = True
            self._wake()

    def _wake(self) -> None:
        # Called with the lock held. Many rows wake the thread once.
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._work, name="toolops-index", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started now; the next row tries again
                return
            self._thread = thread
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
            except Exception as error:  # noqa: BLE001 - errors in the background are reported
                self._cooldown.fail(ticket)
                with suppress(Exception):  # the thread must outlive whoever is told
                    self._on_trouble(as_tier_error(error))
            else:
                self._cooldown.succeed(ticket)
                with suppress(Exception):  # the same
                    self._on_success()

    def _rest(self) -> None:
        """Wait while the index cannot be reached."""
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
                    # Unless the row was replaced meanwhile.
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
