"""Types of LangChain for the core's codec: by name, with no class path and no pickle.

LangChain's own ``load`` builds whatever class the stored bytes name (CVE-2025-68664 shows where
that leads). Here stored bytes name one of the types below, and nothing else can come out of them.
A message leaves without its id, which belongs to the run that made it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

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
from langchain_core.messages.base import TextAccessor
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
)
from pydantic import BaseModel

from toolops_plugins import Codec
from toolops_plugins.adapters.pydantic_state import build_model
from toolops_plugins.adapters.structured_values import dump_structured

__all__ = ["Generations", "dump_simple", "load_simple", "teach"]

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


class Generations(list[Generation]):
    """The generations of a model, as LangChain's caches store them."""


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
    _register(codec, LLMResult, _llm_fields)
    codec.register(
        Generations,
        "langchain.Generations",
        encode=_dump_generations,
        decode=_load_generations,
        verify=False,
    )
    for other in (Document, Generation, GenerationChunk):
        _register(codec, other, _fields)
    # The text of a message, which tools return.
    codec.register(
        TextAccessor,
        "langchain.TextAccessor",
        encode=str.__str__,
        decode=TextAccessor,
        verify=False,
    )


def _register(
    codec: Codec,
    kind: type[Any],
    encode: Callable[[Any], Any],
    decode: Callable[[Any], Any] | None = None,
) -> None:
    decode = decode or partial(_construct, kind)
    codec.register(kind, f"langchain.{kind.__name__}", encode=encode, decode=decode, verify=False)


def _construct(kind: type[Any], fields: dict[str, Any]) -> Any:
    return kind(**fields)


def _ai_message(fields: dict[str, Any]) -> AIMessage:
    return _build_message(fields) or AIMessage(**fields)


def _build_message(fields: dict[str, Any]) -> AIMessage | None:
    """Return a message without pydantic's validators, or None if they are needed.

    They take most of the time of a hit. In simple values they find only what a forged entry holds,
    which is found here.
    """
    for name, value in fields.items():
        if type(value) is not _SIMPLE.get(name):
            return None
    if not _AS_KNOWN or "content" not in fields:
        return None
    state = {
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
    }
    return build_model(AIMessage, state, set(fields), {})


def _dump_generations(generations: Generations) -> list[Any]:
    """Return what is stored: of the usual generation the bare fields, which are read fastest."""
    stored: list[Any] = []
    for each in generations:
        if type(each) is ChatGeneration and type(each.message) is AIMessage:
            stored.append(_dump_message(each.message, each.generation_info))
        else:
            stored.append(each)
    return stored


def _load_generations(stored: list[Any]) -> Generations:
    return Generations(
        [load_simple(e) if type(e) is dict else _check_generation(e) for e in stored]
    )


def _check_generation(read: Any) -> Generation:
    if not isinstance(read, Generation):
        raise TypeError(f"{type(read).__name__} is no generation")
    return read


def _dump_message(message: AIMessage, info: Any) -> dict[str, Any]:
    return {"message": _message_fields(message), "info": info}


def dump_simple(generation: Generation) -> dict[str, Any] | None:
    """Return the fields of a generation whose message needs no validators, or None for others."""
    if type(generation) is not ChatGeneration or type(generation.message) is not AIMessage:
        return None
    stored = _dump_message(generation.message, generation.generation_info)
    return None if _build_message(stored["message"]) is None else stored


def load_simple(stored: dict[str, Any]) -> ChatGeneration:
    """Return the generation of stored fields."""
    fields, info = stored["message"], stored["info"]
    message = _build_message(fields)
    if message is None or type(info) not in _INFO:
        return ChatGeneration(message=message or AIMessage(**fields), generation_info=info)
    state = {
        "text": message.content,
        "generation_info": info,
        "type": "ChatGeneration",
        "message": message,
    }
    return build_model(ChatGeneration, state, {"text", "message", "generation_info"})


def _fields(value: BaseModel) -> dict[str, Any]:
    """Return the fields that are not at their defaults."""
    kept = {}
    for name, default in _defaults_of(type(value)):
        content = getattr(value, name)
        if content is default:
            continue
        # By type, since an artifact may be an array, which has no truth value.
        kind = type(content)
        if kind not in (str, list, dict) or content or kind is not type(default):
            kept[name] = content
    kept.pop("type", None)
    return kept


@lru_cache(100)
def _defaults_of(kind: type[BaseModel]) -> tuple[tuple[str, Any], ...]:
    """Return the names of a model's fields with their defaults; of a required one a new object."""
    return tuple(
        (
            name,
            object() if field.is_required() else field.get_default(call_default_factory=True),
        )
        for name, field in kind.model_fields.items()
    )


def _chat_fields(generation: BaseModel) -> dict[str, Any]:
    kept = _fields(generation)
    kept.pop("text", None)  # which it takes from its message
    return kept


def _result_fields(result: BaseModel) -> dict[str, Any]:
    return {**_fields(result), "generations": Generations(result.generations)}  # type: ignore[attr-defined] # it is a ChatResult


def _llm_fields(result: Any) -> dict[str, Any]:
    # Which run it was is told anew for each caller.
    return {"generations": result.generations, "llm_output": result.llm_output}


def _message_fields(message: BaseMessage) -> dict[str, Any]:
    kept = {**_fields(message), **(message.model_extra or {})}
    kept.pop("id", None)
    extra = kept.get("additional_kwargs")
    if extra and isinstance(extra.get("parsed"), BaseModel):
        fields = dump_structured(extra["parsed"], message.text)
        kept["additional_kwargs"] = {**extra, "parsed": fields}
    return kept
