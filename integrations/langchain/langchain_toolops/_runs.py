"""A run as LangChain's callbacks tell of it, and what can be read from how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_toolops._counted import was_noted

__all__ = ["Kind", "Run", "calls_tools", "name_of_run", "was_cached", "was_counted"]

Kind: TypeAlias = Literal["chat", "llm", "tool", "retriever", "chain"]

_NAME = 100
"""Characters of a run's name that are kept."""


class Run:
    """A run under way."""

    __slots__ = ("began", "first", "kind", "model", "name", "started")

    def __init__(self, kind: Kind, name: str, model: str, began: float, started: float) -> None:
        self.kind = kind
        self.name = f"{kind}:{name[:_NAME]}"
        self.model = model
        self.began = began
        self.started = started
        self.first: float | None = None  # when the first token came


def name_of_run(serialized: Mapping[str, Any] | None, kwargs: Mapping[str, Any]) -> str:
    """Return the name of what runs, as LangChain's own tracers show it."""
    name = kwargs.get("name") or (serialized or {}).get("name")
    if not name:
        path = (serialized or {}).get("id")
        name = path[-1] if isinstance(path, list) and path else "unknown"
    return str(name)


def calls_tools(chunk: Any) -> bool:
    """Return whether a chunk without text calls a tool; the first one often says nothing."""
    return bool(getattr(getattr(chunk, "message", None), "tool_call_chunks", None))


def was_counted(generation: Generation) -> bool:
    """Return whether a ToolOpsCache has counted what gave this: it marks what it serves."""
    message = generation.message if isinstance(generation, ChatGeneration) else None
    if message is not None and "toolops" in message.response_metadata:
        return True
    return was_noted(generation)


def was_cached(generation: Generation) -> bool:
    """Return whether a cache has answered: LangChain says that it cost nothing."""
    message = generation.message if isinstance(generation, ChatGeneration) else None
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    return usage is not None and usage.get("total_cost") == 0
