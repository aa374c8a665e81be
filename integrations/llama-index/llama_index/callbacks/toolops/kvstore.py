"""LlamaIndex's key-value interface on the tiers of a runtime."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from enum import Enum
from types import FrameType
from typing import Any, NoReturn, TypeAlias

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.storage.kvstore.types import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_COLLECTION,
    BaseKVStore,
)

from llama_index.callbacks.toolops._embedding_identity import dimensions_of, model_of
from toolops_plugins import Cache, ConfigurationError, Policy, TierError, ToolOps
from toolops_plugins.adapters.embedding_vectors import VectorLengths, is_sound
from toolops_plugins.adapters.internals import fork_safe
from toolops_plugins.adapters.notices import report_unreached_tier
from toolops_plugins.adapters.options import policy_of, runtime_of
from toolops_plugins.policy import NOTHING

__all__ = ["ToolOpsKVStore"]

LOGGER = "llama_index.callbacks.toolops"

_EMBEDDINGS = "embeddings"
"""The collection in which LlamaIndex's embedding models keep vectors, by the text alone."""
_ROLES = {
    "get_query_embedding": "query",
    "aget_query_embedding": "query",
    "get_text_embedding": "text",
    "aget_text_embedding": "text",
    "_get_text_embeddings_cached": "text",
    "_aget_text_embeddings_cached": "text",
}
"""The methods of embedding models that ask their cache, and what their texts are to the model."""
_AT_ONCE = 32
_MOST_MODELS = 100
"""Models of which the length of vectors is remembered."""

_Key: TypeAlias = tuple[str, str, str, str]
"""Collection, key, and model and role where it is a vector."""


