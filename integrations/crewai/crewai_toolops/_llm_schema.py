"""Structured output of models: the schema that an answer must fit to be stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from crewai.utilities.i18n import I18N_DEFAULT
from pydantic import BaseModel

from toolops_plugins.adapters.answer_schema import AnswerSchema, schema_of
from toolops_plugins.adapters.answers import field_of

__all__ = ["fits_request"]


def fits_request(llm: Any, given: Mapping[str, Any], kind: Any, raw: Any) -> bool:
    """Return whether an answer fits what a call asked for, as far as anybody can say.

    Args:
        llm: The model.
        given: The arguments of the call, by name.
        kind: The class that the answer is to be an instance of. None: none.
        raw: The answer: a text, an instance, or tool calls.
    """
    if isinstance(raw, BaseModel):
        return True  # which its class has made
    try:
        schema = _schema(llm, given, kind)
        if schema is None:
            return True
        if isinstance(raw, list):
            return schema.accepts("", [_name_and_arguments(call) for call in raw])
        return isinstance(raw, str) and schema.accepts(raw, [])
    except Exception:  # noqa: BLE001 - of users' classes; what cannot be checked is not kept
        return False


def _schema(llm: Any, given: Mapping[str, Any], kind: Any) -> AnswerSchema | None:
    settings = getattr(llm, "additional_params", None)
    request = dict(settings) if isinstance(settings, Mapping) else {}
    request["response_format"] = getattr(llm, "response_format", None)
    request.update({name: value for name, value in given.items() if value is not None})
    schema = schema_of(request, kind)
    if schema is not None:
        return schema
    written = _schema_in_prompt(given.get("messages"))
    return None if written is None else schema_of({"response_format": written})


def _schema_in_prompt(messages: Any) -> Any:
    """Return the schema in CrewAI's instructions to a model that converts a text, or None.

    An agent's own prompt holds them too, but further back: it may think before it answers.
    """
    first = messages[0] if isinstance(messages, list) and messages else None
    content = first.get("content") if isinstance(first, Mapping) else None
    begin = _instruction()
    if not (begin and isinstance(content, str) and content.startswith(begin)):
        return None
    return json.JSONDecoder().raw_decode(content[len(begin) :].lstrip())[0]


@cache
def _instruction() -> str:
    return str(I18N_DEFAULT.slice("formatted_task_instructions")).partition("{output_format}")[0]


def _name_and_arguments(call: Any) -> tuple[str, Any]:
    """Return the name and the arguments of a tool call in any provider's form."""
    holder = field_of(call, "function") or field_of(call, "function_call") or call
    for name in ("arguments", "input", "args"):
        arguments = field_of(holder, name)
        if arguments is not None:
            break
    return str(field_of(holder, "name")), {} if arguments is None else arguments
