"""The index in memory, which answers lookups; the store makes it durable.

Embedded Chroma answers in 2 to 3 ms at best, and in ten times that with a filter on the scope. This
index holds the same rows by scope, so no row of another scope is ever compared, and a search takes
no lock: see :mod:`~toolops_plugins.semantic.index.memory_scope`.
"""

from __future__ import annotations

import heapq
import math
import random
import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice
from typing import Final, TypeAlias

import numpy as np

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.semantic.index.memory_blocks import (
    SCALE,
    Codes,
    Floats,
    SlotMap,
    VectorBlock,
    decode,
    encode,
)
from toolops_plugins.semantic.index.memory_scope import ScopeIndex
from toolops_plugins.semantic.index.rows import Row

__all__ = ["MemoryIndex", "usefulness"]

_SLICE: Final = 64  # rows that are written under one acquisition of the lock
_BATCH: Final = 16  # rows that are evicted at once
_SAMPLE: Final = 8  # rows that are compared for each eviction

_Scope: TypeAlias = bytes  # for annotations where a method has the name of the type
Match: TypeAlias = tuple[Row, float]
_Part: TypeAlias = tuple[list[Row | None], Floats]  # rows of a cell and their similarities


def usefulness(row: Row, now: float, dimension: int) -> float:
    """Return the value of a row per byte.

    Hyperbolic caching (Blankstein, Sen and Freedman, USENIX ATC 2017): the time that
    serving the row has saved, by its age and its size. The time since its last use counts too, so
    that the value of an old row without hits fades.

    Args:
        row: The row.
        now: Seconds since the epoch.
        dimension: Length of its vector.
    """
    saved = 0.1 + row.took + 100.0 * row.price  # a cent is worth a second
    size = 512 + 2 * dimension + len(row.data) + len(row.text or row.traits or "")
    idle = max(now - row.created, 0.0) + max(now - row.used, 0.0)
    return (1 + row.hits) * saved / (size * (1.0 + idle))


