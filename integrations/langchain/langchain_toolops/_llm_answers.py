"""Answers of chat models: whether they may be stored, what they say, and the mark of a hit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    LLMResult,
)

from toolops_plugins.adapters.answers import HIT, is_cut_off
from toolops_plugins.adapters.call_ids import CallIds
from toolops_plugins.adapters.usage import zero_counts, zero_tokens

__all__ = [
    "ITEM_IDS",
    "are_whole",
    "content_of",
    "is_whole",
    "mark_generation",
    "mark_hit",
    "merge_chunks",
]

ITEM_IDS = "__openai_function_call_ids__"
"""Under this name are the ids of the Responses API's items, by those of the calls in them."""
_WITH_IDS = (
    "tool_calls",
    "invalid_tool_calls",
    "content",
    "additional_kwargs",
    "response_metadata",
)
"""Fields of a message that may hold the ids of its tool calls."""


def is_whole(message: BaseMessage) -> bool:
    """Return whether a model's message has content, and ended by itself."""
    if not isinstance(message, AIMessage) or message.invalid_tool_calls:
        return False
    if not (message.tool_calls or message.text.strip() or _has_other_blocks(message.content)):
        return False
    return not is_cut_off(message.response_metadata)


def are_whole(generations: Iterable[Generation]) -> bool:
    """Return whether there are generations, and all of them are whole."""
    found = False
    for each in generations:
        found = True
        if is_cut_off(each.generation_info):
            return False
        if isinstance(each, ChatGeneration):
            if not is_whole(each.message):
                return False
        elif not each.text.strip():
            return False
    return found


def _has_other_blocks(content: Any) -> bool:
    """Return whether there is a block that is neither text nor thought, such as a picture."""
    silent = ("text", "thinking", "reasoning", "redacted_thinking", "refusal")
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") not in silent for block in content
    )


def content_of(value: Any) -> Any:
    """Return what an answer says: its text, and the names and arguments of its tool calls.

    Args:
        value: Messages, generations or a list of these, a ``ChatResult``, or the stored form of a
            stream: the list of its chunks, and what its generator returned.
    """
    if isinstance(value, tuple) and value and isinstance(value[0], list) and value[0]:
        if not isinstance(value[0][0], ChatGeneration):
            return "".join(chunk.text for chunk in value[0])
        return content_of(merge_chunks(value[0]))
    if isinstance(value, ChatResult | LLMResult):
        return content_of(value.generations)
    if isinstance(value, list):
        return content_of(value[0]) if len(value) == 1 else [content_of(each) for each in value]
    if isinstance(value, ChatGeneration):
        return content_of(value.message)
    if isinstance(value, AIMessage) and value.tool_calls:
        return [value.text, [[call["name"], call["args"]] for call in value.tool_calls]]
    return value.text if isinstance(value, BaseMessage | Generation) else value


def merge_chunks(chunks: Sequence[ChatGenerationChunk]) -> ChatGenerationChunk:
    """Return the chunks of a stream as one; all at once, which takes time in proportion."""
    return chunks[0] + list(chunks[1:]) if len(chunks) > 1 else chunks[0]


def mark_hit(message: BaseMessage, *, keeps_usage: bool, new_ids: CallIds | None = None) -> None:
    """Mark a message that nobody else has as a hit, and give its tool calls new ids.

    Args:
        message: The message; it is changed.
        keeps_usage: Whether it keeps the token counts of the call that made it.
        new_ids: The new ids so far, where other messages use them too; more are added.
    """
    message.response_metadata["toolops"] = dict(HIT)
    if not isinstance(message, AIMessage):
        return
    if new_ids is not None and (message.additional_kwargs or type(message.content) is list):
        _add_items(message, new_ids)  # of a stream, in which reasoning comes before its calls
    if message.tool_calls or message.invalid_tool_calls or new_ids:
        _replace_ids(message, CallIds() if new_ids is None else new_ids)
    if not keeps_usage:
        zero_counts(message.response_metadata)
        if message.usage_metadata is not None:
            message.usage_metadata = zero_tokens(message.usage_metadata)


def mark_generation(
    generation: ChatGeneration, *, keeps_usage: bool, new_ids: CallIds | None = None
) -> None:
    """Mark a generation that nobody else has as a hit, as :func:`mark_hit` does its message."""
    mark_hit(generation.message, keeps_usage=keeps_usage, new_ids=new_ids)
    if not keeps_usage:
        zero_counts(generation.generation_info)


def _replace_ids(message: AIMessage, new_ids: CallIds) -> None:
    for call in (*message.tool_calls, *message.invalid_tool_calls):
        if call["id"]:
            new_ids.renew(call["id"], call["name"])
    if not new_ids:
        return
    _add_items(message, new_ids)
    for name in _WITH_IDS:
        setattr(message, name, new_ids.replace(getattr(message, name)))
    if isinstance(message, AIMessageChunk):
        message.tool_call_chunks = new_ids.replace(message.tool_call_chunks)


def _add_items(message: AIMessage, new_ids: CallIds) -> None:
    new_ids.add_items(message.content)
    if "reasoning" in message.additional_kwargs:
        new_ids.keeps_items = True
    items = message.additional_kwargs.get(ITEM_IDS)
    for id_ in items.values() if isinstance(items, dict) else ():
        new_ids.add_item(id_)
