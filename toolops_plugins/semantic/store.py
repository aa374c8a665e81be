"""The semantic cache's entries in Chroma: an embedded folder, or a server that processes share.

How entries look there is told in :mod:`~toolops_plugins.semantic.chroma_records`, how scopes are
kept apart in :mod:`~toolops_plugins.semantic.fold`, and how a folder survives a killed process in
:mod:`~toolops_plugins.semantic.chroma_folder`.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import weakref
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.semantic import chroma_records as records
from toolops_plugins.semantic.chroma_folder import LAYOUT, STATE, Folder, enter, index_files
from toolops_plugins.semantic.chroma_query import MissingError, Queries, Server
from toolops_plugins.semantic.fold import fold, similarity
from toolops_plugins.semantic.rows import Row

__all__ = ["Store"]

Vectors: TypeAlias = NDArray[np.float32]
T = TypeVar("T")

_VERSION = 1  # of the layout of records and vectors
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,498}[a-zA-Z0-9]")  # leaves room for "-state"
_BATCH = 1_000  # entries of one write; Chroma indexes them before it returns
_WEIGHT = 8_000_000  # bytes of one write; a server takes 40 MB, and base64 and JSON add half
_SLOW = 30.0  # seconds for what no caller waits for
_MOST = 300  # results of a query; Chroma Cloud gives no more
_FLOOR = 0.3  # similarity below which nobody asks for the rest of a scope
_ROOM = 20  # shrinking makes room for a twentieth, so that it is not needed all the time

# Measured with the folded vectors of fold.py: with 8 neighbours the index costs two thirds of the
# time to build, and misses up to 2 % of the nearest; a smaller ef_search gains a tenth of a query.
_INDEX = {"hnsw": {"space": "ip", "max_neighbors": 16, "ef_construction": 100, "ef_search": 100}}


class Store:
    """Entries with their vectors, and what was learned of them, in Chroma.

    Safe to use from any threads; the awaiting methods from any event loops. Stores of one folder in
    one process share a client. Used after :meth:`close`, a store opens again.

    Args:
        path: A folder for Chroma's embedded index, for this process alone.
        url: A server's URL; see :class:`~toolops_plugins.semantic.chroma_query.Server`.
        client: A client of Chroma that the user made; it is not closed here.
        collection: The collection's name; what was learned is in another one, with "-state" at the
            end. Default "toolops".
        embedder: The embedder's name.
        dimension: The embedder's dimensions.

    Raises:
        ConfigurationError: A value is wrong, or chromadb is missing.
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
    ) -> None:
        if sum(each is not None for each in (path, url, client)) != 1:
            raise ConfigurationError("path", "give exactly one of path, url and client")
        if find_spec("chromadb") is None:
            raise ConfigurationError(
                "semantic", 'needs chromadb: pip install "toolops-plugins[semantic]"'
            )
        if not isinstance(collection, str) or not _NAME.fullmatch(collection):
            raise ConfigurationError(
                "collection",
                "must be 3 to 500 letters, digits, dots, hyphens and underscores, with a letter or "
                f"digit at both ends, not {collection!r}",
            )
        self._name = collection
        self._embedder = embedder
        self._dimension = check.count("dimension", dimension)
        self._given = client
        self._server = None if url is None else Server(url)
        self._queries = None if self._server is None else Queries(self._server)
        folder, self.shared = _nature(client) if client is not None else (path, url is not None)
        self._path = None if folder is None else Path(folder)
        self.native = self._queries is not None
        """Whether :meth:`asearch` awaits the server, and blocks no thread."""
        self.skipped = 0
        """How many records were passed over, since they are not ours or are broken."""
        self._inherited = False
        self._start()
        _stores.add(self)

    def _start(self) -> None:
        self._opening = threading.RLock()
        self._folder: Folder | None = None
        self._client: Any = None
        self._sessions: list[Any] = []
        self._collection: Any = None
        self._state: Any = None
        self._batch = 1

    def _after_fork(self) -> None:
        # Connections, and the threads of Chroma's own, are the parent's.
        self._inherited = self._inherited or (
            self._collection is not None and (not self.shared or self._given is not None)
        )
        self._start()
        if self._queries is not None:
            self._queries.forget()

    def __repr__(self) -> str:
        return f"Store({self._place!r}, collection={self._name!r})"

    @property
    def _place(self) -> str:
        if self._server is not None:
            return str(self._server)
        return "a client's memory" if self._path is None else str(self._path)

    # -- opening and closing ---------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and make the collection if there is none; nothing if that has been done.

        Raises:
            ConfigurationError: Another process has the folder open, or the collection was made with
                another embedder, by another version, or by somebody else.
            TierError: Chroma failed, or the server could not be reached.
        """
        if self._is_open():
            return
        if self._inherited:
            raise TierError(
                f"Chroma at {self._place} was opened before this process was forked, and is its "
                "parent's alone; share an index by a server and its URL"
            )
        with self._opening:
            if self._is_open():
                return
            try:
                self._connect()
            except BaseException:
                self._release()
                raise

    def _is_open(self) -> bool:
        return self._collection is not None

    def _connect(self) -> None:
        if not self.shared:
            self._folder = enter(self._path, self._given)
            self._client = self._given or self._folder.client
        elif self._server is None:
            self._client = self._given
        else:
            self._client = self._guarded(self._reach, self._server)
        self._batch = min(_BATCH, self._guarded(self._client.get_max_batch_size))
        try:
            self._collection = self._changed(self._resolve)
        except TierError as error:
            # A server that was killed on this folder left no note of what it tore.
            if self._folder is None or "hnsw" not in str(error) or not self._folder.repair():
                raise
            self._client = self._folder.client
            self._collection = self._changed(self._resolve)

    def _reach(self, server: Server) -> Any:
        import chromadb  # noqa: PLC0415 - takes a second
        import httpx  # noqa: PLC0415 - comes with it
        from chromadb.config import Settings  # noqa: PLC0415 - the same

        client = chromadb.HttpClient(
            host=server.base,
            port=server.port,
            ssl=server.tls,
            tenant=server.tenant,
            database=server.database,
            settings=Settings(anonymized_telemetry=False),
        )
        # Chroma gives connections no timeout, so that a server that hangs would hang us, and never
        # closes them; and the part that knows tenants has some of its own.
        for part in (client, getattr(client, "_admin_client", None)):
            session = getattr(getattr(part, "_server", None), "_session", None)
            if isinstance(session, httpx.Client):
                session.timeout = httpx.Timeout(_SLOW, connect=_SLOW / 10)
                self._sessions.append(session)
        return client

    def _resolve(self) -> Any:
        """Return the collection, which is made if there is none."""
        marks = {LAYOUT: _VERSION, "embedder": self._embedder, "dimension": self._dimension}
        found = self._client.get_or_create_collection(
            self._name, metadata=marks, configuration=_INDEX, embedding_function=None
        )
        self._check(found.metadata)
        # The first access of this process; what the last one left to do is done in it.
        found.count()
        self._id = str(found.id)
        return found

    def _check(self, marks: Any) -> None:
        """Refuse a collection whose metadata say that its vectors are not ours."""
        known = marks or {}
        if LAYOUT not in known:
            raise ConfigurationError(
                "collection",
                f"{self._name!r} in {self._place} was not made by toolops-plugins; choose another",
            )
        if known[LAYOUT] != _VERSION:
            raise ConfigurationError(
                "collection",
                f"{self._name!r} in {self._place} was made by a version of toolops-plugins with "
                f"layout {known[LAYOUT]}, and this one has {_VERSION}; choose another collection",
            )
        if (known.get("embedder"), known.get("dimension")) != (self._embedder, self._dimension):
            raise ConfigurationError(
                "embedder",
                f"the collection {self._name!r} in {self._place} was made with the embedder "
                f"{known.get('embedder')!r} of {known.get('dimension')} dimensions, not with "
                f"{self._embedder!r} of {self._dimension}, and vectors of different embedders "
                "cannot be compared: use that embedder again, or choose another collection",
            )

    def close(self) -> None:
        """Let go of the folder, or close all connections to the server."""
        if self._queries is not None:
            self._queries.close()
        self._release()

    async def aclose(self) -> None:
        """As :meth:`close`, and wait until this loop's connections are closed."""
        if self._queries is not None:
            await self._queries.aclose()
        self._release()

    def _release(self) -> None:
        with self._opening:
            folder, self._folder = self._folder, None
            client, self._client = self._client, None
            sessions, self._sessions = self._sessions, []
            self._collection = self._state = None
            if folder is not None:
                folder.leave()
            elif client is not None and client is not self._given:
                client.close()
            for session in sessions:
                session.close()

    # -- entries ---------------------------------------------------------------------------------

    def count(self) -> int:
        """Return how many entries there are, expired ones included."""
        found: int = self._run(lambda collection: collection.count())
        return found

    def load(self, page: int = 2_000) -> Iterator[tuple[list[Row], Vectors]]:
        """Yield all entries with their vectors, in pages.

        Args:
            page: Entries of a page. Default 2000.

        Raises:
            TierError: Chroma failed.
        """
        for ids, documents, found in self._pages(page):
            rows: list[Row] = []
            vectors: list[Vectors] = []
            for id_, document, record in zip(ids, documents, found, strict=True):
                row = records.decode(id_, document, record)
                x = None if row is None else records.vector(record, self._dimension)
                if row is None or x is None:
                    self.skipped += 1
                else:
                    rows.append(row)
                    vectors.append(x)
            if rows:
                yield rows, np.stack(vectors)

    def _pages(self, page: int) -> Iterator[tuple[list[str], list[Any], list[Any]]]:
        # By ids, which one short answer brings at once: pages by offset would pass over entries
        # when earlier ones are deleted meanwhile.
        ids = self._run(lambda collection: collection.get(include=[])["ids"])
        for start in range(0, len(ids), page):
            part = ids[start : start + page]
            found = self._run(_get, part)
            yield found["ids"], found["documents"], found["metadatas"]

    def write(self, rows: Sequence[Row], vectors: Vectors) -> None:
        """Store entries, which replace those of the same id; they are on disk when this returns.

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
        for part in records.parts(rows, self._batch, _WEIGHT):
            some, xs = rows[part], vectors[part]
            batch = {
                "ids": [row.id for row in some],
                "embeddings": self._folded([row.scope for row in some], xs),
                "metadatas": [records.metadata(row, x) for row, x in zip(some, xs, strict=True)],
                "documents": [records.document(row) for row in some],
            }
            self._run(lambda collection, batch: collection.upsert(**batch), batch, change=True)

    def touch(self, rows: Sequence[Row]) -> None:
        """Store how often, and when last, entries were served. Those that are gone stay gone.

        Raises:
            TierError: Chroma failed.
        """
        rows = list({row.id: row for row in rows}.values())
        self.open()
        for part in records.parts(rows, self._batch, _WEIGHT):
            ids = [row.id for row in rows[part]]
            usage = [records.usage(row) for row in rows[part]]
            self._run(_update, ids, usage, change=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete entries; those that are not there are passed over.

        Raises:
            TierError: Chroma failed; some of the entries may be deleted.
        """
        ids = list(dict.fromkeys(ids))
        self.open()
        for start in range(0, len(ids), self._batch):
            part = ids[start : start + self._batch]
            self._run(lambda collection, part: collection.delete(ids=part), part, change=True)

    def delete_where(
        self,
        *,
        tags: Sequence[str] | None = None,
        scope: bytes | None = None,
        expired: float | None = None,
    ) -> int:
        """Delete the entries that fit all that is given, and return how many.

        Args:
            tags: Those with any of these tags.
            scope: Those of this scope.
            expired: Those that end at or before this moment, in seconds since the epoch.

        Raises:
            TierError: Chroma failed; some of the entries may be deleted.
        """
        conditions: list[dict[str, Any]] = []
        if tags is not None:
            if not tags:
                return 0
            conditions.append(
                _joined("$or", [{"tags": {"$contains": records.safe(tag)}} for tag in tags])
            )
        if scope is not None:
            conditions.append({"scope": scope.hex()})
        if expired is not None:
            conditions.append({"expires": {"$lte": float(expired)}})
        if not conditions:
            raise ValueError("say which entries: by tags, scope or expired")
        where = _joined("$and", conditions)
        # Chroma may bound what one deletion takes; ids can be counted, and come in batches.
        ids = self._run(lambda collection: collection.get(where=where, include=[])["ids"])
        self.delete(ids)
        return len(ids)

    def shrink(self, most: int) -> int:
        """Delete those served longest ago if there are too many entries, and return how many.

        Entries are not read for that: the moment before which there are enough of them is searched
        by halving. When there are too many, room is made for a twentieth of ``most``.

        Args:
            most: Entries that may stay.

        Raises:
            TierError: Chroma failed; some of the entries may be deleted.
        """
        excess = self.count() - most
        if excess <= 0:
            return 0
        excess += most // _ROOM
        early, late = 0.0, 2.0**33  # seconds since the epoch, the end in the year 2242
        while late - early > 0.5:
            middle = (early + late) / 2
            if len(self._used_before(middle, excess + 1)) > excess:
                late = middle
            else:
                early = middle
        ids = self._used_before(early, excess)
        ids = list(dict.fromkeys([*ids, *self._used_before(late, 2 * excess)]))[:excess]
        self.delete(ids)
        return len(ids)

    def _used_before(self, moment: float, limit: int) -> list[str]:
        where = {"used": {"$lt": moment}}
        found: list[str] = self._run(
            lambda collection: collection.get(where=where, limit=limit, include=[])["ids"]
        )
        return found

    def clear(self) -> None:
        """Delete all entries; what was learned stays.

        Raises:
            TierError: Chroma failed.
        """
        self.open()
        with self._opening:
            self._changed(self._replace)

    def _replace(self) -> None:
        # Chroma leaves the files behind.
        path = None if self._folder is None else self._folder.path
        files = [] if path is None else index_files(path, self._name)
        try:
            self._client.delete_collection(self._name)
        except Exception as error:  # another process has just done it
            if not _is_missing(error):
                raise
        for each in files:
            shutil.rmtree(each, ignore_errors=True)
        self._collection = self._resolve()
        if self._folder is not None:
            self._folder.mended(self._name)

    # -- searching -------------------------------------------------------------------------------

    def search(
        self, scopes: Sequence[bytes], vectors: Vectors, k: int, now: float
    ) -> list[list[tuple[Row, float]]]:
        """Return for each question the nearest live entries of its scope, nearest first.

        Args:
            scopes: The scope of each question.
            vectors: The questions' vectors, of unit length, as rows.
            k: How many at most for each.
            now: The moment at which entries must be live, in seconds since the epoch.

        Returns:
            Entries with their cosines to the question.

        Raises:
            TierError: Chroma failed, or did not answer in time.
        """
        folded = self._folded(scopes, vectors)
        count = _first(k)
        found, more = self._pick(self._query(folded, count), scopes, k, now, count)
        if more:
            again = self._query(folded[more], _MOST)
            rest, _ = self._pick(again, [scopes[each] for each in more], k, now, _MOST)
            for each, hits in zip(more, rest, strict=True):
                found[each] = hits
        return found

    async def asearch(
        self, scopes: Sequence[bytes], vectors: Vectors, k: int, now: float
    ) -> list[list[tuple[Row, float]]]:
        """As :meth:`search`; with a URL only (``native``), and opened before."""
        folded = self._folded(scopes, vectors)
        count = _first(k)
        found, more = self._pick(await self._aquery(folded, count), scopes, k, now, count)
        if more:
            again = await self._aquery(folded[more], _MOST)
            rest, _ = self._pick(again, [scopes[each] for each in more], k, now, _MOST)
            for each, hits in zip(more, rest, strict=True):
                found[each] = hits
        return found

    def _folded(self, scopes: Sequence[bytes], vectors: Vectors) -> Vectors:
        # The first vectors in a collection would decide what it takes for ever.
        if vectors.shape != (len(scopes), self._dimension):
            raise TierError(
                f"vectors of the form {vectors.shape} are not {len(scopes)} of {self._dimension} "
                f"dimensions, as those in the index at {self._place} are"
            )
        return fold(scopes, vectors)

    def _query(self, folded: Vectors, count: int) -> Any:
        question = _question(folded, count)
        queries = self._queries
        if queries is None:
            return self._run(lambda collection: collection.query(**question))
        return self._run(lambda _: queries.send(self._id, question))

    async def _aquery(self, folded: Vectors, count: int) -> Any:
        if self._queries is None or self._collection is None:
            raise TierError(f"{self!r} has no native asynchronous search, or is not open")
        question = _question(folded, count)
        try:
            try:
                return await self._queries.asend(self._id, question)
            except MissingError:
                # Another process has cleared the collection, and its successor has another id.
                id_, marks = await self._queries.afind(self._name)
                self._check(marks)
                self._id = id_
                return await self._queries.asend(self._id, question)
        except ConfigurationError as error:
            raise TierError(str(error)) from error
        except Exception as error:
            raise self._trouble(error) from error

    def _pick(
        self, found: Any, scopes: Sequence[bytes], k: int, now: float, count: int
    ) -> tuple[list[list[tuple[Row, float]]], list[int]]:
        """Return the live entries of each scope, and which questions have to be asked for more."""
        picked: list[list[tuple[Row, float]]] = []
        more: list[int] = []
        for number, scope in enumerate(scopes):
            hits: list[tuple[Row, float]] = []
            own, distances = scope.hex(), found["distances"][number]
            for id_, document, record, distance in zip(
                found["ids"][number],
                found["documents"][number],
                found["metadatas"][number],
                distances,
                strict=True,
            ):
                if not record or record.get("scope") != own:
                    continue
                row = records.decode(id_, document, record)
                if row is None:
                    self.skipped += 1
                elif now < row.expires:
                    hits.append((row, min(1.0, similarity(distance))))
            hits.sort(key=lambda hit: -hit[1])
            picked.append(hits[:k])
            # No entry of the scope that was not returned is nearer than the last that was.
            full = len(distances) >= count
            if len(hits) < k and full and similarity(distances[-1]) > _FLOOR:
                more.append(number)
        return picked, more

    # -- what was learned ------------------------------------------------------------------------

    def read_states(self) -> dict[str, bytes]:
        """Return what processes have learned, by their ids; what is broken is passed over.

        Raises:
            TierError: Chroma failed.
        """
        found = self._run_state(lambda states: states.get(include=["metadatas"]))
        kept: dict[str, bytes] = {}
        for process, record in zip(found["ids"], found["metadatas"], strict=True):
            try:
                kept[process] = b64decode(record["state"], validate=True)
            except (KeyError, TypeError, ValueError):
                self.skipped += 1
        return kept

    def write_state(self, process: str, state: bytes) -> None:
        """Store what a process has learned, in place of what it stored before.

        Args:
            process: The process's id.
            state: Any bytes.

        Raises:
            TierError: Chroma failed.
        """
        record = {"state": b64encode(state).decode("ascii")}
        self._run_state(
            lambda states: states.upsert(ids=[process], embeddings=[[1.0]], metadatas=[record]),
            change=True,
        )

    def drop_states(self, processes: Sequence[str]) -> None:
        """Forget what processes have learned.

        Raises:
            TierError: Chroma failed.
        """
        if processes:
            self._run_state(lambda states: states.delete(ids=list(processes)), change=True)

    def _run_state(self, action: Callable[[Any], T], *, change: bool = False) -> T:
        def act(_: Any) -> T:
            if self._state is None:
                self._state = self._client.get_or_create_collection(
                    f"{self._name}-state",
                    metadata={STATE: _VERSION},
                    configuration=_INDEX,
                    embedding_function=None,
                )
            return action(self._state)

        return self._run(act, change=change or self._state is None)

    # -- an index that was torn ------------------------------------------------------------------

    @property
    def stale(self) -> bool:
        """Whether searches miss entries until :meth:`rebuild` has run.

        So it is when a process was killed while it wrote to the folder. Nothing is lost for that:
        :meth:`load` yields everything.
        """
        self.open()
        return self._folder is not None and self._folder.is_stale(self._name)

    def rebuild(self, page: int = 500) -> None:
        """Build the index of a folder again, if that is needed; about 0.4 ms for each entry.

        Other threads may go on to use the store meanwhile. Interrupted, it is to be called again.

        Args:
            page: Entries to add at a time. Default 500.

        Raises:
            TierError: Chroma failed.
        """
        if not self.stale:
            return
        ids = self._run(lambda collection: collection.get(include=[])["ids"])
        for start in range(0, len(ids), page):
            part = ids[start : start + page]
            self._run(self._add_again, part, change=True)
        if self._folder is not None:
            self._folder.mended(self._name)

    def _add_again(self, collection: Any, ids: list[str]) -> None:
        found = _get(collection, ids)
        chosen: list[str] = []
        scopes: list[bytes] = []
        vectors: list[Vectors] = []
        for id_, document, record in zip(
            found["ids"], found["documents"], found["metadatas"], strict=True
        ):
            row = records.decode(id_, document, record)
            x = None if row is None else records.vector(record, self._dimension)
            if row is not None and x is not None:
                chosen.append(id_)
                scopes.append(row.scope)
                vectors.append(x)
        if chosen:
            collection.upsert(ids=chosen, embeddings=fold(scopes, np.stack(vectors)))

    # -- running ---------------------------------------------------------------------------------

    def _run(self, action: Callable[..., T], *args: Any, change: bool = False) -> T:
        """Run an action on the collection; a second time if somebody else has replaced it."""
        self.open()
        guarded = self._changed if change else self._guarded
        try:
            return guarded(action, self._collection, *args)
        except TierError as error:
            if not _is_missing(error.__cause__):
                raise
        with self._opening:
            self._state = None
            self._collection = self._changed(self._resolve)
        return guarded(action, self._collection, *args)

    def _changed(self, change: Callable[..., T], *args: Any) -> T:
        """As :meth:`_guarded`, with a note in the folder that a change is under way."""
        if self._folder is None:
            return self._guarded(change, *args)
        with self._folder.writing():
            return self._guarded(change, *args)

    def _guarded(self, action: Callable[..., T], *args: Any) -> T:
        """Run an action; whatever Chroma raises becomes a TierError."""
        if self._folder is not None:
            self._folder.check()
        try:
            return action(*args)
        except (ConfigurationError, TierError):
            raise
        except Exception as error:
            raise self._trouble(error) from error
        except BaseException as error:
            # A panic in Chroma's Rust is none of Python's exceptions.
            if type(error).__name__ != "PanicException":
                raise
            raise self._trouble(error) from error

    def _trouble(self, error: BaseException) -> TierError:
        return TierError(f"Chroma at {self._place} failed: {type(error).__name__}: {error}")


