"""Calls of guarded LlamaIndex models in tests, and readers of their streams."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole

__all__ = ["FRANCE", "read", "user"]

FRANCE = "What is the capital of France?"


def user(text: str) -> list[ChatMessage]:
    """Return a conversation that has just begun."""
    return [ChatMessage(role=MessageRole.USER, content=text)]


async def read(stream: Any) -> list[Any]:
    """Return all chunks of an asynchronous stream."""
    return [each async for each in await stream]
