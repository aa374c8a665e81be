"""The methods of a guarded embedding model, each a way to the same vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import ImageType

from llama_index.callbacks.toolops._embedding_guard import EmbeddingGuard

__all__ = ["image_faces", "text_faces"]


def text_faces(guard: EmbeddingGuard, kind: type[BaseEmbedding]) -> dict[str, Callable[..., Any]]:
    """Return the methods for queries and texts, by name.

    Those behind the public ones are among them, since LlamaIndex's own
    ``SentenceEmbeddingOptimizer`` calls one.

    Args:
        guard: What guards the model.
        kind: The model's own class.
    """

    def get_query_embedding(model: Any, /, query: str) -> list[float]:
        return guard.vectors(model, "query", [query])[0]

    async def aget_query_embedding(model: Any, /, query: str) -> list[float]:
        return (await guard.avectors(model, "query", [query]))[0]

    def get_text_embedding(model: Any, /, text: str) -> list[float]:
        return guard.vectors(model, "text", [text])[0]

    async def aget_text_embedding(model: Any, /, text: str) -> list[float]:
        return (await guard.avectors(model, "text", [text]))[0]

    def get_text_embedding_batch(
        model: Any,
        /,
        texts: list[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002 - as LlamaIndex has it
        **kwargs: Any,
    ) -> Any:
        if kwargs and _has_own(kind, "get_text_embedding_batch"):
            guard.state_of(model).embedding.warn("arguments_unknown")
            return guard.view(model).get_text_embedding_batch(texts, show_progress, **kwargs)
        with _bar(texts if show_progress else (), "Generating embeddings") as bar:
            return guard.vectors(model, "text", texts, bar)

    async def aget_text_embedding_batch(
        model: Any,
        /,
        texts: list[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002 - as LlamaIndex has it
        **kwargs: Any,
    ) -> Any:
        if kwargs and _has_own(kind, "aget_text_embedding_batch"):
            guard.state_of(model).embedding.warn("arguments_unknown")
            view = guard.view(model)
            return await view.aget_text_embedding_batch(texts, show_progress, **kwargs)
        with _bar(texts if show_progress else (), "Generating embeddings") as bar:
            return await guard.avectors(model, "text", texts, bar)

    def _get_text_embeddings(model: Any, /, texts: list[str]) -> list[list[float]]:
        return guard.vectors(model, "text", texts)

    async def _aget_text_embeddings(model: Any, /, texts: list[str]) -> list[list[float]]:
        return await guard.avectors(model, "text", texts)

    return {
        "get_query_embedding": get_query_embedding,
        "_get_query_embedding": get_query_embedding,
        "aget_query_embedding": aget_query_embedding,
        "_aget_query_embedding": aget_query_embedding,
        "get_text_embedding": get_text_embedding,
        "_get_text_embedding": get_text_embedding,
        "aget_text_embedding": aget_text_embedding,
        "_aget_text_embedding": aget_text_embedding,
        "get_text_embedding_batch": get_text_embedding_batch,
        "_get_text_embeddings": _get_text_embeddings,
        "aget_text_embedding_batch": aget_text_embedding_batch,
        "_aget_text_embeddings": _aget_text_embeddings,
    }


def image_faces(guard: EmbeddingGuard) -> dict[str, Callable[..., Any]]:
    """Return the methods for images, by name.

    Args:
        guard: What guards the model.
    """

    def get_image_embedding(model: Any, /, img_file_path: ImageType) -> list[float]:
        return guard.images(model, [img_file_path])[0]

    async def aget_image_embedding(model: Any, /, img_file_path: ImageType) -> list[float]:
        return (await guard.aimages(model, [img_file_path]))[0]

    def get_image_embedding_batch(
        model: Any,
        /,
        img_file_paths: list[ImageType],
        show_progress: bool = False,  # noqa: FBT001, FBT002 - as LlamaIndex has it
    ) -> list[list[float]]:
        with _bar(img_file_paths if show_progress else (), "Generating image embeddings") as bar:
            return guard.images(model, img_file_paths, bar)

    async def aget_image_embedding_batch(
        model: Any,
        /,
        img_file_paths: list[ImageType],
        show_progress: bool = False,  # noqa: FBT001, FBT002 - as LlamaIndex has it
    ) -> list[list[float]]:
        with _bar(img_file_paths if show_progress else (), "Generating image embeddings") as bar:
            return await guard.aimages(model, img_file_paths, bar)

    def _get_image_embeddings(model: Any, /, img_file_paths: list[ImageType]) -> list[list[float]]:
        return guard.images(model, img_file_paths)

    async def _aget_image_embeddings(
        model: Any, /, img_file_paths: list[ImageType]
    ) -> list[list[float]]:
        return await guard.aimages(model, img_file_paths)

    return {
        "get_image_embedding": get_image_embedding,
        "_get_image_embedding": get_image_embedding,
        "aget_image_embedding": aget_image_embedding,
        "_aget_image_embedding": aget_image_embedding,
        "get_image_embedding_batch": get_image_embedding_batch,
        "_get_image_embeddings": _get_image_embeddings,
        "aget_image_embedding_batch": aget_image_embedding_batch,
        "_aget_image_embeddings": _aget_image_embeddings,
    }


def _has_own(kind: type[BaseEmbedding], name: str) -> bool:
    """Return whether a class has a method of its own, which may make something of arguments."""
    return next(base for base in kind.__mro__ if name in vars(base)) is not BaseEmbedding


@contextmanager
def _bar(items: Sequence[Any], title: str) -> Iterator[Any]:
    """Show how many of the items, if any, are there; each different one counts once."""
    if not items:
        yield None
        return
    # As LlamaIndex itself imports it, on demand.
    from tqdm.auto import tqdm  # type: ignore[import-untyped] # noqa: PLC0415 - has no types

    with tqdm(total=len(set(items)), desc=title) as bar:
        yield bar
