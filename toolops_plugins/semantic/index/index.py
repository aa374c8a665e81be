"""The index: the store in Chroma, its image in memory, and pending writes.

An embedded index has one process, so memory holds all of it and is searched: a query to embedded
Chroma takes at least 2 ms. An index on a server has many writers, so lookups go to the server, and
memory holds only the pending writes of this process.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from toolops_plugins.clock import Clock
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.concurrency.to_thread import run_in_pool
from toolops_plugins.cooldown import Cooldown
from toolops_plugins.errors import (
    ConfigurationError,
    TamperedError,
    ThreadPoolFull,
    TierError,
    ToolOpsError,
)
from toolops_plugins.invalidation import History, Invalidations
from toolops_plugins.semantic.embedding.cached import Embeddings
from toolops_plugins.semantic.embedding.embedders import Embedder
from toolops_plugins.semantic.health import IndexHealth
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.chroma_folder_lock import FolderInUseError
from toolops_plugins.semantic.index.folder_warnings import warn_in_use
from toolops_plugins.semantic.index.invalidations import Voids
from toolops_plugins.semantic.index.learning import LearnerState
from toolops_plugins.semantic.index.lifetimes import Lifetimes
from toolops_plugins.semantic.index.memory import MemoryIndex
from toolops_plugins.semantic.index.memory_copies import Copies
from toolops_plugins.semantic.index.pending_deletions import PendingDeletions
from toolops_plugins.semantic.index.remote_invalidations import News, Position, RemoteInvalidations
from toolops_plugins.semantic.index.rows import Row
from toolops_plugins.semantic.index.write_behind import Writer
from toolops_plugins.steps import Io, as_tier_error

__all__ = ["Index", "Near", "Vector"]

Vector = npt.NDArray[np.float32]
Near = list[tuple[Row, float]]

_IN_MEMORY = 200_000
"""Largest embedded index, in entries, that memory holds as a whole."""
_INLINE = 20_000
"""Largest scope, in entries, that is searched faster than by another thread."""
_VOIDED = 10_000
"""Questions whose invalidation is recorded, at most."""
_PATIENCE = 10.0
"""Seconds that closing waits for work in an embedded index."""
_EVICTED = 256
"""Evicted entries that are deleted in one batch."""
_FEW = 1_000
"""Rows written between two checks of the size of Chroma's index, at least."""
_PLACES = 4
"""Slots in Chroma's index for each entry of ``max_items``; deleted entries keep theirs."""
_SWEEP = 60.0
"""Seconds between two sweeps of expired entries and checks of the size."""
_POSITION = 60.0
"""Seconds between two writes of the position to a server, at least."""
_UNDELETED = 1_000
"""Invalidations by other processes that wait for the store, at most."""
_VOIDS = 1.0
"""Seconds between two reads of the invalidations of other processes."""


