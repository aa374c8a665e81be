"""What stands between LangChain's ``run`` and a tool's body: one call of a wrapped function."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.messages.tool import ToolOutputMixin
from langchain_core.tools import BaseTool, StructuredTool, Tool, ToolException
from langchain_core.utils.pydantic import get_fields
from pydantic import ValidationError

from langchain_toolops._background_run import unattended
from langchain_toolops._codec_types import teach
from langchain_toolops._event_dedup import note_run
from langchain_toolops._graph_signals import signal_of
from langchain_toolops._tool_injection import (
    Including,
    config_arguments,
    given_config,
    included,
    injected_arguments,
    refuses,
    was_answered,
)
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.signals import Signal, adapt_policy, release
from toolops_plugins.adapters.tool_arguments import ABSENT
from toolops_plugins.calls.context import REFRESH
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import ExceptionFilter, matches
from toolops_plugins.policy.faults import callee_failed

__all__ = ["Guard"]

Body = partial[Any]
"""A tool's ``_run`` or ``_arun`` with all its arguments."""


class _Call:
    """A call under way; the body reaches the wrapped function by the context, past the key."""

    __slots__ = ("body", "guard", "over", "ran", "refresh", "run", "token")

    def __init__(self, guard: Guard, body: Body, run: UUID | None) -> None:
        self.guard = guard
        self.body = body
        self.run = run
        self.ran = False
        """Whether its own body was run, rather than that of another call which it joined."""
        self.over = False
        """Whether the caller has gone."""
        self.refresh = REFRESH.get()
        """The refresh around the caller, if any; where it is another one, he has been served."""

    def __enter__(self) -> None:
        self.token = _CALL.set(self)

    def __exit__(self, *_: object) -> None:
        self.over = True
        with suppress(ValueError):  # the coroutine was left behind, and is ended elsewhere
            _CALL.reset(self.token)

    @contextmanager
    def running(self) -> Iterator[Callable[[], Any]]:
        """Return its body, made ready to run; under no run where nobody waits for it."""
        self.ran = True
        if not self.over and REFRESH.get() is self.refresh:
            yield self.body
            return
        with unattended(self.body) as body, _Call(self.guard, self.body, None):
            yield body


_CALL: ContextVar[_Call | None] = ContextVar("toolops_langchain_call", default=None)


class _Faces(NamedTuple):
    """The wrapped functions of a tool; both ways share keys, flights and states by their name.

    None stands for a way that the tool does not have, or has only by way of the other.
    """

    sync: Any
    aio: Any


