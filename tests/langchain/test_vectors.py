"""LangChain's guarded embedders under the list that every guarded embedder must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.adapter_vectors import Vectors
from langchain_core.embeddings import Embeddings
from langchain_openai import OpenAIEmbeddings
from pydantic import BaseModel, PrivateAttr

from langchain_toolops import ToolOpsEmbeddings


class Given(BaseModel, Embeddings):
    """Gives what a function gives."""

    model: str = "given"
    prefix: str = ""
    calls: int = 0
    _give: Callable[[list[str]], Any] = PrivateAttr()
    _queries: int = PrivateAttr(default=0)

    def embed_documents(self, texts: list[str]) -> Any:
        self.calls += 1
        return self._give(texts)

    def embed_query(self, text: str) -> Any:
        self._queries += 1
        return self._give([text])[0]

    async def aembed_documents(self, texts: list[str]) -> Any:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> Any:
        return self.embed_query(text)


class TestEmbeddings(Vectors):
    def client(self, url: str, **settings: Any) -> OpenAIEmbeddings:
        named = {"dimensions": "dimensions", "batch": "chunk_size", "headers": "default_headers"}
        options: dict[str, Any] = {named[name]: value for name, value in settings.items()}
        return OpenAIEmbeddings(
            base_url=url,
            model="text-embedding-3-small",
            api_key="sk-test",  # type: ignore[arg-type]  # pydantic makes a secret of it
            check_embedding_ctx_length=False,
            max_retries=0,
            **options,
        )

    def fake(self, give: Callable[[list[str]], Any], **settings: Any) -> Given:
        embedder = Given(**settings)
        embedder._give = give
        return embedder

    def guard(self, embedder: Any, ops: Any, **more: Any) -> ToolOpsEmbeddings:
        return ToolOpsEmbeddings(embedder, ops, **more)

    def embed(self, embedder: Any, texts: list[str]) -> list[Any]:
        return list(embedder.embed_documents(texts))

    async def aembed(self, embedder: Any, texts: list[str]) -> list[Any]:
        return list(await embedder.aembed_documents(texts))

    def embed_query(self, embedder: Any, text: str) -> Any:
        return embedder.embed_query(text)

    async def aembed_query(self, embedder: Any, text: str) -> Any:
        return await embedder.aembed_query(text)

    def set_up(self, guarded: Any, embedder: Any, name: str, value: Any) -> None:
        setattr(embedder, name, value)
