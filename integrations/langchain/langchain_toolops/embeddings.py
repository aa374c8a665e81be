"""An embedder whose texts are embedded once: kept, and shared between callers under way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from langchain_core.embeddings import Embeddings

from langchain_toolops._embedding_identity import model_of, name_of
from toolops_plugins import Cache, ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.embedding import SharedEmbedding
from toolops_plugins.adapters.options import policy_of, runtime_of
from toolops_plugins.policy import PolicyParts

__all__ = ["ToolOpsEmbeddings"]


class ToolOpsEmbeddings(Embeddings):
    """Any embedder, behind the cache and the policies of a runtime.

    Each text is kept by namespace, model, role (query or document) and its own characters. Texts
    that stand in a list twice are embedded once, and so are those that several callers need at the
    same time, from any mix of threads and event loops. Vectors come back exactly, as lists of
    floats that are the caller's own.

    Retry, timeout, breaker, rate limit and bulkhead stand around the call of the embedder, which
    gets all missing texts of a caller at once. Two names are counted: under "embed:<model>" each
    text, under "embed:<model> (batches)" each call of the embedder. A ``price`` is that of a text,
    and the time that a hit saves is a text's share of that of its batch.

    Safe to use from any threads and event loops.

    Args:
        embedder: The embedder.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        model: What tells the model from others, whatever changes its vectors included. None: the
            class and the plain fields of the embedder, without those that are secret or say how it
            is reached; it then needs a field that names the model, such as ``model``.
        policy: A policy to start from. None: keep vectors as long as the tiers do.
        parts: Its parts by name, as :meth:`toolops_plugins.ToolOps.tool` takes them;
            ``cache=None`` keeps nothing, ``coalesce=False`` shares nothing.

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
        self._shared = SharedEmbedding(
            self._ops,
            self._policy,
            name=name_of(embedder) if model is None else model,
            model=model_of(embedder) if model is None else model,
            embed=self._embed,
            aembed=self._aembed,
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

    def _embed(self, role: str, texts: list[str]) -> Sequence[Iterable[float]]:
        if role == "query":
            return [self.embedder.embed_query(text) for text in texts]
        return self.embedder.embed_documents(texts)

    async def _aembed(self, role: str, texts: list[str]) -> Sequence[Iterable[float]]:
        if role == "query":
            return [await self.embedder.aembed_query(text) for text in texts]
        return await self.embedder.aembed_documents(texts)

    def __copy__(self) -> ToolOpsEmbeddings:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # For other processes, where the runtime is found or made again.
        return _restore, (type(self), self.embedder, self._ops, self._model, self._policy)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.embedder!r})"


def _restore(
    kind: type[ToolOpsEmbeddings],
    embedder: Embeddings,
    ops: ToolOps,
    model: str | None,
    policy: Policy,
) -> ToolOpsEmbeddings:
    return kind(embedder, ops, model=model, policy=policy)
