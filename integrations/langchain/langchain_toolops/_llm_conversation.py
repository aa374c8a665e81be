"""Conversations of LangChain as keys see them: the question, and everything else.

Two runs of one agent differ in the ids of messages and tool calls, in response metadata and token
counts, and in the ids that LangChain gives content blocks which have none. None of these changes
what the model is asked, so none is part of the key. Other ids are: a provider may know a file, a
picture or a thought by them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from langchain_core.messages import BaseMessage

from langchain_toolops._block_ids import is_generated
from langchain_toolops._llm_answers import ITEM_IDS
from toolops_plugins.adapters.conversation import CallNumbers, Question, split_question
from toolops_plugins.errors import NotCanonicalError

__all__ = ["question_in_text", "question_of"]

_KINDS = {
    f"{prefix}Message{suffix}": kind
    for prefix, kind in {
        "AI": "ai",
        "Human": "human",
        "System": "system",
        "Tool": "tool",
        "Function": "function",
        "Chat": "chat",
    }.items()
    for suffix in ("", "Chunk")
}
"""By the class name, since a chunk that was streamed says the same as a message."""
_FIELDS = ("name", "role", "tool_call_id", "invalid_tool_calls")
"""Fields that count beside content, tool calls and status."""
_SAID_ELSEWHERE = ("tool_calls", "parsed", ITEM_IDS)
"""The provider's own form of tool calls, what a structured answer was parsed into, and the ids of
the items that hold the calls."""
_CALLS = ("custom_tool_call", "function_call", "tool_call", "tool_use")
"""Types of blocks that are tool calls."""
_LONG = re.compile(r"\d{17}")


def question_of(
    messages: Sequence[BaseMessage], *, after_tools: bool = False, by_response: bool = False
) -> Question:
    """Return the question of a conversation, and everything else that reaches the model.

    Args:
        messages: The whole conversation, the system message included.
        after_tools: Whether the last human text is still the question when tool results follow
            it. Default False: such a turn has no question, so it is only ever looked up exactly.
        by_response: Whether the provider knows the earlier turns by the id of its last response.

    Raises:
        NotCanonicalError: A message is of a class that is not known here.
    """
    plain = [(_kind(type(m).__name__), {**m.__dict__, **(m.model_extra or {})}) for m in messages]
    return _split(plain, after_tools=after_tools, by_response=by_response)


def question_in_text(
    prompt: str, *, after_tools: bool = False, by_response: bool = False
) -> Question:
    """Return the question of a prompt in the form that LangChain's caches get.

    Args:
        prompt: The conversation as LangChain's ``dumps`` wrote it, or the text for a plain LLM.
        after_tools: As in :func:`question_of`.
        by_response: As there.

    Raises:
        NotCanonicalError: A message holds an object that LangChain could not write down.
    """
    if not prompt.startswith('[{"lc":'):
        return prompt, []
    try:
        content = _load(prompt)
        plain = [(_kind(each["id"][-1]), each["kwargs"]) for each in content]
        has_unwritten = '"not_implemented"' in prompt and _has_unwritten(content)
        found = _split(plain, after_tools=after_tools, by_response=by_response)
    except NotCanonicalError:
        raise
    except Exception:  # noqa: BLE001 - a text that only looks like a conversation may hold anything
        return "", [prompt]
    if has_unwritten:
        raise NotCanonicalError("a message holds an object that LangChain cannot write down")
    return found


def _load(prompt: str) -> Any:
    """Return the content of JSON; orjson takes no NaN, and rounds numbers of many digits."""
    if _LONG.search(prompt) is None:
        try:
            return orjson.loads(prompt)
        except orjson.JSONDecodeError:
            pass
    return json.loads(prompt)


def _kind(name: str) -> str:
    kind = _KINDS.get(name)
    if kind is None:
        raise NotCanonicalError(f"messages of the class {name} are not known")
    return kind


def _has_unwritten(value: Any) -> bool:
    if isinstance(value, dict):
        if value.get("lc") and value.get("type") == "not_implemented":
            return True
        return any(map(_has_unwritten, value.values()))
    return isinstance(value, list) and any(map(_has_unwritten, value))


def _split(
    messages: Sequence[tuple[str, Mapping[str, Any]]], *, after_tools: bool, by_response: bool
) -> Question:
    numbers = CallNumbers(is_generated=is_generated)
    turns = [_turn(kind, fields, numbers, by_response=by_response) for kind, fields in messages]
    return split_question(
        turns, lambda index: messages[index][0] == "human", _text_of, after_tools=after_tools
    )


def _text_of(block: Any) -> str | None:
    if isinstance(block, str):
        return block
    plain = isinstance(block, dict) and block.keys() <= {"type", "text", "id"}
    return block["text"] if plain and isinstance(block.get("text"), str) else None


def _turn(
    kind: str, fields: Mapping[str, Any], numbers: CallNumbers, *, by_response: bool
) -> list[Any]:
    """Return a message as a list: kind, content, and anything else that counts."""
    calls = [
        [call["name"], call["args"], numbers.number(call.get("id"))]
        for call in fields.get("tool_calls") or ()
    ]
    content = fields.get("content", "")
    if kind == "ai":
        for call in fields.get("invalid_tool_calls") or ():
            numbers.number(call.get("id"))
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict) and block.get("type") in _CALLS:
                numbers.number(block.get("call_id") or block.get("id"))
    content = numbers.replace(content)
    rest = {name: numbers.replace(fields[name], name) for name in _FIELDS if fields.get(name)}
    if calls:
        rest["tool_calls"] = calls
    if fields.get("status") == "error":
        rest["status"] = "error"
    beside = {
        name: numbers.replace(value, name)
        for name, value in (fields.get("additional_kwargs") or {}).items()
        if value is not None and name not in _SAID_ELSEWHERE
    }
    if beside:
        rest["additional_kwargs"] = beside
    if by_response and kind == "ai":
        rest["response"] = (fields.get("response_metadata") or {}).get("id")
    return [kind, content, rest] if rest else [kind, content]
