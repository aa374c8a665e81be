"""Embedding models whose texts and images are embedded once."""

from __future__ import annotations

from typing import Any, TypeVar, Unpack, cast

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding

from llama_index.callbacks.toolops._embedding_guard import EmbeddingGuard
from llama_index.callbacks.toolops._embedding_methods import image_faces, text_faces
from toolops_plugins import Cache, ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.model_policy import warn_of_retries
from toolops_plugins.adapters.options import policy_of, runtime_of
from toolops_plugins.policy import PolicyParts

__all__ = ["guard_embedding"]

_Model = TypeVar("_Model", bound=BaseEmbedding)


def guard_embedding(
    model: _Model,
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    name: str | None = None,
    **parts: Unpack[PolicyParts],
) -> _Model:
    """Return an embedding model like this one, behind the cache and the policies of a runtime.

    It is an instance of the same class, with the same fields, and stands wherever the model could:
    in an index, an ingestion pipeline, ``Settings.embed_model``. Each text is kept by model, role
    (query, text or image) and its own characters; an image by the bytes of its file, wherever that
    lies. Texts that stand in a list twice are embedded once, and so are those that several callers
    need at the same time, from any mix of threads and event loops. The rest goes to the model in
    batches of its ``embed_batch_size``, asynchronously ``num_workers`` at a time (32, where that is
    not more than 1). Each batch passes the policy and the model's own ``rate_limiter``, and is kept
    as soon as it is there: if another fails, the next attempt pays only for the rest. Where a text
    makes a batch fail, other callers who wait for texts of that batch send their own again without
    it.

    What is no sound vector is handed on as the model gave it, not kept, and asked for again: one
    with NaN, infinities or anything but numbers, an empty one, one of zeros alone (unless its text
    has no letter or digit), and one of another length than the model's ``dimensions`` or most of
    its vectors. So is what the model gave while its settings changed.

    The model itself fires its events and spans, once for each batch that it embeds. No others are
    fired but a :class:`~llama_index.callbacks.toolops.CacheHitEvent` for each call that found
    vectors in the cache. Two names are counted: under "embed:<model>" each text, under
    "embed:<model> (batches)" each call of the model. A ``price`` is that of a text, and the time
    that a hit saves is a text's share of that of its batch.

    Two things go past the cache: images that are neither files nor ``BytesIO``, such as addresses,
    and batches with keyword arguments whose meaning the model's class alone knows. What is changed
    in the guarded model later holds from the next call on. A copy of it is guarded alike; a pickle,
    such as those for a pipeline's worker processes, holds the model without cache and policies.

    Safe to use from any threads and event loops.

    Args:
        model: The model; it is left as it is.
        policy: A policy to start from. Its retries and breakers, where they name no exceptions,
            heed those alone that may pass. None: keep vectors as long as the tiers do.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        name: What tells the model from others of its class whose fields look the same, and what it
            is counted by. None: its ``model_name`` or, without one, the name of its class; the
            objects that it holds then tell it from others, in this process alone.
        parts: Parts of the policy by name, as :meth:`toolops_plugins.ToolOps.tool` takes them;
            ``cache=None`` keeps nothing, ``coalesce=False`` shares nothing.

    Raises:
        ConfigurationError: The model is none, is guarded already, has an ``embeddings_cache`` of
            its own or cannot be told from others; or the policy asks for something that has no
            place here: ``semantic``, ``fallback`` or ``hedge``.

    Warns:
        UserWarning: The model tries again by itself, beside the policy's retry.

    Example:
        >>> from llama_index.core import MockEmbedding
        >>> guarded = guard_embedding(MockEmbedding(embed_dim=2), ops=ToolOps())
        >>> guarded.get_text_embedding_batch(["one", "two", "one"])
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """
    _refuse(model)
    _refuse_cache(model.embeddings_cache)
    whole = (Policy(cache=Cache()) | policy_of(policy)).replace(**parts)
    guard = EmbeddingGuard(type(model), whole, runtime_of(ops), name)
    copy = model.model_copy()
    copy.__class__ = _subclass(type(model), guard)
    guard.state_of(copy)  # now, so that what is wrong is said here
    warn_of_retries(model, getattr(model, "max_retries", 0), whole)
    return copy


def _refuse(model: Any) -> None:
    if not isinstance(model, BaseEmbedding):
        hint = "; make one of the class" if isinstance(model, type) else ""
        raise ConfigurationError("model", f"must be a BaseEmbedding, not {model!r:.100}{hint}")
    if isinstance(getattr(type(model), "__toolops_guard__", None), EmbeddingGuard):
        raise ConfigurationError("model", "is guarded already")


def _refuse_cache(cache: Any) -> None:
    if cache is not None:
        raise ConfigurationError(
            "embeddings_cache",
            "has no place in a guarded model, which keeps its vectors itself, by model and role",
        )


def _subclass(kind: type[_Model], guard: EmbeddingGuard) -> type[_Model]:
    """Return a class that differs from the model's in nothing but where vectors come from."""

    def set_field(model: Any, name: str, value: Any) -> None:
        if name == "embeddings_cache":
            _refuse_cache(value)
        kind.__setattr__(model, name, value)

    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__setattr__": set_field,
        # Whoever reads the pickle has not this runtime, but may need the vectors.
        "__reduce_ex__": lambda model, _: (_itself, (guard.plain(model),)),
    }
    made = type(kind)(kind.__name__, (kind,), body)  # type: ignore[misc] # the metaclass makes a class
    # Afterwards, since a class in the making gets a span around each method of these names: the
    # spans are those of the model's own methods.
    faces = text_faces(guard, kind)
    if issubclass(kind, MultiModalEmbedding):
        faces.update(image_faces(guard))
    for name, face in faces.items():
        setattr(made, name, face)
    made.__toolops_guard__ = guard
    return cast("type[_Model]", made)


def _itself(model: BaseEmbedding) -> BaseEmbedding:
    return model
