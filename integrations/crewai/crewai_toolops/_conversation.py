"""A conversation as the key sees it: what reaches the model, and what of it is the question.

Two runs of one crew differ in the ids of tool calls. These change nothing in what the model is
asked, so they are no part of the key; tool calls are numbered in the order of their appearance, so
that calls and results still belong together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crewai.llms.cache import CACHE_BREAKPOINT_KEY
from crewai.utilities.i18n import I18N_DEFAULT
from pydantic import BaseModel

from toolops_plugins.errors import NotCanonicalError

__all__ = ["Asked", "asked"]

Asked = tuple[str, list[Any]]
"""The question, "" if there is none, and everything else that reaches the model."""

_CALL_IDS = frozenset(("id", "call_id", "tool_call_id", "tool_use_id", "toolUseId"))
_CALLS = ("tool_calls", "raw_tool_call_parts")
_TEXTS = ("text", "input_text")


def asked(messages: Any, *, after_tools: bool = False) -> Asked:
    """Return what a conversation asks.

    Args:
        messages: The whole conversation; a text is the one thing that its user said.
        after_tools: Whether the last user text is still the question when results of tools follow
            it. Default False: such a turn has no question, so it is only ever looked up exactly.

    Raises:
        NotCanonicalError: There is something among the messages that is none.
    """
    if isinstance(messages, str):
        return messages, [["user", None]]
    if not isinstance(messages, Sequence):
        raise NotCanonicalError(f"{type(messages).__name__} is no conversation")
    calls: dict[str, int] = {}
    turns = [_turn(message, calls) for message in messages]
    last = _last_user(messages, after_tools=after_tools)
    if last is None:
        return "", turns
    content = turns[last][1]
    if isinstance(content, str):
        turns[last][1] = None
        return content, turns
    texts = [_text_of(block) for block in content]
    # The other blocks, such as pictures, stay in their places.
    rest = [block if text is None else None for block, text in zip(content, texts, strict=True)]
    said = [text for text in texts if text is not None]
    if len(said) > 1 and any("\n" in text for text in said):
        rest.append([len(text) for text in said])  # where one ends and the next begins
    turns[last][1] = rest
    return "\n".join(said), turns


def _last_user(messages: Sequence[Mapping[str, Any]], *, after_tools: bool) -> int | None:
    # What CrewAI itself says to the model behind each result of a tool is no question.
    urging = I18N_DEFAULT.slice("post_tool_reasoning")
    for index in range(len(messages) - 1, -1, -1):
        content = messages[index].get("content")
        is_users = messages[index]["role"] == "user" and isinstance(content, str | list)
        if is_users and content != urging:
            return index
        if not after_tools:
            return None
    return None


def _text_of(block: Any) -> str | None:
    if isinstance(block, str):
        return block
    if not isinstance(block, dict) or block.keys() != {"type", "text"}:
        return None
    text = block["text"]
    return text if block["type"] in _TEXTS and isinstance(text, str) else None


def _turn(message: Any, calls: dict[str, int]) -> list[Any]:
    """Return a message as a list: role, content, and what else there is."""
    if not isinstance(message, Mapping) or "role" not in message:
        raise NotCanonicalError(f"{type(message).__name__} is no message of a conversation")
    for name in _CALLS:
        for call in message.get(name) or ():
            _note(call, calls)
    turn = [message["role"], _plain(message.get("content"), "content", calls)]
    rest = {
        name: _plain(value, name, calls)
        for name, value in message.items()
        # Where a provider may put what it has read aside changes nothing in what it reads.
        if value is not None and name not in ("role", "content", CACHE_BREAKPOINT_KEY)
    }
    if rest:
        turn.append(rest)
    return turn


def _note(call: Any, calls: dict[str, int]) -> None:
    """Give the ids of a tool call, in whatever form, their numbers."""
    for name in _CALL_IDS:
        value = call.get(name) if isinstance(call, Mapping) else getattr(call, name, None)
        if isinstance(value, str) and value:
            calls.setdefault(value, len(calls))


def _plain(value: Any, key: str, calls: dict[str, int]) -> Any:
    """Return a value with the ids of tool calls replaced by their numbers, at any depth."""
    if isinstance(value, str):
        known = key in _CALL_IDS and (value in calls or key != "id")
        return ["call", calls.setdefault(value, len(calls))] if known else value
    if isinstance(value, BaseModel):
        fields = {n: getattr(value, n) for n in type(value).model_fields}
        return [type(value), _plain(fields, key, calls)]
    if isinstance(value, Mapping):
        return {n: _plain(v, str(n), calls) for n, v in value.items() if v is not None}
    if type(value) in (list, tuple):
        return [_plain(each, key, calls) for each in value]
    return value
