"""The two methods by which CrewAI calls a model, each as one call of a wrapped function.

A model may call one of these from another, or once more without what its provider did not like.
What begins inside a guarded call is part of it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace as _replace
from functools import partial, wraps
from typing import Any

from crewai.hooks.llm_hooks import (
    model_call_hooks_already_dispatched,
    model_call_hooks_dispatched,
)
from crewai.llms.base_llm import BaseLLM
from crewai.llms.retry import arun_with_rate_limit_retry, run_with_rate_limit_retry
from pydantic import BaseModel

from crewai_toolops._llm_answers import Answer, is_kept, over_values, packed, restored, teach
from crewai_toolops._llm_conversation import asked, reads_files
from crewai_toolops._llm_events import Heard, tell_answered, tell_failed
from crewai_toolops._llm_identity import (
    DENIALS,
    Held,
    is_outage,
    is_passing,
    model_identity,
    model_name,
    sent,
)
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.fallback_answers import Substitute, no_answer, with_substitutes
from toolops_plugins.adapters.model_policy import Unknown, told_apart, worth_trying
from toolops_plugins.adapters.signals import Signal, adapt_policy, release
from toolops_plugins.calls.flow import REFRESH
from toolops_plugins.policy import NOTHING
from toolops_plugins.policy.faults import callee_failed

__all__ = ["Guard", "guard_of", "inside_guard"]

_NOT_SENT = frozenset(("available_functions", "callbacks", "from_agent", "from_task"))
"""Arguments that change nothing in what a model is asked."""
_UNDER_WAY: ContextVar[Guard | None] = ContextVar("toolops_crewai_model", default=None)


class Guard:
    """The guarded methods of one model and its copies, and what they share.

    Args:
        ops: The runtime.
        policy: What is asked of the model's calls.
        llm: The model, for its name and class.
        after_tools: Whether a call that ends in results of tools has a question.

    Raises:
        ConfigurationError: The policy does not fit the runtime.
    """

    def __init__(self, ops: ToolOps, policy: Policy, llm: BaseLLM, *, after_tools: bool) -> None:
        teach(ops.codec)
        self.ops = ops
        """The runtime that counts the model's calls."""
        self.kind = kind = type(llm)
        self.held = Held(kind)
        self.after_tools = after_tools
        self.retries = policy.retry is not None
        # What CrewAI's own clients do in each call; other classes call hooks if they like.
        self.hooks = any(
            "call" in vars(c) and c is not BaseLLM and c.__module__.partition(".")[0] == "crewai"
            for c in kind.__mro__
        )
        name = model_name(llm)
        policy = told_apart(ops, worth_trying(_passing(policy), is_outage), name)
        policy = adapt_policy(with_substitutes(over_values(policy, llm.model)), is_kept)
        wrap = partial(ops.tool, name=name, ignore=["own"])
        self.ask = wrap(policy=policy)(_ask)
        self.aask = wrap(policy=policy)(_aask)
        # Tools that the model itself runs may not be run twice, nor left out.
        once = policy.replace(cache=None, semantic=None, coalesce=False, retry=None, hedge=None)
        self.ask_once = wrap(policy=once)(_ask)
        self.aask_once = wrap(policy=once)(_aask)

    def __deepcopy__(self, memo: dict[int, Any]) -> Guard:
        return self

    @property
    def is_under_way(self) -> bool:
        """Whether a call is under way around whoever asks."""
        return _UNDER_WAY.get() is self

    def calling(self) -> Callable[..., Any]:
        """Return the guarded ``call`` of the model's class."""
        inner = self.kind.call
        signature = _signature(inner)

        # CrewAI's mark of a method that has its attempts around it comes along. Without it these
        # would be put around this one too, and each of them would come to the guard.
        @wraps(inner)
        def call(llm: Any, *args: Any, **kwargs: Any) -> Any:
            own = self._own(llm, inner, signature, args, kwargs)
            if own is None:
                return inner(llm, *args, **kwargs)
            own.begin()
            try:
                ask = self.ask_once if own.runs_tools else self.ask
                result = own.taken(ask(*own.asked(), own))
                if result is NOTHING:  # somebody else's entry
                    result = release(own.call()).raw
            except Exception as error:
                own.failed(error)
                raise
            return own.end(result)

        return call

    def acalling(self) -> Callable[..., Any]:
        """Return the guarded ``acall`` of the model's class."""
        inner = self.kind.acall
        signature = _signature(inner)

        @wraps(inner)
        async def acall(llm: Any, *args: Any, **kwargs: Any) -> Any:
            own = self._own(llm, inner, signature, args, kwargs)
            if own is None:
                return await inner(llm, *args, **kwargs)
            own.begin()
            try:
                ask = self.aask_once if own.runs_tools else self.aask
                asked = await asyncio.to_thread(own.asked) if own.reads_files else own.asked()
                result = own.taken(await ask(*asked, own))
                if result is NOTHING:
                    result = release(await own.acall()).raw
            except Exception as error:
                own.failed(error)
                raise
            return own.end(result)

        return acall

    def _own(
        self,
        llm: Any,
        inner: Callable[..., Any],
        signature: inspect.Signature,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _Own | None:
        """Return the call; None if it is part of another, or its arguments do not fit."""
        if self.is_under_way:
            return None
        try:
            bound = signature.bind(llm, *args, **kwargs)
        except TypeError:
            return None
        return _Own(self, llm, inner, bound)


class _Own:
    """One caller's call.

    Args:
        guard: The guard.
        llm: The model.
        inner: Makes the call.
        bound: Its arguments.
    """

    def __init__(
        self, guard: Guard, llm: Any, inner: Callable[..., Any], bound: inspect.BoundArguments
    ) -> None:
        self._guard = guard
        self._llm = llm
        self._inner = inner
        self._bound = bound
        named = [p.name for p in bound.signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        self._first = next(iter(named[1:]), "")
        """The name of the parameter that takes the messages, if any does."""
        self._hooked = False
        self._began = False
        self._schema: Any = None
        self._refresh = REFRESH.get()
        self.runs_tools = False
        """Whether the model itself runs the tools that it calls."""

    @property
    def _given(self) -> dict[str, Any]:
        """Return the arguments by name, with the messages under the name that CrewAI gives them."""
        given = dict(list(self._bound.arguments.items())[1:])
        for name, parameter in self._bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                given.update(given.pop(name, {}))
        if self._first in given:
            given = {"messages": given.pop(self._first), **given}
        return given

    # -- around the call -------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the arguments as they are now, and let hooks see the messages, once for each call.

        Raises:
            HookAborted: A hook does not want the call.
            LLMCallBlockedError: The same, said in the older way.
        """
        given = self._given
        self.runs_tools = bool(given.get("available_functions"))
        self._schema = _schema(self._llm, given)
        messages = given.get("messages")
        if isinstance(messages, list):
            # Agents go on with their list while a refresh may still be reading it.
            messages = [dict(m) if isinstance(m, dict) else m for m in messages]
        hooks = self._guard.hooks and not model_call_hooks_already_dispatched()
        self._hooked = hooks and isinstance(messages, str | list)
        if self._hooked and isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if self._first in self._bound.arguments:
            self._bound.arguments[self._first] = messages
        if self._hooked:
            try:
                self._llm._invoke_before_llm_call_hooks(messages, given.get("from_agent"))  # noqa: SLF001 - for clients to call
            except DENIALS as error:
                tell_failed(self._llm, self._given, error)
                raise

    def end(self, result: Any) -> Any:
        """Let hooks see the answer, whoever it was made for; return what they make of it."""
        if not self._hooked:
            return result
        given = self._given
        return self._llm._invoke_after_llm_call_hooks(  # noqa: SLF001 - for clients to call
            given["messages"], result, given.get("from_agent")
        )

    def failed(self, error: Exception) -> None:
        """Tell of an error, if the provider was not asked for it."""
        if not self._began:
            tell_failed(self._llm, self._given, error)

    # -- the question ----------------------------------------------------------------------------

    @property
    def reads_files(self) -> bool:
        """Whether files have to be read to tell the question."""
        return reads_files(self._given.get("messages"))

    def asked(self) -> tuple[str, Any]:
        """Return the question, and all else that the answer hangs on."""
        guard, given = self._guard, self._given
        try:
            question, turns = asked(given.pop("messages", ()), after_tools=guard.after_tools)
            beside = {n: sent(v) for n, v in given.items() if n not in _NOT_SENT and v is not None}
            identity = model_identity(self._llm, guard.kind, guard.held)
        except Exception as error:  # noqa: BLE001 - of users' classes; the call goes past the cache
            return "", Unknown(error)
        return question, [turns, identity, beside]

    # -- the answer ------------------------------------------------------------------------------

    def call(self) -> Any:
        """Ask the model."""
        self._began = True
        heard = Heard()
        try:
            with self._inside(heard):
                make = self._make()
                raw = _once(make) if self._tries_once else make()
        except DENIALS as error:
            return Signal(error)
        return packed(raw, self._schema, usage=heard.usage, cut=heard.cut, owner=self)

    async def acall(self) -> Any:
        """Ask an asynchronous model."""
        self._began = True
        heard = Heard()
        try:
            with self._inside(heard):
                make = self._make()
                raw = await (_aonce(make) if self._tries_once else make())
        except DENIALS as error:
            return Signal(error)
        return packed(raw, self._schema, usage=heard.usage, cut=heard.cut, owner=self)

    @property
    def _tries_once(self) -> bool:
        """Whether CrewAI's own attempts give way to those of the policy."""
        return self._guard.retries and not self.runs_tools

    def _make(self) -> Callable[[], Any]:
        bound = self._bound
        arguments = dict(bound.arguments)
        if REFRESH.get() is not self._refresh:
            # What goes on behind an answer is no news to the task that has had it.
            for name in ("from_agent", "from_task"):
                if name in arguments:
                    arguments[name] = None
        bound = inspect.BoundArguments(bound.signature, arguments)
        return partial(self._inner, *bound.args, **bound.kwargs)

    @contextmanager
    def _inside(self, heard: Heard) -> Iterator[None]:
        """Make what begins in this block part of the call."""
        # A tool that the model runs may call the model in its turn.
        token = None if self.runs_tools else _UNDER_WAY.set(self._guard)
        try:
            with ExitStack() as stack:
                stack.enter_context(heard.listening())
                if self._hooked:
                    stack.enter_context(model_call_hooks_dispatched())
                yield
        finally:
            if token is not None:
                _UNDER_WAY.reset(token)

    def taken(self, given: Any) -> Any:
        """Return what the runtime gave as an answer, or NOTHING if it is none of ours."""
        given = release(given)
        if type(given) is Substitute:
            value = given.value
            if not isinstance(value, str | list | BaseModel):
                raise no_answer(value, "a text, an instance of the response model or tool calls")
            tell_answered(self._llm, self._given, value, {"fallback": True})
            return value
        if type(given) is not Answer:
            return NOTHING
        if given.owner is self:
            return given.raw
        try:
            value = restored(given, self._schema)
        except Exception:  # noqa: BLE001 - of users' own validators; the entry is not for this call
            return NOTHING
        told: dict[str, Any] = {"hit": True}
        if given.usage:
            told["usage"] = given.usage
        tell_answered(self._llm, self._given, value, told)
        return value


def guard_of(llm: Any) -> Guard | None:
    """Return what guards a model, whose ``ops`` counts its calls; None if nothing does."""
    guard = getattr(type(llm), "__toolops_guard__", None)
    return guard if isinstance(guard, Guard) else None


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
    return _UNDER_WAY.get() is not None


def _ask(question: str, scope: Any, own: _Own) -> Any:  # noqa: ARG001 - they make the key
    return own.call()


async def _aask(question: str, scope: Any, own: _Own) -> Any:  # noqa: ARG001 - as above
    return await own.acall()


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


def _passing(policy: Policy) -> Policy:
    """Return the policy with errors left alone that no other attempt of CrewAI's could mend."""
    retry = policy.retry
    if retry is None or retry.on is not callee_failed:
        return policy
    return policy.replace(retry=_replace(retry, on=is_passing))


def _once(make: Callable[[], Any]) -> Any:
    """Make a call without the attempts that CrewAI puts around each, since the policy has its own.

    CrewAI's attempts are told of no failure, and what it calls inside of them has none of its own.
    """

    def attempt() -> tuple[Any, Exception | None]:
        try:
            return make(), None
        except Exception as error:  # noqa: BLE001 - it is raised behind CrewAI's back
            return None, error

    result, error = run_with_rate_limit_retry(attempt)
    if error is not None:
        raise error
    return result


async def _aonce(make: Callable[[], Any]) -> Any:
    """As :func:`_once`."""

    async def attempt() -> tuple[Any, Exception | None]:
        try:
            return await make(), None
        except Exception as error:  # noqa: BLE001 - as above
            return None, error

    result, error = await arun_with_rate_limit_retry(attempt)
    if error is not None:
        raise error
    return result
