"""Structured output of models: the schema that an answer must fit to be stored."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ToolCallBlock,
)
from llama_index.core.output_parsers.pydantic import PYDANTIC_FORMAT_TMPL

from llama_index.callbacks.toolops._llm_chunks import join_pieces
from toolops_plugins.adapters.answer_schema import AnswerSchema, schema_of
from toolops_plugins.adapters.answers import field_of
from toolops_plugins.adapters.context_variables import set_within
from toolops_plugins.adapters.model_guard import aread_within, read_within

__all__ = [
    "accepts_response",
    "accepts_stream",
    "call_schema",
    "output_class",
    "output_methods",
]

_output: ContextVar[Any] = ContextVar("toolops_llama_index_output", default=None)
_MARK = PYDANTIC_FORMAT_TMPL.partition("{schema}")[0].strip()
"""The words before the JSON schema that LlamaIndex puts into a prompt."""


def output_class() -> Any:
    """Return the class of which the call under way is to make an instance, or None."""
    return _output.get()


def call_schema(
    llm: Any, given: Any, kwargs: Mapping[str, Any], output: Any
) -> AnswerSchema | None:
    """Return what the answer to a call must fit, or None.

    Args:
        llm: The model.
        given: The messages or the prompt.
        kwargs: What the endpoint got beside these.
        output: What :func:`output_class` has returned.
    """
    settings = getattr(llm, "additional_kwargs", None)
    request = {**(settings if isinstance(settings, Mapping) else {}), **kwargs}
    schema = schema_of(request, output)
    if schema is None:
        written = _schema_in_prompt(given)
        schema = None if written is None else AnswerSchema(written)
    return schema


def _schema_in_prompt(given: Any) -> Any:
    """Return the JSON schema that LlamaIndex has put into a prompt, or None."""
    texts = [given] if isinstance(given, str) else []
    if isinstance(given, list):
        texts = [message.content or "" for message in given if isinstance(message, ChatMessage)]
    for text in reversed(texts):
        _, mark, rest = text.rpartition(_MARK)
        if mark:
            rest = rest.lstrip()
            if rest.startswith("{{"):  # as some templates leave it
                rest = rest.replace("{{", "{").replace("}}", "}")
            return json.JSONDecoder().raw_decode(rest)[0]
    return None


def accepts_response(schema: AnswerSchema, response: Any) -> bool:
    """Return whether a response fits a schema."""
    if isinstance(response, CompletionResponse):
        return schema.accepts(response.text, [])
    if not isinstance(response, ChatResponse):
        return False
    message = response.message
    calls = [(b.tool_name, b.tool_kwargs) for b in message.blocks if isinstance(b, ToolCallBlock)]
    return schema.accepts(message.content or "", calls or _older_calls(message))


def accepts_stream(schema: AnswerSchema, pieces: list[Any]) -> bool:
    """Return whether a stream, in the form that is kept, fits a schema at its end."""
    last = None
    for last in join_pieces(pieces):  # noqa: B007 - the last holds all that came before
        pass
    return accepts_response(schema, last)


def _older_calls(message: ChatMessage) -> list[tuple[str, Any]]:
    """Return the tool calls in the provider's own form."""
    calls = message.additional_kwargs.get("tool_calls")
    found = []
    for call in calls if isinstance(calls, list) else ():
        holder = field_of(call, "function") or call
        arguments = field_of(holder, "arguments")
        if arguments is None:
            arguments = field_of(holder, "input")
        found.append((str(field_of(holder, "name")), arguments if arguments is not None else {}))
    return found


def output_methods(kind: type[Any]) -> dict[str, Callable[..., Any]]:
    """Return a model class's methods for structured output, which note the class of each call."""

    # A template may have a variable of any name, so that of the model is no keyword.
    def predict(llm: Any, /, output_cls: Any, *args: Any, **kwargs: Any) -> Any:
        with _note(output_cls):
            return kind.structured_predict(llm, output_cls, *args, **kwargs)

    async def apredict(llm: Any, /, output_cls: Any, *args: Any, **kwargs: Any) -> Any:
        with _note(output_cls):
            return await kind.astructured_predict(llm, output_cls, *args, **kwargs)

    def stream_predict(llm: Any, /, output_cls: Any, *args: Any, **kwargs: Any) -> Generator[Any]:
        with _note(output_cls):
            parts = kind.stream_structured_predict(llm, output_cls, *args, **kwargs)
        return read_within(parts, lambda: _note(output_cls))

    async def astream_predict(
        llm: Any, /, output_cls: Any, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[Any]:
        with _note(output_cls):
            parts = await kind.astream_structured_predict(llm, output_cls, *args, **kwargs)
        return aread_within(parts, lambda: _note(output_cls))

    return {
        "structured_predict": predict,
        "astructured_predict": apredict,
        "stream_structured_predict": stream_predict,
        "astream_structured_predict": astream_predict,
    }


def _note(output: Any) -> AbstractContextManager[None]:
    return set_within(_output, output)
