"""A model behind a policy, which stays the model that it was."""

from __future__ import annotations

from typing import Any, Literal, NoReturn, TypeVar, Unpack, cast

from llama_index.core.llms.llm import LLM
from llama_index.core.llms.structured_llm import StructuredLLM

from llama_index.callbacks.toolops._llm_guard import Guard
from toolops_plugins import ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.model_policy import MODEL_POLICY, warn_of_retries
from toolops_plugins.adapters.options import keeps_usage, policy_of, runtime_of
from toolops_plugins.policy import PolicyParts

__all__ = ["MODEL_POLICY", "guard_llm"]

M = TypeVar("M", bound=LLM)


def guard_llm(
    llm: M,
    policy: Policy = MODEL_POLICY,
    *,
    ops: ToolOps | None = None,
    after_tools: bool = False,
    usage_on_hit: Literal["keep", "zero"] = "keep",
    **parts: Unpack[PolicyParts],
) -> M:
    """Return a model like this one whose calls go through a policy.

    It is a copy, of a subclass made for it, which guards the eight endpoints: ``chat``,
    ``complete``, ``stream_chat``, ``stream_complete`` and their asynchronous twins. So it is still
    an instance of the model's class, with its fields, metadata and callback manager, and all that
    LlamaIndex does with a model works as before, since it ends in those eight: ``predict``,
    ``structured_predict``, ``as_structured_llm``, ``predict_and_call``, query engines and agents.
    What is changed in the copy later, such as its temperature, holds from the next call on.

    Equal calls that run at the same time are made once, streams too: who comes later gets what has
    come so far, and the rest as it comes. Answers and streams are kept apart. Never kept are
    errors, answers that are empty or cut off, and streams that were not read to their end; a
    stream begins when it is first read.

    Whoever made the call gets the model's own response. A hit is a copy that says
    ``{"toolops": {"hit": True}}`` in its ``additional_kwargs``, with new ids for its tool calls;
    ``raw`` is of the type that it was for the OpenAI package, and plain data for other providers.
    Each call of the provider fires LlamaIndex's events and callbacks, and asks the model's own
    ``rate_limiter``; a hit does neither, and fires a ``CacheHitEvent``.

    The key holds the model's class and all of its fields, secrets as digest; of private attributes
    it holds texts, truth values, fractions and mappings, and every object where no field ``model``
    or ``model_name`` says which model is asked. What else a class keeps there, such as the weights
    of a local model beside a name, no key can see, and what it notes there with each call makes
    each call another: let it tell its instances apart by ``__toolops_key__()``. Pictures and other
    files count by their content. A model whose fields or arguments have no canonical form, or that
    goes on with a conversation which its provider keeps
    (``OpenAIResponses(track_previous_responses=True)``), goes past the cache, with a warning event.
    Safe to use from any threads and event loops.

    Args:
        llm: The model; it is left as it is.
        policy: What is asked of its calls, all of it; ``MODEL_POLICY.replace(...)`` adds to the
            default. With ``semantic=Semantic(on="question")`` questions in other words share an
            answer: the last user text of a conversation, or the whole prompt of ``complete``.
            Callables in it get the response, or the list of chunks of a stream. ``hedge`` does not
            apply to streams. Default: kept for an hour, retried, and behind a circuit breaker.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        after_tools: Whether a call that ends in tool results may share the answer to its question
            in other words. Default False.
        usage_on_hit: "keep": a hit carries the token counts of the call that made it. "zero": it
            carries none. Default "keep".
        parts: The parts of the policy by name, such as ``cache=Cache(ttl=60)``; they win over
            ``policy``, and add to the default.

    Returns:
        The copy. It can be copied, and not pickled.

    Raises:
        ConfigurationError: A value is wrong, or does not fit the runtime, or the model is guarded
            already.

    Warns:
        UserWarning: The model tries again by itself, beside the policy's retry.
    """
    _refuse(llm)
    policy = policy_of(policy).replace(**parts)
    guard = Guard(
        runtime_of(ops),
        policy,
        llm,
        after_tools=after_tools,
        keeps_usage=keeps_usage(usage_on_hit),
    )
    warn_of_retries(llm, getattr(llm, "max_retries", 0), policy)
    copy = llm.model_copy()
    copy.__class__ = _subclass(type(llm), guard)
    return copy


def _refuse(llm: Any) -> None:
    if isinstance(llm, StructuredLLM):
        raise ConfigurationError(
            "llm", "is a StructuredLLM; guard its model: guard_llm(llm).as_structured_llm(...)"
        )
    if not isinstance(llm, LLM):
        hint = "; make one of the class" if isinstance(llm, type) else ""
        raise ConfigurationError("llm", f"must be an LLM of LlamaIndex, not {llm!r:.200}{hint}")
    if isinstance(getattr(type(llm), "__toolops_guard__", None), Guard):
        raise ConfigurationError("llm", "is guarded already")


def _subclass(kind: type[M], guard: Guard) -> type[M]:
    """Return a class that differs from the model's in nothing but the endpoints."""
    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": _unpicklable,
    }
    made = type(kind)(kind.__name__, (kind,), body)  # type: ignore[misc] # the metaclass makes a class
    # Afterwards, since a class in the making gets a span around each method of these names: the
    # spans are those of the calls, which the model's own methods open.
    for name, endpoint in guard.endpoints().items():
        setattr(made, name, endpoint)
    made.__toolops_guard__ = guard
    return cast("type[M]", made)


def _unpicklable(llm: Any, _protocol: Any) -> NoReturn:
    raise TypeError(
        f"a guarded {type(llm).__name__} cannot be pickled: its runtime belongs to this process. "
        "Pickle the model, and guard it there"
    )
