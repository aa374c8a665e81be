"""Finished tools behind a policy: any CrewAI tool, which stays the tool it was.

Of a tool that runs a function, as ``@tool`` makes them, it is the function that is guarded. Of any
other it is ``_run`` and ``_arun``. Either is done on a copy of the tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Unpack

from crewai.tools import BaseTool
from crewai.tools.structured_tool import CrewStructuredTool

from crewai_toolops._tool_guard_registry import GUARDS, Guards, Settings
from crewai_toolops._tool_identity import own_names, runs_function
from crewai_toolops.mixin import WRAPPED, ToolOpsMixin, guard_function, settings_of
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.options import policy_of, runtime_of
from toolops_plugins.adapters.subclasses import SubclassCache, refuse_pickling
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import PolicyParts

__all__ = ["wrap_tool", "wrap_tools"]

T = TypeVar("T", bound=BaseTool | CrewStructuredTool)


def wrap_tool(
    tool: T,
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    name: str | None = None,
    version: str = "1",
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    on_error: Literal["failure", "raise"] = "failure",
    **parts: Unpack[PolicyParts],
) -> T:
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
        tool: The tool.
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
    _check(tool)
    whole = policy_of(policy).replace(**parts)
    settings = settings_of(runtime_of(ops), whole, name, version, secret, ignore, on_error)
    return _wrapped(tool, settings)


def wrap_tools(
    tools: Iterable[T],
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    version: str = "1",
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    on_error: Literal["failure", "raise"] = "failure",
    **parts: Unpack[PolicyParts],
) -> list[T]:
    """Return copies of tools whose calls are made under one policy; see :func:`wrap_tool`.

    Args:
        tools: The tools.
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
    if not isinstance(tools, Iterable) or isinstance(
        tools, BaseTool | CrewStructuredTool | str | Mapping
    ):
        raise ConfigurationError(
            "tools", f"must be several tools, not {tools!r}; wrap_tool() takes one"
        )
    wanted = list(tools)
    for each in wanted:
        _check(each)
    whole = policy_of(policy).replace(**parts)
    settings = settings_of(runtime_of(ops), whole, None, version, secret, ignore, on_error)
    known = [(_guards(tool, settings).arguments(), _fields(tool)) for tool in wanted]
    for option, names in (("secret", settings.secret), ("ignore", settings.ignore)):
        for name in names:
            if not any(
                arguments.takes(name) or (option == "ignore" and name in fields)
                for arguments, fields in known
            ):
                raise ConfigurationError(option, f"names {name!r}, which none of the tools has")
    made = []
    for tool, (arguments, fields) in zip(wanted, known, strict=True):
        mine = settings._replace(
            secret=[n for n in settings.secret if arguments.takes(n)],
            ignore=[n for n in settings.ignore if arguments.takes(n) or n in fields],
        )
        made.append(_wrapped(tool, mine))
    return made


def _check(tool: Any) -> None:
    """Refuse what is no tool, or is wrapped already.

    Raises:
        ConfigurationError: It is.
    """
    hint = _hint(tool)
    if not isinstance(tool, BaseTool | CrewStructuredTool):
        raise ConfigurationError(
            "tool", f"must be a CrewAI tool, not {tool!r}" + (f"; {hint}" if hint else "")
        )
    source = getattr(tool, "_original_tool", None)
    if isinstance(tool, ToolOpsMixin) or isinstance(source, ToolOpsMixin):
        raise ConfigurationError("tool", f"{tool.name} is behind a policy already")
    function = getattr(tool, "func", None) if runs_function(tool) else None
    if isinstance(getattr(function, "policy", None), Policy):
        raise ConfigurationError(
            "tool",
            f"{tool.name} runs a function that is behind a policy already; agents take the tool as "
            "it is",
        )
    if runs_function(tool) and not callable(function):
        raise ConfigurationError("tool", f"{tool.name} has no function to run")


def _hint(wanted: Any) -> str:
    """Return what to do with something that is no tool, or nothing."""
    kind = type(wanted)
    if isinstance(wanted, type):
        return "make one of the class"
    if "langchain" in str(kind.__mro__):
        return "tools of LangChain are wrapped by langchain_toolops.wrap_tool()"
    if isinstance(wanted, list | tuple | set | frozenset):
        return "use wrap_tools(), which takes several"
    if callable(wanted):
        return f"make one of it: crewai.tools.tool({getattr(wanted, '__name__', '...')})"
    return ""


def _guards(tool: Any, settings: Settings) -> Guards:
    return Guards(type(tool), settings, tool.func if runs_function(tool) else None)


def _fields(tool: Any) -> list[str]:
    return own_names(getattr(tool, "_original_tool", None) or tool)


def _wrapped(tool: T, settings: Settings) -> T:
    guards = _guards(tool, settings)
    arguments = guards.arguments()
    for option, names, fields in (
        ("secret", settings.secret, ()),
        ("ignore", settings.ignore, _fields(tool)),
    ):
        for name in names:
            if not arguments.takes(name) and name not in fields:
                raise ConfigurationError(option, f"names {name!r}, which {tool.name} lacks")
    made: Any = tool.model_copy()
    object.__setattr__(made, "__class__", _classes.of(type(tool)))
    # Private attributes are made when a tool is initialised, and that was in its old class.
    private = {**(made.__pydantic_private__ or {}), GUARDS: guards, "_toolops_form": None}
    object.__setattr__(made, "__pydantic_private__", private)
    guard_function(made)
    guards.of(made)  # so that what does not fit is told now, and not by the first call
    wrapped: T = made
    return wrapped


def _made(kind: Any) -> type[Any]:
    methods = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": refuse_pickling,
        WRAPPED: kind,
    }
    made: type[Any] = type(kind)(kind.__name__, (ToolOpsMixin, kind), methods)
    return made


_classes = SubclassCache(_made)
