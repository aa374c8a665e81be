"""An embedder whose texts are embedded once: kept, and shared between callers under way."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Unpack

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel

from langchain_toolops._embedding_identity import (
    dimensions_of,
    live_identity,
    name_of,
    provider_of,
    size_of,
)
from toolops_plugins import Cache, ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.embedding import SharedEmbedding
from toolops_plugins.adapters.internals import check, fork_safe
from toolops_plugins.adapters.options import policy_of, runtime_of
from toolops_plugins.policy import PolicyParts

__all__ = ["ToolOpsEmbeddings"]


class ToolOpsEmbeddings(Embeddings):
    """Any embedder, behind the cache and the policies of a runtime.

    Each text is kept by namespace, model, role (query or document) and its own characters. Texts
    that stand in a list twice are embedded once, and so are those that several callers need at the
    same time, from any mix of threads and event loops. Vectors come back exactly, as lists of
    floats that are the caller's own.

    What is no sound vector is handed on as the embedder gave it, not kept, and asked for again: one
    with NaN, infinities or anything but numbers, an empty one, one of zeros alone (unless its text
    has no letter or digit), and one of another length than the embedder's ``dimensions`` or most of
    its vectors. So is what the embedder gave while its settings changed.

    Retry, timeout, breaker, rate limit and bulkhead stand around the call of the embedder, which
    gets the missing texts of a caller in batches of ``batch_size``, one after the other. Each batch
    is kept as soon as it is there: if a later one fails, the next attempt pays only for the rest.
    Where a text makes a batch fail, other callers who wait for texts of that batch send their own
    again without it. Two names are counted: under "embed:<model>" each text, under "embed:<model>
    (batches)" each call of the embedder. A ``price`` is that of a text, and the time that a hit
    saves is a text's share of that of its batch.

    Safe to use from any threads and event loops.

    Args:
        embedder: The embedder.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        model: What tells the model from others, and what it is counted by. None: what a field of
            the embedder says, such as ``model``. Of a pydantic model, as nearly all embedders are,
            the class and all settings count beside it, as they are at the time of the call, but for
            secrets and those that only say how the model is reached and tried. An object among
            them that has no canonical form counts as itself, so that other processes do not share
            the vectors; with a name given here it does not count. Of other embedders the name alone
            counts, so it must tell whatever changes their vectors.
        policy: A policy to start from. None: keep vectors as long as the tiers do.
        parts: Its parts by name, as :meth:`toolops_plugins.ToolOps.tool` takes them;
            ``cache=None`` keeps nothing, ``coalesce=False`` shares nothing.
        batch_size: Texts that the embedder gets at once at most. None: its own ``chunk_size`` or
            ``batch_size``; without one, 500.

    Raises:
        ConfigurationError: The embedder is guarded already, its model cannot be told from others,
            or the policy asks for something that has no place here: ``semantic``, ``fallback`` or
            ``hedge``.
    """

    def __init__(
        self,
        embedder: Embeddings,
        ops: ToolOps | None = None,
        *,
        model: str | None = None,
        policy: Policy | None = None,
        batch_size: int | None = None,
        **parts: Unpack[PolicyParts],
    ) -> None:
        if not isinstance(embedder, Embeddings):
            raise ConfigurationError("embedder", f"must be an Embeddings, not {embedder!r}")
        if isinstance(embedder, ToolOpsEmbeddings):
            raise ConfigurationError("embedder", "is guarded already")
        self.embedder = embedder
        self._ops = runtime_of(ops)
        self._model = model
        self._policy = (Policy(cache=Cache()) | policy_of(policy)).replace(**parts)
        self._batch_size = None if batch_size is None else check.count("batch_size", batch_size)
        self._lock = fork_safe(self, threading.Lock())
        self._live = None
        if isinstance(embedder, BaseModel):
            if model is None:
                name_of(embedder)
            self._live = live_identity(embedder, self._ops.canon, model)
        identity = model if self._live is None else self._live.current()
        self._known = identity, self._embedding_of(identity)

    @property
    def _shared(self) -> SharedEmbedding:
        """The embedding by the embedder as it is set now."""
        if self._live is None:
            return self._known[1]
        identity = self._live.current()
        if identity != self._known[0]:
            with self._lock:
                if identity != self._known[0]:
                    self._known = identity, self._embedding_of(identity)
        return self._known[1]

    def _embedding_of(self, identity: Any) -> SharedEmbedding:
        live, given = self._live, self._batch_size
        return SharedEmbedding(
            self._ops,
            self._policy,
            name=name_of(self.embedder) if self._model is None else self._model,
            model=identity,
            embed=self._embed,
            aembed=self._aembed,
            most=lambda: size_of(self.embedder) if given is None else given,
            workers=lambda: 1,
            dimensions=lambda: dimensions_of(self.embedder),
            is_current=None if live is None else lambda: live.current() == identity,
            provider=provider_of(self.embedder),
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of documents, in order.

        Raises:
            Exception: What the embedder raised, or a policy in its place.
        """
        return self._shared.vectors("document", texts)

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query.

        Raises:
            Exception: As :meth:`embed_documents`.
        """
        return self._shared.vectors("query", [text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As :meth:`embed_documents`, without blocking the event loop."""
        return await self._shared.avectors("document", texts)

    async def aembed_query(self, text: str) -> list[float]:
        """As :meth:`embed_query`, without blocking the event loop."""
        return (await self._shared.avectors("query", [text]))[0]

    def _embed(self, role: str, texts: list[str]) -> Any:
        with self._watch():
            if role == "query":
                return [self.embedder.embed_query(text) for text in texts]
            return self.embedder.embed_documents(texts)

    async def _aembed(self, role: str, texts: list[str]) -> Any:
        with self._watch():
            if role == "query":
                return [await self.embedder.aembed_query(text) for text in texts]
            return await self.embedder.aembed_documents(texts)

    def _watch(self) -> AbstractContextManager[None]:
        return nullcontext() if self._live is None else self._live.watch()

    def __copy__(self) -> ToolOpsEmbeddings:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # For other processes, where the runtime is found or made again.
        given = self._model, self._policy, self._batch_size
        return _restore, (type(self), self.embedder, self._ops, *given)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.embedder!r})"


def _restore(
    kind: type[ToolOpsEmbeddings],
    embedder: Embeddings,
    ops: ToolOps,
    model: str | None,
    policy: Policy,
    batch_size: int | None,
) -> ToolOpsEmbeddings:
    return kind(embedder, ops, model=model, policy=policy, batch_size=batch_size)
