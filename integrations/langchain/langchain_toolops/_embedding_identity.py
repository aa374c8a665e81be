"""Tell the vectors of one embedder from those of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel

from toolops_plugins import ConfigurationError
from toolops_plugins.adapters.internals import is_secret_name

__all__ = ["model_of", "name_of"]

_NAMES = ("model", "model_name", "model_id", "deployment", "repo_id")
"""Fields that name the model, in the order of preference."""
_TRANSPORT = frozenset(
    (
        "cache_folder", "chunk_size", "disallowed_special", "allowed_special",
        "headers", "max_retries", "batch_size", "multi_process", "openai_api_version", "proxies",
        "request_timeout", "retry_max_seconds", "retry_min_seconds", "show_progress",
        "show_progress_bar", "skip_empty", "timeout", "tiktoken_enabled", "tiktoken_model_name",
        "default_headers", "default_query", "check_embedding_ctx_length",
    )
)  # fmt: skip
"""Fields that say how the model is reached, and nothing of what it answers."""


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


def model_of(embedder: Embeddings) -> Mapping[str, Any]:
    """Return what tells the model from others."""
    name_of(embedder)
    kept = getattr(embedder, "__pydantic_private__", None) or {}
    private = {
        name: value
        for name, value in kept.items()
        if isinstance(value, str | int | float) and not is_secret_name(name)
    }
    # The class itself, since two that were made by one function share their name.
    fields = _plain_fields(embedder)
    return {"class": type(embedder), "fields": fields, "private": private}


def _plain_fields(embedder: Embeddings) -> dict[str, Any]:
    return {
        name: value
        for name in getattr(type(embedder), "model_fields", {})
        if name not in _TRANSPORT
        and not is_secret_name(name)
        and _is_plain(value := getattr(embedder, name, None))
    }


def _is_plain(value: Any) -> bool:
    if value is None:
        return False
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float | bool)
