"""Tell tools of one name apart, by their class and their configuration."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from crewai.tools import BaseTool
from crewai.tools.base_tool import Tool
from crewai.tools.structured_tool import CrewStructuredTool
from pydantic_core import PydanticUndefined

from toolops_plugins import ToolOps
from toolops_plugins.adapters.tool_labels import parts_of_class, parts_of_function
from toolops_plugins.errors import NotCanonicalError

__all__ = ["form_of", "is_own", "own_names", "parts_of", "runs_function"]

_OF_CREWAI = frozenset(BaseTool.model_fields)
"""Fields of every tool: what it is called, what a model is told of it, and how often it has run."""
_OF_FUNCTIONS = frozenset((*Tool.model_fields, *CrewStructuredTool.model_fields))
"""Fields of tools that run a function, which is told apart in another way."""
_PRIVATE_OF_CREWAI = frozenset(
    (*BaseTool.__private_attributes__, *CrewStructuredTool.__private_attributes__)
)
_OURS = "_toolops_"
_SETTINGS = (type(None), str, bytes, bool, float, PurePath, Mapping)
"""What private attributes may say of a tool."""
_STATE = (
    int,
    list,
    set,
    logging.Logger,
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Condition,
    threading.Semaphore,
    threading.Event,
    asyncio.Lock,
    asyncio.Semaphore,
)
"""What they hold that is no configuration: what a tool has counted, and what it waits for."""
_DEPTH = 16


def runs_function(tool: Any) -> bool:
    """Return whether all that a tool runs is its function, as with ``@tool``."""
    return isinstance(tool, Tool | CrewStructuredTool)


def is_own(tool: Any, name: str) -> bool:
    """Return whether an attribute is the tool's own, rather than one that every tool has."""
    return name not in (_OF_FUNCTIONS if runs_function(tool) else _OF_CREWAI)


def own_names(tool: Any) -> list[str]:
    """Return the names of what tells a tool apart: its fields, and what it has put beside.

    Of private attributes these are settings. What else they hold, such as a client, counts only
    where nothing says how it was made.
    """
    private = {
        name: value
        for name, value in (tool.__pydantic_private__ or {}).items()
        if name not in _PRIVATE_OF_CREWAI
        and not name.startswith(_OURS)
        and not _is_default(tool, name, value)
    }
    names = [n for n in vars(tool) if is_own(tool, n)]
    names += [n for n, value in private.items() if isinstance(value, _SETTINGS)]
    if not names:
        names = [n for n, value in private.items() if not isinstance(value, _STATE)]
    return sorted(names)


def _is_default(tool: Any, name: str, value: Any) -> bool:
    """Return whether a private attribute is what it is in all tools of the class."""
    declared = type(tool).__private_attributes__.get(name)
    default = PydanticUndefined if declared is None else declared.default
    if value is default or (default is PydanticUndefined and _is_nothing(value)):
        return True
    return isinstance(value, _SETTINGS) and type(value) is type(default) and value == default


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and not value)


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
            parts += encode(name), _encode(ops, getattr(tool, name), _DEPTH)
    except NotCanonicalError:
        return os.urandom(32)  # holds something that cannot even be known again: it is alone
    return hashlib.sha256(b"".join(parts)).digest()


def _encode(ops: ToolOps, value: Any, depth: int) -> bytes:
    canon = ops.canon
    try:
        return canon.encode(value)
    except NotCanonicalError:
        kind = type(value)
        if depth and kind in (list, tuple, set, frozenset):
            parts = [_encode(ops, each, depth - 1) for each in value]
            if kind in (set, frozenset):
                parts.sort()
            return canon.encode((kind.__name__, parts))
        if depth and kind is dict:
            items = sorted(
                (canon.receiver(key), _encode(ops, each, depth - 1)) for key, each in value.items()
            )
            return canon.encode((kind.__name__, items))
        return canon.receiver(value)
