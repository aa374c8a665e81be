"""Tell the vectors of one embedder from those of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel

from toolops_plugins import ConfigurationError
from toolops_plugins.adapters.embedding_identity import (
    REACH_FIELDS,
    SETTINGS,
    LiveIdentity,
    identity_parts,
)
from toolops_plugins.adapters.internals import Canon, is_secret_name

__all__ = ["dimensions_of", "live_identity", "name_of", "provider_of", "size_of"]

_NAMES = ("model", "model_name", "model_id", "deployment", "repo_id")
"""Fields that name the model, in the order of preference."""
_SIZES = ("chunk_size", "batch_size", "embed_batch_size")
"""Fields that say how many texts an embedder sends at once."""
_DEFAULT_SIZE = 500
"""Texts that an embedder gets at once if nothing says how many it sends."""


def name_of(embedder: Embeddings) -> str:
    """Return the name of the model.

    Raises:
        ConfigurationError: The embedder does not tell it.
    """
    if isinstance(embedder, BaseModel):
        for name in _NAMES:
            value = getattr(embedder, name, None)
            if isinstance(value, str) and value:
                return value
    raise ConfigurationError(
        "model", f"cannot be told from others of {type(embedder).__name__}: give it a name"
    )


def provider_of(embedder: Embeddings) -> str:
    """Return the provider that LangChain's package of an embedder is for, or nothing."""
    package = type(embedder).__module__.partition(".")[0]
    provider = package.removeprefix("langchain_")
    return "" if provider in (package, "community", "core") else provider


def live_identity(embedder: BaseModel, canon: Canon, name: str | None) -> LiveIdentity:
    """Return the identity of an embedder that declares its settings.

    It holds the class, all fields but for secrets and those that only say how the model is
    reached, and private texts, numbers and mappings.

    Args:
        embedder: The live embedder.
        canon: Makes the canonical form.
        name: What the user calls it, if anything.

    Raises:
        ConfigurationError: A field holds an object that cannot be told from others of its kind.
    """
    # The class itself, since two that were made by one function share their name.
    start = {"": canon.encode([type(embedder), name])}

    def make() -> dict[str, bytes]:
        private = embedder.__pydantic_private__ or {}
        fields = dict(_fields_in_key(embedder))
        is_told = name is not None
        parts = identity_parts(
            fields, private, canon, is_named=True, is_told=is_told, option="model"
        )
        return start | parts

    return LiveIdentity(embedder, make, is_counting=not _is_langchains(type(embedder)))


def size_of(embedder: Embeddings) -> int:
    """Return how many texts an embedder sends at once."""
    for name in _SIZES:
        size = getattr(embedder, name, None)
        if isinstance(size, int) and size > 0:
            return size
    return _DEFAULT_SIZE


def dimensions_of(embedder: Embeddings) -> int | None:
    """Return how many numbers the embedder's vectors are set to have, if it says so."""
    size = getattr(embedder, "dimensions", None)
    return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None


def _fields_in_key(embedder: BaseModel) -> Iterator[tuple[str, Any]]:
    kind = type(embedder)
    values = vars(embedder)
    for name, field in kind.model_fields.items():
        value = values.get(name)
        if value is None or name in REACH_FIELDS or is_secret_name(name):
            continue
        # What a class does not want to be written down are its clients, and sometimes settings.
        if field.exclude and not isinstance(value, SETTINGS):
            continue
        if name == "chunk_size" and _declares(kind, name):
            continue  # in LangChain's classes it counts texts of a request
        yield name, value
    yield from (embedder.model_extra or {}).items()


def _is_langchains(kind: type) -> bool:
    return kind.__module__.partition(".")[0].startswith("langchain")


def _declares(kind: type, name: str) -> bool:
    """Return whether a field comes from a class of LangChain's packages."""
    return any(
        _is_langchains(base) and name in getattr(base, "model_fields", ()) for base in kind.__mro__
    )
