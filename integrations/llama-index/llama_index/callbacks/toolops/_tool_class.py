"""The classes of guarded tools: each is of the class that the tool was of, and of one more."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable
from functools import partial, partialmethod, wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn

from llama_index.core.tools import (
    AsyncBaseTool,
    BaseTool,
    FunctionTool,
    ToolOutput,
)
from llama_index_instrumentation.dispatcher import DISPATCHER_SPAN_DECORATED_ATTR

from llama_index.callbacks.toolops._tool_guard import LlamaIndexToolGuard
from toolops_plugins import Explanation
from toolops_plugins.adapters.subclasses import SubclassCache
from toolops_plugins.adapters.tool_guard import PolicyAttribute
from toolops_plugins.errors import ConfigurationError

__all__ = ["GuardedTool", "copy_with_guard", "is_plain"]

_ENTRIES = ("call", "acall", "__call__")
"""The methods by which LlamaIndex calls a tool."""
_GUARD = "_toolops_guard"


def _guard_of(tool: Any) -> LlamaIndexToolGuard:
    guard = vars(tool).get(_GUARD)
    if not isinstance(guard, LlamaIndexToolGuard):  # made by the class of a guarded tool
        raise ConfigurationError("tool", "was not made by wrap_tool()")
    return guard


class GuardedTool(BaseTool):
    """A tool behind a policy, as :func:`wrap_tool` makes it.

    Each is of the class that the tool was of, and of this one, so that ``isinstance`` tells guarded
    tools from others. Where a tool has attributes of the names below, its own win.

    Safe to use from any threads and event loops at once, as far as the tool is. It can be copied,
    and not pickled.

    Attributes:
        policy: What is asked of its calls. It lacks cache and coalescing where the tool takes the
            workflow's Context and nothing else was said.
    """

    __toolops_guarded__ = True

    policy = PolicyAttribute(_guard_of)

    if TYPE_CHECKING:
        # To type checkers: what LlamaIndex's agents, and users, call.
        __call__: Callable[..., ToolOutput]
        call: Callable[..., ToolOutput]
        acall: Callable[..., Awaitable[ToolOutput]]

    def key(self, /, *args: Any, **kwargs: Any) -> str:
        """Return the key of a call, in hexadecimal.

        Args:
            args: Positional arguments, as the tool takes them.
            kwargs: Keyword arguments, as the tool takes them.

        Raises:
            ConfigurationError: Results of this tool are neither kept nor shared.
            TypeError: The arguments do not fit the tool.
        """
        return _guard_of(self).key(args, _with_defaults(self, kwargs))

    def invalidate(self, /, *args: Any, **kwargs: Any) -> None:
        """Forget the result of a call in every tier and every process.

        Args:
            args: As for :meth:`key`.
            kwargs: As for :meth:`key`.

        Raises:
            ConfigurationError: As for :meth:`key`.
            TypeError: As for :meth:`key`.
        """
        key = _guard_of(self).key(args, _with_defaults(self, kwargs))
        _guard_of(self).ops.invalidate(keys=[key])

    async def ainvalidate(self, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`invalidate`, without blocking the event loop."""
        key = _guard_of(self).key(args, _with_defaults(self, kwargs))
        await _guard_of(self).ops.ainvalidate(keys=[key])

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """Return why a call would be a hit or a miss now; nothing is called, counted or stored.

        Args:
            args: As for :meth:`key`.
            kwargs: As for :meth:`key`.

        Raises:
            ConfigurationError: As for :meth:`key`; or the policy has no cache.
            TypeError: As for :meth:`key`.
        """
        guard = _guard_of(self)
        return guard.explain_call(guard.arguments(args, _with_defaults(self, kwargs)))

    async def aexplain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """As :meth:`explain`, without blocking the event loop."""
        guard = _guard_of(self)
        return await guard.aexplain_call(guard.arguments(args, _with_defaults(self, kwargs)))


