"""LlamaIndex's guarded embedders under the list that every guarded embedder must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from adapters.adapter_vectors import Vectors
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.embeddings.openai import OpenAIEmbedding
from pydantic import PrivateAttr

from llama_index.callbacks.toolops import guard_embedding


class Given(BaseEmbedding):
    """Gives what a function gives."""

    prefix: str = ""
    calls: int = 0
    _give: Callable[[list[str]], Any] = PrivateAttr()
    _queries: int = PrivateAttr(default=0)

    def _get_query_embedding(self, query: str) -> Any:
        self._queries += 1
        return self._give([query])[0]

    async def _aget_query_embedding(self, query: str) -> Any:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> Any:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> Any:
        self.calls += 1
        return self._give(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> Any:
        return self._get_text_embeddings(texts)


class TestEmbedding(Vectors):
    @pytest.fixture(autouse=True)
    def _quick_certificates(self, llm: Any) -> None:
        """Clients read a file with one certificate."""

    def client(self, url: str, **settings: Any) -> OpenAIEmbedding:
        named = {
            "dimensions": "dimensions",
            "batch": "embed_batch_size",
            "headers": "default_headers",
        }
        options: dict[str, Any] = {named[name]: value for name, value in settings.items()}
        # A client each, since they do not serve two event loops.
        return OpenAIEmbedding(
            api_base=url,
            model="text-embedding-3-small",
            api_key="sk-test",
            max_retries=0,
            reuse_client=False,
            **options,
        )

    def fake(self, give: Callable[[list[str]], Any], **settings: Any) -> Given:
        embedder = Given(model_name="given", embed_batch_size=100, **settings)
        embedder._give = give
        return embedder

    def guard(self, embedder: Any, ops: Any, **more: Any) -> Any:
        return guard_embedding(embedder, ops=ops, **more)

    def embed(self, embedder: Any, texts: list[str]) -> list[Any]:
        return list(embedder.get_text_embedding_batch(texts))

    async def aembed(self, embedder: Any, texts: list[str]) -> list[Any]:
        return list(await embedder.aget_text_embedding_batch(texts))

    def embed_query(self, embedder: Any, text: str) -> Any:
        return embedder.get_query_embedding(text)

    async def aembed_query(self, embedder: Any, text: str) -> Any:
        return await embedder.aget_query_embedding(text)

    def set_up(self, guarded: Any, embedder: Any, name: str, value: Any) -> None:
        setattr(guarded, name, value)
