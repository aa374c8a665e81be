"""Turn what a policy's fallback offers into LangChain's answers and chunks."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from toolops_plugins.adapters.fallback_answers import no_answer

__all__ = ["chunk_of", "message_of", "result_of"]

_ALLOWED = "a text, an AIMessage or a ChatResult"


def message_of(value: Any) -> AIMessage:
    """Return what a fallback offers as a message.

    Raises:
        ConfigurationError: It is no answer.
    """
    if isinstance(value, str):
        return AIMessage(value)
    if isinstance(value, ChatResult) and value.generations:
        value = value.generations[0]
    if isinstance(value, ChatGeneration):
        value = value.message
    if isinstance(value, AIMessage):
        return value
    raise no_answer(value, _ALLOWED)


def result_of(value: Any) -> ChatResult:
    """Return what a fallback offers as the result of a call.

    Raises:
        ConfigurationError: As for :func:`message_of`.
    """
    if isinstance(value, ChatResult) and value.generations:
        return value
    message = message_of(value)
    if isinstance(message, AIMessageChunk):
        message = message_chunk_to_message(message)  # type: ignore[assignment]  # of its kind
    return ChatResult(generations=[ChatGeneration(message=message)])


def chunk_of(value: Any) -> ChatGenerationChunk:
    """Return what a fallback offers as a chunk of a stream, which a message is in whole.

    Raises:
        ConfigurationError: As for :func:`message_of`.
    """
    if isinstance(value, ChatGenerationChunk):
        return value
    message = message_of(value)
    if isinstance(message, AIMessageChunk):
        return ChatGenerationChunk(message=message)
    calls = [
        tool_call_chunk(
            name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index
        )
        for index, call in enumerate(message.tool_calls)
    ]
    chunk = AIMessageChunk(
        content=message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        id=message.id,
        name=message.name,
        usage_metadata=message.usage_metadata,
        tool_call_chunks=calls,
    )
    return ChatGenerationChunk(message=chunk)
