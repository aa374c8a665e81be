"""Tell a tool from others of its name, by the parts that it is made of.

LlamaIndex names tools by itself: every query engine tool is ``query_engine_tool`` unless told
otherwise, and the tools of two specs have the same names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_index.core.tools import BaseTool, FunctionTool, ToolMetadata

from toolops_plugins import ToolOps
from toolops_plugins.adapters import tool_labels

__all__ = ["label_of"]

LOGGER = "llama_index.callbacks.toolops"

_DEPTH = 8
_OF_FUNCTIONS = frozenset(vars(FunctionTool(fn=len, metadata=ToolMetadata(""))))
"""Attributes of every function tool: made anew with each, or part of what a call is given."""


def label_of(ops: ToolOps, name: str, tool: BaseTool) -> str:
    """Return the name under which a tool's results are kept.

    Tools are the same if they run the same function with the same receiver; those that run no
    function, if they were made of the same parts.

    Args:
        ops: The runtime.
        name: The tool's name.
        tool: The tool.
    """
    return tool_labels.label_of(ops, name, _parts(tool), LOGGER, "say wrap_tool(name=...)")


def _parts(tool: BaseTool) -> Iterator[Any]:
    """Yield what a tool is made of, as far as its results may hang on it."""
    yield type(tool)
    if isinstance(tool, FunctionTool):
        yield from tool_labels.parts_of_function(tool.real_fn)
    # Of these, what a subclass of FunctionTool has added.
    common = _OF_FUNCTIONS if isinstance(tool, FunctionTool) else frozenset()
    yield from _flat({name: part for name, part in vars(tool).items() if name not in common})


def _flat(value: Any, depth: int = 0) -> Iterator[Any]:
    if depth > _DEPTH or type(value) not in (dict, list, tuple):
        if not isinstance(value, ToolMetadata):  # says what a model is told
            yield value
        return
    yield len(value)
    for item in value.items() if type(value) is dict else value:
        yield from _flat(item, depth + 1)