class MemoryIndex:
    """All rows with their vectors, searchable by scope.

    Safe to use from any threads. A search takes no lock. It sees every row whose :meth:`add`
    returned before its start, and none whose :meth:`remove` did; a row that is being replaced may
    be missing for a moment. Everything else takes one lock, held at most for the time of writing 64
    rows. Two simultaneous calls of :meth:`touch` on one row may count as one.

    Args:
        dimension: Length of the vectors.
        max_items: Rows at the most.
    """

    def __init__(self, dimension: int, *, max_items: int) -> None:
        self.dimension = dimension
        self.max_items = max_items
        self._lock = fork_safe(self, threading.Lock())
        self._random = random.Random(0)  # noqa: S311 - samples rows, not for security
        self._start()

    def _start(self) -> None:
        self._scope_indexes: dict[_Scope, ScopeIndex] = {}
        self._places = SlotMap()
        self._tags: dict[str, set[str]] = {}
        self._ids: list[str] = []  # for sampling; removed ids are dropped when drawn
        self._ends: list[tuple[float, str]] = []  # heap; outdated ones are dropped when due
        self._due: dict[str, None] = {}  # ids of expired rows
        self._latest = -math.inf  # the latest given time

    # Reading

    def search(self, scope: _Scope, x: Floats, k: int, now: float) -> list[Match]:
        """Return the rows of one scope that are nearest to a vector.

        Args:
            scope: The scope.
            x: A unit vector.
            k: Rows at most.
            now: Seconds since the epoch; rows that have expired by then are left out.

        Returns:
            Rows with their cosine similarity, the nearest first.
        """
        scope_index = self._scope_indexes.get(scope)
        if scope_index is None:
            return []
        x = x / SCALE
        parts: list[_Part] = []
        for block in scope_index.near(x):
            rows = block.rows
            count = len(rows)  # read before the array, which may be replaced by a larger one
            # Not by BLAS's matrix product, whose threads wait for each other.
            parts.append((rows, np.vecdot(block.codes[:count].astype(np.float32), x)))
        return _best(parts, k, now)

    def search_many(
        self, scopes: Sequence[_Scope], x: Floats, k: int, now: float
    ) -> list[list[Match]]:
        """Search for several vectors at once; searches of one scope share work.

        Args:
            scopes: The scope of each search.
            x: A unit vector for each search, one in each line.
            k: Rows at the most, for each.
            now: Seconds since the epoch.

        Returns:
            The result of :meth:`search`, for each.
        """
        x = x / SCALE
        asked: dict[VectorBlock, list[int]] = {}
        for i, scope in enumerate(scopes):
            scope_index = self._scope_indexes.get(scope)
            if scope_index is not None:
                for block in scope_index.near(x[i]):
                    asked.setdefault(block, []).append(i)
        parts: list[list[_Part]] = [[] for _ in scopes]
        for block, askers in asked.items():
            rows = block.rows
            count = len(rows)
            similar = np.vecdot(x[askers, None], block.codes[:count].astype(np.float32))
            for i, line in zip(askers, similar, strict=True):
                parts[i].append((rows, line))
        return [_best(mine, k, now) for mine in parts]

    def get(self, id: str) -> Row | None:  # noqa: A002 - what rows call it
        """Return the row with this id."""
        with self._lock:
            return self._places.row(id)

    def vector(self, id: str) -> Floats | None:  # noqa: A002 - what rows call it
        """Return the vector of the row with this id, with an error of up to 1.6e-5 a component."""
        with self._lock:
            block, slot = self._places.find(id)
            return None if block is None else decode(block.codes[slot])

    def ids_with_tags(self, tags: Iterable[str]) -> list[str]:
        """Return the ids of the rows that carry any of the tags."""
        with self._lock:
            found: dict[str, None] = {}
            for tag in tags:
                found.update(dict.fromkeys(self._tags.get(tag, ())))
            return list(found)

    def of_scope(self, scope: _Scope) -> list[str]:
        """Return the ids of the rows of a scope."""
        with self._lock:
            scope_index = self._scope_indexes.get(scope)
            return (
                []
                if scope_index is None
                else [row.id for block in scope_index.view[1] for row in block]
            )

    def rows(self) -> list[Row]:
        """Return all rows."""
        with self._lock:
            return list(self._places.rows())

    def __len__(self) -> int:
        """Return the number of rows, including expired ones."""
        return len(self._places)

    def scopes(self) -> int:
        """Return the number of scopes that have rows."""
        return len(self._scope_indexes)

    def bytes(self) -> int:
        """Return the approximate memory in use, without the rows themselves."""
        with self._lock:
            vectors = sum(block.codes.nbytes for block in self._places.blocks.values())
            marks = sum(map(len, self._tags.values()))
        each = 85 * len(self._places) + 64 * len(self._ends) + 64 * marks + 400 * len(self._tags)
        return vectors + each + 270 * len(self._places.blocks) + 160 * len(self._scope_indexes)

    # Writing

    def add(self, rows: Sequence[Row], vectors: Floats) -> list[Row]:
        """Add rows, replacing those with the same id.

        Args:
            rows: The rows. Of two with one id the later counts.
            vectors: Their unit vectors, one in each line.

        Returns:
            The rows that were replaced or evicted.

        Raises:
            ValueError: The vectors do not match the rows or the dimension, or are not finite.
        """
        if vectors.shape != (len(rows), self.dimension) or not np.isfinite(vectors).all():
            raise ValueError(
                f"needs {len(rows)} finite vectors of {self.dimension}, not {vectors.shape}"
            )
        last = {row.id: i for i, row in enumerate(rows)}
        gone = [row for i, row in enumerate(rows) if last[row.id] != i]
        by_scope: dict[_Scope, list[int]] = {}
        for i in last.values():
            by_scope.setdefault(rows[i].scope, []).append(i)
        room = min(_SLICE, self.max_items)
        codes = encode(vectors)
        for scope, lines in by_scope.items():
            for start in range(0, len(lines), room):
                part = lines[start : start + room]
                with self._lock:
                    gone += self._write(scope, [rows[i] for i in part], codes[part])
        return gone

    def remove(self, ids: Iterable[str]) -> list[Row]:
        """Remove rows; no search that starts after this returns finds them.

        Returns:
            The rows that were there.
        """
        gone: list[Row] = []
        rest = iter(ids)
        while part := list(islice(rest, _SLICE)):
            with self._lock:
                gone += self._remove(part)
        return gone

    def clear(self) -> None:
        """Remove all rows."""
        with self._lock:
            self._start()

    def ids_past_expiry(self, now: float, limit: int) -> list[str]:
        """Return ids of expired rows that are not removed yet.

        Args:
            now: Seconds since the epoch.
            limit: Ids at the most.
        """
        with self._lock:
            return self._ids_past_expiry(now, limit)

    def touch(self, row: Row, now: float) -> None:
        """Count a hit of a row at ``now``, in seconds since the epoch."""
        row.hits += 1
        row.used = now

    # What follows is called with the lock held.

    def _write(self, scope: _Scope, rows: list[Row], codes: Codes) -> list[Row]:
        self._latest = max(self._latest, *(row.used for row in rows))
        # The old row goes first: better a miss than two rows with one id.
        gone = self._remove([row.id for row in rows])
        gone += self._evict(len(self._places) + len(rows) - self.max_items)
        for row in rows:
            self._ids.append(row.id)
            for tag in row.tags:
                self._tags.setdefault(tag, set()).add(row.id)
            if row.expires < math.inf:
                heapq.heappush(self._ends, (row.expires, row.id))
        scope_index = self._scope_indexes.get(scope)
        if scope_index is None:
            self._scope_indexes[scope] = ScopeIndex(self._places, scope, rows, codes)
        else:
            scope_index.add(self._places, rows, codes)
        if len(self._ids) > 2 * len(self._places) + 64:
            self._ids = list(self._places)
        return gone

    def _remove(self, ids: Iterable[str]) -> list[Row]:
        gone: list[Row] = []
        touched: dict[VectorBlock, None] = {}
        for id in ids:  # noqa: A001 - what rows call it
            found = self._places.drop(id)
            if found is None:
                continue
            block, row = found
            touched[block] = None
            gone.append(row)
            self._due.pop(id, None)
            self._scope_indexes[row.scope].live -= 1
            for tag in row.tags:
                marked = self._tags.get(tag)
                if marked is not None:
                    marked.discard(id)
                    if not marked:
                        del self._tags[tag]
        for block in touched:
            scope_index = self._scope_indexes.get(block.scope)
            if scope_index is None:
                continue
            if scope_index.live:
                scope_index.tidy(self._places, block)
            else:
                del self._scope_indexes[block.scope]
                for each in scope_index.view[1]:
                    self._places.forget(each)
        if len(self._ends) > 2 * len(self._places) + 64:
            self._ends = [
                (row.expires, row.id) for row in self._places.rows() if row.expires < math.inf
            ]
            heapq.heapify(self._ends)
        return gone

    def _ids_past_expiry(self, now: float, limit: int) -> list[str]:
        self._latest = max(self._latest, now)
        ends = self._ends
        while ends and ends[0][0] <= now and len(self._due) < limit:
            moment, id = heapq.heappop(ends)  # noqa: A001 - what rows call it
            row = self._places.row(id)
            if row is not None and row.expires == moment:
                self._due[id] = None
        return list(islice(self._due, limit))

    def _evict(self, count: int) -> list[Row]:
        """Remove at least ``count`` rows: expired ones, then the least useful of a sample."""
        if count <= 0:
            return []
        gone = self._remove(self._ids_past_expiry(self._latest, count))
        # A few more than asked, so that a full index does not evict at every row.
        spare = min(_BATCH, self.max_items // 64)
        while len(gone) < count:
            some = max(count - len(gone), spare)
            sample = self._sample(_SAMPLE * some)
            # Only the logarithm: scopes of ended conversations must not outlive the rows of a
            # scope in use.
            fair = len(self._places) / len(self._scope_indexes)
            worth = [
                usefulness(row, self._latest, self.dimension)
                / (1.0 + math.log2(max(self._scope_indexes[row.scope].live / fair, 1.0)))
                for row in sample
            ]
            order = sorted(range(len(sample)), key=worth.__getitem__)
            gone += self._remove([sample[i].id for i in order[:some]])
        return gone

    def _sample(self, count: int) -> list[Row]:
        """Return up to ``count`` different rows, drawn at random."""
        if count >= len(self._places):
            return list(self._places.rows())
        found: dict[str, Row] = {}
        ids = self._ids
        for _ in range(2 * count):
            at = int(self._random.random() * len(ids))
            row = self._places.row(ids[at])
            if row is None:
                ids[at] = ids[-1]
                ids.pop()
                continue
            found[row.id] = row
            if len(found) == count:
                break
        return list(found.values())


def _best(parts: list[_Part], k: int, now: float) -> list[Match]:
    """Return the ``k`` nearest live rows."""
    if not parts:
        return []
    similar = parts[0][1] if len(parts) == 1 else np.concatenate([part[1] for part in parts])
    starts = [0, *accumulate(len(part[1]) for part in parts)]
    total = len(similar)
    wanted = k + 8  # a few more, since some may be removed or expired
    while True:
        if wanted < total:
            top = np.argpartition(similar, total - wanted)[total - wanted :]
            top = top[similar[top].argsort()[::-1]]
        else:
            top = similar.argsort()[::-1]
        found: list[Match] = []
        for i, similarity in zip(top.tolist(), similar[top].tolist(), strict=True):
            part = bisect_right(starts, i) - 1
            row = parts[part][0][i - starts[part]]
            if row is not None and row.expires > now:
                found.append((row, similarity))
                if len(found) == k:
                    return found
        if wanted >= total:
            return found
        wanted *= 4
