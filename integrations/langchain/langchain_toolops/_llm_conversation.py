"""A conversation as the key sees it: what reaches the model, and what of it is the question.

Two runs of one agent differ in the ids of messages and tool calls, in response metadata and token
counts. None of these changes what the model is asked, so none is part of the key; tool calls are
numbered in the order of their appearance, so that calls and results still belong together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from langchain_core.messages import BaseMessage

from toolops_plugins.adapters.conversation import parted
from toolops_plugins.errors import NotCanonicalError

__all__ = ["Asked", "asked", "asked_in_text"]

Asked = tuple[str, list[Any]]
"""The question, "" if there is none, and everything else that reaches the model."""

_KINDS = {
    "AIMessage": "ai",
    "AIMessageChunk": "ai",
    "HumanMessage": "human",
    "HumanMessageChunk": "human",
    "SystemMessage": "system",
    "SystemMessageChunk": "system",
    "ToolMessage": "tool",
    "ToolMessageChunk": "tool",
    "FunctionMessage": "function",
    "FunctionMessageChunk": "function",
    "ChatMessage": "chat",
    "ChatMessageChunk": "chat",
}
"""By the class name, since a chunk that was streamed says the same as a message."""
_FIELDS = ("name", "role", "tool_call_id", "invalid_tool_calls")
"""Beside content, tool calls and status."""
_TOLD_ELSEWHERE = ("tool_calls", "parsed")
"""The provider's own form of tool calls, and what a structured answer was parsed into."""
_SAY_NOTHING = frozenset(("id", "index", "status", "type"))
"""Where a block has nothing else, the provider knows by its id what it is: a picture, a sound."""
_LONG = re.compile(r"\d{17}")
_ID_KEYS = frozenset(("id", "call_id", "tool_call_id", "tool_use_id"))


def asked(messages: Sequence[BaseMessage], *, after_tools: bool = False) -> Asked:
    """Return what a conversation asks.

    Args:
        messages: The whole conversation, the system message included.
        after_tools: Whether the last human text is still the question when tool results follow
            it. Default False: such a turn has no question, so it is only ever looked up exactly.

    Raises:
        NotCanonicalError: A message is of no kind that is known here.
    """
    plain = [(_kind(type(m).__name__), {**m.__dict__, **(m.model_extra or {})}) for m in messages]
    return _divided(plain, after_tools=after_tools)


def asked_in_text(prompt: str, *, after_tools: bool = False) -> Asked:
    """Return what a prompt asks, as LangChain's caches get it.

    Args:
        prompt: The conversation as LangChain's ``dumps`` wrote it, or the text for a plain LLM.
        after_tools: As in :func:`asked`.

    Raises:
        NotCanonicalError: A message holds what LangChain could not write down.
    """
    if not prompt.startswith('[{"lc":'):
        return prompt, []
    try:
        content = _loaded(prompt)
        plain = [(_kind(each["id"][-1]), each["kwargs"]) for each in content]
        unwritten = '"not_implemented"' in prompt and _has_unwritten(content)
        found = _divided(plain, after_tools=after_tools)
    except NotCanonicalError:
        raise
    except Exception:  # noqa: BLE001 - a text that only looks like a conversation may hold anything
        return "", [prompt]
    if unwritten:
        raise NotCanonicalError("a message holds an object that LangChain cannot write down")
    return found


def _loaded(prompt: str) -> Any:
    """Return what ``json`` has written; orjson takes no NaN, and rounds what has many digits."""
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


def _divided(messages: Sequence[tuple[str, Mapping[str, Any]]], *, after_tools: bool) -> Asked:
    calls: dict[str, int] = {}
    turns = [_turn(kind, fields, calls) for kind, fields in messages]
    last = _last_human(messages, after_tools=after_tools)
    if last is None:
        return "", turns
    content = turns[last][1]
    if isinstance(content, str):
        turns[last][1] = None
        return content, turns
    question, turns[last][1] = parted(content, [_text_of(block) for block in content])
    return question, turns


def _last_human(
    messages: Sequence[tuple[str, Mapping[str, Any]]], *, after_tools: bool
) -> int | None:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index][0] == "human":
            return index
        if not after_tools:
            return None
    return None


def _text_of(block: Any) -> str | None:
    if isinstance(block, str):
        return block
    plain = isinstance(block, dict) and block.keys() <= {"type", "text", "id"}
    return block["text"] if plain and isinstance(block.get("text"), str) else None


def _turn(kind: str, fields: Mapping[str, Any], calls: dict[str, int]) -> list[Any]:
    """Return a message as a list: kind, content, and what else there is."""
    made = fields.get("tool_calls") or ()
    for call in made:
        _number(call.get("id"), calls)
    content = fields.get("content", "")
    renumbered = _renumbering(calls, drop_ids=kind == "ai")
    rest: dict[str, Any] = {
        name: renumbered(fields[name], name) for name in _FIELDS if fields.get(name)
    }
    if made:
        rest["tool_calls"] = [
            [call["name"], call["args"], calls.get(call.get("id") or "")] for call in made
        ]
    if fields.get("status") == "error":
        rest["status"] = "error"
    extra = fields.get("additional_kwargs")
    if extra:
        kept = {
            name: renumbered(value, name)
            for name, value in extra.items()
            if value is not None and name not in _TOLD_ELSEWHERE
        }
        if kept:
            rest["additional_kwargs"] = kept
    turn = [kind, content if isinstance(content, str) else renumbered(content, "content")]
    if rest:
        turn.append(rest)
    return turn


def _number(id_: Any, calls: dict[str, int]) -> None:
    if isinstance(id_, str) and id_:
        calls.setdefault(id_, len(calls))


def _renumbering(calls: Mapping[str, int], *, drop_ids: bool) -> Callable[[Any, str], Any]:
    """Return what replaces the ids of tool calls by numbers, at any depth.

    Args:
        calls: The numbers so far.
        drop_ids: Whether an ``id`` that is none of a tool call is left out where something else
            says what it is about: those of what a model wrote are of its run alone, while those of
            what a human sent may be of a file.
    """

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, str):
            return ["call", calls[value]] if key in _ID_KEYS and _is_call(value, calls) else value
        if isinstance(value, dict):
            drops = drop_ids and any(value[name] for name in value if name not in _SAY_NOTHING)
            return {
                name: walk(item, name)
                for name, item in value.items()
                if not (drops and name == "id" and not _is_call(item, calls))
            }
        if isinstance(value, list):
            return [walk(item, key) for item in value]
        return value

    return walk


def _is_call(value: Any, calls: Mapping[str, int]) -> bool:
    return isinstance(value, str) and value in calls
