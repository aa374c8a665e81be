"""Make each call of a wrapped LangChain tool under its policy."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.messages.tool import ToolOutputMixin
from langchain_core.tools import BaseTool, StructuredTool, Tool, ToolException
from langchain_core.utils.pydantic import get_fields
from pydantic import ValidationError

from langchain_toolops._background_run import background_run
from langchain_toolops._block_ids import without_generated_ids
from langchain_toolops._codec_types import teach
from langchain_toolops._event_dedup import note_run
from langchain_toolops._event_runs import current_agent
from langchain_toolops._graph_signals import is_graph_signal
from langchain_toolops._tool_injection import (
    Including,
    config_arguments,
    current_config,
    has_human_answer,
    injection_names,
    may_not_share,
    values_in_key,
)
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.internals import callee_failed
from toolops_plugins.adapters.policy_views import compare_by
from toolops_plugins.adapters.signals import Signal
from toolops_plugins.adapters.tool_arguments import ABSENT, keyword_signature
from toolops_plugins.adapters.tool_guard import SINGLE_USE, Body, ToolCall, ToolGuard
from toolops_plugins.policy import ExceptionFilter, matches

__all__ = ["LangChainToolGuard", "takes_argument"]


class _Call(ToolCall):
    """A call of a wrapped tool.

    Args:
        guard: The guard of the tool.
        run: The run of LangChain's that the call belongs to, or None.
    """

    __slots__ = ("guard", "run")

    def __init__(
        self, body: Body, arguments: dict[str, Any], guard: ToolGuard, run: UUID | None
    ) -> None:
        super().__init__(body, arguments)
        self.guard = guard
        self.run = run

    @contextmanager
    def detach(self) -> Iterator[Any]:
        """Return the body, made ready to run under no run at all."""
        call = _Call(self.body, self.arguments, self.guard, None)
        with background_run(self.body) as body, call:
            yield body


class LangChainToolGuard(ToolGuard):
    """The policy of one wrapped tool.

    Args:
        tool: The tool as it was.
        ops: The runtime.
        name: The name of its results.
        policy: The policy of its calls.
        injected: Whether injected arguments that are not included forbid to store and share
            results ("refuse"), or do not count ("ignore").
        include: The injected arguments that count.
        secret: Arguments that are secret, beside those whose name says so.
        ignore: Arguments that do not count in the key.

    Raises:
        ConfigurationError: The policy does not fit the tool or the runtime.
    """

    call_type = _Call
    refusal_option = "injected"

    def __init__(
        self,
        tool: BaseTool,
        ops: ToolOps,
        name: str,
        policy: Policy,
        injected: Literal["refuse", "ignore"],
        include: Including,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
    ) -> None:
        teach(ops.codec)
        self._include = include
        self._injected = injection_names(tool)
        self._artifact = tool.response_format == "content_and_artifact"
        self._reserved = self._injected | config_arguments(tool) | _framework_arguments(tool)
        self._names, defaults, closed = _arguments(tool)
        counted = [n for n in self._names if n not in self._reserved]
        counted += [n for n in include if n not in counted]
        named = {n: defaults.get(n, ABSENT) for n in counted}
        refusal = None
        if may_not_share(self._injected, include, injected):
            names = ", ".join(sorted(self._injected - include.keys()))
            refusal = f"it is injected with {names}; see include_injected"
        sync, aio = _ways(tool)
        super().__init__(
            ops,
            name,
            policy,
            keyword_signature(named, is_open=not closed),
            sync=sync,
            aio=aio,
            secret=secret,
            ignore=ignore,
            source=_source(tool),
            refusal=refusal,
        )

    # -- calls -------------------------------------------------------------------------------

    def adapt(self, policy: Policy) -> Policy:
        """Return the policy with results compared by their content, without an artifact."""
        return compare_by(policy, _content) if self._artifact else policy

    def agent(self) -> str:
        """Return the name of the agent that calls the tool, or nothing."""
        return current_agent()

    def open_call(
        self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any], *_: Any
    ) -> ToolCall | None:
        """Return a new call, or None where the tool's one way of running makes use of the other."""
        manager = (current_config() or {}).get("callbacks")
        run = getattr(manager, "parent_run_id", None)
        around = _Call.current.get()
        if around is not None and around.guard is self and around.run == run:
            return None
        if run is not None and self.ops.active:
            note_run(run)
        return _Call(body, self._by_name(args, kwargs), self, run)

    def may_share(self) -> bool:
        """Return whether no human has answered an interrupt, on which the result may hang."""
        return not has_human_answer(current_config())

    def is_signal(self, error: Exception) -> bool:
        """Return whether an exception is LangGraph's, or what a tool answers to the model."""
        if is_graph_signal(error):
            return True
        return isinstance(error, ToolException) and not self._is_failure(error)

    def _is_failure(self, error: ToolException) -> bool:
        policy = self.policy
        filters = [part.on for part in (policy.retry, policy.breaker) if part is not None]
        if policy.cache is not None and policy.cache.negative is not None:
            filters.append(policy.cache.negative)
        return any(each is not callee_failed and _names(each, error) for each in filters)

    def may_store(self, value: Any) -> bool:
        """Return whether a result is the same for each call: no message and no Command."""
        if isinstance(value, SINGLE_USE):
            return False
        if self._artifact:
            if type(value) is not tuple or len(value) != 2:
                return False
            value = value[0]
        if isinstance(value, list):
            return not any(map(_has_addressee, value))
        return not _has_addressee(value)

    def is_shareable(self, value: Any) -> bool:
        """Return whether a result may be given to other calls: what a tool answers may."""
        if type(value) is Signal:
            return isinstance(value.error, ToolException)
        return self.may_store(value)

    # -- arguments ---------------------------------------------------------------------------

    def key(self, tool: BaseTool, given: str | dict[str, Any]) -> str:
        """Return the key of a call, in hexadecimal.

        Args:
            tool: The tool.
            given: Its input, or a whole tool call.

        Raises:
            ConfigurationError: Results are neither stored nor shared.
            ValidationError: The input does not fit the tool's schema.
        """
        return self.key_of(self.arguments(tool, given))

    def arguments(self, tool: BaseTool, given: str | dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call that count, by name.

        Args:
            tool: As for :meth:`key`.
            given: As for :meth:`key`.

        Raises:
            ConfigurationError: As for :meth:`key`.
            ValidationError: As for :meth:`key`.
        """
        self.check_stores()
        return self._by_name(*self._parse(tool, given))

    def _parse(
        self, tool: BaseTool, given: str | dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if isinstance(given, dict):
            given = dict(given["args"] if given.get("type") == "tool_call" else given)
        try:
            return tool._to_args_and_kwargs(given, "")  # noqa: SLF001 - as BaseTool.run does
        except ValidationError:
            schema = tool.tool_call_schema
            if isinstance(given, str) or isinstance(schema, dict) or not self._injected:
                raise
            # Without injected arguments; what a model writes may be all that counts.
            model = schema(**given)
            plain = {name: getattr(model, name) for name in get_fields(schema)}
            return (), {**plain, **{n: v for n, v in given.items() if n in self._include}}

    def _by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that count, by name."""
        given = {**dict(zip(self._names, args, strict=False)), **kwargs}
        counted = {name: value for name, value in given.items() if name not in self._reserved}
        if self._include:
            counted = {**counted, **values_in_key(self._include, given)}
        return {name: without_generated_ids(value) for name, value in counted.items()}


def _source(tool: BaseTool) -> Any:
    """Return the function that a tool runs, which is another one after an edit."""
    function = getattr(tool, "func", None) or getattr(tool, "coroutine", None)
    return function if inspect.isfunction(function) else type(tool)._run  # noqa: SLF001 - a method for subclasses to write


def _names(wanted: ExceptionFilter, error: ToolException) -> bool:
    """Return whether a filter means this error in particular, rather than any exception."""
    if isinstance(wanted, type | tuple):
        kinds = wanted if isinstance(wanted, tuple) else (wanted,)
        return any(issubclass(kind, ToolException) and isinstance(error, kind) for kind in kinds)
    return matches(wanted, error)


def _has_addressee(value: Any) -> bool:
    """Return whether a value is addressed to one tool call, as a Command and a message are."""
    return isinstance(value, ToolOutputMixin | BaseMessage)


def _ways(tool: BaseTool) -> tuple[bool, bool]:
    """Return whether a tool has a synchronous and an asynchronous body of its own."""
    if isinstance(tool, StructuredTool | Tool):
        return tool.func is not None, tool.coroutine is not None
    return True, type(tool)._arun is not BaseTool._arun  # noqa: SLF001 - a method for subclasses to write


def takes_argument(tool: BaseTool, name: str) -> bool:
    """Return whether a tool takes an argument of this name."""
    names, _, closed = _arguments(tool)
    return not closed or name in names


def _framework_arguments(tool: BaseTool) -> frozenset[str]:
    """Return what LangChain itself hands to a tool, in place of what a model may have written.

    It goes by the parameters, so that a tool which takes anything may have an argument of such a
    name for itself.
    """
    if not isinstance(tool, StructuredTool | Tool):
        bodies: list[Any] = [tool._run]  # noqa: SLF001 - a method for subclasses to write
        if _ways(tool)[1]:
            bodies.append(tool._arun)  # noqa: SLF001 - as above
        return frozenset({"run_manager"} if all(_takes(b, "run_manager") for b in bodies) else ())
    bodies = [body for body in (tool.func, tool.coroutine) if body is not None]
    hands_on = bodies and all(_takes(body, "callbacks") for body in bodies)
    return frozenset(("run_manager", "config", *(("callbacks",) if hands_on else ())))


def _takes(function: Any, name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin, which gets nothing from LangChain
        return False


def _arguments(tool: BaseTool) -> tuple[tuple[str, ...], dict[str, Any], bool]:
    """Return a tool's arguments in order, their defaults, and whether there can be no others."""
    schema = tool.args_schema
    function: Any = tool._run  # noqa: SLF001 - a method for subclasses to write
    if isinstance(tool, StructuredTool | Tool):
        function = tool.func or tool.coroutine
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a builtin, or none at all
        parameters = {}
    kinds = {p.kind for p in parameters.values()}
    named = {
        name: p for name, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    defaults = {n: p.default for n, p in named.items() if p.default is not p.empty}
    closed = inspect.Parameter.VAR_KEYWORD not in kinds
    if isinstance(schema, dict):
        names = tuple(schema.get("properties", ()))
        closed = False  # LangChain does not hold a call to it
    elif schema is not None:
        names = tuple(get_fields(schema))
        closed = getattr(schema, "model_config", {}).get("extra") != "allow"
    else:
        names = tuple(named)
    if not names and isinstance(tool, Tool):
        names = ("tool_input",)
    return names, {n: v for n, v in defaults.items() if n in names}, closed


def _content(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(value) == 2 else value
