"""The connection to Chroma: a folder, a server or a client, opened at first use.

Whatever Chroma raises at run time becomes a :class:`~toolops_plugins.errors.TierError`.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.semantic.index.bounded_calls import BoundedCalls
from toolops_plugins.semantic.index.chroma_clients import (
    close_clients,
    folder_of_client,
    is_absent,
)
from toolops_plugins.semantic.index.chroma_folder import (
    LAYOUT,
    STATE,
    Folder,
    enter,
    index_files,
    is_corrupt,
)
from toolops_plugins.semantic.index.chroma_scopes import CODE
from toolops_plugins.semantic.index.chroma_server import MissingError, Queries, Server
from toolops_plugins.semantic.index.folder_warnings import warn_of_fork
from toolops_plugins.telemetry.log import SHARED_LOG

__all__ = ["INDEX", "Link"]

T = TypeVar("T")


_VERSION = 1  # of the layout of records and vectors
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,498}[a-zA-Z0-9]")  # leaves room for "-state"
_BATCH = 1_000  # entries of one write; Chroma indexes them before it returns
_TIMEOUT = 3.0  # seconds for an operation that a caller waits for
_SLOW = 20.0  # seconds for an operation in the background

_LINKS = (
    4 * (2 * 16 + 1) + 8
)  # bytes of an entry in the lowest level of the index, without its vector

INDEX = {"hnsw": {"space": "ip", "max_neighbors": 16, "ef_construction": 100, "ef_search": 100}}
"""How Chroma indexes vectors.