class Guard:
    """The policy of one wrapped tool. Safe to use from any threads and event loops at once.

    Args:
        tool: The tool as it was.
        ops: The runtime.
        policy: What is asked of its calls.
        injected: What is done about injected arguments that are not included.
        include: The injected arguments that count.

    Raises:
        ConfigurationError: The policy does not fit the tool or the runtime.
    """

    def __init__(
        self,
        tool: BaseTool,
        ops: ToolOps,
        policy: Policy,
        injected: Literal["refuse", "ignore"],
        include: Including,
    ) -> None:
        teach(ops.codec)
        self.ops = ops
        self.name = tool.name
        self._include = include
        self._injected = injected_arguments(tool)
        self._reserved = config_arguments(tool) | _framework_arguments(tool)
        self._artifact = tool.response_format == "content_and_artifact"
        self._names, defaults, closed = _arguments(tool)
        counted = [n for n in self._names if self._counts(n)]
        counted += [n for n in include if n not in counted]
        signature = _signature(counted, defaults, closed=closed)
        alone = policy.replace(cache=None, semantic=None, coalesce=False)
        self._refuses = refuses(self._injected, include, injected)
        self.policy = alone if self._refuses else policy
        self._told = adapt_policy(self.policy, self.is_plain)
        self._shared = self._faces(tool, self._told, signature)
        self._alone = self._shared
        if self._told.coalesces or self._told.cache is not None:
            self._alone = self._faces(tool, adapt_policy(alone, self.is_plain), signature)

    def __deepcopy__(self, memo: dict[int, Any]) -> Guard:
        return self

    def _faces(self, tool: BaseTool, policy: Policy, signature: inspect.Signature) -> _Faces:
        def run(**_: Any) -> Any:
            try:
                with _under_way().running() as body:
                    return body()
            except Exception as error:  # noqa: BLE001 - raised again unless it is no failure
                return self._passing(error)

        async def arun(**_: Any) -> Any:
            try:
                with _under_way().running() as body:
                    return await body()
            except Exception as error:  # noqa: BLE001 - raised again unless it is no failure
                return self._passing(error)

        def face(function: Any) -> Any:
            function.__signature__ = signature
            function.__toolops_source__ = _source(tool)
            return self.ops.tool(policy=policy, name=self.name)(function)

        sync, aio = _ways(tool)
        return _Faces(face(run) if sync else None, face(arun) if aio else None)

    # -- calls -------------------------------------------------------------------------------

    def run(self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call in this thread.

        Args:
            body: The tool's own ``_run``, with all its arguments.
            args: The positional arguments.
            kwargs: The keyword arguments.

        Raises:
            Exception: What the body raised, or a policy in its place.
        """
        call = self._opened(body) if self._shared.sync is not None else None
        if call is None:
            return body()
        arguments = self._counted(args, kwargs)
        with call:
            if not was_answered(given_config()):
                value = self._shared.sync(**arguments)
                if call.ran or self._is_shareable(value):
                    return release(value)
            return release(self._alone.sync(**arguments))

    async def arun(self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call on this event loop; see :meth:`run`."""
        call = self._opened(body) if self._shared.aio is not None else None
        if call is None:
            return await body()
        arguments = self._counted(args, kwargs)
        with call:
            if not was_answered(given_config()):
                value = await self._shared.aio(**arguments)
                if call.ran or self._is_shareable(value):
                    return release(value)
            return release(await self._alone.aio(**arguments))

    def _opened(self, body: Body) -> _Call | None:
        """Return a new call, or None where the tool's one way of running makes use of the other."""
        manager = (given_config() or {}).get("callbacks")
        run = getattr(manager, "parent_run_id", None)
        around = _CALL.get()
        if around is not None and around.guard is self and around.run == run:
            return None
        if run is not None and self.ops.active:
            note_run(run)
        return _Call(self, body, run)

    def _passing(self, error: Exception) -> Signal:
        """Return what passes through the policies as no failure; raise the error if it is one."""
        passing = signal_of(error)
        if passing is not None:
            return passing
        # The tool cannot be run in this way, which is no trouble that passes.
        if isinstance(error, NotImplementedError):
            return Signal(error)
        if isinstance(error, ToolException) and not self._is_failure(error):
            return Signal(error)
        raise error

    def _is_failure(self, error: ToolException) -> bool:
        policy = self.policy
        filters = [part.on for part in (policy.retry, policy.breaker) if part is not None]
        if policy.cache is not None and policy.cache.negative is not None:
            filters.append(policy.cache.negative)
        return any(each is not callee_failed and _names(each, error) for each in filters)

    def is_plain(self, value: Any) -> bool:
        """Return whether a result is one that may be kept, and given to other calls as well."""
        if isinstance(value, Iterator | AsyncIterator | Awaitable):
            return False  # it can be used once
        if self._artifact:
            if type(value) is not tuple or len(value) != 2:
                return False
            value = value[0]
        if isinstance(value, list):
            return not any(map(_is_of_the_call, value))
        return not _is_of_the_call(value)

    def _is_shareable(self, value: Any) -> bool:
        if type(value) is Signal:
            return isinstance(value.error, ToolException)
        return self.is_plain(value)

    # -- arguments ---------------------------------------------------------------------------

    def key(self, tool: BaseTool, given: str | dict[str, Any]) -> str:
        """Return the key of a call, in hexadecimal.

        Args:
            tool: The tool.
            given: Its input, or a whole tool call.

        Raises:
            ConfigurationError: Results are neither kept nor shared.
            ValidationError: The input does not fit the tool's schema.
        """
        if self._refuses:
            names = ", ".join(sorted(self._injected - self._include.keys()))
            raise ConfigurationError(
                "injected",
                f"{self.name} keeps no results, since it is injected with {names}; see "
                "include_injected",
            )
        face = self._shared.sync or self._shared.aio
        key: str = face.key(**self._counted(*self._parsed(tool, given)))
        return key

    def _parsed(
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
            # What it is injected with is missing; what a model writes may be all that counts.
            model = schema(**given)
            plain = {name: getattr(model, name) for name in get_fields(schema)}
            return (), {**plain, **{n: v for n, v in given.items() if n in self._include}}

    def _counts(self, name: str) -> bool:
        return name not in self._reserved and name not in self._injected

    def _counted(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that count, by name, however they were given."""
        given = {**dict(zip(self._names, args, strict=False)), **kwargs}
        counted = {name: value for name, value in given.items() if self._counts(name)}
        return {**counted, **included(self._include, given)} if self._include else counted


def _under_way() -> _Call:
    call = _CALL.get()
    if call is None:  # pragma: no cover - the runtime keeps the context of each call
        raise RuntimeError("a wrapped tool was called without its context")
    return call


def _source(tool: BaseTool) -> Any:
    """Return the function that a tool runs, which is another one once it has been edited."""
    function = getattr(tool, "func", None) or getattr(tool, "coroutine", None)
    return function if inspect.isfunction(function) else type(tool)._run  # noqa: SLF001 - a method for subclasses to write


def _names(wanted: ExceptionFilter, error: ToolException) -> bool:
    """Return whether a filter means this error in particular, rather than any exception."""
    if isinstance(wanted, type | tuple):
        kinds = wanted if isinstance(wanted, tuple) else (wanted,)
        return any(issubclass(kind, ToolException) and isinstance(error, kind) for kind in kinds)
    return matches(wanted, error)


def _is_of_the_call(value: Any) -> bool:
    """Return whether a value is addressed to one tool call, as a Command and a message are."""
    return isinstance(value, ToolOutputMixin | BaseMessage)


def _ways(tool: BaseTool) -> tuple[bool, bool]:
    """Return whether a tool has a synchronous and an asynchronous body of its own."""
    if isinstance(tool, StructuredTool | Tool):
        return tool.func is not None, tool.coroutine is not None
    return True, type(tool)._arun is not BaseTool._arun  # noqa: SLF001 - a method for subclasses to write


def _framework_arguments(tool: BaseTool) -> frozenset[str]:
    """Return what LangChain itself hands to ``_run``."""
    if isinstance(tool, StructuredTool | Tool):
        return frozenset(("run_manager", "config", "callbacks"))
    return frozenset(("run_manager", "callbacks"))


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


def _signature(names: list[str], defaults: Mapping[str, Any], *, closed: bool) -> inspect.Signature:
    """Return the signature under which a policy knows the tool: its arguments by name."""
    fitting = [n for n in names if n.isidentifier() and not keyword.iskeyword(n)]
    parameters = [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(n, ABSENT))
        for n in fitting
    ]
    if not closed or len(fitting) < len(names):
        others = "others"
        while others in fitting:
            others += "_"
        parameters.append(inspect.Parameter(others, inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)
