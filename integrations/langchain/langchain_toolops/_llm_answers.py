"""What models answer: whether it may be kept, what of it says something, and a hit's mark."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation

from toolops_plugins import Policy

__all__ = ["are_whole", "by_answers", "is_whole", "mark_hit", "merged", "said"]

_ID_KEYS = frozenset(("id", "call_id", "tool_call_id", "tool_use_id"))
HIT = {"hit": True}
"""What stands under "toolops" in the response metadata of an answer from the cache."""
NO_TOKENS = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)

_CUT_OFF = frozenset(
    ("length", "max_tokens", "max_output_tokens", "model_length", "content_filter", "safety")
)
"""What providers call the end of an answer that has not ended by itself, in small letters."""
_REASONS = ("finish_reason", "stop_reason", "done_reason")


def is_whole(message: BaseMessage) -> bool:
    """Return whether a model's message has content, and ended by itself."""
    if not isinstance(message, AIMessage) or message.invalid_tool_calls:
        return False
    if not (message.tool_calls or message.text.strip() or _has_other_blocks(message.content)):
        return False
    metadata = message.response_metadata
    return not _was_cut(metadata) and metadata.get("status") != "incomplete"


def are_whole(generations: Iterable[Generation]) -> bool:
    """Return whether there are generations, and all of them are whole."""
    found = False
    for each in generations:
        found = True
        if _was_cut(each.generation_info or {}):
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


def _was_cut(metadata: Mapping[str, Any]) -> bool:
    return any(str(metadata.get(name) or "").lower() in _CUT_OFF for name in _REASONS)


def said(message: BaseMessage) -> Any:
    """Return what a message says: its text, and what tools it calls with what."""
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    if not calls:
        return message.text
    return [message.text, [[call["name"], call["args"]] for call in calls]]


def by_answers(policy: Policy, answer: Callable[[Any], Any] | None = None) -> Policy:
    """Return the policy with answers compared by what they say, not by their ids and tokens.

    Args:
        policy: The user's policy; where it says itself what is compared, that stands.
        answer: What a result says. None: results are generations, messages, or lists of these.
    """
    semantic = policy.semantic
    if semantic is None or semantic.answer is not None:
        return policy
    return policy.replace(semantic=replace(semantic, answer=answer or _answer))


def _answer(value: Any) -> Any:
    """Return what a result says.

    Args:
        value: Messages, generations or a list of these, a ``ChatResult``, or what is kept of a
            stream: the list of its chunks and what its generator returned.
    """
    if isinstance(value, tuple) and value and isinstance(value[0], list) and value[0]:
        return _answer(merged(value[0]))
    if isinstance(value, ChatResult):
        return _answer(value.generations)
    if isinstance(value, list):
        return _answer(value[0]) if len(value) == 1 else [_answer(each) for each in value]
    if isinstance(value, ChatGeneration):
        return said(value.message)
    if isinstance(value, BaseMessage):
        return said(value)
    return value.text if isinstance(value, Generation) else value


def merged(chunks: Sequence[ChatGenerationChunk]) -> ChatGenerationChunk:
    """Return the chunks of a stream as one; all at once, which takes time in proportion."""
    return chunks[0] + list(chunks[1:]) if len(chunks) > 1 else chunks[0]


def mark_hit(
    message: BaseMessage, *, keeps_usage: bool, fresh: dict[str, str] | None = None
) -> None:
    """Mark a message that nobody else has as one that was not paid for.

    Its tool calls get ids that no other answer has: a conversation with two calls of one id is
    refused by some providers.

    Args:
        message: The message; it is changed.
        keeps_usage: Whether it may still tell the tokens of the call that made it.
        fresh: The new ids so far, where other messages use them too; more are added.
    """
    message.response_metadata["toolops"] = HIT.copy()
    if not isinstance(message, AIMessage):
        return
    if message.tool_calls or message.invalid_tool_calls or fresh:
        _renew(message, {} if fresh is None else fresh)
    if not keeps_usage:
        for name in ("token_usage", "usage"):
            message.response_metadata.pop(name, None)
        if message.usage_metadata is not None:
            message.usage_metadata = NO_TOKENS.copy()


def _renew(message: AIMessage, fresh: dict[str, str]) -> None:
    """Give the tool calls of a message new ids, wherever these stand in it."""
    for call in (*message.tool_calls, *message.invalid_tool_calls):
        if call["id"] and call["id"] not in fresh:
            fresh[call["id"]] = f"call_{uuid.uuid4().hex[:24]}"
    if not fresh:
        return
    message.tool_calls = _replaced(message.tool_calls, fresh)
    message.invalid_tool_calls = _replaced(message.invalid_tool_calls, fresh)
    message.content = _replaced(message.content, fresh)
    message.additional_kwargs = _replaced(message.additional_kwargs, fresh)
    if isinstance(message, AIMessageChunk):
        message.tool_call_chunks = _replaced(message.tool_call_chunks, fresh)


def _replaced(value: Any, fresh: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, str):
        return fresh.get(value, value) if key in _ID_KEYS else value
    if isinstance(value, list):
        return [_replaced(each, fresh) for each in value]
    if isinstance(value, dict):
        return {name: _replaced(content, fresh, name) for name, content in value.items()}
    return value
