"""Structured output of chat models: the schema of a call, and the objects that answers hold."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel

from langchain_toolops._llm_answers import merge_chunks
from toolops_plugins.adapters.answer_schema import AnswerSchema, is_model_class, schema_of
from toolops_plugins.adapters.context_variables import set_within
from toolops_plugins.adapters.model_guard import aread_within, read_within
from toolops_plugins.adapters.structured_values import dump_structured, load_structured

__all__ = [
    "FORMAT_NAMES",
    "accepts_answer",
    "accepts_generations",
    "accepts_message",
    "dump_output",
    "format_methods",
    "format_of",
    "local_schema",
    "model_schema",
    "note_format",
    "output_format",
    "response_class",
    "restore_output",
]

FORMAT_NAMES = ("ls_structured_output_format", "structured_output_format")
"""Under these ``with_structured_output`` tells a call the schema by which its answer is read.

LangChain takes them out again before it calls the model's own methods.
"""
_format: ContextVar[Any] = ContextVar("toolops_langchain_format", default=None)
_PARAMETERS = "---[("
_CLASS = re.compile("<(class|enum) [^<>]*>")
_SETTINGS = ("model_kwargs", "extra_body")


def output_format() -> Any:
    """Return what ``with_structured_output`` has said of the call under way, or None."""
    return _format.get()


def local_schema(format_: Any) -> Any:
    """Return the schema of a call that does not send it, or None: in JSON mode none is sent."""
    if not isinstance(format_, Mapping):
        return None
    method = (format_.get("kwargs") or {}).get("method")
    return format_.get("schema") if method == "json_mode" else None


def model_schema(model: Any, kwargs: Mapping[str, Any], format_: Any) -> AnswerSchema | None:
    """Return what the answer to a call must fit, or None.

    Args:
        model: The model.
        kwargs: What its method got beside the messages.
        format_: What :func:`output_format` has returned.
    """
    settings = {name: getattr(model, name, None) for name in _SETTINGS}
    beside = settings.pop("model_kwargs") or {}
    output = format_.get("schema") if isinstance(format_, Mapping) else None
    if not is_model_class(output):
        unsent = local_schema(format_)
        output = None if unsent is None else convert_to_json_schema(unsent)
    return schema_of({**settings, **beside, **kwargs}, output)


def accepts_generations(llm_string: str, generations: Iterable[Generation]) -> bool:
    """Return whether generations fit what LangChain tells a cache of their request.

    Args:
        llm_string: The model and its parameters, as LangChain has written them down.
        generations: The answers.
    """
    messages = [each.message for each in generations if isinstance(each, ChatGeneration)]
    schema = _schema_in_text(llm_string) if messages else None
    if schema is not None and not all(accepts_message(schema, each) for each in messages):
        return False
    return all(map(_comes_back, messages))


def _schema_in_text(llm_string: str) -> AnswerSchema | None:
    """Return the schema in the parameters, which stand behind the model as Python writes them."""
    text = llm_string[llm_string.rfind(_PARAMETERS) + 3 :] if _PARAMETERS in llm_string else ""
    try:
        # The client's package holds an answer against a class itself.
        return schema_of(dict(ast.literal_eval(_CLASS.sub("None", text or llm_string))))
    except Exception:  # noqa: BLE001 - values of users' own may be written down in any way
        return None


def _comes_back(message: BaseMessage) -> bool:
    """Return whether LangChain reads the fields of a structured output as what it was."""
    parsed = message.additional_kwargs.get("parsed")
    if not isinstance(parsed, BaseModel):
        return True
    try:
        fields = dump_structured(parsed, message.text)
    except ValueError:
        return True  # it is the codec that tells of it
    try:
        return bool(type(parsed)(**fields) == parsed)
    except Exception:  # noqa: BLE001 - of the class's own validators
        return False


def accepts_answer(schema: AnswerSchema, answer: Any) -> bool:
    """Return whether an answer fits a schema.

    Args:
        schema: The schema.
        answer: The result of a chat model or a plain one, or the list of a stream's chunks.
    """
    if isinstance(answer, list):
        if answer and not isinstance(answer[0], ChatGeneration):
            return schema.accepts("".join(chunk.text for chunk in answer), [])
        return not answer or accepts_message(schema, merge_chunks(answer).message)
    return all(
        accepts_message(schema, each.message)
        if isinstance(each, ChatGeneration)
        else schema.accepts(each.text, [])
        for each in _generations(answer.generations)
    )


def _generations(generations: Iterable[Any]) -> Iterator[Generation]:
    """Yield generations, which a plain model has in a list for each prompt."""
    for each in generations:
        if isinstance(each, list):
            yield from each
        else:
            yield each


def accepts_message(schema: AnswerSchema, message: BaseMessage) -> bool:
    """Return whether a model's message fits a schema."""
    if not isinstance(message, AIMessage):
        return False
    parsed = message.additional_kwargs.get("parsed")
    if parsed is not None and type(parsed) is schema.output:
        return True  # which its class has made of the text already
    calls: list[tuple[str, Any]] = [(call["name"], call["args"]) for call in message.tool_calls]
    older = message.additional_kwargs.get("function_call")
    if not calls and isinstance(older, Mapping):
        calls = [(str(older.get("name")), older.get("arguments"))]
    return schema.accepts(message.text, calls)


