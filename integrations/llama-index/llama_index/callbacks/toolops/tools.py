"""Tools behind a policy: any LlamaIndex tool, which stays the tool it was.

Of a ``FunctionTool`` it is the function that is guarded, on a copy of the tool. What LlamaIndex
does around it, the output with its blocks and the callback, is done anew for each call with a
result that may have come from the cache. Of any other tool it is ``call`` and ``acall``, and what
is kept is the whole output.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Unpack

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.tools import AsyncBaseTool, BaseTool, FunctionTool
from llama_index.core.tools.tool_spec.base import BaseToolSpec

from llama_index.callbacks.toolops._tool_class import GuardedTool, copy_with_guard, is_plain
from llama_index.callbacks.toolops._tool_guard import LlamaIndexToolGuard
from llama_index.callbacks.toolops._tool_labels import label_of
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.internals import signature_of
from toolops_plugins.adapters.notices import report_problem
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.adapters.tool_arguments import ToolArguments
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

__all__ = ["GuardedTool", "guard_tool", "guard_tools", "wrap_tool", "wrap_tools"]

LOGGER = "llama_index.callbacks.toolops"

_TAKES_CONTEXT = (
    'it takes the workflow\'s Context, on which results may hang; say context="ignore" if they '
    "do not"
)


def wrap_tool(
    tool: BaseTool | Callable[..., Any],
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    name: str | None = None,
    version: str = "1",
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    context: Literal["refuse", "ignore"] = "refuse",
    **parts: Unpack[PolicyParts],
) -> GuardedTool:
    """Return a copy of a tool whose calls are made under a policy; the tool itself is untouched.

    Without a policy it is that of ``ops.readonly``: results are fresh for 300 s, concurrent equal
    calls run once, and failures are retried. That is for tools that only read. For one that changes
    something, say ``policy=Policy(...)`` with what it can bear.

    Calls are equal where name, ``version`` and arguments are, defaults and ``partial_params``
    included, however they were given. In one runtime another tool of the same name keeps its
    results apart, unless ``name`` says that they are shared. In other processes, and in other
    frameworks, tools of one name and version share their results: name tools apart that search
    different data, or give the runtime a tenant.

    Of a ``FunctionTool`` what is kept is what its function returned; a callback runs with every
    call. Of any other tool it is the whole output, with the ``raw_input`` of the call that made it;
    not so one that ``is_error``, that can be read once only, or whose ``raw_input`` has a secret.

    What a tool raises is raised here as well, and never kept; so is what a policy raises in its
    place (``CircuitOpen``, ``CallTimeout``, ...), of which LlamaIndex's agents make an output that
    ``is_error``, and go on. A step that waits for a human passes untouched, and what a tool does
    after he has answered is neither kept nor shared.

    Args:
        tool: The tool, or a function that LlamaIndex makes one of.
        policy: The whole policy of its calls. None: as said above.
        ops: The runtime. None: the default one.
        name: The name in keys and statistics; tools that are given the same one share their
            results. None: the tool's own.
        version: Part of the key; change it when the tool's meaning changes. Default "1".
        secret: Arguments that are secret, beside those whose name says so. They count in the key,
            as part of its digest.
        ignore: Arguments that do not count in the key.
        context: The workflow's ``Context`` never counts in a key. "refuse": the results of a tool
            that takes it are neither kept nor shared, with a warning in the log if you ask for a
            cache, and the rest of the policy applies. "ignore": they are; right only where they do
            not depend on the context. Default "refuse".
        parts: The parts of a policy by name, such as ``cache=Cache(ttl=60)``; they win over
            ``policy``, and over the policy that stands where none is given.

    Raises:
        ConfigurationError: It is no tool or guarded already, or a value is wrong or does not fit.
    """
    wanted = _tool(tool)
    check_name(name)
    secret, ignore = list_names("secret", secret), list_names("ignore", ignore)
    arguments = _arguments(wanted)
    for option, names in (("secret", secret), ("ignore", ignore)):
        check_names(option, names, [arguments.takes], str(wanted.metadata.name))
    whole = read_only_policy(policy, parts, version)
    guarded = _guard(wanted, runtime_of(ops), whole, name, secret, ignore, context)
    if _asks_for_cache(policy, parts):
        _warn_of_context([wanted], context)
    return guarded


def wrap_tools(
    tools: Iterable[BaseTool | Callable[..., Any]],
    policy: Policy | None = None,
    *,
    ops: ToolOps | None = None,
    version: str = "1",
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    context: Literal["refuse", "ignore"] = "refuse",
    **parts: Unpack[PolicyParts],
) -> list[GuardedTool]:
    """Return copies of tools whose calls are made under one policy; see :func:`wrap_tool`.

    Args:
        tools: The tools, such as those of a tool spec's ``to_tool_list()``, or functions.
        policy: As for :func:`wrap_tool`.
        ops: As for :func:`wrap_tool`.
        version: As for :func:`wrap_tool`.
        secret: As for :func:`wrap_tool`; each is an argument of at least one of the tools.
        ignore: As for ``secret``.
        context: As for :func:`wrap_tool`.
        parts: As for :func:`wrap_tool`.

    Raises:
        ConfigurationError: As for :func:`wrap_tool`; or two tools have one name.
    """
    wanted = [
        _tool(each) for each in list_tools(tools, (), _hint(tools) or "wrap_tool() takes one")
    ]
    names = [each.metadata.get_name() for each in wanted]
    check_unique(names, "which no agent could tell apart")
    secret, ignore = list_names("secret", secret), list_names("ignore", ignore)
    known = [_arguments(each).takes for each in wanted]
    for option, given in (("secret", secret), ("ignore", ignore)):
        check_names(option, given, known, "none of the tools")
    whole, runtime = read_only_policy(policy, parts, version), runtime_of(ops)
    guarded = [
        _guard(
            tool,
            runtime,
            whole,
            None,
            [argument for argument in secret if takes(argument)],
            [argument for argument in ignore if takes(argument)],
            context,
        )
        for tool, takes in zip(wanted, known, strict=True)
    ]
    if _asks_for_cache(policy, parts):
        _warn_of_context(wanted, context)
    return guarded


guard_tool = wrap_tool
"""The first name of :func:`wrap_tool`."""
guard_tools = wrap_tools
"""The first name of :func:`wrap_tools`."""


# -- options -------------------------------------------------------------------------------------


def _tool(wanted: Any) -> BaseTool:
    if isinstance(wanted, GuardedTool):
        raise ConfigurationError("tool", f"{wanted.metadata.name} is behind a policy already")
    if not isinstance(wanted, BaseTool):
        if hint := _hint(wanted):
            raise ConfigurationError("tool", f"must be a LlamaIndex tool, not {wanted!r}; {hint}")
        make = FunctionTool.from_defaults
        made: BaseTool = tool_of_function(wanted, make, "a LlamaIndex tool or a function")
        return made
    if isinstance(wanted, FunctionTool):
        check_function(str(wanted.metadata.name), wanted.real_fn)
    return wanted


def _hint(wanted: Any) -> str:
    """Return what to do with something that is no tool, or nothing."""
    if isinstance(wanted, type):
        return "make one of the class"
    if isinstance(wanted, BaseToolSpec):
        return "use wrap_tools(spec.to_tool_list())"
    if isinstance(wanted, BaseQueryEngine):
        return "make one of it: QueryEngineTool.from_defaults(engine, name=..., description=...)"
    if isinstance(wanted, BaseRetriever):
        return "make one of it: RetrieverTool.from_defaults(retriever, name=..., description=...)"
    if isinstance(wanted, BaseTool):
        return "wrap_tool() takes one"
    if "langchain" in str(type(wanted).__mro__):
        return "tools of LangChain are wrapped by langchain_toolops.wrap_tool()"
    if isinstance(wanted, list | tuple | set | frozenset):
        return "use wrap_tools(), which takes several"
    return ""


def _asks_for_cache(policy: Policy | None, parts: PolicyParts) -> bool:
    """Return whether it is the user, rather than the default, who wants results to be kept."""
    default = None if policy is None else policy.cache
    return parts.get("cache", default) is not None


def _warn_of_context(tools: Iterable[BaseTool], context: str) -> None:
    for tool in tools:
        if _refusal(tool, context) is not None:
            name = tool.metadata.get_name()
            text = "Nothing that the tool %(name)r returns is kept: %(why)s"
            report_problem(LOGGER, ("context", name), text, name=name, why=_TAKES_CONTEXT)


def _guard(
    tool: BaseTool,
    ops: ToolOps,
    policy: Policy,
    name: str | None,
    secret: Sequence[str],
    ignore: Sequence[str],
    context: Literal["refuse", "ignore"],
) -> GuardedTool:
    if context not in ("refuse", "ignore"):
        raise ConfigurationError("context", f'must be "refuse" or "ignore", not {context!r}')
    guard = LlamaIndexToolGuard(
        ops,
        name or label_of(ops, tool.metadata.get_name(), tool),
        policy,
        _arguments(tool),
        secret,
        ignore,
        _refusal(tool, context),
        aio=isinstance(tool, AsyncBaseTool) or hasattr(tool, "acall"),
        source=_source(tool),
    )
    return copy_with_guard(tool, guard)


def _source(tool: BaseTool) -> Any:
    function = tool.real_fn if isinstance(tool, FunctionTool) else getattr(type(tool), "call", None)
    return function if inspect.isfunction(function) else None


def _refusal(tool: BaseTool, context: str) -> str | None:
    """Return why the results of a tool are neither kept nor shared, or None."""
    return _TAKES_CONTEXT if _context_of(tool) is not None and context == "refuse" else None


def _context_of(tool: BaseTool) -> str | None:
    """Return the parameter that takes the workflow's Context, or None."""
    return tool.ctx_param_name if isinstance(tool, FunctionTool) else None


def _arguments(tool: Any) -> ToolArguments:
    schema = tool.metadata.fn_schema
    visible = ("input",) if schema is None else tuple(getattr(schema, "model_fields", ()))
    plain = is_plain(type(tool))
    entry = signature_of(tool.call if hasattr(tool, "call") else tool.__call__)
    defaults: dict[str, Any] = {}
    if isinstance(tool, FunctionTool):
        defaults = tool._field_defaults
        kinds = {parameter.kind for parameter in entry.parameters.values()}
        if kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            entry = signature_of(tool.real_fn)  # which gets it all
    form = None if plain else "llama_index.ToolOutput"
    return ToolArguments(entry, visible, defaults=defaults, context=_context_of(tool), form=form)
