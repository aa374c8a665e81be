"""A chat model behind a policy, which stays the model that it was."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import RunnableBinding

from langchain_toolops._llm_guard import Guard
from toolops_plugins import ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.model_policy import MODEL_POLICY
from toolops_plugins.adapters.options import keeps_usage, policy_of, runtime_of
from toolops_plugins.adapters.subclasses import refuse_pickling

__all__ = ["MODEL_POLICY", "guard_model"]

M = TypeVar("M", bound=BaseChatModel)


def guard_model(
    model: M,
    ops: ToolOps | None = None,
    *,
    policy: Policy = MODEL_POLICY,
    after_tools: bool = False,
    usage_on_hit: Literal["keep", "zero"] = "keep",
) -> M:
    """Return a chat model like this one whose calls go through a policy.

    It is a copy, of a subclass made for it, which guards the four methods that reach the provider.
    So it is still an instance of the model's class, with its fields, callbacks and tracing, and
    ``invoke``, ``stream``, ``batch``, their asynchronous twins, ``bind_tools`` and
    ``with_structured_output`` work as before: all of them end in those four methods.

    Equal calls that run at the same time are made once, streams too: who comes later gets what has
    come so far, and the rest as it comes. Answers of ``invoke`` and of ``stream`` are kept apart.
    A hit says ``{"toolops": {"hit": True}}`` in its response metadata; a stream that is none says
    ``False``. Never kept are errors, and
    answers that are empty or cut off. The model's own ``rate_limiter`` is asked for real calls
    only.

    Models try again by themselves; with ``max_retries=0`` they leave that to the policy. Safe to
    use from any threads and event loops.

    Args:
        model: The model; it is left as it is.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        policy: What is asked of its calls, all of it; ``MODEL_POLICY.replace(...)`` adds to the
            default. With ``semantic=Semantic(on="question")`` questions in other words share an
            answer. Callbacks get a ``ChatResult``, or the list of chunks of a stream. ``hedge`` has
            no place, since streams cannot be hedged. Default: kept for an hour, retried, and behind
            a circuit breaker.
        after_tools: Whether a call that ends in tool results may share the answer to its question
            in other words. Default False.
        usage_on_hit: "keep": a hit carries the token counts of the call that made it. "zero": it
            carries none. Default "keep".

    Returns:
        The copy.

    Raises:
        ConfigurationError: A value is wrong, or does not fit the runtime, or the model is guarded
            already.
    """
    given: Any = model
    if not isinstance(given, BaseChatModel):
        hint = "; guard the model first, and bind to it what you like" if _is_bound(given) else ""
        raise ConfigurationError("model", f"must be a chat model, not {given!r:.200}{hint}")
    if isinstance(getattr(type(model), "__toolops_guard__", None), Guard):
        raise ConfigurationError("model", "is guarded already")
    guard = Guard(
        runtime_of(ops),
        policy_of(policy),
        model,
        after_tools=after_tools,
        keeps_usage=keeps_usage(usage_on_hit),
    )
    copy = model.model_copy(update={"rate_limiter": None})
    copy.__class__ = _subclass(type(model), guard)
    return copy


def _is_bound(model: Any) -> bool:
    return isinstance(model, RunnableBinding) and isinstance(model.bound, BaseChatModel)


def _subclass(kind: type[M], guard: Guard) -> type[M]:
    """Return a class that differs from the model's in nothing but the methods that are guarded."""
    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__toolops_guard__": guard,
        "__reduce_ex__": refuse_pickling,
        "_generate": guard.generating(kind),
    }
    # What a model has not by itself it has by way of the others.
    for name, make in (
        ("_agenerate", guard.agenerating),
        ("_stream", guard.streaming),
        ("_astream", guard.astreaming),
    ):
        if getattr(kind, name) is not getattr(BaseChatModel, name):
            body[name] = make(kind)
    return cast("type[M]", type(kind)(kind.__name__, (kind,), body))  # type: ignore[misc] # the metaclass makes a class
