"""Make each call of a wrapped CrewAI tool under its policy."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from crewai.tools.base_tool import _default_cache_function
from crewai.tools.tool_failure import ToolFailure

from crewai_toolops._event_dedup import note_tool
from crewai_toolops._tool_failures import OnError, failure_of, is_signal, reaches_crewai
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.tool_arguments import FORM, ToolArguments
from toolops_plugins.adapters.tool_guard import Body, ToolCall, ToolGuard

__all__ = ["CrewAIToolGuard", "is_inside_call"]


class _Call(ToolCall):
    """A call of a wrapped tool.

    Args:
        tool: The tool; its own calls of itself are part of the call.
    """

    __slots__ = ("tool",)

    def __init__(self, body: Body, arguments: dict[str, Any], tool: object) -> None:
        super().__init__(body, arguments)
        self.tool = tool


def is_inside_call(tool: object) -> bool:
    """Return whether the body of a tool is under way around whoever asks."""
    call = _Call.current.get()
    return call is not None and call.tool is tool


class CrewAIToolGuard(ToolGuard):
    """The policy of one tool, or of all tools of a class.

    Args:
        ops: The runtime.
        name: The name of the tool in keys and statistics.
        policy: The policy of its calls.
        arguments: Its arguments.
        secret: Arguments that are secret, beside those whose name says so.
        ignore: Arguments that do not count in the key.
        on_error: Whether errors are returned as a ``ToolFailure``, or raised.
        sync: Whether it has a body for threads.
        aio: Whether it has one for event loops.
        source: The function that it runs, which is another one after an edit.

    Raises:
        ConfigurationError: The policy does not fit the tool or the runtime.
    """

    call_type = _Call

    def __init__(
        self,
        ops: ToolOps,
        name: str,
        policy: Policy,
        arguments: ToolArguments,
        secret: Sequence[str],
        ignore: Sequence[str],
        on_error: OnError,
        *,
        sync: bool,
        aio: bool,
        source: Any = None,
    ) -> None:
        self._on_error = on_error
        self._arguments = arguments
        self._has_form = FORM in arguments.signature.parameters
        super().__init__(
            ops,
            name,
            policy,
            arguments.signature,
            sync=sync,
            aio=aio,
            secret=secret,
            ignore=ignore,
            source=source,
        )

    def adapt(self, policy: Policy) -> Policy:
        """Return the policy with functions that are not given the form of the tool."""
        return _without_form(policy) if self._has_form else policy

    def open_call(
        self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any], *given: Any
    ) -> ToolCall | None:
        """Return a new call, or None where there is nothing to guard.

        Args:
            body: What the tool runs, with all its arguments.
            args: The positional arguments.
            kwargs: The keyword arguments.
            given: The tool, and what tells it from others of its name, or None.
        """
        tool, form = given
        if is_inside_call(tool) or not self.ops.active:
            return None
        named = self.arguments(form, args, kwargs)
        if named is None:
            return None  # the tool itself will say so, in the words that its users know
        note_tool(getattr(tool, "name", ""))
        return _Call(body, named, tool)

    def run_body(self, body: Callable[[], Any]) -> Any:
        """Run a body in this thread, and the coroutine that it may return."""
        value = body()
        # CrewAI would run it as well, and the policies would see nothing of its result.
        return asyncio.run(value) if inspect.iscoroutine(value) else value

    def is_signal(self, error: Exception) -> bool:
        """Return whether an exception is one that CrewAI raises for itself."""
        return is_signal(error)

    def may_store(self, value: Any) -> bool:
        """Return whether the result of the call under way may be stored; the tool has a say."""
        if isinstance(value, ToolFailure) or not self.is_shareable(value):
            return False
        call = _Call.current.get()
        wants = getattr(call.tool, "cache_function", None)
        if wants is None or wants is _default_cache_function:
            return True
        arguments = {name: given for name, given in call.arguments.items() if name != FORM}
        return bool(wants(arguments, value))

    def fail(self, error: Exception) -> Any:
        """Return the failure that CrewAI is told of, or raise the error."""
        if self._on_error == "raise" or reaches_crewai(error):
            raise error
        return failure_of(error)

    def key(self, form: bytes | None, args: Any, kwargs: dict[str, Any]) -> str:
        """Return the key of a call, in hexadecimal.

        Raises:
            ConfigurationError: Results are neither stored nor shared.
            TypeError: The arguments do not fit the tool.
        """
        return self.key_of(self.arguments(form, args, kwargs))

    def arguments(self, form: bytes | None, args: Any, kwargs: Any) -> dict[str, Any] | None:
        """Return the arguments of a call by name, or None if they do not fit the tool."""
        named = self._arguments.by_name(args, kwargs)
        if named is not None and self._has_form:
            named[FORM] = form
        return named


def _without_form(policy: Policy) -> Policy:
    """Return a policy whose own functions do not see :data:`FORM`, which counts all the same."""
    cache = policy.cache
    if cache is not None:
        if cache.key is not None:
            policy = policy.replace(cache=replace(cache, key=_key_with_form(cache.key)))
        elif cache.key_params is not None:
            policy = policy.replace(cache=replace(cache, key_params=(*cache.key_params, FORM)))
        cache = policy.cache
        if cache is not None and callable(cache.tags):
            policy = policy.replace(cache=replace(cache, tags=_call_without_form(cache.tags)))
    if callable(policy.tags):
        policy = policy.replace(tags=_call_without_form(policy.tags))
    return policy


def _key_with_form(key: Callable[..., Any]) -> Callable[..., Any]:
    def key_with_form(*args: Any, **kwargs: Any) -> Any:
        form = kwargs.pop(FORM)
        return form, key(*args, **kwargs)

    return key_with_form


def _call_without_form(function: Callable[..., Any]) -> Callable[..., Any]:
    def without_form(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop(FORM, None)
        return function(*args, **kwargs)

    return without_form