Measured with the folded vectors of chroma_scopes: with 8 neighbours the build takes two thirds of
the time and misses up to 2 % of the nearest; a smaller ef_search saves a tenth of a query.
"""


class ForkedIndexError(TierError):
    """An embedded index that was opened before a fork and belongs to the parent."""

    notice = "folder_in_use"


class Link:
    """The connection to a collection of entries and one of learned state. Safe for any threads.

    Args:
        path: A folder for Chroma's embedded index.
        url: A server's URL.
        client: The user's client.
        name: The collection's name.
        embedder: The embedder's name.
        dimension: The embedder's dimensions.
        timeout: Seconds for an operation on a server that a caller waits for. Default 3.

    Raises:
        ConfigurationError: A value is invalid, or chromadb is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        url: str | None,
        client: Any,
        name: str,
        embedder: str,
        dimension: int,
        timeout: float | None = None,
    ) -> None:
        if sum(each is not None for each in (path, url, client)) != 1:
            raise ConfigurationError("path", "give exactly one of path, url and client")
        if find_spec("chromadb") is None:
            raise ConfigurationError(
                "semantic", 'needs chromadb: pip install "toolops-plugins[semantic]"'
            )
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(
                "collection",
                "must be 3 to 500 letters, digits, dots, hyphens and underscores, with a letter or "
                f"digit at both ends, not {name!r}",
            )
        self.name = name
        self._embedder = embedder
        self.dimension = check.count("dimension", dimension)
        self._given = client
        self.timeout = _TIMEOUT if timeout is None else timeout
        self._server = None if url is None else Server(url)
        self.queries = None if self._server is None else Queries(self._server, self.timeout)
        folder, self.shared = (
            folder_of_client(client) if client is not None else (path, url is not None)
        )
        self._path = None if folder is None else Path(folder)
        self._inherited = False
        self._held = _OpenFolder()
        self._start()
        _links.add(self)
        weakref.finalize(self, _leave_soon, self._held).atexit = False

    def _start(self) -> None:
        self._opening = threading.RLock()
        self._calls = BoundedCalls(_SLOW) if self.shared else None
        self._held.folder = None
        self.client: Any = None
        self._sessions: list[Any] = []
        self.collection: Any = None
        self.state: Any = None
        self.batch = 1

    def _after_fork(self) -> None:
        # Connections and Chroma's threads belong to the parent.
        self._inherited = self._inherited or (
            self.collection is not None and (not self.shared or self._given is not None)
        )
        self._start()
        if self.queries is not None:
            self.queries.forget()

    @property
    def folder(self) -> Folder | None:
        """The embedded folder, while it is open."""
        return self._held.folder

    @property
    def place(self) -> str:
        """The location of the entries, for people."""
        if self._server is not None:
            return str(self._server)
        return "a client's memory" if self._path is None else str(self._path)

    def open(self) -> None:
        """Connect and create a missing collection; nothing if it is open.

        Raises:
            ConfigurationError: Another process has the folder open, or the collection was made with
                another embedder, by another version, or by other software.
            TierError: Chroma failed, or the server could not be reached.
        """
        if self._is_open():
            return
        if self._inherited:
            warn_of_fork(self.place)
            raise ForkedIndexError(
                f"Chroma at {self.place} was opened before this process was forked, and is its "
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

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Set a common deadline for all requests of this thread in the block.

        An embedded folder has no deadline: it waits for the disk only.

        Args:
            seconds: From now on.
        """
        return nullcontext() if self._calls is None else self._calls.within(seconds)

    def _is_open(self) -> bool:
        return self.collection is not None

    def _connect(self) -> None:
        if not self.shared:
            folder = self._held.folder = enter(self._path, self._given)
            self.client = self._given or folder.client
        elif self._server is None:
            self.client = self._given
        else:
            import chromadb  # noqa: F401, PLC0415 - takes a second, which is not the server's

            queries = self.queries
            if queries is not None:  # Chroma's client has no timeout
                self._run(queries.beat)
            self.client = self._run(self._reach, self._server)
        try:
            self._enter_collection()
        except TierError as error:
            if not self._mend(error):
                raise
            self._enter_collection()

    def _enter_collection(self) -> None:
        self.batch = min(_BATCH, self._run(self.client.get_max_batch_size))
        self.collection = self._change(self._resolve)

    def _mend(self, error: TierError) -> bool:
        """Repair a damaged folder; return whether another attempt makes sense."""
        folder = self.folder
        if folder is None:
            return False
        done = is_corrupt(error) and folder.replace()
        # A server that was killed on this folder left no note.
        done = done or ("hnsw" in str(error) and folder.repair())
        self.client = folder.client
        return done

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
        # Chroma sets no timeout for connections and never closes them; its client for tenants has
        # connections of its own.
        for part in (client, getattr(client, "_admin_client", None)):
            session = getattr(getattr(part, "_server", None), "_session", None)
            if isinstance(session, httpx.Client):
                session.timeout = httpx.Timeout(_SLOW / 2, connect=_SLOW / 10)
                self._sessions.append(session)
        return client

    def _resolve(self) -> Any:
        """Return the collection, created if it is missing."""
        marks = {LAYOUT: _VERSION, "embedder": self._embedder, "dimension": self.dimension}
        found = self.client.get_or_create_collection(
            self.name, metadata=marks, configuration=INDEX, embedding_function=None
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
                f"{self.name!r} in {self.place} was not made by toolops-plugins; choose another",
            )
        if known[LAYOUT] != _VERSION:
            raise ConfigurationError(
                "collection",
                f"{self.name!r} in {self.place} was made by a version of toolops-plugins with "
                f"layout {known[LAYOUT]}, and this one has {_VERSION}; choose another collection",
            )
        if (known.get("embedder"), known.get("dimension")) != (self._embedder, self.dimension):
            raise ConfigurationError(
                "embedder",
                f"the collection {self.name!r} in {self.place} was made with the embedder "
                f"{known.get('embedder')!r} of {known.get('dimension')} dimensions, not with "
                f"{self._embedder!r} of {self.dimension}, and vectors of different embedders "
                "cannot be compared: use that embedder again, or choose another collection",
            )

    def close(self) -> None:
        """Release the folder or close all connections to the server."""
        if self.queries is not None:
            self.queries.close()
        self._release()

    async def aclose(self) -> None:
        """Like :meth:`close`, and wait until this loop's connections are closed."""
        if self.queries is not None:
            await self.queries.aclose()
        self._release()

    def _release(self) -> None:
        with self._opening:
            folder, self._held.folder = self._held.folder, None
            client, self.client = self.client, None
            sessions, self._sessions = self._sessions, []
            self.collection = self.state = None
            if folder is not None:
                folder.leave()
            elif self._calls is not None:
                # In the background, since a request may still be running.
                self._calls.offer(partial(close_clients, client, self._given, sessions))

    # -- running ---------------------------------------------------------------------------------

    def run(self, action: Callable[..., T], *args: Any, change: bool = False) -> T:
        """Run an action on the collection; again if another process has replaced it."""
        self.open()
        guarded = self._change if change else self._run
        try:
            return guarded(action, self.collection, *args)
        except TierError as error:
            if is_corrupt(error):
                self._begin_anew()
            if not is_absent(error.__cause__):
                raise
        try:
            with self._opening:
                self.state = None
                self.collection = self._change(self._resolve)
        except ConfigurationError as error:  # with another embedder
            raise TierError(str(error)) from error
        return guarded(action, self.collection, *args)

    def _begin_anew(self) -> None:
        """Set a corrupt database aside; the next use finds a new one."""
        with self._opening:
            if self.folder is not None and self.folder.replace():
                self.client = self.folder.client
                self.state = None
                self.collection = self._change(self._resolve)

    def places(self) -> int:
        """Return the number of slots in the index of a folder, including deleted ones."""
        folder = self.folder
        if folder is None or folder.path is None:
            return 0
        sizes = [
            file.stat().st_size
            for files in index_files(folder.path, self.name)
            for file in files.glob("data_level0.bin")
        ]
        return sum(sizes) // (4 * (self.dimension + CODE) + _LINKS)

    def renew(self) -> bool:
        """Remove the index of a folder, so that it is rebuilt without deleted entries."""
        with self._opening:
            folder = self.folder
            if folder is None or not folder.renew(self.name):
                return False
            self.client = folder.client
            self.state = None
            self.collection = self._change(self._resolve)
            return True

    def run_state(self, action: Callable[[Any], T], *, change: bool = False) -> T:
        """Like :meth:`run`, on the collection of learned state."""

        def act(_: Any) -> T:
            if self.state is None:
                self.state = self.client.get_or_create_collection(
                    f"{self.name}-state",
                    metadata={STATE: _VERSION},
                    configuration=INDEX,
                    embedding_function=None,
                )
            return action(self.state)

        return self.run(act, change=change or self.state is None)

    def ask(self, question: dict[str, Any]) -> Any:
        """Return Chroma's answer to a query."""
        queries = self.queries
        if queries is None:
            return self.run(lambda collection: collection.query(**question))
        return self.run(lambda _: queries.send(self._id, question))

    async def aask(self, question: dict[str, Any]) -> Any:
        """Like :meth:`ask`; with a URL only, and opened before."""
        if self.queries is None or not self._is_open():
            raise TierError(f"Chroma at {self.place} has no native lookups, or is not open")
        try:
            try:
                return await self.queries.asend(self._id, question)
            except MissingError:
                # Another process has cleared the collection; the new one has another id.
                id_, marks = await self.queries.afind(self.name)
                self._check(marks)
                self._id = id_
                return await self.queries.asend(self._id, question)
        except Exception as error:
            raise self._trouble(error) from error

    def clear(self) -> None:
        """Replace the collection of entries by an empty one.

        Raises:
            TierError: Chroma failed.
        """
        self.open()
        with self._opening:
            self._change(self._replace)

    def _replace(self) -> None:
        # Chroma leaves the files behind.
        path = None if self.folder is None else self.folder.path
        files = [] if path is None else index_files(path, self.name)
        try:
            self.client.delete_collection(self.name)
        except Exception as error:  # another process has just done it
            if not is_absent(error):
                raise
        for each in files:
            shutil.rmtree(each, ignore_errors=True)
        self.collection = self._resolve()
        if self.folder is not None:
            self.folder.note_rebuilt(self.name)

    def _change(self, change: Callable[..., T], *args: Any) -> T:
        """Like :meth:`_run`, with a note in the folder that a change is under way."""
        folder = self.folder  # read once, since another thread may release it
        if folder is None:
            return self._run(change, *args)
        with folder.write_note():
            return self._run(change, *args)

    def _run(self, action: Callable[..., T], *args: Any) -> T:
        """Run an action, on a server with its deadline; errors become a ``TierError``."""
        calls = self._calls
        try:
            return action(*args) if calls is None else calls.run(action, *args)
        except (ConfigurationError, TierError):
            raise
        except Exception as error:
            raise self._trouble(error) from error
        except BaseException as error:
            # A panic in Chroma's Rust code is no Exception.
            if type(error).__name__ != "PanicException":
                raise
            raise self._trouble(error) from error

    def _trouble(self, error: BaseException) -> TierError:
        return TierError(f"Chroma at {self.place} failed: {type(error).__name__}: {error}")


class _OpenFolder:
    """The folder that a link releases when it is garbage-collected without being closed."""

    folder: Folder | None = None


def _leave_soon(held: _OpenFolder) -> None:
    """Release a folder in a thread, since the garbage collector runs anywhere."""
    folder, held.folder = held.folder, None
    if folder is not None:
        with suppress(RuntimeError):  # no thread can be started, such as at exit
            threading.Thread(
                target=_leave, args=(folder,), name="toolops-index", daemon=True
            ).start()


def _leave(folder: Folder) -> None:
    try:
        folder.leave()
    except Exception as error:  # noqa: BLE001 - Chroma may raise anything, and nobody waits for it
        SHARED_LOG.report_failure(
            "toolops_plugins.semantic",
            ("closing", str(folder.path)),
            "The semantic index in %(folder)s failed when it was closed (%(error)s); entries of the"
            " last moments may be lost",
            folder=folder.path,
            error=type(error).__name__,
        )


_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _after_fork() -> None:
    for link in tuple(_links):
        link._after_fork()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
