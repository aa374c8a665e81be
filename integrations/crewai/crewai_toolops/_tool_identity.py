"""What tells tools of one name apart: their class, and what they were configured with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from crewai.tools import BaseTool
from crewai.tools.base_tool import Tool
from crewai.tools.structured_tool import CrewStructuredTool

from toolops_plugins import ToolOps
from toolops_plugins.adapters.labels import parts_of_class, parts_of_function
from toolops_plugins.errors import NotCanonicalError

__all__ = ["form_of", "is_own", "own_names", "parts_of", "runs_function"]

_OF_CREWAI = frozenset(
    (*BaseTool.model_fields, *Tool.model_fields, *CrewStructuredTool.model_fields)
)
"""Fields of every tool: what it is called, what a model is told of it, and how often it has run."""
_DEPTH = 16


def runs_function(tool: Any) -> bool:
    """Return whether all that a tool runs is its function, as with ``@tool``."""
    return isinstance(tool, Tool | CrewStructuredTool)


def is_own(name: str) -> bool:
    """Return whether an attribute is the tool's own, rather than one that every tool has."""
    return name not in _OF_CREWAI


def own_names(tool: Any) -> list[str]:
    """Return the names of what a tool holds of its own: its fields, and what it has put beside."""
    return sorted(filter(is_own, vars(tool)))


def parts_of(kind: type, function: Any) -> Iterator[Any]:
    """Return what tells a tool that is not configured from others of its name.

    Args:
        kind: The class that the tool was of before it was wrapped.
        function: The function that it runs; None: its own methods.
    """
    return parts_of_class(kind) if function is None else parts_of_function(function)


def form_of(ops: ToolOps, kind: type, tool: Any, names: Iterable[str]) -> bytes:
    """Return a digest of a tool's class and of what it was configured with.

    What has no canonical form, such as a client, counts as itself for as long as it lives. Secrets
    count too, since one user's results are nothing to another; nobody can read them from a digest.

    Args:
        ops: The runtime.
        kind: The class that the tool was of before it was wrapped.
        tool: The tool.
        names: Which of its attributes count.
    """
    encode = ops.canon.encode
    try:
        parts = [encode(kind)]
        for name in names:
            parts += encode(name), _encoded(ops, getattr(tool, name), _DEPTH)
    except NotCanonicalError:
        return os.urandom(32)  # holds something that cannot even be known again: it is alone
    return hashlib.sha256(b"".join(parts)).digest()


def _encoded(ops: ToolOps, value: Any, depth: int) -> bytes:
    canon = ops.canon
    try:
        return canon.encode(value)
    except NotCanonicalError:
        kind = type(value)
        if depth and kind in (list, tuple, set, frozenset):
            parts = [_encoded(ops, each, depth - 1) for each in value]
            if kind in (set, frozenset):
                parts.sort()
            return canon.encode((kind.__name__, parts))
        if depth and kind is dict:
            items = sorted(
                (canon.receiver(key), _encoded(ops, each, depth - 1)) for key, each in value.items()
            )
            return canon.encode((kind.__name__, items))
        return canon.receiver(value)
