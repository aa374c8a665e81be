"""Tell the vectors of one embedding model from those of another."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding

from toolops_plugins import ConfigurationError
from toolops_plugins.adapters.internals import Canon, is_secret_name
from toolops_plugins.errors import NotCanonicalError

__all__ = ["NOT_ASKED", "change_marks", "model_of", "name_of"]

NOT_ASKED = frozenset(
    (
        # How a call is watched, kept and tried.
        "callback_manager", "embeddings_cache", "max_retries", "rate_limiter", "request_timeout",
        "timeout", "verbose",
        # How the texts travel, and where they are computed.
        "cache_folder", "device", "embed_batch_size", "keep_alive", "num_workers",
        "parallel_process", "reuse_client", "show_progress", "show_progress_bar",
        "target_devices", "trust_remote_code",
    )
)  # fmt: skip
"""Fields that change nothing in the vectors."""
_SETTINGS = (str, int, float, Mapping)
"""What private attributes, and fields that are not written down, may say of a model."""
_STATE = (list, set, tuple, bytes)
"""Private values that are memories, not what the model is."""

_names: weakref.WeakKeyDictionary[type[BaseEmbedding], tuple[tuple[str, bool], ...]] = (
    weakref.WeakKeyDictionary()
)
"""The fields of classes, which live no longer for it: that of a guarded model holds its runtime."""


def name_of(model: BaseEmbedding) -> str:
    """Return the name under which a model's texts are counted."""
    return model.model_name if _has_name(model) else type(model).__name__


def model_of(model: BaseEmbedding, canon: Canon, name: str | None = None) -> str:
    """Return a digest of what tells a model from others that might give other vectors.

    It holds the class, all fields but for secrets and those that only say how the model is
    reached, and private texts, numbers and mappings, since some classes keep there which model
    they really call, and how. An object without a canonical form counts as itself, for as long as
    it lives; of private ones, such as clients and loaded models, only where there is no
    ``model_name``.

    Args:
        model: The live model.
        canon: Makes the fields into bytes.
        name: What the user calls it, if anything; objects without a canonical form do not count
            then.

    Raises:
        ConfigurationError: There is an object that cannot even be told from others of its kind.
    """
    whole: dict[str, bytes] = {}
    told = name is not None
    for field, value in _fields_in_key(model):
        try:
            whole[field] = canon.encode(_without_secrets(value))
        except NotCanonicalError:
            if not told:
                whole[field] = _itself(canon, field, value)
    for attribute, value in (model.__pydantic_private__ or {}).items():
        if value is None or is_secret_name(attribute):
            continue
        if isinstance(value, _SETTINGS):
            whole[attribute] = canon.encode(_setting_in_key(canon, attribute, value, told=told))
        elif not (told or _has_name(model) or isinstance(value, _STATE)):
            whole[attribute] = _itself(canon, attribute, value)
    # The class itself, since two that were made by one function share their name.
    return hashlib.sha256(canon.encode([type(model), name, whole])).hexdigest()


def change_marks(model: BaseEmbedding) -> list[Any]:
    """Return the fields by which a change of the model is noticed: its texts and dicts.

    Numbers and lists are none of them, since they may be counters of the model's own.
    """
    return [
        dict(value) if isinstance(value, dict) else value
        for _, value in _fields_in_key(model)
        if isinstance(value, str | dict)
    ]


def _itself(canon: Canon, name: str, value: Any) -> bytes:
    try:
        return canon.receiver(value)
    except NotCanonicalError:
        raise ConfigurationError(
            "name", f"is needed for this model: its {name} cannot be told from others"
        ) from None


def _setting_in_key(canon: Canon, name: str, value: Any, *, told: bool) -> Any:
    """Return a private setting for a key, with the objects inside of mappings as themselves."""
    if isinstance(value, Mapping):
        return {
            key: _setting_in_key(canon, name, each, told=told)
            for key, each in value.items()
            if not is_secret_name(str(key))
        }
    try:
        return canon.encode(value)
    except NotCanonicalError:
        return None if told else _itself(canon, name, value)


def _has_name(model: BaseEmbedding) -> bool:
    return bool(model.model_name) and model.model_name != "unknown"  # LlamaIndex's default


def _field_names(kind: type[BaseEmbedding]) -> tuple[tuple[str, bool], ...]:
    """Return the fields that may count, and of each whether the class does not write it down."""
    known = _names.get(kind)
    if known is None:
        known = _names[kind] = tuple(
            (name, bool(field.exclude))
            for name, field in kind.model_fields.items()
            if not (name in NOT_ASKED or is_secret_name(name))
        )
    return known


def _fields_in_key(model: BaseEmbedding) -> Iterator[tuple[str, Any]]:
    fields = vars(model)
    for name, unwritten in _field_names(type(model)):
        value = fields.get(name)
        # What a class does not want to be written down are its clients, and sometimes settings.
        if value is not None and not (unwritten and not isinstance(value, _SETTINGS)):
            yield name, value  # most are None, and to leave them out says the same
    if model.model_extra:
        yield from model.model_extra.items()


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):  # such as headers
        return {name: each for name, each in value.items() if not is_secret_name(str(name))}
    return value
