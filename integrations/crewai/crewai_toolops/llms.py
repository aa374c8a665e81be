"""A model behind a policy, which stays the model that it was."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar, cast

from crewai.llms.base_llm import BaseLLM
from pydantic import BaseModel

from crewai_toolops._llm_guard import Guard, guard_of
from toolops_plugins import ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.model_policy import MODEL_POLICY, warn_of_retries
from toolops_plugins.adapters.options import policy_of, runtime_of

__all__ = ["MODEL_POLICY", "guard_llm"]

M = TypeVar("M", bound=BaseLLM)


def guard_llm(
    llm: M,
    policy: Policy = MODEL_POLICY,
    *,
    ops: ToolOps | None = None,
    after_tools: bool = False,
) -> M:
    """Return a model like this one whose calls go through a policy.

    It is a copy, of a subclass made for it, which guards ``call`` and ``acall``. So it is still an
    instance of the model's class, with its fields, stop words and native function calling, and
    agents, crews and flows use it as before. It counts its own tokens, from zero. What is changed
    in the copy later, such as its temperature, holds from the next call on.

    Equal calls that run at the same time are made once. Never kept are errors, and answers that are
    empty or that the provider has cut off. A hit has new ids for its tool calls; an answer to
    ``response_model`` comes back as an instance of the class that the live call names. The key
    holds the model's class and fields, address, stop words, the conversation without the ids of
    its tool calls, tools, and the schema of the response; not ``from_task``, ``from_agent`` and
    ``callbacks``. All of it is hashed, the API key with it.

    A hit counts no tokens. It emits the pair of events that every call of CrewAI emits, whose
    ``fingerprint_metadata`` says ``{"toolops": {"hit": True, "usage": ...}}`` with the tokens that
    it has saved, and whose ``usage`` is None. Answers of a model that streams are kept apart from
    others; a hit emits one chunk that holds all of it, and so does a caller that has waited for
    another's answer.

    Hooks (``before_llm_call``, ``after_llm_call``) run once for each call, hits included, and the
    key is made of what they leave of the messages.

    Calls with ``available_functions`` run tools themselves, as CrewAI's planning does: these go
    past the cache, and are made once; breaker, limits and timeouts still hold. A model that keeps
    the conversation with its provider (``auto_chain``), or whose fields have no canonical form,
    goes past the cache too, with a warning event. Safe to use from any threads and event loops.

    A class of your own counts with what it adds to CrewAI's fields as it was when it was guarded,
    or was last set from outside a call; names that begin with an underscore, and fields that are
    not written down (``exclude=True``), only where they hold plain values, mappings or models.
    ``__toolops_key__()`` says it better.

    Args:
        llm: What ``LLM(...)`` returns, or an instance of your own ``BaseLLM``; it is left as it is.
        policy: What is asked of its calls, all of it; ``MODEL_POLICY.replace(...)`` adds to the
            default. With ``semantic=Semantic(on="question")`` questions in other words share an
            answer: the last user text of a conversation, unless CrewAI has put results, memories or
            knowledge into it: these are looked up exactly. Callables in it get text, the fields of
            a structured answer, or tool calls as dicts. With a ``retry``, CrewAI's own attempts
            under a rate limit are left to it. Default: kept for an hour, retried, and behind a
            breaker.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        after_tools: Whether a call that ends in results of tools may share the answer to its
            question in other words. Default False.

    Returns:
        The copy. It can be copied, and not pickled.

    Raises:
        ConfigurationError: A value is wrong, or does not fit the runtime, or the model is guarded
            already.

    Warns:
        UserWarning: The model's client tries again by itself, beside the policy's retry.
    """
    _refuse(llm)
    policy = policy_of(policy)
    guard = Guard(runtime_of(ops), policy, llm, after_tools=after_tools)
    warn_of_retries(llm, _own_retries(llm), policy)
    # CrewAI's own way to copy may build another model, of what it knows of this one.
    copy = BaseModel.__copy__(llm)
    if hasattr(copy, "_token_usage"):
        copy._token_usage = dict.fromkeys(copy._token_usage, 0)  # noqa: SLF001 - shared with the original otherwise
    guard.held.take(copy)
    object.__setattr__(copy, "__class__", _subclass(type(llm), guard))
    return copy


def _refuse(llm: Any) -> None:
    if isinstance(llm, str):
        raise ConfigurationError("llm", f"must be a model: guard_llm(LLM(model={llm!r}))")
    if not isinstance(llm, BaseLLM):
        raise ConfigurationError("llm", f"must be an LLM of CrewAI, not {llm!r:.200}")
    if guard_of(llm) is not None:
        raise ConfigurationError("llm", "is guarded already")


def _own_retries(llm: Any) -> int:
    given = (getattr(llm, "client_params", None) or {}).get("max_retries")
    own = getattr(llm, "max_retries", 0) if given is None else given
    return own if isinstance(own, int) else 0


def _subclass(kind: type[M], guard: Guard) -> type[M]:
    """Return a class that differs from the model's in nothing but the methods that are guarded."""

    def set_attribute(llm: Any, name: str, value: Any) -> None:
        kind.__setattr__(llm, name, value)
        if not guard.is_under_way:
            guard.held.note(llm, name)

    def model_copied(llm: Any, *, update: Any = None, deep: bool = False) -> Any:
        copy = kind.model_copy(llm, update=update, deep=deep)
        for name in update or ():  # which pydantic does not set as others do
            guard.held.note(copy, name)
        return copy

    def copied(llm: Any) -> Any:
        return _again(kind.__copy__(llm), type(llm))

    def deep_copied(llm: Any, memo: dict[int, Any] | None = None) -> Any:
        return _again(kind.__deepcopy__(llm, memo), type(llm))

    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__toolops_guard__": guard,
        "__setattr__": set_attribute,
        "model_copy": model_copied,
        "__copy__": copied,
        "__deepcopy__": deep_copied,
        "__reduce_ex__": _unpicklable,
        "call": guard.calling(),
    }
    # What a model has not by itself raises NotImplementedError, which is no call.
    if kind.acall is not BaseLLM.acall:
        body["acall"] = guard.acalling()
    return cast("type[M]", type(kind)(kind.__name__, (kind,), body))  # type: ignore[misc] # the metaclass makes a class


def _again(copy: Any, kind: type[Any]) -> Any:
    """Return a copy that the model's own class has made, which may have made a plain model."""
    if type(copy) is not kind:
        object.__setattr__(copy, "__class__", kind)
    return copy


def _unpicklable(llm: Any, _: Any) -> NoReturn:
    raise TypeError(
        f"a guarded {type(llm).__name__} cannot be pickled: its runtime belongs to this process. "
        "Pickle the model, and guard it there"
    )
