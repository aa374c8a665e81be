"""Conversations of CrewAI as keys see them: the question, and everything else.

Two runs of one crew differ in the ids of tool calls. These change nothing in what the model is
asked, so they are no part of the key.
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

from toolops_plugins.adapters.conversation import (
    CallNumbers,
    Question,
    names_file,
    split_question,
)
from toolops_plugins.errors import NotCanonicalError

__all__ = ["question_of"]

_CALLS = ("tool_calls", "raw_tool_call_parts")
_TEXTS = ("text", "input_text")
_OBSERVATION = "Observation: "
"""The beginning of a tool's result that CrewAI passes on as the user."""

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
"""CrewAI's prompts that hold results or memories, and where these stand."""
_WORKING = (
    ("slices", "formatted_task_instructions"),
    ("memory", "extract_memories_system"),
    ("memory", "save_system"),
    ("memory", "consolidation_system"),
)
"""CrewAI's instructions to a model that works on a result, which is all that follows."""


def question_of(messages: Any, *, after_tools: bool = False) -> Question:
    """Return the question of a conversation, and everything else that reaches the model.

    Args:
        messages: The whole conversation; a text is a single message of the user.
        after_tools: Whether the last user text is still the question when results of tools follow
            it. Default False: such a turn has no question, so it is only ever looked up exactly.

    Raises:
        NotCanonicalError: There is something among the messages that is none.
        OSError: A file among them cannot be read.
    """
    if isinstance(messages, str):
        return messages, [["user", None]]
    if not isinstance(messages, Sequence):
        kind = type(messages).__name__
        raise NotCanonicalError(f"{kind} is no conversation", kind=kind)
    numbers = CallNumbers(_plain)
    turns = [_turn(message, numbers) for message in messages]
    # CrewAI's own words to the model behind each result of a tool are no question.
    urging = I18N_DEFAULT.slice("post_tool_reasoning")

    def is_question(index: int) -> bool | None:
        content = messages[index].get("content")
        if messages[index]["role"] != "user" or not isinstance(content, str | list):
            return False
        if content == urging or _is_observation(messages, index):
            return False
        return None if _quotes(messages, index) else True

    return split_question(turns, is_question, _text_of, after_tools=after_tools)


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    blocks = content if isinstance(content, list) else [content]
    texts = (block.get("text") if isinstance(block, Mapping) else block for block in blocks)
    return [text for text in texts if isinstance(text, str)]


def _is_observation(messages: Sequence[Mapping[str, Any]], index: int) -> bool:
    """Return whether a user's message is the result of a tool, behind the call of it."""
    texts = _texts(messages[index])
    begins = bool(texts) and texts[0].startswith(_OBSERVATION)
    return begins and index > 0 and messages[index - 1]["role"] == "assistant"


def _quotes(messages: Sequence[Mapping[str, Any]], index: int) -> bool:
    """Return whether a prompt of CrewAI's holds results, which differ where the words hardly do."""
    marks, working = _templates()
    system = [text for message in messages[:index] for text in _texts(message)[:1]]
    return any(mark in text for text in _texts(messages[index]) for mark in marks) or any(
        text.startswith(working) for text in system
    )


@cache
def _templates() -> tuple[list[str], tuple[str, ...]]:
    """Return CrewAI's words before results, and the beginnings of its instructions for them."""
    marks = ["Task result:", "Additional Information:"]
    for kind, key, what in _QUOTING:
        mark = _template(kind, key).partition(what)[0].rpartition("}")[2].strip()
        if mark:
            marks.append(mark)
    begins = (_template(kind, key).partition("{")[0] for kind, key in _WORKING)
    return marks, tuple(begin for begin in begins if begin)


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


def _turn(message: Any, numbers: CallNumbers) -> list[Any]:
    """Return a message as a list: role, content, and anything else that counts."""
    if not isinstance(message, Mapping) or "role" not in message:
        kind = type(message).__name__
        raise NotCanonicalError(f"{kind} is no message of a conversation", kind=kind)
    for name in _CALLS:
        for call in message.get(name) or ():
            numbers.add(call)
    turn = [message["role"], numbers.replace(message.get("content"), "content")]
    rest = {
        name: numbers.replace(value, name)
        for name, value in message.items()
        # The provider may cache what it has read up to here, which changes nothing in it.
        if value is not None and name not in ("role", "content", CACHE_BREAKPOINT_KEY)
    }
    return [*turn, rest] if rest else turn


def _plain(value: Any) -> Any:
    """Return a model as its class and its fields, with the content of a file that it names.

    The name of the file counts, which a provider may be told; the folder does not.
    """
    if not isinstance(value, BaseModel):
        return value
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    if names_file(value):
        fields["content"] = _digest(value)
        fields["path"] = Path(value.path).name  # type: ignore[attr-defined]  # it has one
    return [type(value), fields]


def _digest(file: Any) -> bytes:
    # A file that has been read may hold what it has read, and send that.
    read = getattr(file, "read", None)
    content = read() if callable(read) else file.path.read_bytes()
    return hashlib.sha256(content).digest()