def _with_defaults(tool: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments with those that a function tool adds to every call."""
    if not isinstance(tool, FunctionTool):
        return kwargs
    return {**tool._field_defaults, **tool.partial_params, **kwargs}


def copy_with_guard(tool: BaseTool, guard: LlamaIndexToolGuard) -> GuardedTool:
    """Return a copy of a tool whose calls pass a guard."""
    made: Any = copy.copy(tool)
    object.__setattr__(made, "__class__", _classes.of(type(tool)))
    vars(made)[_GUARD] = guard
    if is_plain(type(tool)):
        _guard_functions(made, guard)
    else:
        # Its body runs on a tool of the old class that has the same attributes; see _bare().
        vars(made)["__toolops_guarded__"] = True
    call: GuardedTool = made
    return call


def is_plain(kind: type[BaseTool]) -> bool:
    """Return whether all that tools of a class run is their function."""
    return issubclass(kind, FunctionTool) and all(
        inspect.getattr_static(kind, name) is inspect.getattr_static(FunctionTool, name)
        for name in _ENTRIES
    )


def _guard_functions(tool: Any, guard: LlamaIndexToolGuard) -> None:
    function, awaited, real = tool._fn, tool._async_fn, tool._real_fn  # noqa: SLF001 - of a copy that is ours

    @wraps(real)
    def call(*args: Any, **kwargs: Any) -> Any:
        return guard.run(partial(function, *args, **kwargs), args, kwargs)

    @wraps(real)
    async def acall(*args: Any, **kwargs: Any) -> Any:
        return await guard.arun(partial(awaited, *args, **kwargs), args, kwargs)

    tool._fn, tool._async_fn = call, acall  # noqa: SLF001 - as above
    tool._real_fn = acall if inspect.iscoroutinefunction(real) else call  # noqa: SLF001 - as above


def _subclass(kind: Any) -> type[BaseTool]:
    methods: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": partialmethod(_reduce, kind),
    }
    for name in () if is_plain(kind) else _ENTRIES:
        if _is_own(kind, name):
            make = _async_method if name == "acall" else _sync_method
            methods[name] = make(kind, _without_span(kind, name))
    # The tool's own class comes first, so that nothing of its own is hidden.
    made: type[BaseTool] = type(kind)(kind.__name__, (kind, GuardedTool), methods)
    return made


class _CopyMaker:
    """Makes a copy of a guarded tool, as its class says, and cannot be pickled.

    Copies and pickles are made by one method, of which only pickles hold the function.

    Args:
        make: What the class makes copies by.
        kind: The tool's own class.
    """

    def __init__(self, make: Callable[..., Any], kind: type[BaseTool]) -> None:
        self._make = make
        self._kind = kind

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a guarded {self._kind.__name__} cannot be pickled: its runtime belongs to this "
            "process. Pickle the tool, and guard it there"
        )


def _reduce(tool: Any, kind: Any, protocol: Any) -> Any:
    make, *rest = kind.__reduce_ex__(tool, protocol)
    return _CopyMaker(make, kind), *rest


def _is_own(kind: type, name: str) -> bool:
    """Return whether a class has a method that does more than lead into another one."""
    found = inspect.getattr_static(kind, name, None)
    if found is None:
        return False
    return all(
        found is not inspect.getattr_static(base, name, None)
        for base in ((AsyncBaseTool, FunctionTool) if name == "__call__" else ())
    )


def _without_span(kind: type, name: str) -> Callable[..., Any]:
    """Return a method without the span that LlamaIndex has put around it, which ours has too."""
    found = inspect.getattr_static(kind, name)
    if type(found) is not FunctionType and hasattr(found, DISPATCHER_SPAN_DECORATED_ATTR):
        found = found.__wrapped__
    method: Callable[..., Any] = found
    return method


def _sync_method(kind: Any, method: Any) -> Any:
    @wraps(method, updated=())
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        guard = vars(self).get(_GUARD)
        if guard is None:
            return method(self, *args, **kwargs)
        body = partial(method, _bare(self, kind), *args, **kwargs)
        output = partial(_output, self, args, kwargs)
        return guard.run(body, args, _with_defaults(self, kwargs), output)

    return call


def _async_method(kind: Any, method: Any) -> Any:
    @wraps(method, updated=())
    async def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        guard = vars(self).get(_GUARD)
        if guard is None:
            return await method(self, *args, **kwargs)
        body = partial(method, _bare(self, kind), *args, **kwargs)
        output = partial(_output, self, args, kwargs)
        return await guard.arun(body, args, _with_defaults(self, kwargs), output)

    return call


def _bare(tool: Any, kind: type) -> Any:
    """Return a tool without its guard, of which all attributes are one with the guarded tool's.

    So its methods may lead into each other: the guard is passed once, at the outermost.
    """
    bare = copy.copy(tool)
    object.__setattr__(bare, "__class__", kind)
    object.__setattr__(bare, "__dict__", tool.__dict__)
    return bare


def _output(
    tool: BaseTool, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any
) -> ToolOutput:
    """Return a policy's fallback as a tool's output, which it need not be."""
    if isinstance(value, ToolOutput):
        return value
    return ToolOutput(
        content=str(value),
        tool_name=tool.metadata.get_name(),
        raw_input={"args": args, "kwargs": kwargs},
        raw_output=value,
    )


_classes = SubclassCache(_subclass)