class Index:
    """Entries by scope and meaning. Safe to use from any threads and event loops.

    Args:
        make_store: Creates the store; takes the embedder's name and dimension as keywords.
        embedder: The embedder.
        max_items: Entries at most; then the least useful are evicted.
        pause: Seconds for which writes are gathered.
        clock: The source of time.
        pool: The pool in which blocking work of asynchronous callers runs.
        embed_timeout: Seconds that the embedder may take for a question; None: no limit.
        on_trouble: Called with errors of the background, and with a TamperedError for records with
            a missing or wrong signature.
        health: Is told whether writes in the background succeed.
    """

    def __init__(
        self,
        make_store: Callable[..., Store],
        embedder: Embedder,
        *,
        max_items: int,
        pause: float,
        clock: Clock,
        pool: Pool,
        on_trouble: Callable[[Exception], None],
        health: IndexHealth,
        embed_timeout: float | None = None,
    ) -> None:
        self.embeddings = Embeddings(embedder, timeout=embed_timeout, clock=clock)
        self.clock = clock
        self.ready = False
        self._make_store = make_store
        # Learned state is guarded by the same lock as the entries: see ``Home``.
        self.lock = fork_safe(self, threading.RLock(), "lock")
        self.is_loaded = threading.Event()
        self.store: Store = None  # type: ignore[assignment] # created by open()
        self.memory: MemoryIndex = None  # type: ignore[assignment] # the same
        self._max_items = max_items
        self._pool = pool
        self.on_trouble = on_trouble
        self.health = health
        self.copies = Copies(clock)
        self.lifetimes = Lifetimes(clock)
        self._invalidations = Invalidations()
        self._voids = Voids()
        self._pending = PendingDeletions()
        self.remote = RemoteInvalidations()
        self._was_empty = False  # whether there were no rows when it was opened
        self._stored_position: tuple[Position | None, float] = None, -_POSITION
        self._undeleted: list[tuple[News, list[str]]] = []  # news that the store lacks
        self._deleting = fork_safe(self, threading.RLock(), "_deleting")
        self._is_forked = False  # an embedded index that the parent of this process stores
        self._voids_read = clock.monotonic()
        self._tampered = 0  # records that were reported to on_trouble
        self._voided: OrderedDict[str, tuple[int, float]] = OrderedDict()  # when ids were removed
        self._cooldown = Cooldown(clock, lease=30.0)
        self._whole = False  # whether memory holds all entries
        self._refusal: ConfigurationError | None = None  # why it could not be opened
        self._evicted: dict[str, None] = {}  # evicted ids that are still stored
        self._written = 0  # rows since the last check of the size of the index
        self._gone: set[str] = set()  # ids that were removed while loading
        self._unembedded: list[tuple[Row, str, int]] = []
        self._embedding = threading.RLock()
        self._opening = fork_safe(self, threading.RLock(), "_opening")
        self.learned = LearnerState(self, clock=clock, pool=pool, on_trouble=self._on_trouble)
        self._swept = clock.monotonic()
        self._writer = Writer(
            self,
            clock,
            pause=pause,
            most=max_items,
            before=self._embed,
            after=self._upkeep,
            on_trouble=self._on_failed_write,
            on_success=self._on_successful_write,
        )

    def _on_failed_write(self, error: Exception) -> None:
        self.health.fail("write")
        self.on_trouble(error)

    def _on_successful_write(self) -> None:
        self.health.succeed("write")

    def _on_trouble(self, error: Exception) -> None:
        self.on_trouble(error)

    def __len__(self) -> int:
        """Return the number of entries that this process knows of."""
        if not self.ready:
            return 0
        return len(self.memory) if self._whole else self.store.count() + len(self._writer)

    @property
    def entries_in_memory(self) -> int | None:
        """The number of entries, if it is known without I/O; else None."""
        return len(self.memory) if self.ready and self._whole else None

    # -- opening and closing ---------------------------------------------------------------------

    def open(self) -> None:
        """Connect and start loading the stored entries; nothing if it is open.

        Raises:
            ConfigurationError: The index is of another embedder, or open in another process.
            TierError: It could not be reached.
        """
        if self.ready:
            return
        self._refuse_in_cooldown()
        with self._opening:
            if self._is_ready():
                return
            embeddings = self.embeddings
            name, dimension = embeddings.name, embeddings.dimension  # which may call the embedder
            ticket = self._ticket()
            try:
                store = self._open_store(name, dimension)
            except Exception as error:
                self._cooldown.fail(ticket)
                if isinstance(error, ConfigurationError):
                    self._refusal = error
                if isinstance(error, FolderInUseError):
                    warn_in_use(error)
                raise
            self._cooldown.succeed(ticket)
            self._refusal = None
            self._begin(store)

    def _is_ready(self) -> bool:
        return self.ready  # another thread may have closed it

    def _open_store(self, name: str, dimension: int) -> Store:
        store = self._make_store(embedder=name, dimension=dimension)
        store.states.voids = self._voids
        store.open()
        with store.within(store.timeout):
            store.states.read_voids()
            self._pending.run(store)
            self._was_empty = False
            if self.remote.source is not None:
                position = store.states.read_position()
                self._was_empty = position is None and store.count() == 0
                self.remote.restore(position, self.mark())
        if store.aside is not None:
            text = f"the index was corrupt, and is now in {store.aside}"
            self._on_trouble(TierError.of(text, text))
        return store

    def _begin(self, store: Store) -> None:
        with self.lock:
            self._voids_read = self.clock.monotonic()
            self._tampered = 0
            self.store = store
            self.memory = MemoryIndex(self.embeddings.dimension, max_items=self._max_items)
            for row, x in self._writer.queue():
                self.memory.add([row], x[None])
            self._whole = False
            self.is_loaded.clear()
            if store.shared:
                self.is_loaded.set()
            self.ready = True
        if not store.shared:
            try:
                self._pool.submit(self._load)
            except ThreadPoolFull:  # such as at exit
                self.is_loaded.set()

    def _refuse_in_cooldown(self) -> None:
        """Raise at once during a cooldown, without a change of threads."""
        if self._cooldown.is_active:
            raise self._pause_error()

    def _pause_error(self) -> ToolOpsError:
        """Return the error of a call in a cooldown, with the reason if it is a lasting one."""
        refusal = None if self.ready else self._refusal
        if refusal is not None:
            return copy(refusal)  # a shared traceback would grow with every caller
        problem = "it failed a moment ago, and is left alone for a while"
        return TierError.of(f"the semantic index: {problem}", problem)

    async def aopen(self) -> None:
        """Like :meth:`open`, without blocking the event loop."""
        self._refuse_in_cooldown()
        await run_in_pool(self._pool, self.open)

    def _load(self) -> None:
        """Load the stored entries into memory; until then lookups also query Chroma."""
        try:
            if self._max_items <= _IN_MEMORY:
                self._load_all()
                self._whole = True
            if self.store.stale:
                # A killed process left it torn; committed entries are restored.
                self.store.rebuild()
        except Exception as error:  # noqa: BLE001 - errors in the background are reported
            self._on_trouble(as_tier_error(error))
        finally:
            self._gone.clear()
            self.is_loaded.set()
            self._report_bad_signatures()

    def _load_all(self) -> None:
        for rows, vectors in self.store.load():
            with self.lock:
                # Entries that were put or removed meanwhile are newer than the stored ones. Those
                # of a scope or tag that was invalidated since they were read are void.
                new = [
                    i
                    for i, row in enumerate(rows)
                    if row.id not in self._gone
                    and self.memory.get(row.id) is None
                    and not self._voids.covers(row)
                    and not self.remote.covers(row)
                ]
                if new:
                    self._into_memory([rows[i] for i in new], vectors[new])

    def close(self) -> None:
        """Write all pending entries and close the store, within a timeout.

        Raises:
            TierError: The store could not be reached or was too slow; pending entries are lost.
        """
        if not self.ready:
            return
        self.is_loaded.wait(_PATIENCE)
        self.learned.wait(self.store.timeout)
        patience = self.store.timeout if self.store.shared else _PATIENCE
        try:
            if self.store.shared:
                self._refuse_in_cooldown()
            with self.store.within(patience):
                self.flush(patience)
                self._writer.finish(patience)
                self._delete_news(closing=True)
        finally:
            with suppress(TierError):  # a hanging write ends when the store is closed
                self._writer.forget((), self._close_store, patience)
            self._close_store()

    def _close_store(self) -> None:
        with self.lock:
            was_ready, self.ready = self.ready, False
        if was_ready:
            self.store.close()

    async def aclose(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        if self.ready:
            try:
                await run_in_pool(self._pool, self.close)
            finally:
                await self.store.aclose()

    def close_at_exit(self) -> None:
        """Like :meth:`close`, but report an error to ``on_trouble``."""
        try:
            self.close()
        except Exception as error:  # noqa: BLE001 - errors in the background are reported
            self._on_trouble(as_tier_error(error))

    def reset_after_fork(self) -> None:
        """Continue in a forked child with the entries in memory, without writing."""
        self._embedding = threading.RLock()
        self._cooldown.reset()
        self._refusal = None
        self.learned.reset_after_fork()
        self._writer.reset_after_fork()
        self._pending = PendingDeletions()  # the old ones belong to the parent
        if self.ready and not self.store.shared:
            # An embedded client belongs to the parent: the child has only its memory.
            self._is_forked = True
            self._whole = True
            self.is_loaded.set()

    # -- lookup ---------------------------------------------------------------------------------

    def mark(self) -> int:
        """Return the mark of this moment, for a later :meth:`put`."""
        return self._invalidations.now()

    def search(self, scope: bytes, x: Vector, k: int) -> Generator[Io, Any, Near]:
        """Return the ``k`` nearest live entries of a scope, nearest first.

        Raises:
            TierError: The store could not be reached.
        """
        if self._unembedded:
            yield Io(self._embed, self._embed_async)
        if self.remote.is_behind:
            yield from self._try_to_catch_up()
        now = self.clock.time()
        whole = self._whole  # before the search, which may miss what is being loaded
        if whole and len(self.memory) > _INLINE:
            near: Near = yield Io(self.memory.search, self._asearch, scope, x, k, now)
        else:
            near = self.memory.search(scope, x, k, now)
        near = [each for each in near if self.lifetimes.left(each[0]) > 0.0]
        if self.remote.is_behind:
            near = [each for each in near if self.remote.is_certain(each[0])]
        if whole:
            return near
        if self.store.signed and self.store.shared:
            yield from self._refresh_voids()
        far: Near = yield Io(self._search_store, self._asearch_store, scope, x, k, now)
        ours = {row.id for row, _ in near}
        refused = [row.id for row, _ in far if self.remote.covers(row)]
        if refused:  # written late, by a call from before the invalidation
            self._pool.offer(partial(self._delete_late_rows, refused))
        merged = near + [
            (row, s)
            for row, s in far
            if row.id not in ours
            and row.id not in self._gone
            and row.id not in refused
            and self.remote.is_certain(row)
            and not self.is_void(row.id, row)
            and not self._pending.covers(row)
            and self.lifetimes.left(row) > 0.0
        ]
        merged.sort(key=lambda each: -each[1])
        return merged[:k]

    def _try_to_catch_up(self) -> Generator[Io, Any, None]:
        """Learn what other processes have invalidated; until then uncertain rows are left out."""
        try:
            yield Io(self.catch_up, self.acatch_up)
        except TierError as error:
            self._on_trouble(error)

    def _refresh_voids(self) -> Generator[Io, Any, None]:
        """Read the invalidations of other processes, once a second at most."""
        now = self.clock.monotonic()
        if now - self._voids_read >= _VOIDS:
            self._voids_read = now
            yield Io(self._read_voids, self._aread_voids)

    def _read_voids(self) -> None:
        ticket = self._ticket()
        try:
            self.store.states.read_voids()
        except TierError:
            self._cooldown.fail(ticket)
            raise
        self._cooldown.succeed(ticket)

    async def _aread_voids(self) -> None:
        await run_in_pool(self._pool, self._read_voids)

    def _report_bad_signatures(self) -> None:
        found, self._tampered = self.store.tampered - self._tampered, self.store.tampered
        if found > 0:
            self._on_trouble(TamperedError(f"{found} records with no valid signature"))

    async def _asearch(self, scope: bytes, x: Vector, k: int, now: float) -> Near:
        return await run_in_pool(self._pool, partial(self.memory.search, scope, x, k, now))

    def _search_store(self, scope: bytes, x: Vector, k: int, now: float) -> Near:
        ticket = self._ticket()
        try:
            (found,) = self.store.search([scope], x[None], k, now)
        except TierError:
            self._cooldown.fail(ticket)
            raise
        self._note_search(ticket)
        return found

    async def _asearch_store(self, scope: bytes, x: Vector, k: int, now: float) -> Near:
        if not self.store.native:
            return await run_in_pool(self._pool, partial(self._search_store, scope, x, k, now))
        ticket = self._ticket()
        try:
            (found,) = await self.store.asearch([scope], x[None], k, now)
        except TierError:
            self._cooldown.fail(ticket)
            raise
        self._note_search(ticket)
        return found

    def _note_search(self, ticket: int) -> None:
        """Record that the store answered a search."""
        self._cooldown.succeed(ticket)
        self._report_bad_signatures()
        if self._pending:
            self._pool.offer(self._run_pending_deletions_soon)

    def _ticket(self) -> int:
        ticket = self._cooldown.enter()
        if ticket is None:
            raise self._pause_error()
        return ticket

    def note_hit(self, row: Row) -> None:
        """Count a hit of an entry."""
        now = self.clock.time()
        if self.memory.get(row.id) is row:
            self.memory.touch(row, now)
        else:
            row.hits += 1
            row.used = now
        self._writer.note_hit(row)

    def row_time(self) -> float:
        """Return the time for a new row, in seconds since the epoch."""
        return self._voids.row_time(self.clock.time())

    # -- writing ---------------------------------------------------------------------------------

    def put(self, row: Row, x: Vector, mark: int, agreeing: Sequence[str] = ()) -> None:
        """Store an entry, searchable at once, unless it was invalidated since the mark."""
        row.mark = mark
        row.seen = self.remote.number_at(mark)
        self.lifetimes.begin(row)
        with self.lock:
            if not self.holds(row, mark):
                return
            self._into_memory([row], x[None], agreeing)
        self._writer.put([row], [x])

    def put_text(self, row: Row, text: str, mark: int) -> None:
        """Like :meth:`put`, without a vector; the next lookup embeds the text."""
        row.mark = mark
        row.seen = self.remote.number_at(mark)
        self.lifetimes.begin(row)
        with self.lock:
            if self.holds(row, mark):
                self._unembedded.append((row, text, mark))
        self._writer.expect()

    def holds(self, row: Row, mark: int) -> bool:
        """Return whether neither a row nor its tags were invalidated since the mark."""
        return self._invalidations.holds(mark, row.id.encode(), row.tags)

    def _embed(self) -> None:
        with self._embedding:
            with self.lock:
                waiting = list(self._unembedded)
            if not waiting:
                return
            try:
                vectors = self.embeddings.many([text for _, text, _ in waiting])
                self._put_all(waiting, vectors)
            except Exception as error:  # noqa: BLE001 - entries without a vector are dropped
                self._on_trouble(as_tier_error(error))
            with self.lock:
                # Last, so that a search always finds them in one place.
                del self._unembedded[: len(waiting)]

    async def _embed_async(self) -> None:
        await run_in_pool(self._pool, self._embed)

    def _put_all(self, waiting: Sequence[tuple[Row, str, int]], vectors: Vector) -> None:
        with self.lock:
            valid = [i for i, (row, _, mark) in enumerate(waiting) if self.holds(row, mark)]
            # Only the last answer to a question counts.
            last = {waiting[i][0].id: i for i in valid}.values()
            rows = [waiting[i][0] for i in last]
            self._into_memory(rows, vectors[list(last)])
        self._writer.put(rows, list(vectors[list(last)]))

    def _into_memory(
        self, rows: Sequence[Row], vectors: Vector, agreeing: Sequence[str] = ()
    ) -> None:
        # Called with the lock held.
        added = {row.id for row in rows}
        pushed = self.memory.add(rows, vectors)
        out = [row.id for row in pushed if row.id not in added]
        self.copies.forget(added)  # copies of a replaced answer
        self.learned.forget(out)
        self.learned.add(rows, vectors, agreeing)
        if out and not self.store.shared:
            # Later, so that a put does not wait for a deletion.
            self._evicted.update(dict.fromkeys(out))

    def _delete_evictions(self) -> None:
        """Delete evicted entries in batches: one takes as long as a hundred."""
        with self.lock:
            ids, self._evicted = list(self._evicted), {}
            # Entries that were put again stay.
            ids = [id_ for id_ in ids if self.memory.get(id_) is None]
        try:
            if ids:
                self._writer.forget(ids, partial(self._delete_if_open, ids))
        except Exception as error:  # noqa: BLE001 - errors in the background are reported
            self._on_trouble(as_tier_error(error))

    def _delete_if_open(self, ids: Sequence[str]) -> None:
        # After a close, the remaining ones are evicted again once loaded. A deletion would reopen
        # the store and lock its folder.
        if self.ready:
            self.store.delete(ids)

    def write(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """Store a batch, for the writer, which may outlive a :meth:`close`."""
        self.open()
        self._run_pending_deletions()  # first, since it would delete the new rows too
        self.store.write(rows, np.stack(vectors))
        self._written += len(rows)
        if not self._whole and self.is_loaded.is_set():
            self.memory.remove([row.id for row in rows])

    def touch(self, rows: Sequence[Row]) -> None:
        """Store hit counts, for the writer."""
        self.open()
        self.store.touch(rows)

    def flush(self, seconds: float = -1.0) -> None:
        """Write all pending entries, and delete those that had to make room.

        Args:
            seconds: Timeout for a running write. Default: no timeout.

        Raises:
            TierError: The store could not be reached.
        """
        self._embed()
        self._writer.flush(seconds)
        self._delete_evictions()
        self.learned.save()

    async def aflush(self) -> None:
        """Like :meth:`flush`, without blocking the event loop."""
        await run_in_pool(self._pool, self.flush)

    # -- invalidation ------------------------------------------------------------------------------

    def remove(self, ids: Sequence[str]) -> None:
        """Delete entries, and pending ones with their ids.

        Raises:
            TierError: The store could not be reached; memory has forgotten them.
        """
        self._void(ids)
        void = self._note_void(ids=ids)
        self._delete_for_good(ids, lambda store: store.delete(ids), void)

    def invalidate(self, tags: Sequence[str]) -> None:
        """Delete all entries with any of the tags, including pending ones.

        Raises:
            TierError: The store could not be reached; memory has forgotten them.
        """
        void = self._note_void(tags=tags)  # first, for entries that are being loaded
        ids = self._void(tags=tags)
        self._delete_for_good(ids, lambda store: store.delete_where(tags=tags), void)

    def clear(self, scope: bytes | None = None) -> None:
        """Delete all entries, or those of one scope.

        Raises:
            TierError: The store could not be reached; memory has forgotten them.
        """
        # First, for entries that are being loaded.
        if scope is None:
            void = self._note_void(everything=True)
        else:
            void = self._note_void(scopes=[scope])
        with self.lock:
            self._invalidations.void(everything=True)
            ids: list[str] = []
            if self.ready and scope is None:
                ids = [row.id for row in self.memory.rows()]
            elif self.ready and scope is not None:
                ids = self.memory.of_scope(scope)
            self._out_of_memory(ids)
        self.copies.forget(everything=True)
        if scope is None:
            self._delete_for_good(ids, lambda store: store.clear(), void)
        else:
            self._delete_for_good(ids, lambda store: store.delete_where(scope=scope), void)

    def _note_void(
        self,
        *,
        ids: Sequence[str] = (),
        tags: Sequence[str] = (),
        scopes: Sequence[bytes] = (),
        everything: bool = False,
    ) -> Voids:
        """Invalidate entries from before now; return the record to store."""
        void = Voids()
        moment = self._voids.void_time(self.clock.time())
        void.add(moment, ids, tags, scopes, everything=everything)
        self._voids.merge(void)
        return void

    def _delete_for_good(
        self, ids: Sequence[str], delete: Callable[[Store], object], void: Voids
    ) -> None:
        """Delete rows and, with a secret, store their invalidation.

        Raises:
            TierError: The store could not be reached; the rows are deleted later.
        """

        def note_and_delete() -> None:
            # The record first: rows that are deleted without it could be restored.
            try:
                if self.store.signed:
                    self.store.states.write_void(void)
            finally:
                delete(self.store)

        try:
            self.open()
            self._delete_in_time(ids, note_and_delete)
        except TierError:
            self._pending.add(void)
            raise

    def _run_pending_deletions(self) -> None:
        """Run deletions that failed earlier."""
        if self._pending:
            self._delete_in_time((), lambda: self._pending.run(self.store))

    def _run_pending_deletions_soon(self) -> None:
        try:
            self._run_pending_deletions()
        except Exception as error:  # noqa: BLE001 - errors in the background are reported
            self._on_trouble(as_tier_error(error))

    def _delete_in_time(self, ids: Sequence[str], delete: Callable[[], object]) -> None:
        """Delete rows; on a server within one deadline, and not during a cooldown."""
        if not self.store.shared:
            self._writer.forget(ids, delete)
            return
        self._writer.drop(ids)
        ticket = self._ticket()
        seconds = self.store.timeout
        try:
            with self.store.within(seconds):
                self._writer.forget(ids, delete, seconds)
        except TierError:
            self._cooldown.fail(ticket)
            raise
        self._cooldown.succeed(ticket)

    def expire(
        self, ids: Sequence[str], tags: Sequence[str], moment: float, *, everything: bool
    ) -> None:
        """Serve nothing from before an invalidation by another process.

        Args:
            ids: Ids of entries.
            tags: Tags of entries.
            moment: Seconds since the epoch of its start, by the other process's clock.
            everything: Whether all entries are void.
        """
        if self.ready and self.store.signed:
            self._voids.add(moment, ids, tags, everything=everything)

    # -- invalidations by other processes ----------------------------------------------------------

    def catch_up(self, *, missed: bool = False) -> None:
        """Follow the invalidations of other processes; nothing without a record or while closed.

        Args:
            missed: Whether messages about them may have been missed.

        Raises:
            TierError: The record could not be read.
        """
        source = self.remote.source
        if source is not None and self.ready:
            self._apply(source.read(self.remote.position_by_name), missed=missed)

    async def acatch_up(self, *, missed: bool = False) -> None:
        """Like :meth:`catch_up`, without blocking the event loop."""
        source = self.remote.source
        if source is not None and self.ready:
            self._apply(await source.aread(self.remote.position_by_name), missed=missed)

    def fall_behind(self) -> None:
        """Serve nothing of before now until :meth:`catch_up` has succeeded."""
        with self.lock:
            self.remote.fall_behind(self._invalidations.void())

    def _apply(self, history: History, *, missed: bool) -> None:
        with self.lock:
            news = self.remote.take(history, missed=missed, is_empty=self._was_empty)
            gone = self._void_news(news)
            if self.remote.follow(history, self._invalidations.now()):
                self._queue_news(news, gone)
        self._pool.offer(self._delete_news)

    def _queue_news(self, news: News, gone: list[str]) -> None:
        # Called with the lock held.
        self._undeleted.append((news, gone))
        if len(self._undeleted) > _UNDELETED:
            # The next process reads them again, from the stored position on.
            del self._undeleted[0]
            self._stored_position = None, math.inf

    def _void_news(self, news: News) -> list[str]:
        # Called with the lock held.
        if news.everything:
            self._invalidations.void(everything=True)
            gone = [row.id for row in self.memory.rows()]
            self._out_of_memory(gone)
            self.copies.forget(everything=True)
            return gone
        return self._void(news.ids, news.tags) if news.ids or news.tags else []

    def hear(self, ids: Sequence[str], tags: Sequence[str], *, everything: bool = False) -> None:
        """Drop what another process invalidated; the store follows in the background.

        Args:
            ids: Ids of entries.
            tags: Tags of entries.
            everything: Whether all entries are void.
        """
        with self.lock:
            if not self.ready:
                return
            news = News([*ids], [*tags], everything, [*ids], [*tags], everything)
            self._queue_news(news, self._void_news(news))
        self._pool.offer(self._delete_news)

    def _delete_news(self, *, closing: bool = False) -> None:
        """Delete stored rows that other processes have invalidated, then store the position."""
        try:
            with self._deleting:
                with self.lock:
                    waiting, position = list(self._undeleted), self.remote.position
                if not (waiting or closing) or not self.ready or self._is_forked:
                    return
                with self.store.within(self.store.timeout):
                    for news, gone in waiting:
                        self._writer.forget(gone, partial(self._delete_in_store, news, gone))
                    self._store_position(position, soon=closing)
                with self.lock:
                    del self._undeleted[: len(waiting)]
        except Exception as error:  # noqa: BLE001 - errors in the background are reported
            self._on_trouble(as_tier_error(error))

    def _delete_in_store(self, news: News, gone: Sequence[str]) -> None:
        if news.stored_all:
            self.store.clear()
            return
        # On a server, those who invalidate usually delete too.
        self.store.delete(news.stored_ids if self.store.shared else [*gone, *news.stored_ids])
        self.store.delete_where(tags=list(dict.fromkeys(news.stored_tags)))

    def _store_position(self, position: Position | None, *, soon: bool) -> None:
        """Store a new position; on a server, which others follow too, once a minute at most."""
        now = self.clock.monotonic()
        before, last = self._stored_position
        if position is None or position == before or last == math.inf:
            return
        if soon or not self.store.shared or now - last >= _POSITION:
            self.store.states.write_position(position)
            self._stored_position = position, now

    def _delete_late_rows(self, ids: Sequence[str]) -> None:
        try:
            self._writer.forget((), partial(self._delete_if_open, ids))
        except Exception as error:  # noqa: BLE001 - errors in the background are reported
            self._on_trouble(as_tier_error(error))

    def _void(self, ids: Sequence[str] = (), tags: Sequence[str] = ()) -> list[str]:
        """Remove entries and their copies from memory; return their ids."""
        now = self.clock.time()
        with self.lock:
            number = self._invalidations.void(keys=[id_.encode() for id_ in ids], tags=tags)
            for id_ in ids:
                self._voided[id_] = number, now
                self._voided.move_to_end(id_)
            while len(self._voided) > _VOIDED:
                self._voided.popitem(last=False)
            gone = list(ids)
            if self.ready and tags:
                gone += self.memory.ids_with_tags(tags)
            self._out_of_memory(gone)
        # After the marks: a copy that is made now is found to be invalidated.
        self.copies.forget(ids, tags)
        return gone

    def is_void(self, id_: str, row: Row) -> bool:
        """Return whether a question was invalidated after an entry that may answer it."""
        voided = self._voided.get(id_)
        if voided is None:
            return False
        number, moment = voided
        return row.created <= moment if row.mark is None else row.mark < number

    def may_answer(self, id_: str, row: Row, mark: int) -> bool:
        """Return whether an entry may still answer a question.

        Args:
            id_: The id of the question's own entry.
            row: The entry.
            mark: The mark of the moment before it was found.
        """
        return self.holds(row, mark) and not self.is_void(id_, row)

    def _out_of_memory(self, ids: Sequence[str]) -> None:
        # Called with the lock held.
        if not self.ready:
            return
        if not self.is_loaded.is_set():
            self._gone.update(ids)
        self.memory.remove(ids)
        self.learned.forget(ids)

    # -- upkeep, in the writer's thread ----------------------------------------------------------

    def _upkeep(self) -> None:
        if not self.ready:
            return
        now = self.clock.monotonic()
        self.learned.save_if_due()
        if len(self._evicted) >= _EVICTED:
            self._delete_evictions()
        if self._written >= max(self._max_items, _FEW):
            self._compact()
        if now - self._swept >= _SWEEP:
            self._swept = now
            self.sweep()

    def _compact(self) -> None:
        """Rebuild Chroma's index when most of its slots belong to deleted entries."""
        self._written = 0
        if not self._whole or self.store.shared:
            return
        with self._writer.no_write():
            bloated = self.store.compact(_PLACES * max(self._max_items, _FEW))
        if bloated:
            self.store.rebuild()

    def sweep(self) -> None:
        """Delete expired and excess entries; nothing once the index is closed.

        Raises:
            TierError: The store could not be reached.
        """
        now = self.clock.time()
        while self.ready and (ids := self.memory.ids_past_expiry(now, 1_000)):
            with self.lock:
                self._out_of_memory(ids)
            self._writer.forget(ids, partial(self._delete_if_open, ids))
        if self.ready and not self._whole:
            self.store.delete_where(expired=now)
            self.store.shrink(self._max_items)
