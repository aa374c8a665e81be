"""Conversations of LlamaIndex as keys see them: the question, and everything else.

Two runs of one agent differ in the ids of tool calls, and in the form in which a memory keeps calls
and results. Neither changes what the model is asked, so neither is part of the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from io import IOBase
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock, ToolCallBlock
from pydantic import AnyUrl, BaseModel

from toolops_plugins.adapters.answers import field_of
from toolops_plugins.adapters.call_ids import TOOL_CALL_IDS
from toolops_plugins.adapters.conversation import (
    CallNumbers,
    Question,
    names_file,
    split_question,
)
from toolops_plugins.adapters.model_identity import replace_values
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.policy import NOTHING

__all__ = ["question_of"]

_UNSENT = ("block_type", "num_tokens")
"""Fields of blocks of which no provider is told."""
_OBSERVATION = "Observation: "
"""The beginning of a tool's result that LlamaIndex's ReActAgent passes on as the user."""


def question_of(messages: Sequence[ChatMessage], *, after_tools: bool = False) -> Question:
    """Return the question of a conversation, and everything else that reaches the model.

    Args:
        messages: The whole conversation, the system message included.
        after_tools: Whether the last user text is still the question when tool results follow it.
            Default False: such a turn has no question, so it is only ever looked up exactly.

    Raises:
        NotCanonicalError: There is something among the messages that is none.
    """
    numbers = CallNumbers(_dump)
    turns = [_turn(message, numbers) for message in messages]

    def is_question(index: int) -> bool:
        return messages[index].role == MessageRole.USER and not _is_observation(messages, index)

    return split_question(turns, is_question, _text_of, after_tools=after_tools)


def _text_of(part: Any) -> str | None:
    return part if isinstance(part, str) else None


def _is_observation(messages: Sequence[ChatMessage], index: int) -> bool:
    """Return whether a user's message is the result of a tool, after the call of it."""
    text = messages[index].content or ""
    before = messages[index - 1] if index else None
    return (
        text.startswith(_OBSERVATION)
        and before is not None
        and before.role == MessageRole.ASSISTANT
    )


def _turn(message: ChatMessage, numbers: CallNumbers) -> list[Any]:
    """Return a message as a list: role, content, and anything else that counts."""
    if not isinstance(message, ChatMessage):
        raise NotCanonicalError(f"{type(message).__name__} is no chat message")
    content: list[Any] = []
    ids: set[str | None] = set()
    for block in message.blocks:
        if type(block) is TextBlock:
            if block.text:  # a stream leaves an empty one before its tool calls
                content.append(block.text)
        elif isinstance(block, ToolCallBlock):
            ids.add(block.tool_call_id)
            content.append(_call(block, numbers))
        else:
            content.append(_plain(block))
    turn: list[Any] = [MessageRole(message.role).value, content]
    beside = {name: v for name, v in message.additional_kwargs.items() if v is not None}
    calls = beside.get("tool_calls")
    if isinstance(calls, list):
        # The provider's own form of tool calls says nothing that the blocks do not say.
        calls = [call for call in calls if not (ids and _is_among(call, ids))]
        for call in calls:
            numbers.add(call)
        beside["tool_calls"] = calls
        if ids and not calls:
            del beside["tool_calls"]
    if type(message) is not ChatMessage:
        turn.append([type(message), {k: v for k, v in _fields(message).items() if k != "blocks"}])
    if beside:
        turn.append({name: numbers.replace(value, name) for name, value in beside.items()})
    return turn


def _call(block: ToolCallBlock, numbers: CallNumbers) -> list[Any]:
    arguments: Any = block.tool_kwargs
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = block.tool_kwargs
    return ["call", block.tool_name, arguments, numbers.number(block.tool_call_id)]


def _is_among(call: Any, ids: set[str | None]) -> bool:
    """Return whether a call in a provider's own form is one of those in the blocks."""
    own = [id_ for id_ in (field_of(call, name) for name in TOOL_CALL_IDS) if id_]
    return not own or any(id_ in ids for id_ in own)


def _fields(model: BaseModel) -> dict[str, Any]:
    """Return the fields of a block that are set, with models inside as their fields.

    A file stands there with its content, which may be another one the next time, and which may lie
    elsewhere: of its path no more than the ending is told to a provider.
    """
    fields = {
        name: _plain(value)
        for name, value in ((name, getattr(model, name)) for name in type(model).model_fields)
        if value is not None and name not in _UNSENT
    }
    if names_file(model):
        path = Path(model.path)  # type: ignore[attr-defined]  # it has one
        with path.open("rb") as file:
            fields["content"] = hashlib.file_digest(file, "sha256").digest()
        fields["path"] = path.suffix
    return fields


def _plain(value: Any) -> Any:
    return replace_values(value, _plain_model)


def _plain_model(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return [type(value).__name__, _fields(value)]
    if isinstance(value, IOBase) and value.seekable():
        return _digest(value)
    return str(value) if isinstance(value, AnyUrl) else NOTHING


def _digest(file: Any) -> bytes:
    """Return the digest of what an open file holds, which the model reads from its beginning."""
    place = file.tell()
    file.seek(0)
    try:
        return hashlib.sha256(file.read()).digest()
    finally:
        file.seek(place)


def _dump(value: Any) -> Any:
    """Return an object of a provider's package as plain data."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True, warnings=False)
    return value
