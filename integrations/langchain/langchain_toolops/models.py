"""Models behind a policy, which stay the models that they were."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, Unpack, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.llms import BaseLLM
from langchain_core.runnables import Runnable

from langchain_toolops._llm_guard import STREAM_EVENTS, LLMGuard
from langchain_toolops._model_runnables import advice_for, guard_inner
from langchain_toolops._text_guard import TextGuard
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.model_guard import check_model
from toolops_plugins.adapters.model_policy import MODEL_POLICY, model_policy_of, warn_of_retries
from toolops_plugins.adapters.options import keeps_usage, runtime_of
from toolops_plugins.policy import PolicyParts

__all__ = ["MODEL_POLICY", "guard_llm", "guard_model"]

M = TypeVar("M", bound=Runnable[Any, Any])


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

    It is a copy, of a subclass made for it, which guards the four methods that reach the provider.
    So it is still an instance of the model's class, with its fields, callbacks and tracing, and
    ``invoke``, ``stream``, ``batch``, their asynchronous twins, ``bind_tools`` and
    ``with_structured_output`` work as before: all of them end in those four methods.

    Plain models (``BaseLLM``), which answer prompts with text, are guarded alike. Each prompt of a
    batch is then a call of its own, of which up to 20 are under way at once. A runnable around
    models is guarded by guarding each of them: ``bind()``, ``with_config()``, ``with_retry()``,
    ``with_fallbacks()``, ``configurable_fields()`` and ``configurable_alternatives()``. A ``model``
    that is given with a call is another model.

    Equal calls that run at the same time are made once, streams too: a later caller gets what has
    come so far, and the rest as it comes. Answers of ``invoke`` and of ``stream`` are kept apart.
    A hit says ``{"toolops": {"hit": True}}`` in its response metadata; a stream that is none says
    ``False``. Errors are never kept, nor answers that are empty or cut off, nor streams that tell
    no end: let a model of your own give its last chunk
    ``response_metadata={"finish_reason": "stop"}``. Nor are answers kept that miss the schema of
    their structured output or of the tools that they call. The model's own ``rate_limiter`` is
    asked for real calls only.

    The key holds the model's class and all of its fields, secrets as digest; of private attributes
    it holds texts, numbers, truth values and mappings. A private counter makes each call another:
    let the class tell its instances apart by ``__toolops_key__()``. A function that gives
    credentials counts as itself, in this process alone unless it has the attribute
    ``__toolops_key__``. Safe to use from any threads and event loops.

    Args:
        llm: The model; it is left as it is.
        policy: The policy of its calls; ``MODEL_POLICY.replace(...)`` adds to the default. With
            ``semantic=Semantic(on="question")`` questions in other words share an answer.
            Callables in it get a ``ChatResult``, of plain models an ``LLMResult``, or the list of
            chunks of a stream. ``hedge`` does not apply to streams. None: ``MODEL_POLICY``, by
            which answers are kept for an hour, and calls are retried and stand behind a circuit
            breaker.
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
    return _guard(llm, policy, ops, after_tools, usage_on_hit, parts)


def guard_model(
    model: M,
    ops: ToolOps | None = None,
    *,
    policy: Policy | None = None,
    after_tools: bool = False,
    usage_on_hit: Literal["keep", "zero"] = "zero",
) -> M:
    """Return ``guard_llm(model, policy, ops=ops, ...)``, whose older name this is."""
    return _guard(model, policy, ops, after_tools, usage_on_hit, {})


def _guard(
    llm: M,
    policy: Policy | None,
    ops: ToolOps | None,
    after_tools: bool,  # noqa: FBT001 - as it came
    usage_on_hit: Literal["keep", "zero"],
    parts: PolicyParts,
    depth: int = 0,
) -> M:
    given: Any = llm
    whole = model_policy_of(policy, parts)
    runtime, keeps = runtime_of(ops), keeps_usage(usage_on_hit)

    def guard_model_in(inner: Any) -> Any:
        return _guard(inner, policy, ops, after_tools, usage_on_hit, parts, depth + 1)

    if not isinstance(given, BaseChatModel | BaseLLM):
        around: M | None = guard_inner(given, guard_model_in)
        if around is not None:
            return around
    check_model(llm, (BaseChatModel, BaseLLM), "a model of LangChain", advice_for(given))
    guard: LLMGuard | TextGuard
    absent: tuple[str, ...] = ()
    changes: dict[str, Any] = {}
    if isinstance(given, BaseLLM):
        guard = TextGuard(runtime, whole, given, keeps_usage=keeps)
    else:
        guard = LLMGuard(runtime, whole, given, after_tools=after_tools, keeps_usage=keeps)
        absent, changes = STREAM_EVENTS, {"rate_limiter": None}
    methods = guard.methods(type(given))
    # Each runnable around the model adds three frames before the user's own.
    warn_of_retries(given, _own_retries(given), whole, stacklevel=4 + 3 * depth)
    copy: Any = given.model_copy(update=changes)
    copy.__class__ = guard.make_subclass(type(given), methods, absent)
    return cast("M", copy)


def _own_retries(llm: Any) -> Any:
    own = getattr(llm, "max_retries", 0)
    if own is None:  # the default of the provider's client
        own = getattr(getattr(llm, "root_client", None), "max_retries", 0)
    return own
