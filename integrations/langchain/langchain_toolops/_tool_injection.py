"""Find the arguments of a tool that LangChain injects, and the part of them that counts in a key.

State, store, runtime and configuration are injected when a tool runs. They tell users apart, so a
result that depends on them must not reach somebody else: a tool with such arguments is kept and
shared only where the user says which of them count. The same goes for a human's answer to an
interrupt, which reaches a tool by no argument at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import BaseTool, StructuredTool, Tool, convert_runnable_to_tool
from langchain_core.tools.base import (
    _get_runnable_config_param,
    _is_injected_arg_type,
    get_all_basemodel_annotations,
)
from langchain_core.utils.pydantic import get_fields

from toolops_plugins.adapters.model_identity import Unknown
from toolops_plugins.errors import ConfigurationError

__all__ = [
    "IncludeLike",
    "Including",
    "config_arguments",
    "current_config",
    "has_human_answer",
    "include_of",
    "injection_names",
    "may_not_share",
    "part_in_key",
    "values_in_key",
]

IncludeLike: TypeAlias = Iterable[str] | Mapping[str, Callable[[Any], Any]]
"""Names of injected arguments that count, or for each name what of its value does."""
Including: TypeAlias = Mapping[str, Callable[[Any], Any]]

_SCRATCHPAD = "__pregel_scratchpad"
"""Where LangGraph notes what a task was resumed with."""
_OF_THE_RUN = ("__", "checkpoint", "langgraph_", "ls_", "lc_")
"""Prefixes of what a configuration holds about the run, and nothing about whom it is for."""


def injection_names(tool: BaseTool) -> frozenset[str]:
    """Return the names of all arguments that no model writes.

    They are those with LangChain's and LangGraph's annotations, be it in the schema or in the
    signature, within an optional type too, and those that take a ``RunnableConfig``. A tool that
    was made of a runnable has ``config``, which the runnable gets whatever the signature says.
    """
    # What LangChain itself has found.
    names = {*config_arguments(tool), *getattr(tool, "_injected_args_keys", ())}
    visible = _visible(tool)
    for function in _functions(tool):
        hints = _hints(function)
        names |= {name for name, hint in hints.items() if _is_injection(hint)}
        # LangGraph goes by this name alone; tools from MCP servers annotate it with no more.
        names |= {"runtime"} & hints.keys() - visible
    schema = tool.args_schema
    if schema is not None and not isinstance(schema, dict):
        annotations = get_all_basemodel_annotations(schema)
        names |= {name for name, hint in annotations.items() if _is_injection(hint)}
    names.discard("return")
    return frozenset(names)


def config_arguments(tool: BaseTool) -> frozenset[str]:
    """Return the names of the arguments that take the ``RunnableConfig``."""
    functions = _functions(tool)
    names = {_get_runnable_config_param(function) for function in functions} - {None}
    if any(_runs_runnable(function, tool) for function in functions):
        names.add("config")  # under which StructuredTool and Tool are given it
    return frozenset(name for name in names if name is not None)


def _runs_runnable(function: Callable[..., Any], tool: BaseTool) -> bool:
    """Return whether a tool's function does no more than run a runnable.

    That is what ``Runnable.as_tool()`` makes, and what ``Tool(func=chain.invoke)`` is.
    """
    inner: Any = function.func if isinstance(function, partial) else function
    owner = getattr(inner, "__self__", None)
    if isinstance(owner, BaseTool):
        return owner is not tool and bool(injection_names(owner))
    if isinstance(owner, Runnable):
        return True
    maker: Any = convert_runnable_to_tool
    within = f"{maker.__qualname__}.<locals>."
    return getattr(inner, "__module__", None) == maker.__module__ and str(
        getattr(inner, "__qualname__", "")
    ).startswith(within)


def _visible(tool: BaseTool) -> frozenset[str]:
    """Return the names of the arguments that a schema tells a model of."""
    schema = tool.args_schema
    if isinstance(schema, dict):
        return frozenset(schema.get("properties", ()))
    return frozenset() if schema is None else frozenset(get_fields(schema))


def _functions(tool: BaseTool) -> list[Callable[..., Any]]:
    """Return the functions that take a tool's arguments, as its author wrote them."""
    if isinstance(tool, StructuredTool | Tool):
        return [f for f in (tool.func, tool.coroutine) if f is not None]
    methods: list[Callable[..., Any]] = [tool._run]  # noqa: SLF001 - a method for subclasses to write
    if type(tool)._arun is not BaseTool._arun:  # noqa: SLF001 - as above
        methods.append(tool._arun)  # noqa: SLF001 - as above
    return methods


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations by parameter, as far as they can be resolved."""
    inner = function.func if isinstance(function, partial) else function
    try:
        return get_type_hints(inner, include_extras=True)
    except Exception:  # noqa: BLE001 - they may name anything, and LangChain does without them too
        return {}


def _is_injection(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(map(_is_injection, get_args(hint)))
    return _is_injected_arg_type(hint)


def include_of(names: IncludeLike) -> Including:
    """Return what is asked of each injected argument that counts.

    Raises:
        ConfigurationError: It is a lone string, or what is asked of an argument is no callable.
    """
    if isinstance(names, str):
        raise ConfigurationError(
            "include_injected", f"must be a list of argument names, not {names!r}"
        )
    if not isinstance(names, Mapping):
        return dict.fromkeys(names, _whole)
    for name, ask in names.items():
        if not callable(ask):
            raise ConfigurationError(
                "include_injected", f"must say by a callable what of {name!r} counts, not {ask!r}"
            )
    return dict(names)


def may_not_share(
    injected: frozenset[str], include: Including, mode: Literal["refuse", "ignore"]
) -> bool:
    """Return whether results must be neither kept nor shared, since what they hang on is unknown.

    Args:
        injected: The names of the tool's injected arguments.
        include: Those that count.
        mode: What is to be done about the others.

    Raises:
        ConfigurationError: The mode is none of the two.
    """
    if mode not in ("refuse", "ignore"):
        raise ConfigurationError("injected", f'must be "refuse" or "ignore", not {mode!r}')
    return mode == "refuse" and not injected <= include.keys()


def values_in_key(include: Including, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of the injected arguments of a call."""
    return {name: part_in_key(ask, given[name]) for name, ask in include.items() if name in given}