def response_class(kwargs: Mapping[str, Any]) -> type[BaseModel] | None:
    """Return the class of which the client's package makes an instance of each answer, or None."""
    kind = kwargs.get("response_format")
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def dump_output(message: BaseMessage, text: str) -> None:
    """Put fields in place of the structured output in a message that nobody else has.

    Args:
        message: The last chunk of a stream; what cannot be made again stays in it.
        text: The text of the stream so far, of which the structured output was made.
    """
    parsed = message.additional_kwargs.get("parsed")
    if isinstance(parsed, BaseModel):
        with suppress(ValueError):
            message.additional_kwargs["parsed"] = dump_structured(parsed, text)


def restore_output(message: BaseMessage, kind: type[BaseModel] | None) -> None:
    """Make the structured output in a message that was stored an instance again.

    Args:
        message: A message that nobody else has; it is changed.
        kind: The class that the live call asks for. None: it asks for none.

    Raises:
        Exception: What was stored does not fit the class any more.
    """
    parsed = message.additional_kwargs.get("parsed")
    if kind is not None and isinstance(parsed, dict):
        message.additional_kwargs["parsed"] = load_structured(kind, parsed)


def format_methods(kind: type[BaseChatModel]) -> dict[str, Callable[..., Any]]:
    """Return the public methods of a model class, which note the schema of each call."""
    generate, agenerate, stream, astream = kind.generate, kind.agenerate, kind.stream, kind.astream

    @wraps(generate)
    def note_generate(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        given = format_of(kwargs)
        if given is None and _format.get() is None:
            return generate(model, *args, **kwargs)
        with note_format(given):
            return generate(model, *args, **kwargs)

    @wraps(agenerate)
    async def note_agenerate(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        with note_format(format_of(kwargs)):
            return await agenerate(model, *args, **kwargs)

    @wraps(stream)
    def note_stream(model: Any, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        chunks = stream(model, *args, **kwargs)
        given = format_of(kwargs)
        if given is None and _format.get() is None:
            return chunks
        return read_within(chunks, lambda: note_format(given))

    @wraps(astream)
    def note_astream(model: Any, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        chunks = astream(model, *args, **kwargs)
        given = format_of(kwargs)
        if given is None and _format.get() is None:
            return chunks
        return aread_within(chunks, lambda: note_format(given))

    return {
        "generate": note_generate,
        "agenerate": note_agenerate,
        "stream": note_stream,
        "astream": note_astream,
    }


def format_of(kwargs: Mapping[str, Any]) -> Any:
    """Return what ``with_structured_output`` says of a call in its arguments, or None."""
    return kwargs.get(FORMAT_NAMES[0]) or kwargs.get(FORMAT_NAMES[1])


def note_format(format_: Any) -> AbstractContextManager[None]:
    """Let :func:`output_format` return a format in this block."""
    return set_within(_format, format_)
