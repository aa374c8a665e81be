"""Mark what the runtime counts, so that no handler counts it again.

Two marks, both read by the callback handler and by the handlers of the instrumentation alike:

- :func:`mark_inside`, a block around the inner call of a guarded model, embedding or tool;
- ``__toolops_guarded__``, true on the class or the instance of a guarded tool, whose own spans
  begin before any code of ours runs.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Literal

from toolops_plugins.adapters.context_variables import set_within

__all__ = ["has_guard", "is_inside", "mark_inside"]

_kinds: ContextVar[frozenset[str]] = ContextVar("toolops_llama_index_kinds", default=frozenset())
_tool: ContextVar[Any] = ContextVar("toolops_llama_index_tool", default=None)


def mark_inside(
    kind: Literal["llm", "embedding", "tool"], tool: object = None
) -> AbstractContextManager[None]:
    """Mark what begins in this block as counted by the call around it.

    Models and embeddings that begin inside are counted whatever they are. Of tools it is the one
    that is given alone: a tool that it calls is somebody else's. Streams are counted if they begin
    inside, wherever they are read; so the block needs no yield in it, and must have none.

    Args:
        kind: What is counted.
        tool: The inner tool, for the kind "tool".
    """
    variable: ContextVar[Any] = _tool if kind == "tool" else _kinds
    return set_within(variable, tool if kind == "tool" else _kinds.get() | {kind})


def is_inside(kind: Literal["llm", "embedding"]) -> bool:
    """Return whether a guarded call of this kind is under way around whoever asks."""
    return kind in _kinds.get()


def has_guard(tool: object) -> bool:
    """Return whether the runtime counts this tool: a guarded one, or the inner one of it."""
    return tool is not None and (
        _tool.get() is tool or getattr(tool, "__toolops_guarded__", False) is True
    )
