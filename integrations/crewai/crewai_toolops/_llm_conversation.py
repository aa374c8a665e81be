"""A conversation as the key sees it: what reaches the model, and what of it is the question.

Two runs of one crew differ in the ids of tool calls. These change nothing in what the model is
asked, so they are no part of the key; tool calls are numbered in the order of their appearance, so
that calls and results still belong together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from crewai.llms.cache import CACHE_BREAKPOINT_KEY
from crewai.utilities.i18n import I18N_DEFAULT
from pydantic import BaseModel

from toolops_plugins.adapters.conversation import parted
from toolops_plugins.errors import NotCanonicalError

__all__ = ["Asked", "asked", "reads_files"]

Asked = tuple[str, list[Any]]
"""The question, "" if there is none, and everything else that reaches the model."""

_CALL_IDS = frozenset(("id", "call_id", "tool_call_id", "tool_use_id", "toolUseId"))
_CALLS = ("tool_calls", "raw_tool_call_parts")
_VERBATIM = frozenset(("args", "arguments", "input", "json", "output", "response"))
"""What a tool was given, or has returned: whatever its names, they are its own."""
_TEXTS = ("text", "input_text")
_OBSERVATION = "Observation: "
"""How CrewAI begins what a tool has returned where it says so as the user."""

_QUOTING = (
    ("slices", "task_with_context", "{context}"),
    ("slices", "memory", "{memory}"),
    ("slices", "summarize_instruction", "{conversation}"),
    ("slices", "hitl_pre_review_user", "{output}"),
    ("slices", "hitl_distill_user", "{output}"),
    ("errors", "validation_error", "{task_output}"),
    ("planning", "synthesis_user_prompt", "{combined_steps}"),
    ("planning", "observation_user_prompt", "{step_number}"),
    ("planning", "replan_enhancement_prompt", "{previous_context}"),
    ("planning", "step_executor_context_header", "{}"),
)
"""Prompts of CrewAI's that hold results, or what was remembered; and where these stand."""
_WORKING = (
    ("slices", "formatted_task_instructions"),
    ("memory", "extract_memories_system"),
    ("memory", "save_system"),
    ("memory", "consolidation_system"),
)
"""What CrewAI tells a model that is to do something to a result, which is all that follows."""


def asked(messages: Any, *, after_tools: bool = False) -> Asked:
    """Return what a conversation asks.

    Args:
        messages: The whole conversation; a text is the one thing that its user said.
        after_tools: Whether the last user text is still the question when results of tools follow
            it. Default False: such a turn has no question, so it is only ever looked up exactly.

    Raises:
        NotCanonicalError: There is something among the messages that is none.
        OSError: A file among them cannot be read.
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
    question, turns[last][1] = parted(content, [_text_of(block) for block in content])
    return question, turns


def _last_user(messages: Sequence[Mapping[str, Any]], *, after_tools: bool) -> int | None:
    # What CrewAI itself says to the model behind each result of a tool is no question.
    urging = I18N_DEFAULT.slice("post_tool_reasoning")
    for index in range(len(messages) - 1, -1, -1):
        content = messages[index].get("content")
        is_users = messages[index]["role"] == "user" and isinstance(content, str | list)
        if is_users and content != urging and not _is_observed(messages, index):
            return None if _quotes(messages, index) else index
        if not after_tools:
            return None
    return None


def _said(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    blocks = content if isinstance(content, list) else [content]
    texts = (block.get("text") if isinstance(block, Mapping) else block for block in blocks)
    return [text for text in texts if isinstance(text, str)]


def _is_observed(messages: Sequence[Mapping[str, Any]], index: int) -> bool:
    """Return whether a user's message is the result of a tool, behind the call of it."""
    said = _said(messages[index])
    begins = bool(said) and said[0].startswith(_OBSERVATION)
    return begins and index > 0 and messages[index - 1]["role"] == "assistant"


def _quotes(messages: Sequence[Mapping[str, Any]], index: int) -> bool:
    """Return whether a prompt of CrewAI's holds results, which differ where the words hardly do."""
    told, working = _templates()
    system = [text for message in messages[:index] for text in _said(message)[:1]]
    return any(mark in text for text in _said(messages[index]) for mark in told) or any(
        text.startswith(working) for text in system
    )


@cache
def _templates() -> tuple[list[str], tuple[str, ...]]:
    """Return what CrewAI writes before results, and how it begins where all else is one."""
    told = ["Task result:", "Additional Information:"]
    for kind, key, what in _QUOTING:
        mark = _template(kind, key).partition(what)[0].rpartition("}")[2].strip()
        if mark:
            told.append(mark)
    begins = (_template(kind, key).partition("{")[0] for kind, key in _WORKING)
    return told, tuple(begin for begin in begins if begin)


def _template(kind: Any, key: str) -> str:
    try:
        return str(I18N_DEFAULT.retrieve(kind, key))
    except Exception:  # noqa: BLE001 - it raises nothing else; another version may have other ones
        return ""


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
        if _names_file(value):
            fields["content"] = _digest(value)
        return [type(value), _plain(fields, key, calls)]
    if isinstance(value, Mapping):
        return {
            n: v if n in _VERBATIM else _plain(v, str(n), calls)
            for n, v in value.items()
            if v is not None
        }
    if type(value) in (list, tuple):
        return [_plain(each, key, calls) for each in value]
    return value


def reads_files(messages: Any) -> bool:
    """Return whether files have to be read to tell what a conversation asks."""
    if isinstance(messages, BaseModel):
        return _names_file(messages) or reads_files(list(vars(messages).values()))
    if isinstance(messages, Mapping):
        return reads_files(list(messages.values()))
    return isinstance(messages, list | tuple) and any(map(reads_files, messages))


def _names_file(value: BaseModel) -> bool:
    return isinstance(getattr(value, "path", None), Path)


def _digest(file: Any) -> bytes:
    """Return a digest of what stands in a file that is named in a conversation."""
    # One that has been read may hold what it has read, and send that.
    read = getattr(file, "read", None)
    content = read() if callable(read) else file.path.read_bytes()
    return hashlib.sha256(content).digest()
