"""What models answer: whether it may be kept, what of it says something, and a hit's mark."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

__all__ = ["Response", "is_whole", "mark_hit", "said", "was_cut"]

Response: TypeAlias = ChatResponse | CompletionResponse

HIT = {"hit": True}
"""What stands under "toolops" in the ``additional_kwargs`` of a response from the cache."""
_CUT_OFF = frozenset(
    ("length", "max_tokens", "max_output_tokens", "model_length", "content_filter", "safety")
)
"""What providers call the end of an answer that has not ended by itself, in small letters."""
_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason")
_LISTS = ("choices", "candidates")
_TOKENS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
)
_USAGES = ("usage", "usage_metadata")
_CALL_IDS = ("id", "tool_id", "tool_call_id", "call_id")


def is_whole(response: Response) -> bool:
    """Return whether a response has content, and ended by itself as far as it says."""
    if was_cut(response):
        return False
    if isinstance(response, CompletionResponse):
        return bool(response.text.strip())
    message = response.message
    found = bool(message.additional_kwargs.get("tool_calls"))
    for block in message.blocks:
        if isinstance(block, TextBlock):
            found = found or bool(block.text.strip())
        elif isinstance(block, ToolCallBlock):
            if not _is_call(block.tool_kwargs):
                return False
            found = True
        elif not isinstance(block, ThinkingBlock):
            found = True
    return found


def was_cut(response: Response, raw: Any = None) -> bool:
    """Return whether a response says that it was cut off, or withheld.

    Args:
        response: The response.
        raw: The provider's own object, where it is not in the response.
    """
    if any(map(_says_cut, (response.additional_kwargs, response.raw, raw))):
        return True
    return isinstance(response, ChatResponse) and _says_cut(response.message.additional_kwargs)


def _says_cut(holder: Any) -> bool:
    if holder is None:
        return False
    for name in _REASONS:
        # An enum member prints with its class before its name.
        if str(_of(holder, name) or "").rpartition(".")[2].lower() in _CUT_OFF:
            return True
    if _of(holder, "status") == "incomplete":
        return True
    response = _of(holder, "response")  # the last event of a stream of OpenAI's Responses
    if response is not None and _of(response, "status") == "incomplete":
        return True
    for name in _LISTS:
        several = _of(holder, name)
        if isinstance(several, list) and any(_says_cut(each) for each in several):
            return True
    return False


def _of(holder: Any, name: str) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(name)
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property of a provider's class; it says nothing then
        return None


def _is_call(arguments: Any) -> bool:
    """Return whether arguments of a tool call are whole: text is what came of the JSON."""
    if not isinstance(arguments, str) or not arguments:
        return True
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


def said(response: Any) -> Any:
    """Return what a response says: its text, and what tools it calls with what."""
    if isinstance(response, CompletionResponse):
        return response.text
    if not isinstance(response, ChatResponse):
        return response
    blocks = response.message.blocks
    calls = [[b.tool_name, b.tool_kwargs] for b in blocks if isinstance(b, ToolCallBlock)]
    text = response.message.content or ""
    return [text, calls] if calls else text


def mark_hit(response: Response, *, keeps_usage: bool, fresh: dict[str, str]) -> None:
    """Mark a response that nobody else has as one that was not paid for.

    Its tool calls get ids that no other answer has: a conversation with two calls of one id is
    refused by some providers.

    Args:
        response: The response; it is changed.
        keeps_usage: Whether it may still tell the tokens of the call that made it.
        fresh: The new ids so far, which all chunks of a stream share; more are added.
    """
    response.additional_kwargs = {**response.additional_kwargs, "toolops": HIT.copy()}
    if isinstance(response, ChatResponse):
        _renew(response, fresh)
    if keeps_usage:
        return
    for name in _TOKENS:
        if response.additional_kwargs.get(name):
            response.additional_kwargs[name] = 0
    response.additional_kwargs.pop("usage", None)
    for name in _USAGES:
        if isinstance(response.raw, dict):
            response.raw.pop(name, None)
        elif getattr(response.raw, name, None) is not None:
            setattr(response.raw, name, None)


def _renew(response: ChatResponse, fresh: dict[str, str]) -> None:
    """Give the tool calls of a message new ids, wherever these stand in it."""
    message = response.message
    for block in message.blocks:
        if isinstance(block, ToolCallBlock):
            block.tool_call_id = _new(block.tool_call_id, fresh)
    for call in _calls_beside(message.additional_kwargs):
        for name in _CALL_IDS:
            if isinstance(call, dict):
                if isinstance(call.get(name), str):
                    call[name] = _new(call[name], fresh)
            elif isinstance(getattr(call, name, None), str):
                setattr(call, name, _new(getattr(call, name), fresh))


def _calls_beside(additional: Mapping[str, Any]) -> Iterable[Any]:
    calls = additional.get("tool_calls")
    return calls if isinstance(calls, list) else ()


def _new(id_: str | None, fresh: dict[str, str]) -> str | None:
    if not id_:
        return id_
    known = fresh.get(id_)
    if known is None:
        known = fresh[id_] = f"call_{uuid.uuid4().hex[:24]}"
    return known
