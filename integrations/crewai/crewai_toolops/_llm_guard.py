"""Guard of a model: the two methods by which CrewAI calls it, each as a wrapped function.

A model may call one of these from another, or once more without what its provider did not like. A
call that begins inside a guarded call is part of that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any, ClassVar

from crewai.llms.base_llm import BaseLLM

from crewai_toolops._llm_answers import (
    Answer,
    is_whole,
    over_answers,
    teach,
)
from crewai_toolops._llm_call import LLMCall, signature_of
from crewai_toolops._llm_events import note_usage
from crewai_toolops._llm_identity import (
    Configuration,
    fields_memo,
    is_outage,
    is_passing,
    model_name,
)
from crewai_toolops.prices import usage_of
from toolops_plugins import Policy, TierError, ToolOps
from toolops_plugins.adapters.model_costs import Reading
from toolops_plugins.adapters.model_guard import ModelGuard
from toolops_plugins.adapters.signals import release
from toolops_plugins.policy import NOTHING

__all__ = ["LLMGuard", "inside_guard"]

_EXTRACT_USAGE = "_extract_openai_token_usage"
"""The method of CrewAI's clients of OpenAI that gets each chunk with a count of tokens."""


class LLMGuard(ModelGuard):
    """The guarded methods of one model and its copies, and what they share.

    Args:
        ops: The runtime.
        policy: The policy of the model's calls.
        llm: The model, for its name and class.
        after_tools: Whether a call that ends in results of tools has a question.

    Raises:
        ConfigurationError: The policy does not fit the runtime.
    """

    active: ClassVar[ContextVar[Any]] = ContextVar("toolops_crewai_model", default=None)

    def __init__(self, ops: ToolOps, policy: Policy, llm: BaseLLM, *, after_tools: bool) -> None:
        teach(ops.codec)
        super().__init__(ops, policy, model_name(llm), is_outage, is_passing)
        self.kind = kind = type(llm)
        self.configuration = Configuration(kind, self.live_values)
        self.fields = fields_memo(ops, self.configuration)
        self.after_tools = after_tools
        self.retries = policy.retry is not None
        # What CrewAI's own clients do in each call; other classes call hooks if they like.
        self.hooks = any(
            "call" in vars(c) and c is not BaseLLM and c.__module__.partition(".")[0] == "crewai"
            for c in kind.__mro__
        )
        policy = over_answers(self.policy)
        # Tools that the model itself runs may not be run twice, nor left out.
        self.wrap_calls(
            policy.replace(cache=None, semantic=None, coalesce=False, retry=None, hedge=None),
            is_whole,
        )
        self._ask_once, self._aask_once = self.ask, self.aask
        self.wrap_calls(policy, is_whole)

    def read_answer(self, answer: Any) -> Reading | None:
        """Return the tokens of an answer; it does not name its model."""
        return Reading((), usage_of(answer.usage)) if type(answer) is Answer else None

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Return the guarded methods of the model's class, by name."""
        made = {"call": self._guard_call(self.kind.call)}
        # A model without a method of its own raises NotImplementedError, which is no call.
        if self.kind.acall is not BaseLLM.acall:
            made["acall"] = self._guard_acall(self.kind.acall)
        extract = getattr(self.kind, _EXTRACT_USAGE, None)
        if extract is not None:
            made[_EXTRACT_USAGE] = _note_usage_of(extract)
        return made

    def _guard_call(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        signature = signature_of(inner)

        # CrewAI's mark of a method that has its attempts around it comes along. Without it these
        # would be put around this one too, and each of them would come to the guard.
        @wraps(inner)
        def call(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
            own = self._call(llm, inner, signature, args, kwargs)
            if own is None:
                return inner(llm, *args, **kwargs)
            own.begin()
            try:
                ask = self._ask_once if own.runs_tools else self.ask
                refused = own.take_refusal()
                if refused is not None:
                    with suppress(TierError):
                        refused.guard.forget(*refused.question)
                with own.limit_attempts():
                    result = own.restore(ask(*own.note(own.question()), own))
                if result is NOTHING:  # somebody else's entry
                    result = release(own.call()).raw
            except Exception as error:
                own.report(error)
                raise
            return own.end(result)

        return call

    def _guard_acall(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        signature = signature_of(inner)

        @wraps(inner)
        async def acall(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
            own = self._call(llm, inner, signature, args, kwargs)
            if own is None:
                return await inner(llm, *args, **kwargs)
            own.begin()
            try:
                ask = self._aask_once if own.runs_tools else self.aask
                refused = own.take_refusal()
                if refused is not None:
                    with suppress(TierError):
                        await refused.guard.aforget(*refused.question)
                with own.limit_attempts():
                    result = own.restore(await ask(*own.note(await own.aquestion()), own))
                if result is NOTHING:
                    result = release(await own.acall()).raw
            except Exception as error:
                own.report(error)
                raise
            return own.end(result)

        return acall

    def call_of(self, llm: Any, messages: Any, kwargs: dict[str, Any]) -> LLMCall:
        """Return a call that is not made, with what hooks leave of its messages.

        Raises:
            TypeError: The arguments do not fit the model.
        """
        inner = self.kind.call
        own = LLMCall(self, llm, inner, signature_of(inner).bind(llm, messages, **kwargs))
        own.begin()
        return own

    def _call(
        self,
        llm: Any,
        inner: Callable[..., Any],
        signature: inspect.Signature,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> LLMCall | None:
        """Return the call; None if it is part of another, or its arguments do not fit."""
        if self.is_active:
            return None
        try:
            bound = signature.bind(llm, *args, **kwargs)
        except TypeError:
            return None
        return LLMCall(self, llm, inner, bound)


def _note_usage_of(extract: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(extract)
    def extract_usage(llm: Any, response: Any) -> Any:
        note_usage(response)
        return extract(llm, response)

    return extract_usage


def inside_guard() -> bool:
    """Return whether a guarded call is under way around whoever asks, which counts its parts."""
    return LLMGuard.active.get() is not None