def _nature(client: Any) -> tuple[str | None, bool]:
    """Return the folder of a client that the user made, if it has one, and whether it is shared."""
    try:
        settings = client.get_settings()
        implementation = str(settings.chroma_api_impl)
    except AttributeError as error:
        raise ConfigurationError("client", f"is no client of chromadb: {client!r}") from error
    if iscoroutinefunction(getattr(client, "heartbeat", None)):
        raise ConfigurationError(
            "client", "is asynchronous; give a chromadb.HttpClient, or the URL as `url`"
        )
    if implementation.rpartition(".")[2] not in ("RustBindingsAPI", "SegmentAPI"):
        return None, True
    return (settings.persist_directory if settings.is_persistent else None), False


def _get(collection: Any, ids: list[str]) -> Any:
    return collection.get(ids=ids, include=["metadatas", "documents"])


def _update(collection: Any, ids: list[str], metadatas: list[dict[str, Any]]) -> None:
    collection.update(ids=ids, metadatas=metadatas)


def _is_missing(error: BaseException | None) -> bool:
    # Not by import: chromadb is there if it raised this, and takes a second if it did not.
    return isinstance(error, MissingError) or type(error).__name__ == "NotFoundError"


def _joined(operator: str, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one condition; Chroma takes no operator on one alone."""
    return conditions[0] if len(conditions) == 1 else {operator: conditions}


def _first(k: int) -> int:
    """Return how many results to ask for: some may have expired."""
    return min(k + max(8, k // 2), _MOST)


def _question(folded: Vectors, count: int) -> dict[str, Any]:
    include = ["metadatas", "documents", "distances"]
    return {"query_embeddings": folded, "n_results": count, "include": include}


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _after_fork() -> None:
    for store in tuple(_stores):
        store._after_fork()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
