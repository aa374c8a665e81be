"""Answer the calls of a guarded embedding model from the cache and from its inner model."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import ImageType

from llama_index.callbacks.toolops._embedding_identity import (
    MODEL_STATE,
    dimensions_of,
    live_identity,
    name_of,
    provider_of,
)
from llama_index.callbacks.toolops._event_dedup import mark_inside
from llama_index.callbacks.toolops.events import tell_hit
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.embedding import SharedEmbedding
from toolops_plugins.adapters.embedding_identity import LiveIdentity
from toolops_plugins.adapters.internals import fork_safe
from toolops_plugins.adapters.model_policy import name_parts
from toolops_plugins.adapters.pydantic_state import view_of

__all__ = ["EmbeddingGuard"]

_SINGLES = {
    "query": "get_query_embedding",
    "text": "get_text_embedding",
    "image": "get_image_embedding",
}
_BATCHES = {"text": "get_text_embedding_batch", "image": "get_image_embedding_batch"}
_AT_ONCE = 32
"""Batches of one asynchronous caller under way at once where ``num_workers`` does not say."""


class EmbeddingGuard:
    """The state that guarded models of one class share. Safe for any threads and event loops.

    What the provider is asked goes through a view of the model: an instance of the model's own
    class that shares all state with the guarded one, so that whatever is changed in the one is
    changed in the other.

    Args:
        kind: The model's own class.
        policy: What is asked of it.
        ops: The runtime.
        name: What the user calls it, if anything.
    """

    def __init__(
        self, kind: type[BaseEmbedding], policy: Policy, ops: ToolOps, name: str | None
    ) -> None:
        self._kind = kind
        self._policy = policy
        self._ops = ops
        self._name = name
        self._lock = fork_safe(self, threading.Lock())

    def __deepcopy__(self, memo: dict[int, Any]) -> EmbeddingGuard:
        return self

    def view(self, model: BaseEmbedding) -> Any:
        """Return the unguarded model, which is the guarded one in all but its class."""
        return view_of(model, self._kind)

    def plain(self, model: BaseEmbedding) -> BaseEmbedding:
        """Return an unguarded model like this one, which shares no private state with it."""
        view: BaseEmbedding = self.view(model)
        private = {**(view.__pydantic_private__ or {})}
        private.pop(MODEL_STATE, None)
        object.__setattr__(view, "__pydantic_private__", private)
        return view

    def vectors(
        self, model: BaseEmbedding, role: str, texts: Sequence[str], bar: Any = None
    ) -> list[list[float]]:
        """Return the vectors of texts, in order.

        Args:
            model: The guarded model.
            role: "query", "text" or "image".
            texts: The texts.
            bar: A progress bar of tqdm's kind, to be told how many texts are there. None: none.
        """
        known = self.state_of(model)
        return known.embedding.vectors(role, texts, _reporter(known.name, bar))

    async def avectors(
        self, model: BaseEmbedding, role: str, texts: Sequence[str], bar: Any = None
    ) -> list[list[float]]:
        """As :meth:`vectors`, without blocking the event loop."""
        known = self.state_of(model)
        return await known.embedding.avectors(role, texts, _reporter(known.name, bar))

    def images(
        self, model: BaseEmbedding, images: Sequence[ImageType], bar: Any = None
    ) -> list[list[float]]:
        """Return the vectors of images, in order."""
        read = _read(images)
        digests = [image for image in read if image is not None]
        vectors = self.vectors(model, "image", digests, bar)
        strangers = self._strangers(model, images, read)
        if not strangers:
            return vectors
        others = self.view(model).get_image_embedding_batch(strangers)
        return _merge(read, vectors, others)

    async def aimages(
        self, model: BaseEmbedding, images: Sequence[ImageType], bar: Any = None
    ) -> list[list[float]]:
        """As :meth:`images`, without blocking the event loop."""
        read = await asyncio.to_thread(_read, images)
        digests = [image for image in read if image is not None]
        vectors = await self.avectors(model, "image", digests, bar)
        strangers = self._strangers(model, images, read)
        if not strangers:
            return vectors
        others = await self.view(model).aget_image_embedding_batch(strangers)
        return _merge(read, vectors, others)

    def _strangers(
        self, model: BaseEmbedding, images: Sequence[ImageType], read: Sequence[_Image | None]
    ) -> list[ImageType]:
        """Return the images of which nobody here knows the content."""
        found = [each for each, image in zip(images, read, strict=True) if image is None]
        if found:
            self.state_of(model).embedding.warn("image_unknown")
        return found

    def state_of(self, model: BaseEmbedding) -> _ModelState:
        """Return the state of a guarded model as it is now.

        Raises:
            ConfigurationError: The model cannot be told from others, or the policy asks for
                something that has no place here.
        """
        private = model.__pydantic_private__
        if private is None:  # its class has no private attributes
            private = {}
            object.__setattr__(model, "__pydantic_private__", private)
        known: _ModelState | None = private.get(MODEL_STATE)
        if known is None or known.state is not model.__dict__:  # a copy has the original's
            with self._lock:
                known = private[MODEL_STATE] = _ModelState(self, self.view(model))
        return known

    def live_identity(self, view: BaseEmbedding) -> LiveIdentity:
        """Return the identity of a model as it is set now."""
        return live_identity(view, self._ops.canon, self._name)

    def name_of(self, view: BaseEmbedding) -> str:
        """Return the name that a model is counted by."""
        return self._name or name_of(view)

    def embedding_of(self, view: Any, live: LiveIdentity, identity: str) -> SharedEmbedding:
        """Return the embedding of texts by a model.

        Args:
            view: The unguarded model.
            live: Its identity as it is set now.
            identity: Its identity as it is set for this embedding.
        """
        name = self.name_of(view)

        def embed(role: str, texts: list[str]) -> Sequence[Iterable[float]]:
            with mark_inside("embedding"), live.watch():
                if len(texts) > 1:
                    return list(getattr(view, _BATCHES[role])(_open_images(texts)))
                return [getattr(view, _SINGLES[role])(_open_images(texts)[0])]

        async def aembed(role: str, texts: list[str]) -> Sequence[Iterable[float]]:
            with mark_inside("embedding"), live.watch():
                if len(texts) > 1:
                    return list(await getattr(view, f"a{_BATCHES[role]}")(_open_images(texts)))
                return [await getattr(view, f"a{_SINGLES[role]}")(_open_images(texts)[0])]

        def workers() -> int:
            count = view.num_workers
            return int(count) if count and count > 1 else _AT_ONCE

        return SharedEmbedding(
            self._ops,
            name_parts(self._ops, self._policy, f"embed:{name}"),
            name=name,
            model=identity,
            embed=embed,
            aembed=aembed,
            most=lambda: int(view.embed_batch_size),
            workers=workers,
            dimensions=lambda: dimensions_of(view),
            is_current=lambda: live.current() == identity,
            provider=provider_of(view),
        )


class _ModelState:
    """The identity and the shared embedding of a guarded model.

    Args:
        guard: The guard, which copies of the model share.
        view: The unguarded model.

    Raises:
        ConfigurationError: The model cannot be told from others, or the policy asks for something
            that has no place here.
    """

    def __init__(self, guard: EmbeddingGuard, view: BaseEmbedding) -> None:
        self.state = view.__dict__
        self._guard = guard
        self._view = view
        self._live = guard.live_identity(view)
        identity = self._live.current()
        self._known = identity, guard.embedding_of(view, self._live, identity)
        self._lock = fork_safe(self, threading.Lock())

    @property
    def name(self) -> str:
        """The name that the model is counted by."""
        return self._guard.name_of(self._view)

    @property
    def embedding(self) -> SharedEmbedding:
        """The embedding by the model as it is set now."""
        identity = self._live.current()
        if identity != self._known[0]:
            with self._lock:
                if identity != self._known[0]:
                    made = self._guard.embedding_of(self._view, self._live, identity)
                    self._known = identity, made
        return self._known[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> _ModelState:
        return self  # which is not of the copy


def _reporter(name: str, bar: Any) -> Callable[[Sequence[str], bool], None]:
    hit = False

    def report(texts: Sequence[str], kept: bool) -> None:  # noqa: FBT001 - as it is called
        nonlocal hit
        if kept and not hit:
            hit = True
            tell_hit(f"embed:{name}", "embedding")
        if bar is not None:
            bar.update(len(texts))

    return report


class _Image(str):
    """The digest of an image, which knows the image."""

    __slots__ = ("_image",)
    _image: ImageType

    @classmethod
    def read(cls, image: ImageType) -> Self | None:
        """Return the digest of an image, or None if its content is not at hand."""
        if isinstance(image, BytesIO):
            digest = hashlib.sha256(image.getvalue())
        else:
            try:
                with Path(image).open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256")
            except (OSError, ValueError):  # an address, or the image itself as a text
                return None
        self = cls(digest.hexdigest())
        self._image = image
        return self

    def open(self) -> ImageType:
        """Return the image for one more look at it."""
        # Whoever has read a stream leaves it at its end, where another attempt finds nothing.
        return BytesIO(self._image.getvalue()) if isinstance(self._image, BytesIO) else self._image

    def __toolops_key__(self) -> str:
        return str(self)


def _read(images: Sequence[ImageType]) -> list[_Image | None]:
    return [_Image.read(image) for image in images]


def _open_images(images: Sequence[str]) -> list[ImageType]:
    return [image.open() if isinstance(image, _Image) else image for image in images]


def _merge(
    read: Sequence[_Image | None],
    vectors: Iterable[list[float]],
    others: Iterable[list[float]],
) -> list[list[float]]:
    known, strange = iter(vectors), iter(others)
    return [next(strange if image is None else known) for image in read]