def part_in_key(ask: Callable[[Any], Any], given: Any) -> Any:
    """Return what the user's callable says of a value; a call goes past the cache if it fails."""
    try:
        return ask(given)
    except Exception as error:  # noqa: BLE001 - as with Cache(key=...), a slip here costs no call
        return Unknown(error)


def _whole(value: Any) -> Any:
    """Return what counts of an argument of which the user has only given the name."""
    if not (isinstance(value, dict) and value.keys() & RunnableConfig.__annotations__.keys()):
        return value
    # A configuration: all of it that may tell users apart, and nothing that changes by the call.
    return {
        part: {
            name: content
            for name, content in (value.get(part) or {}).items()
            if not str(name).startswith(_OF_THE_RUN)
        }
        for part in ("configurable", "metadata")
    }


def current_config() -> RunnableConfig | None:
    """Return the configuration under which a tool's body runs, or None outside of any run."""
    return var_child_runnable_config.get()


def has_human_answer(config: Mapping[str, Any] | None) -> bool:
    """Return whether a human has answered an interrupt of the graph's task that is under way.

    What a tool makes of such an answer belongs to this one task: it is not in the arguments.
    """
    pad = ((config or {}).get("configurable") or {}).get(_SCRATCHPAD)
    if pad is None:
        return False
    return bool(pad.resume) or pad.get_null_resume(False) is not None  # noqa: FBT003 - by position only
