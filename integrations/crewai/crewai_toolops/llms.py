"""Models behind a policy, which stay the models that they were."""

from __future__ import annotations

from typing import Any, TypeVar, Unpack

from crewai.llms.base_llm import BaseLLM
from pydantic import BaseModel

from crewai_toolops._llm_guard import LLMGuard
from toolops_plugins import ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.model_guard import check_model
from toolops_plugins.adapters.model_policy import MODEL_POLICY, model_policy_of, warn_of_retries
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.policy import PolicyParts

__all__ = ["MODEL_POLICY", "guard_llm"]

M = TypeVar("M", bound=BaseLLM)


def guard_llm(
    llm: M,
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    after_tools: bool = False,
    **parts: Unpack[PolicyParts],
) -> M:
    """Return a model like this one whose calls go through a policy.

    It is a copy, of a subclass made for it, which guards ``call`` and ``acall``. So it is still an
    instance of the model's class, with its fields, stop words and native function calling, and
    agents, crews and flows use it as before. It counts its own tokens, from zero. What is changed
    in the copy later, such as its temperature, holds from the next call on.

    Equal calls that run at the same time are made once. Errors are never kept, nor answers that are
    empty or that the provider has cut off, nor streams whose events tell no finish reason, nor
    answers that miss the schema of the response or of the tools that they call. A hit
    has new ids for its tool calls; an answer to ``response_model`` comes back as an instance of the
    class that the live call names. The key holds the model's class and fields, address, stop words,
    the conversation without the ids of its tool calls, tools, and the schema of the response; not
    ``from_task``, ``from_agent`` and ``callbacks``. All of it is hashed, the API key with it.

    A hit counts no tokens. It emits the pair of events that every call of CrewAI emits, whose
    ``fingerprint_metadata`` says ``{"toolops": {"hit": True, "usage": ...}}`` with the tokens that
    it has saved, and whose ``usage`` is None. Answers of a model that streams are kept apart from
    others; a hit emits one chunk that holds all of it, and so does a caller that has waited for
    another's answer.

    Hooks (``before_llm_call``, ``after_llm_call``) run once for each call, hits included, and the
    key is made of what they leave of the messages.

    When an agent executes a failed task again (``max_retry_limit``), a call is tried once: attempts
    add up, and do not multiply. An answer that a task's guardrail refuses is forgotten when the
    task next asks.

    Calls with ``available_functions`` run tools themselves, as CrewAI's planning does: these go
    past the cache, and are made once; breaker, limits and timeouts still hold. A model that keeps
    the conversation with its provider (``auto_chain``), or whose fields have no canonical form,
    goes past the cache too, with a warning event. Safe to use from any threads and event loops.

    A class of your own counts with what it adds to CrewAI's fields as it was when it was guarded,
    or was last set from outside a call; names that begin with an underscore, and fields that are
    not written down (``exclude=True``), only where they hold plain values, mappings or models.
    ``__toolops_key__()`` says it better. A function that gives credentials, and an interceptor,
    count as themselves, in this process alone unless they have the attribute ``__toolops_key__``.

    Args:
        llm: What ``LLM(...)`` returns, or an instance of your own ``BaseLLM``; it is left as it is.
        policy: The policy of its calls; ``MODEL_POLICY.replace(...)`` adds to the
            default. With ``semantic=Semantic(on="question")`` questions in other words share an
            answer: the last user text of a conversation, unless CrewAI has put results, memories or
            knowledge into it: these are looked up exactly. Callables in it get text, the fields of
            a structured answer, or tool calls as dicts. With a ``retry``, CrewAI's own attempts
            under a rate limit are left to it. None: ``MODEL_POLICY``, by which answers are kept for
            an hour, and calls are retried and stand behind a circuit breaker.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        after_tools: Whether a call that ends in results of tools may share the answer to its
            question in other words. Default False.
        parts: Parts of the policy by name, such as ``cache=Cache(ttl=60)``; they win over
            ``policy``.

    Returns:
        The copy. It can be copied, and not pickled.

    Raises:
        ConfigurationError: A value is wrong, or does not fit the runtime, or the model is guarded
            already.

    Warns:
        UserWarning: The model's client tries again by itself, beside the policy's retry.
    """
    if isinstance(llm, str):
        raise ConfigurationError("llm", f"must be a model: guard_llm(LLM(model={llm!r}))")
    check_model(llm, BaseLLM, "an LLM of CrewAI", _advice_for(llm))
    policy = model_policy_of(policy, parts)
    guard = LLMGuard(runtime_of(ops), policy, llm, after_tools=after_tools)
    warn_of_retries(llm, _own_retries(llm), policy)
    # CrewAI's own way to copy may build another model, of what it knows of this one.
    copy = BaseModel.__copy__(llm)
    if hasattr(copy, "_token_usage"):
        copy._token_usage = dict.fromkeys(copy._token_usage, 0)  # noqa: SLF001 - shared with the original otherwise
    guard.configuration.note_all(copy)
    object.__setattr__(copy, "__class__", guard.make_subclass(type(llm), _methods(guard)))
    return copy


def _advice_for(given: Any) -> str:
    """Return what to do with something that is no model, behind a semicolon; or nothing."""
    if isinstance(given, type):
        return "; make one of the class"
    if isinstance(getattr(given, "llm", None), BaseLLM | str):
        return "; guard its model: Agent(llm=guard_llm(LLM(model=...)))"
    if "langchain" in str(type(given).__mro__):
        return "; models of LangChain are guarded by langchain_toolops.guard_llm()"
    return ""


def _own_retries(llm: Any) -> int:
    given = (getattr(llm, "client_params", None) or {}).get("max_retries")
    own = getattr(llm, "max_retries", 0) if given is None else given
    return own if isinstance(own, int) else 0


def _methods(guard: LLMGuard) -> dict[str, Any]:
    """Return the methods of a guarded model that differ from those of its class."""
    kind: Any = guard.kind

    def set_attribute(llm: Any, name: str, value: Any) -> None:
        kind.__setattr__(llm, name, value)
        if not guard.is_active:
            guard.configuration.note(llm, name)

    def model_copy(llm: Any, *, update: Any = None, deep: bool = False) -> Any:
        made = kind.model_copy(llm, update=update, deep=deep)
        for name in update or ():  # which pydantic does not set as others do
            guard.configuration.note(made, name)
        return made

    def copy(llm: Any) -> Any:
        return _keep_class(kind.__copy__(llm), type(llm))

    def deep_copy(llm: Any, memo: dict[int, Any] | None = None) -> Any:
        return _keep_class(kind.__deepcopy__(llm, memo), type(llm))

    return {
        "__setattr__": set_attribute,
        "model_copy": model_copy,
        "__copy__": copy,
        "__deepcopy__": deep_copy,
        **guard.methods(),
    }


def _keep_class(copy: Any, kind: type[Any]) -> Any:
    """Return a copy that the model's own class has made, which may have made a plain model."""
    if type(copy) is not kind:
        object.__setattr__(copy, "__class__", kind)
    return copy
