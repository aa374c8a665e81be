"""What tells one model's call from another's, beside the conversation.

``model_dump()`` of a LlamaIndex model shows its API key, and ``to_payload()`` lacks its temperature
and the address that it calls. So the key is made of all live fields: all of it is hashed, and
nothing of it, secrets included, is kept or shown.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import default_completion_to_prompt
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.tools import BaseTool
from pydantic import BaseModel

from toolops_plugins.adapters.model_policy import class_identity
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.canonical import Canon

__all__ = ["model_identity", "model_name", "rendered", "sent"]

_NOT_ASKED = frozenset(
    (
        # How a run is watched.
        "callback_manager",
        "verbose",
        # How long and how often it is tried, and how the answer travels.
        "max_retries",
        "rate_limiter",
        "request_timeout",
        "reuse_client",
        "timeout",
        # What happens around the eight endpoints, whose arguments show it.
        "output_parser",
        "pydantic_program_mode",
        # Told by what they make of the conversation.
        "completion_to_prompt",
        "messages_to_prompt",
    )
)
"""Fields of models that change nothing in what is answered, or are told in another way."""
_SETTINGS = (str, bool, float, Mapping, BasePromptTemplate)
"""What private attributes, and fields that are not written down, may say of a model."""
_MEMORY = (int, list, set)
_DEFAULT_PROMPTS = (None, messages_to_prompt, default_completion_to_prompt)


def model_identity(llm: BaseLLM, canon: Canon) -> Any:
    """Return what tells a model from others that might answer differently, to be hashed.

    It holds the class and all fields, those included that were changed after construction, but for
    those that only say how a run is watched, tried or transported. Of what a class keeps in private
    attributes it holds texts, truth values, fractions and mappings, since some keep there how they
    ask; whole numbers and lists are mostly counters and memories. Where no field says which model
    is asked, other private objects count as themselves, for as long as they live. A class with
    ``__toolops_key__()`` says for itself what tells its instances apart.

    Args:
        llm: The live model.
        canon: Makes private objects into bytes.

    Raises:
        NotCanonicalError: The model keeps the conversation on the provider's server, so that an
            answer hangs on what was asked before; or a field holds an anonymous function.
    """
    if hasattr(type(llm), "__toolops_key__"):
        return llm
    if getattr(llm, "track_previous_responses", False):
        raise NotCanonicalError("the model goes on with a conversation that its provider keeps")
    fields = {}
    for name, field in type(llm).model_fields.items():
        value = None if name in _NOT_ASKED else getattr(llm, name, None)
        # What a class does not want to be written down are its clients, and sometimes settings.
        if value is not None and (not field.exclude or isinstance(value, _SETTINGS)):
            fields[name] = _plain(
                value, canon
            )  # most are None, and to leave them out says the same
    return [class_identity(type(llm)), fields, llm.model_extra, _private(llm, canon)]


def _private(llm: BaseLLM, canon: Canon) -> dict[str, Any]:
    """Return what private attributes say of a model."""
    named = any(isinstance(getattr(llm, name, None), str) for name in ("model", "model_name"))
    kept = {}
    for name, value in (llm.__pydantic_private__ or {}).items():
        if value is None or name.lstrip("_") in _NOT_ASKED:
            continue
        says = isinstance(value, (*_SETTINGS, BaseLLM))
        if says or not (named or isinstance(value, _MEMORY)):
            kept[name] = _itself(value, canon)
    return kept


def _itself(value: Any, canon: Canon) -> Any:
    if isinstance(value, BaseLLM):
        return model_identity(value, canon)
    if isinstance(value, Mapping):
        return {name: _itself(content, canon) for name, content in value.items()}
    return canon.receiver(value)


def rendered(llm: Any, given: str | Sequence[ChatMessage]) -> Any:
    """Return how the user's own prompt function is known, or what it makes of what was given.

    Args:
        llm: The model.
        given: The prompt, or the conversation.

    Returns:
        None where LlamaIndex's own function is used; the name of a function that has one; else,
        as a text, what it makes of this prompt or conversation.
    """
    name = "completion_to_prompt" if isinstance(given, str) else "messages_to_prompt"
    function = getattr(llm, name, None)
    if function in _DEFAULT_PROMPTS:
        return None
    try:
        return _function(function)
    except NotCanonicalError:
        return str(function(given))


def model_name(llm: Any) -> str:
    """Return the name under which a model's calls are counted, such as "openai:gpt-4o-mini"."""
    kind = str(llm.class_name()).removesuffix("_llm")
    try:
        model = llm.metadata.model_name
    except Exception:  # noqa: BLE001 - LlamaIndex raises for models that it does not know
        model = getattr(llm, "model", None)
    if not isinstance(model, str) or model in ("", "unknown"):
        return kind
    return f"{kind}:{model}"


def sent(value: Any) -> Any:
    """Return what a model is sent beside the conversation, with tools and classes as schemas."""
    if isinstance(value, BaseTool):
        metadata = value.metadata
        # Not all that a schema says is among the parameters.
        schema = sent(metadata.fn_schema) or metadata.get_parameters_dict()
        return ["tool", metadata.get_name(), metadata.description, schema]
    if isinstance(value, type) and issubclass(value, BaseModel):
        return [value.__qualname__, value.model_json_schema()]
    if isinstance(value, Mapping):
        return {name: sent(content) for name, content in value.items()}
    if type(value) in (list, tuple):
        return [sent(each) for each in value]
    return value


def _plain(value: Any, canon: Canon) -> Any:
    """Return a field's value with the models and functions inside it replaced."""
    if isinstance(value, BaseLLM):
        return model_identity(value, canon)
    if isinstance(value, types.FunctionType):
        return _function(value)
    if isinstance(value, Mapping):  # such as headers, whatever the class of the mapping
        return {name: _plain(content, canon) for name, content in value.items()}
    if type(value) in (list, tuple):
        return [_plain(each, canon) for each in value]
    return value


def _function(function: Any) -> list[Any]:
    """Return the name of a function that is the only one of that name, and what it does.

    Raises:
        NotCanonicalError: It was made inside of another, or has no name.
    """
    name = getattr(function, "__qualname__", "<lambda>")
    if not isinstance(function, types.FunctionType) or "<" in name:
        raise NotCanonicalError("an anonymous function says nothing that a key could hold")
    # In a notebook the next function of that name may be another.
    defaults = [function.__defaults__, function.__kwdefaults__]
    return [function.__module__, name, _code(function.__code__), defaults]


def _code(code: types.CodeType) -> list[Any]:
    inner = [_code(each) if isinstance(each, types.CodeType) else each for each in code.co_consts]
    return [code.co_code, code.co_names, inner]
