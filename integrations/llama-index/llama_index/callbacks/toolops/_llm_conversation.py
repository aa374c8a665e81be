"""A conversation as the key sees it: what reaches the model, and what of it is the question.

Two runs of one agent differ in the ids of tool calls, and in the form in which calls and results
have been put away meanwhile. Neither changes what the model is asked, so neither is part of the
key; tool calls are numbered in the order of their appearance, so that calls and results still
belong together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
    VideoBlock,
)
from pydantic import AnyUrl, BaseModel

from toolops_plugins.adapters.conversation import parted
from toolops_plugins.errors import NotCanonicalError

__all__ = ["Asked", "asked", "reads_files"]

Asked = tuple[str, list[Any]]
"""The question, "" if there is none, and everything else that reaches the model."""

_MEDIA = (AudioBlock, DocumentBlock, ImageBlock, VideoBlock)
"""Blocks that may name a file."""
_OBSERVATION = "Observation: "
"""How LlamaIndex's ReActAgent begins what a tool has returned, which it says as the user."""
_CALL_IDS = frozenset(("id", "tool_id", "tool_call_id", "call_id"))


def asked(messages: Sequence[ChatMessage], *, after_tools: bool = False) -> Asked:
    """Return what a conversation asks.

    Args:
        messages: The whole conversation, the system message included.
        after_tools: Whether the last user text is still the question when tool results follow it.
            Default False: such a turn has no question, so it is only ever looked up exactly.

    Raises:
        NotCanonicalError: There is something among the messages that is none.
    """
    calls: dict[str, int] = {}
    turns = [_turn(message, calls) for message in messages]
    last = _last_user(messages, after_tools=after_tools)
    if last is None:
        return "", turns
    content = turns[last][1]
    texts = [part if isinstance(part, str) else None for part in content]
    question, turns[last][1] = parted(content, texts)
    return question, turns


def _last_user(messages: Sequence[ChatMessage], *, after_tools: bool) -> int | None:
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role == MessageRole.USER and not _is_observed(messages, index):
            return index
        if not after_tools:
            return None
    return None


def _is_observed(messages: Sequence[ChatMessage], index: int) -> bool:
    """Return whether a user's message is the result of a tool, after the call of it."""
    said = messages[index].content or ""
    before = messages[index - 1] if index else None
    return (
        said.startswith(_OBSERVATION)
        and before is not None
        and before.role == MessageRole.ASSISTANT
    )


def _turn(message: ChatMessage, calls: dict[str, int]) -> list[Any]:
    """Return a message as a list: role, content, and what else there is."""
    if not isinstance(message, ChatMessage):
        raise NotCanonicalError(f"{type(message).__name__} is no chat message")
    content: list[Any] = []
    told: set[str | None] = set()
    for block in message.blocks:
        if type(block) is TextBlock:
            if block.text:  # a stream leaves an empty one before its tool calls
                content.append(block.text)
        elif isinstance(block, ToolCallBlock):
            told.add(block.tool_call_id)
            content.append(_call(block, calls))
        else:
            content.append([type(block).__name__, _fields(block)])
    turn: list[Any] = [MessageRole(message.role).value, content]
    beside = {}
    for name, value in message.additional_kwargs.items():
        if told and name == "tool_calls" and isinstance(value, list):
            # The provider's own form of tool calls says nothing that the blocks do not say.
            value = [each for each in value if not _is_told(each, told)] or None  # noqa: PLW2901 - the rest of it
        if value is not None:
            beside[name] = _plain(value, name, calls)
    if type(message) is not ChatMessage:
        turn.append([type(message), {k: v for k, v in _fields(message).items() if k != "blocks"}])
    if beside:
        turn.append(beside)
    return turn


def _call(block: ToolCallBlock, calls: dict[str, int]) -> list[Any]:
    arguments: Any = block.tool_kwargs
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = block.tool_kwargs
    return ["call", block.tool_name, arguments, _number(block.tool_call_id, calls)]


def _is_told(call: Any, told: set[str | None]) -> bool:
    """Return whether a call in a provider's own form is one of those in the blocks."""
    known = call.get if isinstance(call, Mapping) else partial(_attribute, call)
    ids = [known(name) for name in sorted(_CALL_IDS) if known(name)]
    return not ids or any(id_ in told for id_ in ids)


def _attribute(holder: Any, name: str) -> Any:
    return getattr(holder, name, None)


def _number(id_: Any, calls: dict[str, int]) -> int | None:
    if not isinstance(id_, str) or not id_:
        return None
    return calls.setdefault(id_, len(calls))


def _fields(model: BaseModel) -> dict[str, Any]:
    """Return the fields of a block that are set, with models inside as their fields.

    A file stands there with its content, which may be another one the next time.
    """
    fields = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if value is not None and name != "block_type":
            fields[name] = _inner(value)
    if isinstance(model, _MEDIA) and model.path is not None:
        with Path(model.path).open("rb") as file:
            fields["content"] = hashlib.file_digest(file, "sha256").digest()
    return fields


def reads_files(messages: Iterable[Any]) -> bool:
    """Return whether files have to be read to tell what a conversation asks."""
    return any(map(_is_file, messages))


def _is_file(value: Any) -> bool:
    if isinstance(value, _MEDIA):
        return value.path is not None
    if isinstance(value, ChatMessage):
        return any(type(each) is not TextBlock and _is_file(each) for each in value.blocks)
    if isinstance(value, BaseModel):
        return any(map(_is_file, vars(value).values()))
    return isinstance(value, list | tuple) and any(map(_is_file, value))


def _inner(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return [type(value).__name__, _fields(value)]
    if isinstance(value, AnyUrl):
        return str(value)
    if type(value) in (list, tuple):
        return [_inner(each) for each in value]
    return value


def _plain(value: Any, key: str, calls: dict[str, int]) -> Any:
    """Return what stands beside a message's blocks, with tool calls numbered at any depth."""
    if isinstance(value, str):
        is_call = key in _CALL_IDS and (value in calls or key != "id")
        return ["call", _number(value, calls)] if is_call else value
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True, warnings=False)
    if isinstance(value, Mapping):
        if "function" in value and "id" in value:  # a call in the form of OpenAI
            _number(value["id"], calls)
        return {name: _plain(v, name, calls) for name, v in value.items() if v is not None}
    if type(value) in (list, tuple):
        return [_plain(each, key, calls) for each in value]
    return value
