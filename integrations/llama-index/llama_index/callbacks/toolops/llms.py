"""Models behind a policy, which stay the models that they were."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, Unpack

from llama_index.core.llms.llm import LLM
from llama_index.core.llms.structured_llm import StructuredLLM

from llama_index.callbacks.toolops._llm_guard import LLMGuard
from toolops_plugins import ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.model_guard import check_model
from toolops_plugins.adapters.model_policy import MODEL_POLICY, model_policy_of, warn_of_retries
from toolops_plugins.adapters.options import keeps_usage, runtime_of
from toolops_plugins.policy import PolicyParts

__all__ = ["MODEL_POLICY", "guard_llm"]

M = TypeVar("M", bound=LLM)


def guard_llm(
    llm: M,
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    after_tools: bool = False,
    usage_on_hit: Literal["keep", "zero"] = "zero",
    **parts: Unpack[PolicyParts],
) -> M:
    """Return a model like this one whose calls go through a policy.

    It is a copy, of a subclass made for it, which guards the eight endpoints: ``chat``,
    ``complete``, ``stream_chat``, ``stream_complete`` and their asynchronous twins. So it is still
    an instance of the model's class, with its fields, metadata and callback manager, and all that
    LlamaIndex does with a model works as before, since it ends in those eight: ``predict``,
    ``structured_predict``, ``as_structured_llm``, ``predict_and_call``, query engines and agents.
    (Not so ``OpenAIResponses.structured_predict``, which asks its client past them.)
    What is changed in the copy later, such as its temperature, holds from the next call on.

    Equal calls that run at the same time are made once, streams too: a later caller gets what has
    come so far, and the rest as it comes. Answers and streams are kept apart. Errors are never
    kept, nor answers that are empty or cut off, or that miss the schema of their structured output
    or of the tools that they call, nor streams that were not read to their end or that told none:
    let a model of your own give its last chunk ``raw={"finish_reason": "stop"}``. A
    stream begins when it is first read.

    The caller whose call reached the provider gets the model's own response. A hit is a copy that
    says ``{"toolops": {"hit": True}}`` in its ``additional_kwargs``, with new ids for its tool
    calls; ``raw`` keeps its type with the OpenAI package, and is plain data with other providers.
    Each call of the provider fires LlamaIndex's events and callbacks, and asks the model's own
    ``rate_limiter``; a hit does neither, and fires a ``CacheHitEvent``.

    The key holds the model's class and all of its fields, secrets as digest; of private attributes
    it holds texts, numbers, truth values and mappings, and every object where no field ``model`` or
    ``model_name`` says which model is asked. Other private values, such as the weights of a local
    model beside a name, do not count, and a private counter makes each call another: let the class
    tell its instances apart by ``__toolops_key__()``. A function that gives credentials counts as
    itself, in this process alone unless it has the attribute ``__toolops_key__``. Pictures and
    other files count by their content. A model whose fields or arguments have no canonical form, or
    that goes on with a conversation which its provider keeps
    (``OpenAIResponses(track_previous_responses=True)``), bypasses the cache with a warning event.
    Safe to use from any threads and event loops.

    Args:
        llm: The model; it is left as it is.
        policy: The policy of its calls; ``MODEL_POLICY.replace(...)`` adds to the
            default. With ``semantic=Semantic(on="question")`` questions in other words share an
            answer: the last user text of a conversation, or the whole prompt of ``complete``.
            Callables in it get the response, or the list of chunks of a stream. ``hedge`` does not
            apply to streams. None: ``MODEL_POLICY``, by which answers are kept for an hour, and
            calls are retried and stand behind a circuit breaker.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        after_tools: Whether a call that ends in tool results may share the answer to its question
            in other words. Default False.
        usage_on_hit: "zero": a hit says that it took no tokens, so that counters count each
            paid call once. "keep": it tells the tokens of the call that made it. Default "zero".
        parts: Parts of the policy by name, such as ``cache=Cache(ttl=60)``; they win over
            ``policy``.

    Returns:
        The copy. It can be copied, and not pickled.

    Raises:
        ConfigurationError: A value is wrong, or does not fit the runtime, or the model is guarded
            already.

    Warns:
        UserWarning: The model tries again by itself, beside the policy's retry.
    """
    if isinstance(llm, StructuredLLM):
        raise ConfigurationError(
            "llm", "is a StructuredLLM; guard its model: guard_llm(llm).as_structured_llm(...)"
        )
    check_model(llm, LLM, "an LLM of LlamaIndex", _advice_for(llm))
    policy = model_policy_of(policy, parts)
    guard = LLMGuard(
        runtime_of(ops),
        policy,
        llm,
        after_tools=after_tools,
        keeps_usage=keeps_usage(usage_on_hit),
    )
    warn_of_retries(llm, getattr(llm, "max_retries", 0), policy)
    copy = llm.model_copy()
    kind: Any = guard.make_subclass(type(llm), {})
    # Afterwards, since a class in the making gets a span around each method of these names: the
    # spans are those of the calls, which the model's own methods open.
    for name, endpoint in guard.endpoints().items():
        setattr(kind, name, endpoint)
    copy.__class__ = kind
    return copy


def _advice_for(given: Any) -> str:
    """Return what to do with something that is no model, behind a semicolon; or nothing."""
    if isinstance(given, type):
        return "; make one of the class"
    if isinstance(given, str):  # as Settings.llm and resolve_llm() take it
        return f"; make one: guard_llm(resolve_llm({given!r})), or guard_llm(OpenAI(model=...))"
    if "langchain" in str(type(given).__mro__):
        return "; guard LangChain's models by langchain_toolops.guard_llm(), within LangChainLLM()"
    return ""
