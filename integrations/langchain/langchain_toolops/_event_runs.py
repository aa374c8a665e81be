"""Read the name of a run from LangChain's callbacks, and what has answered it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables.config import var_child_runnable_config

from langchain_toolops._event_dedup import has_note

__all__ = [
    "AGENT",
    "Kind",
    "calls_tools",
    "current_agent",
    "has_count_mark",
    "is_cache_answer",
    "name_of_run",
    "text_of",
]

AGENT = "lc_agent_name"
"""The name of the agent that runs, in the metadata of its runs."""

Kind: TypeAlias = Literal["chat", "llm", "tool", "retriever", "chain"]


def name_of_run(serialized: Mapping[str, Any] | None, kwargs: Mapping[str, Any]) -> str:
    """Return the name of what runs, as LangChain's own tracers show it."""
    name = kwargs.get("name") or (serialized or {}).get("name")
    if not name:
        path = (serialized or {}).get("id")
        name = path[-1] if isinstance(path, list) and path else "unknown"
    return str(name)


def text_of(metadata: Mapping[str, Any] | None, name: str) -> str:
    """Return a text in the metadata of a run, or nothing."""
    value = (metadata or {}).get(name)
    return value if isinstance(value, str) else ""


def current_agent() -> str:
    """Return the name of the agent that runs around whoever asks, or nothing."""
    return text_of((var_child_runnable_config.get() or {}).get("metadata"), AGENT)


def calls_tools(chunk: Any) -> bool:
    """Return whether a chunk without text calls a tool; the first one often says nothing."""
    return bool(getattr(getattr(chunk, "message", None), "tool_call_chunks", None))


def has_count_mark(generation: Generation) -> bool:
    """Return whether a ToolOpsCache has counted what gave this: it marks what it serves."""
    message = generation.message if isinstance(generation, ChatGeneration) else None
    if message is not None and "toolops" in message.response_metadata:
        return True
    return has_note(generation)


def is_cache_answer(generation: Generation) -> bool:
    """Return whether a cache has answered: LangChain says that it cost nothing."""
    message = generation.message if isinstance(generation, ChatGeneration) else None
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    return usage is not None and usage.get("total_cost") == 0
