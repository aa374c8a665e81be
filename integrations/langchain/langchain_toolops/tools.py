"""Tools behind a policy: any LangChain tool, which stays the tool it was.

What is wrapped is the innermost step, ``_run`` and ``_arun``, on a copy of the tool. Everything
around it remains LangChain's own: validation, injection, callbacks, the handling of errors, and
the message, which is made anew for each call from a result that may have come from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Literal, Unpack

from langchain_core.tools import BaseTool
from langchain_core.tools import tool as tool_of
from pydantic import ConfigDict, PrivateAttr

from langchain_toolops._tool_guard import LangChainToolGuard, takes_argument
from langchain_toolops._tool_injection import IncludeLike, Including, include_of, injection_names
from toolops_plugins import Explanation, Policy, ToolOps
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.adapters.pydantic_state import copy_as
from toolops_plugins.adapters.subclasses import SubclassCache, refuse_pickle
from toolops_plugins.adapters.tool_guard import PolicyAttribute
from toolops_plugins.adapters.tool_options import (
    check_function,
    check_name,
    check_names,
    check_unique,
    list_names,
    list_tools,
    read_only_policy,
    tool_of_function,
)
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import PolicyParts

__all__ = ["ToolOpsTool", "wrap_tool", "wrap_tools"]


class WrapOptions(PolicyParts, total=False):
    """The keyword arguments of :func:`wrap_tool`."""

    ops: ToolOps | None
    name: str | None
    version: str
    secret: Sequence[str]
    ignore: Sequence[str]
    injected: Literal["refuse", "ignore"]
    include_injected: IncludeLike


def _guard_or_none(tool: ToolOpsTool) -> LangChainToolGuard:
    guard = tool._toolops_guard  # noqa: SLF001 - of this module
    if guard is None:
        raise AttributeError("policy")
    return guard


class ToolOpsTool(BaseTool):
    """A tool behind a policy, as :func:`wrap_tool` makes it; calling this class does the same.

    Each is of the class that the tool was of, and of this one, so that ``isinstance`` tells wrapped
    tools from others. Where a tool has fields of the names below, its own win.

    Safe to use from any threads and event loops at once, as far as the tool is.

    Attributes:
        policy: The policy of its calls. It lacks cache and coalescing where injected arguments
            forbid them.
    """

    model_config = ConfigDict(ignored_types=(PolicyAttribute,))

    policy = PolicyAttribute(_guard_or_none)

    _toolops_guard: LangChainToolGuard | None = PrivateAttr(default=None)

    if TYPE_CHECKING:
        # To type checkers: what a call of the class takes, and that what it makes can be run.
        def __init__(
            self,
            tool: BaseTool | Callable[..., Any],
            policy: Policy | None = None,
            **options: Unpack[WrapOptions],
        ) -> None: ...

        def _run(self, /, *args: Any, **kwargs: Any) -> Any: ...

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Any:
        """Wrap a tool, as :func:`wrap_tool` does."""
        return wrap_tool(*args, **kwargs) if cls is ToolOpsTool else super().__new__(cls)

    @classmethod
    def from_tool(
        cls,
        tool: BaseTool | Callable[..., Any],
        policy: Policy | None = None,
        **options: Unpack[WrapOptions],
    ) -> ToolOpsTool:
        """Return the tool wrapped; see :func:`wrap_tool`."""
        return wrap_tool(tool, policy, **options)

    def key(self, args: str | dict[str, Any]) -> str:
        """Return the key of a call, in hexadecimal.

        Args:
            args: The tool's input, or a whole tool call; of injected arguments those that count.

        Raises:
            ConfigurationError: Results of this tool are neither kept nor shared.
            ValidationError: The input does not fit the tool's schema.
        """
        return _guard_of(self).key(self, args)

    def invalidate(self, args: str | dict[str, Any]) -> None:
        """Forget the result of a call in every tier and every process.

        Args:
            args: As for :meth:`key`.

        Raises:
            ConfigurationError: As for :meth:`key`.
            ValidationError: As for :meth:`key`.
        """
        guard = _guard_of(self)
        guard.ops.invalidate(keys=[guard.key(self, args)])

    async def ainvalidate(self, args: str | dict[str, Any]) -> None:
        """As :meth:`invalidate`, without blocking the event loop."""
        guard = _guard_of(self)
        await guard.ops.ainvalidate(keys=[guard.key(self, args)])

    def explain(self, args: str | dict[str, Any]) -> Explanation:
        """Return why a call would be a hit or a miss now; nothing is called, counted or stored.

        Args:
            args: As for :meth:`key`.

        Raises:
            ConfigurationError: As for :meth:`key`; or the policy has no cache.
            ValidationError: As for :meth:`key`.
        """
        guard = _guard_of(self)
        return guard.explain_call(guard.arguments(self, args))

    async def aexplain(self, args: str | dict[str, Any]) -> Explanation:
        """As :meth:`explain`, without blocking the event loop."""
        guard = _guard_of(self)
        return await guard.aexplain_call(guard.arguments(self, args))


def _guard_of(tool: ToolOpsTool) -> LangChainToolGuard:
    guard = tool._toolops_guard  # noqa: SLF001 - of this module
    if guard is None:  # made by the class of a wrapped tool
        raise ConfigurationError("tool", "was not made by wrap_tool()")
    return guard


def wrap_tool(
    tool: BaseTool | Callable[..., Any],
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    name: str | None = None,
    version: str = "1",
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    injected: Literal["refuse", "ignore"] = "refuse",
    include_injected: IncludeLike = (),
    **parts: Unpack[PolicyParts],
) -> ToolOpsTool:
    """Return a copy of a tool whose calls are made under a policy; the tool itself is untouched.

    Without a policy it is that of ``ops.readonly``: results are fresh for 300 s, concurrent equal
    calls run once, and failures are retried. That is for tools that only read. For one that changes
    something, say ``policy=Policy(...)`` with what it can bear.

    Calls are equal where name, ``version`` and validated arguments are: ``{"days": "3"}`` is
    ``{"days": 3}`` where the schema says so, and a default is as good as given. Tools of one name
    and version share their results, in any process: name tools apart that search different data,
    or give the runtime a tenant.

    Never kept nor shared are a ``Command``, a message that the tool makes itself, and what a task
    does that a human has answered. A ``ToolException`` is the tool's answer to the model: it is not
    kept, retried, counted against a breaker or replaced, unless ``Retry(on=...)``,
    ``CircuitBreaker(on=...)`` or ``Cache(negative=...)`` names it.

    A refresh in the background has what the caller's configuration says of user and thread, but
    runs by itself: neither his callbacks nor the stream of his graph are told of it.

    Args:
        tool: The tool, or a function that LangChain makes one of.
        policy: The whole policy of its calls. None: as said above.
        ops: The runtime. None: the default one.
        name: The name in keys and statistics; tools of one name share their results. None: the
            tool's own.
        version: Part of the key; change it when the tool's meaning changes. Default "1".
        secret: Arguments that are secret, beside those whose name says so. They count in the key,
            as part of its digest.
        ignore: Arguments that do not count in the key.
        injected: "refuse": with an injected argument (``InjectedToolArg``, ``InjectedState``,
            ``InjectedStore``, ``InjectedToolCallId``, ``ToolRuntime``, ``RunnableConfig``) that is
            not included, results are neither kept nor shared, and the rest of the policy applies.
            "ignore": such arguments do not count; right only where results do not depend on them.
            A tool made of a runnable (``as_tool()``, ``Tool(func=chain.invoke)``) has the argument
            ``config``, since the runnable gets the configuration. Default "refuse".
        include_injected: Names of injected arguments that count in the key; as a mapping, with a
            callable that gets the argument and returns what of it counts, such as
            ``{"runtime": lambda runtime: runtime.context.user_id}``. Of a configuration, that is
            what it holds about the user and the thread.
        parts: The parts of a policy by name, such as ``cache=Cache(ttl=60)``; they win over
            ``policy``, and over the policy that stands where none is given.

    Raises:
        ConfigurationError: It is no tool or wrapped already, a value is wrong or does not fit, or
            an argument is named that the tool does not take.
    """
    wanted = _tool(tool)
    check_name(name)
    include = include_of(include_injected)
    for each in include.keys() - injection_names(wanted):
        raise ConfigurationError(
            "include_injected", f"names {each!r}, with which {wanted.name} is not injected"
        )
    secret, ignore = list_names("secret", secret), list_names("ignore", ignore)
    for option, names in (("secret", secret), ("ignore", ignore)):
        check_names(option, names, [partial(takes_argument, wanted)], wanted.name)
    whole = read_only_policy(policy, parts, version)
    return _wrap(wanted, runtime_of(ops), name, whole, secret, ignore, injected, include)


def wrap_tools(
    tools: Iterable[BaseTool | Callable[..., Any]],
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    version: str = "1",
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    injected: Literal["refuse", "ignore"] = "refuse",
    include_injected: IncludeLike = (),
    **parts: Unpack[PolicyParts],
) -> list[ToolOpsTool]:
    """Return copies of tools whose calls are made under one policy; see :func:`wrap_tool`.

    Args:
        tools: The tools, or functions that LangChain makes tools of.
        policy: As for :func:`wrap_tool`.
        ops: As for :func:`wrap_tool`.
        version: As for :func:`wrap_tool`.
        secret: As for :func:`wrap_tool`; each name is one of at least one of the tools.
        ignore: As for ``secret``.
        injected: As for :func:`wrap_tool`.
        include_injected: As for ``secret``.
        parts: As for :func:`wrap_tool`.

    Raises:
        ConfigurationError: As for :func:`wrap_tool`; or two tools have one name.
    """
    wanted = [_tool(each) for each in list_tools(tools, (BaseTool,), "wrap_tool() takes one")]
    include = include_of(include_injected)
    for name in include.keys() - frozenset().union(*map(injection_names, wanted)):
        raise ConfigurationError(
            "include_injected", f"names {name!r}, with which none of the tools is injected"
        )
    check_unique([each.name for each in wanted], "which would share their results")
    secret, ignore = list_names("secret", secret), list_names("ignore", ignore)
    known = [partial(takes_argument, each) for each in wanted]
    for option, names in (("secret", secret), ("ignore", ignore)):
        check_names(option, names, known, "none of the tools")
    whole, runtime = read_only_policy(policy, parts, version), runtime_of(ops)
    return [
        _wrap(
            tool,
            runtime,
            None,
            whole,
            [n for n in secret if takes(n)],
            [n for n in ignore if takes(n)],
            injected,
            include,
        )
        for tool, takes in zip(wanted, known, strict=True)
    ]


def _tool(wanted: Any) -> BaseTool:
    if isinstance(wanted, ToolOpsTool):
        raise ConfigurationError("tool", f"{wanted.name} is behind a policy already")
    if not isinstance(wanted, BaseTool):
        made: BaseTool = tool_of_function(wanted, tool_of, "a LangChain tool or a function")
        return made
    check_function(wanted.name, getattr(wanted, "func", None) or getattr(wanted, "coroutine", None))
    return wanted


def _wrap(
    tool: BaseTool,
    ops: ToolOps,
    name: str | None,
    policy: Policy,
    secret: Sequence[str],
    ignore: Sequence[str],
    injected: Literal["refuse", "ignore"],
    include: Including,
) -> ToolOpsTool:
    names = injection_names(tool)
    mine = {name: ask for name, ask in include.items() if name in names}
    guard = LangChainToolGuard(tool, ops, name or tool.name, policy, injected, mine, secret, ignore)
    wrapped: ToolOpsTool = copy_as(tool, _classes.of(type(tool)), {"_toolops_guard": guard})
    return wrapped


def _subclass(kind: Any) -> type[BaseTool]:
    run, arun = kind._run, kind._arun  # noqa: SLF001 - methods for subclasses to write

    @wraps(run)
    def call(self: ToolOpsTool, /, *args: Any, **kwargs: Any) -> Any:
        guard, body = self._toolops_guard, partial(run, self, *args, **kwargs)
        return body() if guard is None else guard.run(body, args, kwargs)

    @wraps(arun)
    async def acall(self: ToolOpsTool, /, *args: Any, **kwargs: Any) -> Any:
        guard, body = self._toolops_guard, partial(arun, self, *args, **kwargs)
        return await body() if guard is None else await guard.arun(body, args, kwargs)

    def init(self: Any, /, *args: Any, **kwargs: Any) -> None:
        # Python calls this once more on what ToolOpsTool(tool) has returned.
        if self.__dict__:
            return
        kind.__init__(self, *args, **kwargs)

    methods: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__init__": wraps(kind.__init__)(init),
        "__reduce_ex__": refuse_pickle,
        "_run": call,
    }
    if arun is not BaseTool._arun:  # noqa: SLF001 - as above; that one calls _run, and LangChain asks for it
        methods["_arun"] = acall
    # The tool's own class comes first, so that nothing of its own is hidden.
    made: type[BaseTool] = type(kind)(kind.__name__, (kind, ToolOpsTool), methods)
    return made


_classes = SubclassCache(_subclass)
