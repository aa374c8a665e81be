"""What can be read from what LangChain's callbacks tell of a run, and from how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_toolops._event_dedup import was_noted

__all__ = ["Kind", "calls_tools", "name_of_run", "was_cached", "was_counted"]

Kind: TypeAlias = Literal["chat", "llm", "tool", "retriever", "chain"]


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
