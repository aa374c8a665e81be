"""The store of the semantic cache in Chroma: an embedded folder or a server.

The form of entries is described in :mod:`~toolops_plugins.semantic.index.chroma_records`, the
separation of scopes in :mod:`~toolops_plugins.semantic.index.chroma_scopes`, and the recovery of a
folder in :mod:`~toolops_plugins.semantic.index.chroma_folder`.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.codec.encryption import Cipher
from toolops_plugins.errors import TamperedError, TierError
from toolops_plugins.semantic.index import chroma_records as records
from toolops_plugins.semantic.index.chroma_connection import Link
from toolops_plugins.semantic.index.chroma_hits import Hits
from toolops_plugins.semantic.index.chroma_scopes import fold
from toolops_plugins.semantic.index.chroma_state import StateStore, Tally
from toolops_plugins.semantic.index.protection import Protection
from toolops_plugins.semantic.index.rows import Row

__all__ = ["Store"]

Vectors: TypeAlias = NDArray[np.float32]

_WEIGHT = 8_000_000  # bytes of one write; a server takes 40 MB, and base64 and JSON add half
_SAMPLE = 1_000  # entries from which the age of the least recently served ones is estimated
_ROOM = 20  # shrinking frees a twentieth, so that it is rarely needed


class Store:
    """Entries with their vectors, and the state of the learner, in Chroma.

    Safe to use from any threads, and its coroutines from any event loops. Stores of one folder in a
    process share a client. After :meth:`close` a store reopens at the next use.

    Args:
        path: A folder for Chroma's embedded index, for this process alone.
        url: A server's URL; see :class:`~toolops_plugins.semantic.index.chroma_server.Server`.
        client: The user's Chroma client; it is not closed here.
        collection: The collection's name; learned state is in another one, with the suffix
            "-state". Default "toolops".
        embedder: The embedder's name.
        dimension: The embedder's dimensions.
        secret: Signs every record; others are skipped. None: no signatures.
        cipher: Encrypts questions, answers and tags; None: they are readable. Needs a secret.
        timeout: Seconds for an operation on a server that a caller waits for. Default 3.

    Raises:
        ConfigurationError: A value is invalid, or chromadb is missing.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        url: str | None = None,
        client: Any = None,
        collection: str = "toolops",
        embedder: str,
        dimension: int,
        secret: bytes | None = None,
        cipher: Cipher | None = None,
        timeout: float | None = None,
    ) -> None:
        self._protection = None if secret is None else Protection(secret, collection, cipher)
        self._link = Link(path, url, client, collection, embedder, dimension, timeout)
        self.shared: bool = self._link.shared
        """True if other processes may change the entries, which is so on a server."""
        self.native: bool = self._link.queries is not None
        """True if :meth:`asearch` awaits the server, and blocks no thread."""
        self._tally = Tally()
        self.states = StateStore(self._link, self._protection, self._tally)
        """Learned states and invalidations."""
        self.signed = secret is not None
        """True if records are signed."""

    @property
    def skipped(self) -> int:
        """The number of records that were skipped, since they are foreign or broken."""
        return self._tally.skipped

    @property
    def tampered(self) -> int:
        """The number of records without a valid signature."""
        return self._tally.tampered

    def __repr__(self) -> str:
        return f"Store({self._link.place!r}, collection={self._link.name!r})"

    def open(self) -> None:
        """Connect and create a missing collection; nothing if it is open.

        Raises:
            ConfigurationError: Another process has the folder open, or the collection was made with
                another embedder, by another version, or by other software.
            TierError: Chroma failed, or the server could not be reached.
        """
        with self._link.within(2 * self._link.timeout):
            self._link.open()

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Set a common deadline for all requests of this thread in the block."""
        return self._link.within(seconds)

    @property
    def aside(self) -> os.PathLike[str] | None:
        """The folder to which a corrupt database was moved, or None."""
        folder = self._link.folder
        return None if folder is None else folder.aside

    @property
    def timeout(self) -> float:
        """Seconds for an operation on a server that a caller waits for."""
        return self._link.timeout

    def close(self) -> None:
        """Release the folder or close all connections to the server."""
        self._link.close()

    async def aclose(self) -> None:
        """Like :meth:`close`, and wait until this loop's connections are closed."""
        await self._link.aclose()

    # -- entries ---------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of entries, including expired ones."""
        found: int = self._link.run(lambda collection: collection.count())
        return found

    def load(self, page: int = 2_000) -> Iterator[tuple[list[Row], Vectors]]:
        """Yield all entries with their vectors, in pages.

        Args:
            page: Entries of a page. Default 2000.

        Raises:
            TierError: Chroma failed.
        """
        for ids, documents, metadatas in self._pages(page):
            rows: list[Row] = []
            vectors: list[Vectors] = []
            for id_, document, record in zip(ids, documents, metadatas, strict=True):
                if (found_row := self._decode(id_, document, record)) is not None:
                    rows.append(found_row[0])
                    vectors.append(found_row[1])
            if rows:
                yield rows, np.stack(vectors)

    def _decode(self, id_: str, document: str | None, record: Any) -> tuple[Row, Vectors] | None:
        """Return a record's row and vector, or None for a broken, foreign or void record."""
        try:
            row = records.decode(id_, document, record, self._protection)
        except TamperedError:
            self._tally.tampered += 1
            row = None
        x = None if row is None else records.vector(record, self._link.dimension)
        if row is None or x is None:
            self._tally.skipped += 1
            return None
        return None if self.states.voids.covers(row) else (row, x)

    def _hit(
        self, id_: str, document: str | None, record: Any
    ) -> tuple[Row, Vectors | None] | None:
        if self._protection is not None:
            return self._decode(id_, document, record)
        row = records.decode(id_, document, record)
        if row is None:
            self._tally.skipped += 1
            return None
        return row, None

    def _pages(self, page: int) -> Iterator[tuple[list[str], list[Any], list[Any]]]:
        # By ids, which one short answer contains: pages by offset would skip entries when earlier
        # ones are deleted meanwhile.
        ids = self._link.run(lambda collection: collection.get(include=[])["ids"])
        for start in range(0, len(ids), page):
            part = ids[start : start + page]
            found = self._link.run(_get, part)
            yield found["ids"], found["documents"], found["metadatas"]

    def write(self, rows: Sequence[Row], vectors: Vectors) -> None:
        """Store entries, replacing those of the same id; they are on disk when this returns.

        Args:
            rows: The entries.
            vectors: Their vectors, of unit length, as rows.

        Raises:
            TierError: Chroma failed; some of the entries may be stored.
        """
        last = {row.id: number for number, row in enumerate(rows)}  # Chroma refuses duplicates
        chosen = list(last.values())
        rows, vectors = [rows[number] for number in chosen], vectors[chosen]
        self.open()
        for part in records.parts(rows, self._link.batch, _WEIGHT):
            some, xs = rows[part], vectors[part]
            batch = {
                "ids": [row.id for row in some],
                "embeddings": self._fold([row.scope for row in some], xs),
                "metadatas": [
                    records.metadata(row, x, self._protection)
                    for row, x in zip(some, xs, strict=True)
                ],
                "documents": [records.document(row, self._protection) for row in some],
            }
            self._link.run(lambda collection, batch: collection.upsert(**batch), batch, change=True)

    def touch(self, rows: Sequence[Row]) -> None:
        """Store the hit counts and last use of entries. Deleted entries stay deleted.

        Raises:
            TierError: Chroma failed.
        """
        rows = list({row.id: row for row in rows}.values())
        self.open()
        for part in records.parts(rows, self._link.batch, _WEIGHT):
            ids = [row.id for row in rows[part]]
            usage = [records.usage(row) for row in rows[part]]
            self._link.run(_update, ids, usage, change=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete entries; unknown ids are ignored.

        Raises:
            TierError: Chroma failed; some of the entries may be deleted.
        """
        ids = list(dict.fromkeys(ids))
        self.open()
        for start in range(0, len(ids), self._link.batch):
            part = ids[start : start + self._link.batch]
            self._link.run(lambda collection, part: collection.delete(ids=part), part, change=True)

    def delete_where(
        self,
        *,
        tags: Sequence[str] | None = None,
        scope: bytes | None = None,
        expired: float | None = None,
    ) -> int:
        """Delete the entries that match all given conditions, and return their number.

        Args:
            tags: Entries with any of these tags.
            scope: Entries of this scope.
            expired: Entries that expire at or before this time, in seconds since the epoch.

        Raises:
            TierError: Chroma failed; some of the entries may be deleted.
        """
        conditions: list[dict[str, Any]] = []
        if tags is not None:
            if not tags:
                return 0
            form = records.safe if self._protection is None else self._protection.tag
            conditions.append(
                _join_conditions("$or", [{"tags": {"$contains": form(tag)}} for tag in tags])
            )
        if scope is not None:
            conditions.append({"scope": scope.hex()})
        if expired is not None:
            conditions.append({"expires": {"$lte": float(expired)}})
        if not conditions:
            raise ValueError("needs at least one of tags, scope and expired")
        where = _join_conditions("$and", conditions)
        # Chroma may limit a deletion; ids come in batches and can be counted.
        ids = self._link.run(lambda collection: collection.get(where=where, include=[])["ids"])
        self.delete(ids)
        return len(ids)

    def shrink(self, most: int) -> int:
        """Delete the least recently served of too many entries, and return their number.

        The cutoff is estimated from a sample of a thousand entries, since reading all would take
        seconds. So some less recently served entries may stay.

        Args:
            most: Entries at most. Above it, a twentieth of it is freed.

        Raises:
            TierError: Chroma failed; some of the entries may be deleted.
        """
        ids = self._link.run(lambda collection: collection.get(include=[])["ids"])
        if len(ids) <= most:
            return 0
        excess = len(ids) - most + most // _ROOM
        some = random.sample(ids, min(_SAMPLE, len(ids)))
        found = self._link.run(_get, some)["metadatas"]
        moments = [(record or {}).get("used") for record in found]
        used = sorted(moment for moment in moments if isinstance(moment, int | float))
        if not used:
            return 0
        rank = math.ceil(excess / len(ids) * len(used))
        where = {"used": {"$lte": used[min(rank, len(used)) - 1]}}
        old = self._link.run(
            lambda collection: collection.get(where=where, limit=excess, include=[])["ids"]
        )
        self.delete(old)
        return len(old)

    def clear(self) -> None:
        """Delete all entries; learned state stays.

        Raises:
            TierError: Chroma failed.
        """
        self._link.clear()

    # -- searching -------------------------------------------------------------------------------

    def search(
        self, scopes: Sequence[bytes], vectors: Vectors, k: int, now: float
    ) -> list[list[tuple[Row, float]]]:
        """Return for each question the nearest live entries of its scope, nearest first.

        Args:
            scopes: The scope of each question.
            vectors: The questions' vectors, of unit length, as rows.
            k: Entries at most, for each question.
            now: The time at which entries must be live, in seconds since the epoch.

        Returns:
            Entries with their cosines to the question.

        Raises:
            TierError: Chroma failed, or did not answer in time.
        """
        hits = Hits(scopes, self._fold(scopes, vectors), k, now, vectors, self._hit)
        with self._link.within(self._link.timeout):
            while (question := hits.question()) is not None:
                hits.take(self._link.ask(question))
        return hits.found

    async def asearch(
        self, scopes: Sequence[bytes], vectors: Vectors, k: int, now: float
    ) -> list[list[tuple[Row, float]]]:
        """Like :meth:`search`; with a URL only (``native``), and opened before."""
        hits = Hits(scopes, self._fold(scopes, vectors), k, now, vectors, self._hit)
        try:
            async with asyncio.timeout(self._link.timeout):
                while (question := hits.question()) is not None:
                    hits.take(await self._link.aask(question))
        except TimeoutError as error:
            raise TierError(f"Chroma at {self._link.place} did not answer in time") from error
        return hits.found

    def _fold(self, scopes: Sequence[bytes], vectors: Vectors) -> Vectors:
        # The first vectors would fix the dimension of the collection.
        form = len(scopes), self._link.dimension
        if vectors.shape != form:
            raise TierError(
                f"vectors of the form {vectors.shape} do not fit the index at {self._link.place}, "
                f"which takes {form}"
            )
        return fold(scopes, vectors)

    # -- recovery of the index ------------------------------------------------------------------

    @property
    def stale(self) -> bool:
        """Return whether searches miss entries until :meth:`rebuild` has run.

        This happens after a process was killed while it wrote to the folder. Nothing is lost:
        :meth:`load` yields all entries.
        """
        self.open()
        folder = self._link.folder
        return folder is not None and folder.is_stale(self._link.name)

    def rebuild(self, page: int = 500) -> None:
        """Rebuild the index of a folder if necessary; takes about 0.4 ms an entry.

        Other threads may use the store meanwhile. After an interruption, call it again.

        Args:
            page: Entries to add at a time. Default 500.

        Raises:
            TierError: Chroma failed.
        """
        if not self.stale:
            return
        ids = self._link.run(lambda collection: collection.get(include=[])["ids"])
        for start in range(0, len(ids), page):
            part = ids[start : start + page]
            self._link.run(self._add_again, part, change=True)
        if self._link.folder is not None:
            self._link.folder.note_rebuilt(self._link.name)

    def compact(self, most: int) -> bool:
        """Rebuild the index of a folder if most of its slots belong to deleted entries.

        No other thread may write meanwhile. If it returns True, call :meth:`rebuild`.

        Args:
            most: Slots at most.

        Returns:
            Whether the index must be rebuilt.

        Raises:
            TierError: Chroma failed.
        """
        return not self.shared and self._link.places() > most and self._link.renew()

    def _add_again(self, collection: Any, ids: list[str]) -> None:
        found = _get(collection, ids)
        chosen: list[str] = []
        scopes: list[bytes] = []
        vectors: list[Vectors] = []
        for id_, document, record in zip(
            found["ids"], found["documents"], found["metadatas"], strict=True
        ):
            if (decoded := self._decode(id_, document, record)) is not None:
                chosen.append(id_)
                scopes.append(decoded[0].scope)
                vectors.append(decoded[1])
        if chosen:
            collection.upsert(ids=chosen, embeddings=fold(scopes, np.stack(vectors)))


def _get(collection: Any, ids: list[str]) -> Any:
    return collection.get(ids=ids, include=["metadatas", "documents"])


def _update(collection: Any, ids: list[str], metadatas: list[dict[str, Any]]) -> None:
    collection.update(ids=ids, metadatas=metadatas)


def _join_conditions(operator: str, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one condition; Chroma takes no operator with a single operand."""
    return conditions[0] if len(conditions) == 1 else {operator: conditions}
