"""Finished tools behind a policy: any CrewAI tool, which stays the tool it was.

Of a tool that runs a function, as ``@tool`` makes them, it is the function that is guarded. Of any
other it is ``_run`` and ``_arun``. Either is done on a copy of the tool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar, Unpack, overload

from crewai.tools import BaseTool
from crewai.tools import tool as make_tool
from crewai.tools.base_tool import Tool
from crewai.tools.structured_tool import CrewStructuredTool

from crewai_toolops._tool_guard_registry import GUARDS, Settings, ToolGuards
from crewai_toolops._tool_identity import own_names, runs_function
from crewai_toolops.mixin import WRAPPED, ToolOpsMixin, guard_function, settings_of
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.options import policy_of, runtime_of
from toolops_plugins.adapters.pydantic_state import copy_as
from toolops_plugins.adapters.subclasses import SubclassCache, refuse_pickle
from toolops_plugins.adapters.tool_options import (
    check_function,
    check_names,
    list_tools,
    tool_of_function,
)
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import PolicyParts

__all__ = ["wrap_tool", "wrap_tools"]

_TOOLS = (BaseTool, CrewStructuredTool)

T = TypeVar("T", bound=BaseTool | CrewStructuredTool)


class WrapOptions(PolicyParts, total=False):
    """The keyword arguments of :func:`wrap_tools`."""

    ops: ToolOps | None
    version: str
    secret: Sequence[str]
    ignore: Sequence[str]
    on_error: Literal["failure", "raise"]


@overload
def wrap_tool(
    tool: T,
    policy: Policy | None = None,
    *,
    name: str | None = None,
    **options: Unpack[WrapOptions],
) -> T: ...
@overload
def wrap_tool(
    tool: Callable[..., Any],
    policy: Policy | None = None,
    *,
    name: str | None = None,
    **options: Unpack[WrapOptions],
) -> BaseTool: ...


def wrap_tool(
    tool: Any,
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    name: str | None = None,
    version: str = "1",
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    on_error: Literal["failure", "raise"] = "failure",
    **parts: Unpack[PolicyParts],
) -> Any:
    """Return a copy of a tool whose calls are made under a policy; the tool itself is untouched.

    Without a policy calls are counted and nothing else: caching is opt-in, as CrewAI's own is. For
    a tool that only reads, say ``Policy(cache=Cache(ttl=300), retry=Retry())``.

    Calls are equal where name, ``version`` and arguments are, defaults included, whether these came
    by position or by name. A tool that runs a function (``@tool``, ``CrewStructuredTool``), or that
    has no fields of its own, shares its results with tools of that name and version in other
    processes and in the adapters of other frameworks; in one runtime, another function or class of
    that name is told apart. A tool with fields of its own is also told apart by its class and by
    them, as :class:`ToolOpsMixin` says; so two tools of one name that read different files never
    get each other's. ``name`` has tools share whatever they hold.

    What a tool returns is kept if its ``cache_function`` agrees and it is no ``ToolFailure``;
    ``None`` is kept too. Each hit is a copy. What can be read once only is never shared.

    CrewAI counts a hit as a call: it uses up ``max_usage_count``, and an agent that gets the same
    result of the same call for the fifth time is stopped. So for a tool that is polled until
    something changes, keep results shorter than the interval (``Cache(ttl=...)``), or not at all.

    The copy is of the tool's class, and an instance of :class:`ToolOpsMixin` too, with its methods
    ``toolops_key``, ``toolops_invalidate`` and ``toolops_ainvalidate``. It is safe to use from any
    threads and event loops at once, as far as the tool is.

    Args:
        tool: The tool, or a function that CrewAI makes one of.
        policy: What is asked of its calls, all of it. None: nothing.
        ops: The runtime. None: the default one.
        name: The name in keys and statistics; tools that are given the same one share their
            results. None: the tool's own, and what is said above.
        version: Part of the key; change it when the tool's meaning changes. Default "1".
        secret: Arguments that are secret, beside those whose name says so. They count in the key,
            as part of its digest.
        ignore: Arguments and fields that do not count in the key.
        on_error: "failure": what the tool raises in the end, or a policy in its place
            (``CircuitOpen``, ``CallTimeout``, ...), is returned as a ``crewai.tools.ToolFailure``,
            since CrewAI runs a tool that raises up to six times for one call. "raise": it is
            raised. Default "failure".
        parts: The parts of a policy by name, such as ``cache=Cache(ttl=60)``; they win over
            ``policy``.

    Raises:
        ConfigurationError: It is no tool or wrapped already, or a value is wrong or does not fit.
    """
    wanted = _tool(tool)
    whole = policy_of(policy).replace(**parts)
    settings = settings_of(runtime_of(ops), whole, name, version, secret, ignore, on_error)
    given = {"secret": settings.secret, "ignore": settings.ignore}
    for option, takes in _name_checks(wanted, settings):
        check_names(option, given[option], [takes], wanted.name)
    return _wrap(wanted, settings)


@overload
def wrap_tools(
    tools: Iterable[T], policy: Policy | None = None, **options: Unpack[WrapOptions]
) -> list[T]: ...
@overload
def wrap_tools(
    tools: Iterable[Any], policy: Policy | None = None, **options: Unpack[WrapOptions]
) -> list[Any]: ...


def wrap_tools(
    tools: Iterable[Any],
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    version: str = "1",
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    on_error: Literal["failure", "raise"] = "failure",
    **parts: Unpack[PolicyParts],
) -> list[Any]:
    """Return copies of tools whose calls are made under one policy; see :func:`wrap_tool`.

    Args:
        tools: The tools, or functions that CrewAI makes tools of.
        policy: As for :func:`wrap_tool`.
        ops: As for :func:`wrap_tool`.
        version: As for :func:`wrap_tool`.
        secret: As for :func:`wrap_tool`; each is an argument of at least one of the tools.
        ignore: As for :func:`wrap_tool`; each is an argument or field of at least one of them.
        on_error: As for :func:`wrap_tool`.
        parts: As for :func:`wrap_tool`.

    Raises:
        ConfigurationError: As for :func:`wrap_tool`.
    """
    wanted = [_tool(each) for each in list_tools(tools, _TOOLS, "wrap_tool() takes one")]
    whole = policy_of(policy).replace(**parts)
    settings = settings_of(runtime_of(ops), whole, None, version, secret, ignore, on_error)
    known = [dict(_name_checks(tool, settings)) for tool in wanted]
    for option, names in (("secret", settings.secret), ("ignore", settings.ignore)):
        check_names(option, names, [takes[option] for takes in known], "none of the tools")
    made = []
    for tool, takes in zip(wanted, known, strict=True):
        mine = settings._replace(
            secret=[n for n in settings.secret if takes["secret"](n)],
            ignore=[n for n in settings.ignore if takes["ignore"](n)],
        )
        made.append(_wrap(tool, mine))
    return made


def _tool(wanted: Any) -> Any:
    """Return the tool, or that which CrewAI makes of a function.

    Raises:
        ConfigurationError: It is no tool, or has a policy already.
    """
    if not isinstance(wanted, BaseTool | CrewStructuredTool):
        if hint := _hint(wanted):
            raise ConfigurationError("tool", f"must be a CrewAI tool, not {wanted!r}; {hint}")
        return tool_of_function(wanted, make_tool, "a CrewAI tool or a function")
    source = getattr(wanted, "_original_tool", None)
    if isinstance(wanted, ToolOpsMixin) or isinstance(source, ToolOpsMixin):
        raise ConfigurationError("tool", f"{wanted.name} is behind a policy already")
    if isinstance(wanted, Tool | CrewStructuredTool):
        check_function(wanted.name, wanted.func)
        if not callable(wanted.func):
            raise ConfigurationError("tool", f"{wanted.name} has no function to run")
    return wanted


def _hint(wanted: Any) -> str:
    """Return what to do with something that is no tool, or nothing."""
    if isinstance(wanted, type):
        return "make one of the class"
    if "langchain" in str(type(wanted).__mro__):
        return "tools of LangChain are wrapped by langchain_toolops.wrap_tool()"
    if isinstance(wanted, list | tuple | set | frozenset):
        return "use wrap_tools(), which takes several"
    return ""


def _guards(tool: Any, settings: Settings) -> ToolGuards:
    return ToolGuards(type(tool), settings, tool.func if runs_function(tool) else None)


def _name_checks(tool: Any, settings: Settings) -> Iterator[tuple[str, Callable[[str], bool]]]:
    """Yield, for each option that holds names, whether a name is one of the tool's."""
    arguments = _guards(tool, settings).arguments()
    fields = own_names(getattr(tool, "_original_tool", None) or tool)
    yield "secret", arguments.takes
    yield "ignore", lambda name: arguments.takes(name) or name in fields


def _wrap(tool: Any, settings: Settings) -> Any:
    guards = _guards(tool, settings)
    wrapped = copy_as(tool, _classes.of(type(tool)), {GUARDS: guards, "_toolops_form": None})
    guard_function(wrapped)
    guards.of(wrapped)  # so that what does not fit is told now, and not by the first call
    return wrapped


def _subclass(kind: Any) -> type[Any]:
    methods = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": refuse_pickle,
        WRAPPED: kind,
    }
    made: type[Any] = type(kind)(kind.__name__, (ToolOpsMixin, kind), methods)
    return made


_classes = SubclassCache(_subclass)
