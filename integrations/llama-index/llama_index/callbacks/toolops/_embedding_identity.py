"""Tell the vectors of one embedding model from those of another."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterator
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding

from toolops_plugins.adapters.embedding_identity import (
    REACH_FIELDS,
    SETTINGS,
    LiveIdentity,
    identity_parts,
)
from toolops_plugins.adapters.internals import Canon, is_secret_name

__all__ = ["MODEL_STATE", "dimensions_of", "live_identity", "model_of", "name_of", "provider_of"]

MODEL_STATE = "_toolops_known"
"""Where, among its private attributes, a guarded model holds what is known of it."""

_names: weakref.WeakKeyDictionary[type[BaseEmbedding], tuple[tuple[str, bool], ...]] = (
    weakref.WeakKeyDictionary()
)
"""The fields of classes, which live no longer for it: that of a guarded model holds its runtime."""


def name_of(model: BaseEmbedding) -> str:
    """Return the name under which a model's texts are counted."""
    return model.model_name if _has_name(model) else type(model).__name__


def provider_of(model: BaseEmbedding) -> str:
    """Return the provider that LlamaIndex's package of a model is for, or nothing."""
    parts = type(model).__module__.split(".")
    return parts[2] if parts[:2] == ["llama_index", "embeddings"] and len(parts) > 2 else ""


def model_of(model: BaseEmbedding, canon: Canon) -> str:
    """Return a digest of what tells a model from others that might give other vectors.

    Args:
        model: The live model.
        canon: Makes the canonical form.

    Raises:
        ConfigurationError: There is an object that cannot even be told from others of its kind.
    """
    return hashlib.sha256(canon.encode(_parts(model, canon, None))).hexdigest()


def live_identity(model: BaseEmbedding, canon: Canon, name: str | None) -> LiveIdentity:
    """Return the identity of a model as it is set now.

    It holds the class, all fields but for secrets and those that only say how the model is
    reached, and private texts, numbers and mappings, since some classes keep there which model
    they really call, and how. An object without a canonical form counts as itself, for as long as
    it lives; of private ones, such as clients and loaded models, only where there is no
    ``model_name``.

    Args:
        model: The live model.
        canon: Makes the canonical form.
        name: What the user calls it, if anything. Objects without a canonical form do not count
            then.

    Raises:
        ConfigurationError: As :func:`model_of`.
    """
    is_counting = not type(model).__module__.startswith("llama_index.")
    return LiveIdentity(model, lambda: _parts(model, canon, name), is_counting=is_counting)


def dimensions_of(model: BaseEmbedding) -> int | None:
    """Return how many numbers the model's vectors are set to have, if it says so."""
    size = vars(model).get("dimensions")
    return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None


def _parts(model: BaseEmbedding, canon: Canon, name: str | None) -> dict[str, bytes]:
    private = dict(model.__pydantic_private__ or {})
    private.pop(MODEL_STATE, None)
    parts = identity_parts(
        dict(_fields_in_key(model)),
        private,
        canon,
        is_named=_has_name(model),
        is_told=name is not None,
        option="name",
    )
    # The class itself, since two that were made by one function share their name.
    return {"": canon.encode([type(model), name]), **parts}


def _has_name(model: BaseEmbedding) -> bool:
    return bool(model.model_name) and model.model_name != "unknown"  # LlamaIndex's default


def _field_names(kind: type[BaseEmbedding]) -> tuple[tuple[str, bool], ...]:
    """Return the fields that may count, and of each whether the class does not write it down."""
    known = _names.get(kind)
    if known is None:
        known = _names[kind] = tuple(
            (name, bool(field.exclude))
            for name, field in kind.model_fields.items()
            if not (name in REACH_FIELDS or is_secret_name(name))
        )
    return known


def _fields_in_key(model: BaseEmbedding) -> Iterator[tuple[str, Any]]:
    fields = vars(model)
    for name, unwritten in _field_names(type(model)):
        value = fields.get(name)
        # What a class does not want to be written down are its clients, and sometimes settings.
        if value is not None and not (unwritten and not isinstance(value, SETTINGS)):
            yield name, value  # most are None, and to leave them out says the same
    if model.model_extra:
        yield from model.model_extra.items()
