"""One caller's call of a model: its arguments, hooks and question, and the answer to it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from crewai.hooks.llm_hooks import (
    model_call_hooks_already_dispatched,
    model_call_hooks_dispatched,
)
from crewai.llms.base_llm import BaseLLM
from crewai.llms.retry import arun_with_rate_limit_retry, run_with_rate_limit_retry
from pydantic import BaseModel

from crewai_toolops._event_reader import role_of
from crewai_toolops._llm_answers import Answer, pack_answer, restore_answer
from crewai_toolops._llm_conversation import question_of
from crewai_toolops._llm_events import LLMEventCapture, emit_answer, emit_failure
from crewai_toolops._llm_identity import DENIALS, model_identity, request_identity
from crewai_toolops._llm_schema import fits_request
from crewai_toolops._other_retries import limit_attempts, note_failure
from crewai_toolops._refused_answers import Asked, note_question, take_refusal
from toolops_plugins.adapters.conversation import reads_files
from toolops_plugins.adapters.fallback_answers import Substitute, no_answer
from toolops_plugins.adapters.model_guard import ModelCall
from toolops_plugins.adapters.model_identity import identify
from toolops_plugins.adapters.notices import warn_of_untold_end
from toolops_plugins.adapters.signals import Signal, release
from toolops_plugins.policy import NOTHING

if TYPE_CHECKING:
    from crewai_toolops._llm_guard import LLMGuard

__all__ = ["LLMCall", "signature_of"]

_NOT_SENT = frozenset(("available_functions", "callbacks", "from_agent", "from_task"))
"""Arguments that change nothing in what a model is asked."""


class LLMCall(ModelCall):
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

    def agent(self) -> str:
        """Return the role of the agent that makes the call, or nothing."""
        return role_of(self._origin[0])

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


def signature_of(inner: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a method, with CrewAI's names for what it only hands on."""
    own = inspect.signature(inner)
    kinds = {parameter.kind for parameter in own.parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return own
    known = inspect.signature(BaseLLM.call)
    others = [p for p in own.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
    return known.replace(parameters=[*known.parameters.values(), *others])


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
