"""Guard of a model: the two methods by which CrewAI calls it, each as a wrapped function.

A model may call one of these from another, or once more without what its provider did not like. A
call that begins inside a guarded call is part of that.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, ClassVar

from crewai.hooks.llm_hooks import (
    model_call_hooks_already_dispatched,
    model_call_hooks_dispatched,
)
from crewai.llms.base_llm import BaseLLM
from crewai.llms.retry import arun_with_rate_limit_retry, run_with_rate_limit_retry
from pydantic import BaseModel

from crewai_toolops._llm_answers import (
    Answer,
    is_whole,
    over_answers,
    pack_answer,
    restore_answer,
    teach,
)
from crewai_toolops._llm_conversation import question_of
from crewai_toolops._llm_events import LLMEventCapture, emit_answer, emit_failure, note_usage
from crewai_toolops._llm_identity import (
    DENIALS,
    Configuration,
    fields_memo,
    is_outage,
    is_passing,
    model_identity,
    model_name,
    request_identity,
)
from crewai_toolops._llm_schema import fits_request
from crewai_toolops._other_retries import limit_attempts, note_failure
from crewai_toolops._refused_answers import Asked, note_question, take_refusal
from toolops_plugins import Policy, TierError, ToolOps
from toolops_plugins.adapters.conversation import reads_files
from toolops_plugins.adapters.fallback_answers import Substitute, no_answer
from toolops_plugins.adapters.model_guard import ModelCall, ModelGuard
from toolops_plugins.adapters.model_identity import identify
from toolops_plugins.adapters.notices import warn_of_untold_end
from toolops_plugins.adapters.signals import Signal, release
from toolops_plugins.policy import NOTHING

__all__ = ["LLMGuard", "inside_guard"]

_NOT_SENT = frozenset(("available_functions", "callbacks", "from_agent", "from_task"))
"""Arguments that change nothing in what a model is asked."""
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
        policy = over_answers(self.policy, llm.model)
        # Tools that the model itself runs may not be run twice, nor left out.
        self.wrap_calls(
            policy.replace(cache=None, semantic=None, coalesce=False, retry=None, hedge=None),
            is_whole,
        )
        self._ask_once, self._aask_once = self.ask, self.aask
        self.wrap_calls(policy, is_whole)

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
        signature = _signature(inner)

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
        signature = _signature(inner)

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

    def call_of(self, llm: Any, messages: Any, kwargs: dict[str, Any]) -> _LLMCall:
        """Return a call that is not made, with what hooks leave of its messages.

        Raises:
            TypeError: The arguments do not fit the model.
        """
        inner = self.kind.call
        own = _LLMCall(self, llm, inner, _signature(inner).bind(llm, messages, **kwargs))
        own.begin()
        return own

    def _call(
        self,
        llm: Any,
        inner: Callable[..., Any],
        signature: inspect.Signature,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _LLMCall | None:
        """Return the call; None if it is part of another, or its arguments do not fit."""
        if self.is_active:
            return None
        try:
            bound = signature.bind(llm, *args, **kwargs)
        except TypeError:
            return None
        return _LLMCall(self, llm, inner, bound)


class _LLMCall(ModelCall):
    """One caller's call.

    Args:
        guard: The guard.
        llm: The model.
        inner: Makes the call.
        bound: Its arguments.
    """

    def __init__(
        self, guard: LLMGuard, llm: Any, inner: Callable[..., Any], bound: inspect.BoundArguments
    ) -> None:
        super().__init__()
        self._guard = guard
        self._llm = llm
        self._inner = inner
        self._bound = bound
        named = [p.name for p in bound.signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        self._first = next(iter(named[1:]), "")
        """The name of the parameter that takes the messages, if any does."""
        self._is_hooked = False
        self._has_begun = False
        self._schema: Any = None
        self._origin: tuple[Any, Any] = (None, None)
        """The agent and the task that the call is made for, each None if there is none."""
        self.runs_tools = False
        """True if the model itself runs the tools that it calls."""

    @property
    def _arguments(self) -> dict[str, Any]:
        """The arguments by name, with the messages under the name that CrewAI gives them."""
        given = dict(list(self._bound.arguments.items())[1:])
        for name, parameter in self._bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                given.update(given.pop(name, {}))
        if self._first in given:
            messages = given.pop(self._first)
            if "messages" in given:  # a keyword of a class that calls its messages otherwise
                given["messages="] = given.pop("messages")
            given["messages"] = messages
        return given

    # -- around the call -------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the arguments as they are now, and let hooks see the messages, once for each call.

        Raises:
            HookAborted: A hook does not want the call.
            LLMCallBlockedError: The same, said in the older way.
        """
        given = self._arguments
        self.runs_tools = bool(given.get("available_functions"))
        self._schema = _schema(self._llm, given)
        self._origin = given.get("from_agent"), given.get("from_task")
        messages = given.get("messages")
        if isinstance(messages, list):
            # Agents go on with their list while a refresh may still be reading it.
            messages = [dict(m) if isinstance(m, dict) else m for m in messages]
        hooks = self._guard.hooks and not model_call_hooks_already_dispatched()
        self._is_hooked = hooks and isinstance(messages, str | list)
        if self._is_hooked and isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if self._first in self._bound.arguments:
            self._bound.arguments[self._first] = messages
        if self._is_hooked:
            try:
                self._llm._invoke_before_llm_call_hooks(messages, given.get("from_agent"))  # noqa: SLF001 - for clients to call
            except DENIALS as error:
                emit_failure(self._llm, self._arguments, error)
                raise

    def end(self, result: Any) -> Any:
        """Let hooks see the answer, whoever it was made for; return what they make of it."""
        if not self._is_hooked:
            return result
        given = self._arguments
        return self._llm._invoke_after_llm_call_hooks(  # noqa: SLF001 - for clients to call
            given["messages"], result, given.get("from_agent")
        )

    def limit_attempts(self) -> AbstractContextManager[None]:
        """Return the block to ask in: one attempt where CrewAI itself tries again."""
        return limit_attempts(*self._origin)

    def take_refusal(self) -> Asked | None:
        """Return what was last asked for this call's task, if its answer has been refused."""
        task = self._origin[1]
        return None if task is None else take_refusal(task)

    def note(self, asked: tuple[str, Any]) -> tuple[str, Any]:
        """Return a question, which is remembered for the task that it is asked for."""
        task = self._origin[1]
        if task is not None and not self.runs_tools:
            note_question(task, self._guard, asked)
        return asked

    def report(self, error: Exception) -> None:
        """Note an error, and emit its events if the provider was not asked for it."""
        note_failure(*self._origin)
        if not self._has_begun:
            emit_failure(self._llm, self._arguments, error)

    # -- the question ----------------------------------------------------------------------------

    def question(self) -> tuple[str, Any]:
        """Return the question, and everything else that the answer depends on."""

        def make() -> tuple[str, Any]:
            guard, given = self._guard, self._arguments
            question, turns = question_of(given.pop("messages", ()), after_tools=guard.after_tools)
            live = guard.live_values()
            sent = {n: v for n, v in given.items() if n not in _NOT_SENT and v is not None}
            make = partial(request_identity, live=live)
            beside = live.arguments_of(guard.kind, sent, make)
            identity = model_identity(
                self._llm, guard.kind, guard.configuration, live, guard.fields
            )
            return question, [turns, identity, beside]

        return identify(make)

    async def aquestion(self) -> tuple[str, Any]:
        """Return the question without blocking the event loop."""
        if reads_files(self._arguments.get("messages")):
            return await asyncio.to_thread(self.question)
        return self.question()

    # -- the answer ------------------------------------------------------------------------------

    def call(self) -> Any:
        """Ask the model."""
        self._has_begun = True
        events = LLMEventCapture()
        try:
            with self._inside(events):
                make = self._make()
                raw = _call_once(make) if self._tries_once else make()
        except DENIALS as error:
            return Signal(error)
        return self._pack(raw, events)

    async def acall(self) -> Any:
        """Ask an asynchronous model."""
        self._has_begun = True
        events = LLMEventCapture()
        try:
            with self._inside(events):
                make = self._make()
                raw = await (_acall_once(make) if self._tries_once else make())
        except DENIALS as error:
            return Signal(error)
        return self._pack(raw, events)

    def _pack(self, raw: Any, events: LLMEventCapture) -> Answer:
        guard = self._guard
        # Not every chunk is an event; a user's class may take the field for nothing.
        streamed = events.is_streamed or (guard.hooks and bool(self._llm._effective_stream()))  # noqa: SLF001 - where a call looks itself
        if streamed and events.ending.is_open:
            warn_of_untold_end(guard.ops, guard.name)
        answer = pack_answer(
            raw,
            self._schema,
            usage=events.usage,
            may_be_kept=events.ending.may_be_kept(streamed=streamed),
            owner=self,
        )
        if answer.whole and self._guard.policy.cache is not None and not self.runs_tools:
            answer.whole = fits_request(self._llm, self._arguments, self._schema, raw)
        return answer

    @property
    def _tries_once(self) -> bool:
        """True if CrewAI's own attempts give way to those of the policy."""
        return self._guard.retries and not self.runs_tools

    def _make(self) -> Callable[[], Any]:
        bound = self._bound
        arguments = dict(bound.arguments)
        if self.is_detached:
            # What goes on behind an answer is no news to the task that has had it.
            for name in ("from_agent", "from_task"):
                if name in arguments:
                    arguments[name] = None
        bound = inspect.BoundArguments(bound.signature, arguments)
        return partial(self._inner, *bound.args, **bound.kwargs)

    @contextmanager
    def _inside(self, events: LLMEventCapture) -> Iterator[None]:
        """Make what begins in this block part of the call."""
        with ExitStack() as stack:
            if not self.runs_tools:  # a tool that the model runs may call the model in its turn
                stack.enter_context(self._guard.activate())
            stack.enter_context(events.capture())
            if self._is_hooked:
                stack.enter_context(model_call_hooks_dispatched())
            yield

    def restore(self, answer: Any) -> Any:
        """Return the caller's answer, or NOTHING if what the runtime gave is none of ours."""
        answer = release(answer)
        if type(answer) is Substitute:
            value = answer.value
            if not isinstance(value, str | list | BaseModel):
                raise no_answer(value, "a text, an instance of the response model or tool calls")
            emit_answer(self._llm, self._arguments, value, {"fallback": True})
            return value
        if type(answer) is not Answer:
            return NOTHING
        if answer.owner is self:
            return answer.raw
        try:
            value = restore_answer(answer, self._schema)
        except Exception:  # noqa: BLE001 - of users' own validators; the entry is not for this call
            return NOTHING
        mark = {"hit": True, "usage": answer.usage} if answer.usage else {"hit": True}
        emit_answer(self._llm, self._arguments, value, mark)
        return value


