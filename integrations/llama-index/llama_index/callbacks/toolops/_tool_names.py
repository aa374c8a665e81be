"""The names under which the results of tools are kept, told apart where tools are not the same.

A tool's name is what another framework, process or agent finds its results by. But LlamaIndex names
tools by itself: every query engine tool is ``query_engine_tool`` unless told otherwise, and the
tools of two specs have the same names. What one of them found must not be handed out by the other.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from llama_index.core.tools import BaseTool, FunctionTool, ToolMetadata

from toolops_plugins import ToolOps
from toolops_plugins.target import resolve

__all__ = ["label_of"]

logger = logging.getLogger("llama_index.callbacks.toolops")

_NAMES = 10_000
"""Names of a runtime that are remembered."""
_ALIKE = 100
"""Tools of one name that are remembered, beside the first."""
_DEPTH = 8
_OF_FUNCTIONS = frozenset(vars(FunctionTool(fn=len, metadata=ToolMetadata(""))))
"""Attributes of every function tool: made anew with each, or part of what a call is given."""
_ATOMS = (str, bytes, int, float, bool, type(None))

_Part: TypeAlias = Callable[[Any], bool]
"""Whether a part of another tool is the one that this was made of; holds no part alive."""


class _Known:
    """The tools of one name in one runtime."""

    def __init__(self, first: list[_Part]) -> None:
        self.first = first
        self.count = 1
        self.others: OrderedDict[str, list[_Part]] = OrderedDict()


_lock = threading.Lock()
_runtimes: weakref.WeakKeyDictionary[ToolOps, OrderedDict[str, _Known]] = (
    weakref.WeakKeyDictionary()
)


def label_of(ops: ToolOps, name: str, tool: BaseTool) -> str:
    """Return the name under which a tool's results are kept.

    It is the tool's own, unless another tool of that name was guarded in this runtime before: then
    it is one that nobody else has. Tools are the same if they run the same function with the same
    receiver; those that run no function, if they were made of the same parts.

    Args:
        ops: The runtime.
        name: The tool's name.
        tool: The tool.
    """
    parts = list(_parts(tool))
    with _lock:
        names = _runtimes.setdefault(ops, OrderedDict())
        known = names.get(name)
        if known is None:
            names[name] = _Known([_part(each) for each in parts])
            if len(names) > _NAMES:
                names.popitem(last=False)
            return name
        names.move_to_end(name)
        if _same(known.first, parts):
            return name
        for label, other in known.others.items():
            if _same(other, parts):
                known.others.move_to_end(label)
                return label
        known.count += 1
        label = f"{name}#{known.count}-{os.urandom(4).hex()}"
        known.others[label] = [_part(each) for each in parts]
        if len(known.others) > _ALIKE:
            known.others.popitem(last=False)
    logger.warning(
        "Another tool is called %r. So that neither gets the other's results, this one's are kept "
        "as %r, and nobody shares them; say guard_tool(name=...) to give it a name.",
        name,
        label,
    )
    return label


def _parts(tool: BaseTool) -> Iterator[Any]:
    """Yield what a tool is made of, as far as its results may hang on it."""
    yield type(tool)
    if isinstance(tool, FunctionTool):
        target = resolve(tool.real_fn)
        yield target.name
        if target.distinct:
            yield target.function
        yield from target.args
        yield from _flat(target.kwargs)
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


def _part(value: Any) -> _Part:
    if type(value) in _ATOMS:
        return partial(_is_equal, value)
    try:
        reference = weakref.ref(value)
    except TypeError:
        return partial(_is_it, value)
    return partial(_is_alive, reference)


def _is_equal(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def _is_it(value: Any, other: Any) -> bool:
    return value is other


def _is_alive(reference: weakref.ref[Any], other: Any) -> bool:
    return reference() is other


def _same(known: list[_Part], parts: list[Any]) -> bool:
    return len(known) == len(parts) and all(
        is_it(part) for is_it, part in zip(known, parts, strict=True)
    )
