"""Answers of models: whether they may be stored, what they say, and the mark of a hit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from toolops_plugins.adapters.answers import HIT, field_of, is_json_object, is_whole_call
from toolops_plugins.adapters.call_ids import TOOL_CALL_IDS, CallIds
from toolops_plugins.adapters.finish_reasons import Ending
from toolops_plugins.adapters.usage import USAGES, zero_counts, zero_tokens

__all__ = ["Response", "content_of", "has_content", "is_whole", "mark_hit", "read_end"]

Response: TypeAlias = ChatResponse | CompletionResponse


def is_whole(response: Response) -> bool:
    """Return whether a response has content, and ended by itself as far as it says."""
    return read_end(response).may_be_kept(streamed=False) and has_content(response)


def read_end(response: Response) -> Ending:
    """Return what a response, or a chunk of a stream, says of the end of the answer."""
    beside = response.message.additional_kwargs if isinstance(response, ChatResponse) else None
    return Ending((response.additional_kwargs, response.raw, beside))


def has_content(response: Response) -> bool:
    """Return whether a response has content, and no broken tool call."""
    if isinstance(response, CompletionResponse):
        return bool(response.text.strip())
    message = response.message
    calls = message.additional_kwargs.get("tool_calls")
    if not all(map(is_whole_call, calls if isinstance(calls, list | tuple) else ())):
        return False
    found = bool(calls)
    for block in message.blocks:
        if isinstance(block, TextBlock):
            found = found or bool(block.text.strip())
        elif isinstance(block, ToolCallBlock):
            # A text is what came of the JSON.
            if not (block.tool_name.strip() and is_json_object(block.tool_kwargs)):
                return False
            found = True
        elif not isinstance(block, ThinkingBlock):
            found = True
    return found


def content_of(response: Any) -> Any:
    """Return what an answer says: its text, and the names and arguments of its tool calls."""
    if isinstance(response, CompletionResponse):
        return response.text
    if not isinstance(response, ChatResponse):
        return response
    blocks = response.message.blocks
    calls = [[b.tool_name, b.tool_kwargs] for b in blocks if isinstance(b, ToolCallBlock)]
    text = response.message.content or ""
    return [text, calls] if calls else text


def mark_hit(response: Response, *, keeps_usage: bool, new_ids: CallIds) -> None:
    """Mark a response that nobody else has as a hit, and give its tool calls new ids.

    Args:
        response: The response; it is changed.
        keeps_usage: Whether it keeps the token counts of the call that made it.
        new_ids: The new ids so far, which all chunks of a stream share; more are added.
    """
    response.additional_kwargs = {**response.additional_kwargs, "toolops": dict(HIT)}
    if isinstance(response, ChatResponse):
        _replace_ids(response, new_ids)
    if keeps_usage:
        return
    zero_counts(response.additional_kwargs)
    if isinstance(response, ChatResponse):
        beside = dict(response.message.additional_kwargs)  # which chunks share
        zero_counts(beside)
        response.message.additional_kwargs = beside
    if isinstance(response.raw, dict):
        zero_counts(response.raw)
        return
    held = _fields_of(response.raw)
    for name in USAGES:
        usage = held.get(name)
        if usage is not None:
            setattr(response.raw, name, zero_tokens(usage))


def _fields_of(raw: Any) -> Mapping[str, Any]:
    """Return what the provider's object holds by name; to ask it for what it lacks takes long."""
    if isinstance(raw, Mapping):
        return raw
    own: dict[str, Any] = getattr(raw, "__dict__", None) or {}
    beside = getattr(raw, "__pydantic_extra__", None) if own else None
    return {**own, **beside} if beside else own


def _replace_ids(response: ChatResponse, new_ids: CallIds) -> None:
    message = response.message
    for block in message.blocks:
        if isinstance(block, ToolCallBlock) and block.tool_call_id:
            block.tool_call_id = new_ids.renew(block.tool_call_id, block.tool_name)
    calls = message.additional_kwargs.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        for name in sorted(TOOL_CALL_IDS):
            id_ = field_of(call, name)
            if isinstance(id_, str) and id_:
                new_ids.renew(id_, _name_of(call))
    item = _fields_of(response.raw).get("item")
    begun = field_of(item, "call_id")  # in a stream of the Responses API, before the block is there
    if isinstance(begun, str) and begun:
        new_ids.renew(begun, _name_of(item))
    if new_ids:
        message.additional_kwargs = new_ids.replace(message.additional_kwargs)
        response.raw = new_ids.replace(response.raw)


def _name_of(call: Any) -> str | None:
    name = field_of(call, "name") or field_of(field_of(call, "function"), "name")
    return name if isinstance(name, str) else None