def _note_usage_of(extract: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(extract)
    def extract_usage(llm: Any, response: Any) -> Any:
        note_usage(response)
        return extract(llm, response)

    return extract_usage


def _signature(inner: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a method, with CrewAI's names for what it only hands on."""
    own = inspect.signature(inner)
    kinds = {parameter.kind for parameter in own.parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return own
    known = inspect.signature(BaseLLM.call)
    others = [p for p in own.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
    return known.replace(parameters=[*known.parameters.values(), *others])


def inside_guard() -> bool:
    """Return whether a guarded call is under way around whoever asks, which counts its parts."""
    return LLMGuard.active.get() is not None


def _schema(llm: Any, given: Mapping[str, Any]) -> Any:
    """Return the class that an answer is to be an instance of, or None."""
    for value in (
        given.get("response_model"),
        given.get("response_format"),
        getattr(llm, "response_format", None),
    ):
        if isinstance(value, type):
            return value
    return None


def _call_once(make: Callable[[], Any]) -> Any:
    """Make a call without the attempts that CrewAI puts around each, since the policy has its own.

    CrewAI's attempts are told of no failure, and what it calls inside of them has none of its own.
    """

    def attempt() -> tuple[Any, Exception | None]:
        try:
            return make(), None
        except Exception as error:  # noqa: BLE001 - it is raised behind CrewAI's back
            return None, error

    return _result(*run_with_rate_limit_retry(attempt))


async def _acall_once(make: Callable[[], Any]) -> Any:
    """Make a call of an asynchronous model, as :func:`_call_once` does."""

    async def attempt() -> tuple[Any, Exception | None]:
        try:
            return await make(), None
        except Exception as error:  # noqa: BLE001 - as above
            return None, error

    return _result(*await arun_with_rate_limit_retry(attempt))


def _result(result: Any, error: Exception | None) -> Any:
    if error is not None:
        raise error
    return result