class ToolOpsKVStore(BaseKVStore):
    """A cache for a model's ``embeddings_cache=`` and for ``IngestionCache(cache=...)``.

    LlamaIndex's models ask their cache for the text alone, so that with other stores one model gets
    another's vectors, and a query those of a text. This store finds out who asks: of the collection
    "embeddings" it looks at the method that called it, and the model's class and fields, and its
    role, become part of the key. Any number of models can share one store. Whoever asks there
    without being a method of an embedding model is told nothing, and nothing of theirs is kept,
    with a notice to the runtime's sinks. What is no sound vector is not kept: see
    :func:`~llama_index.callbacks.toolops.guard_embedding`. A store can do no more: with
    :func:`~llama_index.callbacks.toolops.guard_embedding`, texts are embedded once too when several
    callers need them at the same time, and only what is missing passes the rate limiter.

    It is a cache: entries expire, and give way to others. So it cannot say what it holds
    (:meth:`get_all` raises; :meth:`clear` takes the place of ``IngestionCache.clear``), and it is
    no place for what must not get lost: no document store, index store or chat store.

    Pickled, as for ``IngestionPipeline.run(num_workers=2)``, it is its configuration: the other
    process finds the runtime, or makes it anew (see :mod:`toolops_plugins.callables.pickling`), and
    shares what is in Redis.

    Safe to use from any threads and event loops, and every reader gets a copy. Trouble with a tier
    is a miss or a no-op, with a notice; nothing here raises for it.

    Args:
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        policy: Policy with ``cache``, and perhaps ``price`` and ``tags``. None: keep entries as
            long as the tiers do.
        name: Name under which lookups are counted; stores of one name in one namespace are one
            store. Default "llama_index.kv".

    Raises:
        ConfigurationError: The policy asks for more than a cache can do, or for none.

    Example:
        >>> from llama_index.core import MockEmbedding
        >>> store = ToolOpsKVStore(ToolOps())
        >>> model = MockEmbedding(embed_dim=2, embeddings_cache=store)
        >>> model.get_text_embedding("one")
        [0.5, 0.5]
    """

    def __init__(
        self,
        ops: ToolOps | None = None,
        *,
        policy: Policy | None = None,
        name: str = "llama_index.kv",
    ) -> None:
        self._ops = runtime_of(ops)
        self._name = name
        self._policy = policy
        whole = Policy(cache=Cache()) | policy_of(policy)
        given = whole.tags
        own = (name, f"{name.replace('{', '{{').replace('}', '}}')}:{{collection}}")

        def tags(collection: str, key: str, model: str, role: str) -> list[str]:
            also = given(collection, key, model, role) if callable(given) else ()
            return [*also, name, self._tag(collection)]

        whole = whole.replace(tags=tags if callable(given) else (*given, *own))
        self._aside = self._ops.aside(_value, policy=whole, name=name)
        self._lengths: OrderedDict[str, VectorLengths] = OrderedDict()
        self._lock = fork_safe(self, threading.Lock())

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """Return a copy of what is kept for a key, or None."""
        whole = self._whole(key, collection, sys._getframe(1))  # noqa: SLF001 - see the class
        return None if whole is None else self._read(whole, self._aside.lookup(*whole))

    def aget(
        self, key: str, collection: str = DEFAULT_COLLECTION
    ) -> Coroutine[Any, Any, dict[str, Any] | None]:
        """As :meth:`get`, without blocking the event loop."""
        return self._aget(self._whole(key, collection, sys._getframe(1)))  # noqa: SLF001 - as above

    def put(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Keep a value; one that has no exact form in bytes is not kept, with a notice."""
        whole = self._whole(key, collection, sys._getframe(1))  # noqa: SLF001 - as above
        if whole is not None and self._is_kept(whole, val):
            self._aside.store(_plain(val), *whole)

    def aput(
        self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION
    ) -> Coroutine[Any, Any, None]:
        """As :meth:`put`, without blocking the event loop."""
        whole = self._whole(key, collection, sys._getframe(1))  # noqa: SLF001 - as above
        return self._aput(whole, val)

    def put_all(
        self,
        kv_pairs: Sequence[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,  # noqa: ARG002 - of LlamaIndex's signature
    ) -> None:
        """Keep values, one by one, whatever the size of a batch."""
        frame = sys._getframe(1)  # noqa: SLF001 - as above
        for key, val in kv_pairs:
            whole = self._whole(key, collection, frame)
            if whole is not None and self._is_kept(whole, val):
                self._aside.store(_plain(val), *whole)

    def aput_all(
        self,
        kv_pairs: Sequence[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,  # noqa: ARG002 - of LlamaIndex's signature
    ) -> Coroutine[Any, Any, None]:
        """As :meth:`put_all`, 32 at a time, without blocking the event loop."""
        frame = sys._getframe(1)  # noqa: SLF001 - as above
        return self._aput_all([(self._whole(key, collection, frame), val) for key, val in kv_pairs])

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> NoReturn:
        """Raise, since a cache does not know what it holds.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"a cache whose entries expire cannot list {collection!r}; to forget all of it, use "
            "ToolOpsKVStore.clear(); for documents, use a store that keeps what it is given"
        )

    async def aget_all(self, collection: str = DEFAULT_COLLECTION) -> NoReturn:
        """As :meth:`get_all`."""
        self.get_all(collection)

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Forget a key, in every tier and every process; return whether it was there."""
        whole = self._whole(key, collection, sys._getframe(1))  # noqa: SLF001 - as above
        if whole is None or self._aside.lookup(*whole) is NOTHING:
            return False
        try:
            self._ops.invalidate(keys=[self._aside.key(*whole)])
        except TierError as error:
            _cannot_forget(error)
        return True

    def adelete(self, key: str, collection: str = DEFAULT_COLLECTION) -> Coroutine[Any, Any, bool]:
        """As :meth:`delete`, without blocking the event loop."""
        return self._adelete(self._whole(key, collection, sys._getframe(1)))  # noqa: SLF001 - as above

    def clear(self, collection: str | None = None) -> None:
        """Forget a collection, in every tier and every process.

        Args:
            collection: The collection. None: all of this store, and nothing else of the runtime.
        """
        try:
            self._ops.invalidate([self._tag(collection)])
        except TierError as error:
            _cannot_forget(error)

    async def aclear(self, collection: str | None = None) -> None:
        """As :meth:`clear`, without blocking the event loop."""
        try:
            await self._ops.ainvalidate([self._tag(collection)])
        except TierError as error:
            _cannot_forget(error)

    async def _aget(self, whole: _Key | None) -> dict[str, Any] | None:
        return None if whole is None else self._read(whole, await self._aside.alookup(*whole))

    async def _aput(self, whole: _Key | None, val: dict[str, Any]) -> None:
        if whole is not None and self._is_kept(whole, val):
            await self._aside.astore(_plain(val), *whole)

    async def _aput_all(self, pairs: Sequence[tuple[_Key | None, dict[str, Any]]]) -> None:
        await self._ops.gather(*(self._aput(whole, val) for whole, val in pairs), limit=_AT_ONCE)

    async def _adelete(self, whole: _Key | None) -> bool:
        if whole is None or await self._aside.alookup(*whole) is NOTHING:
            return False
        try:
            await self._ops.ainvalidate(keys=[self._aside.key(*whole)])
        except TierError as error:
            _cannot_forget(error)
        return True

    def _whole(self, key: str, collection: str, caller: FrameType) -> _Key | None:
        """Return all that makes up the key, or None if that cannot be known."""
        if collection != _EMBEDDINGS:
            return collection, key, "", ""
        model = caller.f_locals.get("self")
        role = _ROLES.get(caller.f_code.co_name)
        if role is None or not isinstance(model, BaseEmbedding):
            self._aside.warn("model_unknown")
            return None
        try:
            identity = model_of(model, self._ops.canon)
        except ConfigurationError:
            self._aside.warn("model_unknown")
            return None
        with self._lock:
            if identity not in self._lengths:
                dimensions = dimensions_of(model)
                self._lengths[identity] = VectorLengths(lambda: dimensions)
            self._lengths.move_to_end(identity)
            while len(self._lengths) > _MOST_MODELS:
                self._lengths.popitem(last=False)
        return collection, key, identity, role

    def _is_kept(self, whole: _Key, value: dict[str, Any]) -> bool:
        """Return whether a value may be kept: any, but for what should be a vector and is none."""
        _, text, identity, role = whole
        if not identity or not isinstance(value, dict):
            return True
        kept = all(
            is_sound(vector, text) and self._fits(identity, role, text, vector)
            for vector in value.values()
        )
        if not kept:
            self._aside.warn("vector_unsound")
        return kept

    def _read(self, whole: _Key, found: Any) -> dict[str, Any] | None:
        """Return what was found, unless it is none of ours, or a vector of another length."""
        if not isinstance(found, dict):
            return None
        _, text, identity, role = whole
        vectors = list(found.values()) if identity else []
        if not all(
            isinstance(vector, list) and self._fits(identity, role, text, vector)
            for vector in vectors
        ):
            return None
        return found

    def _fits(self, identity: str, role: str, text: str, vector: Sequence[Any]) -> bool:
        lengths = self._lengths.get(identity)
        if lengths is None:  # many models have come since
            return True
        return lengths.learn(role, [(text, len(vector))]) in (None, len(vector))

    def _tag(self, collection: str | None) -> str:
        return self._name if collection is None else f"{self._name}:{collection}"

    def __copy__(self) -> ToolOpsKVStore:
        # What copies of a model share, as they would a connection.
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ToolOpsKVStore:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._ops, self._policy, self._name)

    def __repr__(self) -> str:
        # Always the same, since an ingestion pipeline hashes it, with the model that has the store.
        return f"{type(self).__name__}({self._name!r})"


def _restore(
    kind: type[ToolOpsKVStore], ops: ToolOps, policy: Policy | None, name: str
) -> ToolOpsKVStore:
    return kind(ops, policy=policy, name=name)


def _value(collection: str, key: str, model: str, role: str) -> Any:
    """Names what makes up the key; it is never called."""


def _plain(value: Any) -> Any:
    """Return a value with plain texts in place of enumerations, as stores in databases have it.

    Nodes are full of them; LlamaIndex reads either.
    """
    kind = type(value)
    if kind is dict:
        return {_plain(key): _plain(each) for key, each in value.items()}
    if kind is list:
        # Vectors are long.
        return value if value and type(value[0]) is float else [_plain(each) for each in value]
    return value.value if isinstance(value, str | int) and isinstance(value, Enum) else value


def _cannot_forget(error: TierError) -> None:
    # LlamaIndex's callers expect no error here; the runtime's sinks have had a notice too.
    report_unreached_tier(LOGGER, "store", error)
