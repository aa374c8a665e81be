"""Access to the semantic index of a namespace from outside the processes that use it.

What is stored in a free folder or on a server is deleted here. A folder that a running process
holds can be changed by that process only, which also has all of it in memory; it is told through
Redis.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolops_plugins import check
from toolops_plugins.environment import switch
from toolops_plugins.errors import ConfigurationError, TierError

if TYPE_CHECKING:
    from toolops_plugins.semantic.index.chroma import Store
    from toolops_plugins.semantic.index.chroma_server import Server

__all__ = ["StoredIndex", "index_of"]

_DATABASE = "chroma.sqlite3"
_TIMEOUT = 20.0  # seconds; longer than an application's, because a person would rather wait


class StoredIndex:
    """The stored entries of a namespace's semantic index. Not thread-safe.

    Args:
        namespace: The namespace.
        path: The folder of an embedded index, or None.
        url: The URL of a Chroma server, or None.
        secret: The secret of the processes that use the namespace. Default None: they have none.
        encrypt: Whether these processes encrypt. Default False.

    Raises:
        ConfigurationError: There is both a path and a URL; or the secret is missing where it is
            needed to encrypt.
    """

    def __init__(
        self,
        namespace: str,
        path: str | None,
        url: str | None,
        secret: str | None = None,
        *,
        encrypt: bool = False,
    ) -> None:
        from toolops_plugins.codec.encryption import make_cipher  # noqa: PLC0415 - rarely needed
        from toolops_plugins.semantic.cache import collection_of  # noqa: PLC0415 - imports numpy

        if path and url:
            raise ConfigurationError("--chroma-path", "stands beside a URL; give one of the two")
        self._path = Path(path) if path else None
        self._url = url or None
        self._collection = collection_of(namespace)
        self._secret = check.secret("TOOLOPS_SECRET", secret or None)
        self._cipher = None if self._secret is None else make_cipher(encrypt, self._secret)

    @property
    def place(self) -> str:
        """The folder or the URL, without user and password."""
        if self._url is None:
            return str(self._path)
        from toolops_plugins.semantic.index.chroma_server import Server  # noqa: PLC0415 - as above

        return str(Server(self._url))

    @property
    def is_shared(self) -> bool:
        """True if it is on a server, where other processes may use it now."""
        return self._url is not None

    def clear(self) -> int:
        """Delete all stored entries; return their number.

        Raises:
            FolderInUseError: A process holds the folder.
            ConfigurationError: The secret does not fit.
            TierError: Chroma could not be reached.
        """
        return self._delete(None)

    def invalidate(self, tags: Sequence[str]) -> int:
        """Delete the stored entries with one of the tags; as :meth:`clear`."""
        return self._delete(list(tags))

    def _delete(self, tags: list[str] | None) -> int:
        if self._path is not None and not (self._path / _DATABASE).exists():
            return 0  # it would be created
        found = self._find()
        if found is None:
            return 0
        from toolops_plugins.semantic.index.invalidations import Voids  # noqa: PLC0415 - as above

        store, is_signed = found
        try:
            if is_signed is not None and is_signed != store.signed:
                raise ConfigurationError(
                    "TOOLOPS_SECRET",
                    f"{'is needed' if is_signed else 'is set'}, but what is stored in "
                    f"{self.place} is {'signed' if is_signed else 'not signed'}",
                )
            with store.within(_TIMEOUT):
                void = Voids()
                void.add(time.time(), tags=tags or (), everything=tags is None)
                store.states.write_void(void)  # with a secret only
                if tags is not None:
                    return store.delete_where(tags=tags)
                count = store.count()
                store.clear()
                return count
        finally:
            store.close()

    def _find(self) -> tuple[Store, bool | None] | None:
        """Return the store, and whether its entries are signed; None if there is no collection.

        A store refuses another embedder than that of its collection, which is not known here.
        """
        from toolops_plugins.semantic.index.chroma import Store  # noqa: PLC0415 - imports chromadb
        from toolops_plugins.semantic.index.chroma_folder import enter  # noqa: PLC0415 - as above
        from toolops_plugins.semantic.index.chroma_server import Server  # noqa: PLC0415 - as above

        with ExitStack() as open_clients:
            if self._path is not None:
                folder = enter(self._path)
                open_clients.callback(folder.leave)
                client = folder.client
            else:
                client = _open_client(Server(str(self._url)), open_clients)
            try:
                known = {each.name: each for each in client.list_collections()}
            except Exception as error:
                raise TierError(f"{self.place}: {type(error).__name__}: {error}") from error
            collection = known.get(self._collection)
            marks = {} if collection is None else collection.metadata or {}
            if collection is None or "embedder" not in marks:
                return None
            some = collection.get(limit=1, include=["metadatas"])["metadatas"]
            store = Store(
                path=self._path,
                url=self._url,
                collection=self._collection,
                embedder=marks["embedder"],
                dimension=marks["dimension"],
                secret=self._secret,
                cipher=self._cipher,
                timeout=_TIMEOUT,
            )
            store.open()
            return store, "signature" in some[0] if some else None


def _open_client(server: Server, stack: ExitStack) -> Any:
    """Return a client of a server, which the stack closes."""
    import chromadb  # noqa: PLC0415 - takes a second
    from chromadb.config import Settings  # noqa: PLC0415 - the same

    from toolops_plugins.semantic.index.chroma_server import Queries  # noqa: PLC0415 - rarely needed

    queries = Queries(server, _TIMEOUT)  # Chroma's client has no timeout
    stack.callback(queries.close)
    try:
        queries.beat()
        client: Any = chromadb.HttpClient(
            host=server.base,
            port=server.port,
            ssl=server.tls,
            tenant=server.tenant,
            database=server.database,
            settings=Settings(anonymized_telemetry=False),
        )
    except Exception as error:
        raise TierError(f"{server}: {type(error).__name__}: {error}") from error
    # Chroma closes none of its connections.
    for part in (client, getattr(client, "_admin_client", None)):
        session = getattr(getattr(part, "_server", None), "_session", None)
        if session is not None:
            stack.callback(session.close)
    stack.callback(client.close)
    return client


def index_of(environ: Mapping[str, str]) -> StoredIndex | None:
    """Return the semantic index that the environment names, or None.

    Raises:
        ConfigurationError: A variable is invalid, or numpy is not installed.
    """
    path, url = environ.get("TOOLOPS_CHROMA_PATH"), environ.get("TOOLOPS_CHROMA_URL")
    if not path and not url:
        return None
    namespace = environ.get("TOOLOPS_NAMESPACE") or "default"
    encrypt = switch(environ, "TOOLOPS_ENCRYPT")
    try:
        return StoredIndex(namespace, path, url, environ.get("TOOLOPS_SECRET"), encrypt=encrypt)
    except ModuleNotFoundError as error:
        from toolops_plugins.semantic.unavailable import SEMANTIC  # noqa: PLC0415 - rarely needed

        raise ConfigurationError("--chroma-path", f"is given, but {SEMANTIC}") from error
