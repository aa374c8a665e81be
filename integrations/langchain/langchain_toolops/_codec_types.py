"""LangChain's values for the core's codec: by name, with no class path and no pickle.

LangChain's own ``load`` builds whatever class the stored bytes name (CVE-2025-68664 shows where
that leads). Here stored bytes name one of the types below, and nothing else can come out of them.
A message leaves without its id, which belongs to the run that made it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
)
from pydantic import BaseModel

from toolops_plugins import Codec

__all__ = ["Generations", "teach"]

_MESSAGES: tuple[type[BaseMessage], ...] = (
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)


_SIMPLE: dict[str, type] = {
    "content": str,
    "additional_kwargs": dict,
    "response_metadata": dict,
    "usage_metadata": dict,
    "name": str,
}
"""Fields of a message that are what they should be if their type is this one."""
_AS_KNOWN = AIMessage.model_fields.keys() == {
    *_SIMPLE,
    "type",
    "id",
    "tool_calls",
    "invalid_tool_calls",
} and ChatGeneration.model_fields.keys() == {"text", "generation_info", "type", "message"}
"""Whether the installed LangChain has the fields that this module was written for."""


_INFO = (dict, type(None))
_NEW = object.__new__
_STATE, _EXTRA, _GIVEN, _PRIVATE = (
    vars(BaseModel)[name].__set__
    for name in (
        "__dict__",
        "__pydantic_extra__",
        "__pydantic_fields_set__",
        "__pydantic_private__",
    )
)
"""What unpickling sets in a model, set without looking the names up: three times as fast."""


class Generations(list[Generation]):
    """What a model has generated, as LangChain's caches take and give it."""


def teach(codec: Codec) -> None:
    """Make messages, generations and documents encodable; doing it again does nothing.

    Args:
        codec: The codec of a runtime.

    Raises:
        ConfigurationError: One of the names stands for another type in that codec.
    """
    for message in _MESSAGES:
        _register(codec, message, _message_fields)
    _register(codec, AIMessage, _message_fields, _ai_message)
    for chat in (ChatGeneration, ChatGenerationChunk):
        _register(codec, chat, _chat_fields)
    _register(codec, ChatResult, _result_fields)
    codec.register(
        Generations, "langchain.Generations", encode=_written, decode=_read, verify=False
    )
    for other in (Document, Generation, GenerationChunk):
        _register(codec, other, _fields)


def _register(
    codec: Codec,
    kind: type[Any],
    encode: Callable[[Any], Any],
    decode: Callable[[Any], Any] | None = None,
) -> None:
    decode = decode or partial(_made, kind)
    codec.register(kind, f"langchain.{kind.__name__}", encode=encode, decode=decode, verify=False)


def _made(kind: type[Any], fields: dict[str, Any]) -> Any:
    return kind(**fields)


def _ai_message(fields: dict[str, Any]) -> AIMessage:
    return _unchecked_message(fields) or AIMessage(**fields)


def _unchecked_message(fields: dict[str, Any]) -> AIMessage | None:
    """Return a message without asking pydantic's validators, or None if they have to be asked.

    They take most of the time of a hit, and find nothing in what is simple but what a forged entry
    holds; and that is found here.
    """
    for name, value in fields.items():
        if type(value) is not _SIMPLE.get(name):
            return None
    if not _AS_KNOWN or "content" not in fields:
        return None
    message: AIMessage = _NEW(AIMessage)
    _STATE(
        message,
        {
            "content": "",
            "additional_kwargs": {},
            "response_metadata": {},
            "type": "ai",
            "name": None,
            "id": None,
            "tool_calls": [],
            "invalid_tool_calls": [],
            "usage_metadata": None,
            **fields,
        },
    )
    _EXTRA(message, {})
    _GIVEN(message, set(fields))
    _PRIVATE(message, None)
    return message


def _written(generations: Generations) -> list[Any]:
    """Return what is stored: of the usual generation the bare fields, which are read fastest."""
    stored: list[Any] = []
    for each in generations:
        if type(each) is ChatGeneration and type(each.message) is AIMessage:
            stored.append({"message": _message_fields(each.message), "info": each.generation_info})
        else:
            stored.append(each)
    return stored


def _read(stored: list[Any]) -> Generations:
    return Generations([_generation(e) if type(e) is dict else _checked(e) for e in stored])


def _checked(read: Any) -> Generation:
    if not isinstance(read, Generation):
        raise TypeError(f"{type(read).__name__} is no generation")
    return read


def _generation(stored: dict[str, Any]) -> ChatGeneration:
    fields, info = stored["message"], stored["info"]
    message = _unchecked_message(fields)
    if message is None or type(info) not in _INFO:
        return ChatGeneration(message=message or AIMessage(**fields), generation_info=info)
    generation: ChatGeneration = _NEW(ChatGeneration)
    _STATE(
        generation,
        {
            "text": message.content,
            "generation_info": info,
            "type": "ChatGeneration",
            "message": message,
        },
    )
    _EXTRA(generation, None)
    _GIVEN(generation, {"text", "message", "generation_info"})
    _PRIVATE(generation, None)
    return generation


def _fields(value: BaseModel) -> dict[str, Any]:
    """Return the fields that are not at their defaults."""
    kept = {}
    for name, field in type(value).model_fields.items():
        content = getattr(value, name)
        if field.is_required() or not (content is field.default or _is_empty(content)):
            kept[name] = content
    kept.pop("type", None)
    return kept


def _is_empty(content: Any) -> bool:
    # By type, since an artifact may be an array, which has no truth value.
    return type(content) in (str, list, dict) and not content


def _chat_fields(generation: BaseModel) -> dict[str, Any]:
    kept = _fields(generation)
    kept.pop("text", None)  # which it takes from its message
    return kept


def _result_fields(result: BaseModel) -> dict[str, Any]:
    return {**_fields(result), "generations": Generations(result.generations)}  # type: ignore[attr-defined] # it is a ChatResult


def _message_fields(message: BaseMessage) -> dict[str, Any]:
    kept = {**_fields(message), **(message.model_extra or {})}
    kept.pop("id", None)
    extra = kept.get("additional_kwargs")
    if extra and isinstance(extra.get("parsed"), BaseModel):
        kept["additional_kwargs"] = {**extra, "parsed": _unparsed(extra["parsed"], message.text)}
    return kept


def _unparsed(parsed: BaseModel, text: str) -> dict[str, Any]:
    """Return the fields from which a structured output is made again, as its readers do.

    Raises:
        ValueError: They do not make the same.
    """
    fields: dict[str, Any] = orjson.loads(text.encode())
    if type(parsed)(**fields) != parsed:
        raise ValueError("a structured output that its own text does not make again")
    return fields
