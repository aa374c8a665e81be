"""Identity and name of models, and what else than the conversation tells their calls apart.

``model_dump()`` of a LlamaIndex model shows its API key, and ``to_payload()`` lacks its temperature
and its address.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import default_completion_to_prompt
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.tools import BaseTool
from pydantic import BaseModel

from toolops_plugins import ToolOps
from toolops_plugins.adapters.identity_memo import IdentityMemo
from toolops_plugins.adapters.live_values import LiveValues, may_add
from toolops_plugins.adapters.model_identity import (
    SETTINGS,
    WATCH_FIELDS,
    class_identity,
    field_identities,
    private_identities,
    replace_values,
    replacer,
)
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.policy import NOTHING

__all__ = ["identity_memo", "model_identity", "model_name", "prompt_identity", "request_identity"]

_SKIP = WATCH_FIELDS | {
    "reuse_client",  # it says how the answer travels
    # They work around the eight endpoints, whose arguments show it.
    "output_parser",
    "pydantic_program_mode",
    # They count by what they make of the conversation.
    "completion_to_prompt",
    "messages_to_prompt",
}
"""Fields of models that change nothing in what is answered, or count in another way."""
_SETTINGS = (*SETTINGS, BasePromptTemplate)
_Receiver: TypeAlias = Callable[[Any], Any]
_MEMORY = (list, set)
_DEFAULT_PROMPTS = (None, messages_to_prompt, default_completion_to_prompt)


def model_identity(llm: BaseLLM, receiver: _Receiver, live: LiveValues) -> Any:
    """Return the values that tell a model from others that might answer differently.

    These are the class and all fields, also those that were changed after construction, but for
    fields that only say how a run is watched, tried or transported. Texts, numbers, truth values
    and mappings among its private attributes count, since some classes keep there how they ask;
    lists are mostly memories. Where no field says which model is asked, other private objects count
    as themselves, for as long as they live. A class with ``__toolops_key__()`` says for itself how
    its instances differ.

    Args:
        llm: The live model.
        receiver: Returns a private object as it counts in keys.
        live: Makes what functions and credentials count as.

    Raises:
        NotCanonicalError: The model keeps the conversation on the provider's server, so an answer
            depends on what was asked before; or a field cannot be told from others.
    """
    if hasattr(type(llm), "__toolops_key__"):
        return llm
    if getattr(llm, "track_previous_responses", False):
        raise NotCanonicalError(
            "the model goes on with a conversation that its provider keeps",
            kind="conversation that its provider keeps",
        )

    def replace(value: Any) -> Any:
        if isinstance(value, BaseLLM):
            return model_identity(value, receiver, live)
        if isinstance(value, types.FunctionType) and not live.is_at_credentials:
            with suppress(NotCanonicalError):
                return _function(value)
        return NOTHING

    kind, plain = type(llm), replacer(replace, live)
    extra = llm.model_extra or {}
    return [
        class_identity(kind),
        field_identities(llm, replace, live, skip=_SKIP, settings=_SETTINGS),
        {name: live.identity_of(kind, name, plain, value) for name, value in extra.items()},
        _private(llm, receiver, live),
    ]


def identity_memo(ops: ToolOps) -> IdentityMemo:
    """Return the memory of a guarded model's identity."""
    return IdentityMemo(ops.canon, _SKIP, _is_ignored)


def _is_ignored(llm: BaseLLM, name: str, value: Any) -> bool:
    """Return whether an attribute does not count in :func:`model_identity`, whatever it holds."""
    if isinstance(value, (*_SETTINGS, BaseLLM)):
        return False
    field = type(llm).model_fields.get(name)
    if may_add(name, value, hidden=field is None):
        return False
    if field is not None:
        return bool(field.exclude)
    return name in (llm.__pydantic_private__ or {}) and (
        _is_named(llm) or isinstance(value, _MEMORY)
    )


def _is_named(llm: BaseLLM) -> bool:
    """Return whether a field of a model says which model is asked."""
    return any(isinstance(getattr(llm, name, None), str) for name in ("model", "model_name"))


def _private(llm: BaseLLM, receiver: _Receiver, live: LiveValues) -> dict[str, Any]:
    """Return what counts of a model's private attributes."""
    named = _is_named(llm)

    def replace(value: Any) -> Any:
        if isinstance(value, BaseLLM):
            return model_identity(value, receiver, live)
        return NOTHING if isinstance(value, Mapping) else receiver(value)

    def counts(value: Any) -> bool:
        is_setting = isinstance(value, (*_SETTINGS, BaseLLM))
        return is_setting or not (named or isinstance(value, _MEMORY))

    return private_identities(llm, replace, live, skip=_SKIP, counts=counts)


def prompt_identity(llm: Any, given: str | Sequence[ChatMessage]) -> Any:
    """Return the identity of the user's own prompt function, or what it makes of this call.

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


def request_identity(value: Any) -> Any:
    """Return what a model is sent beside the conversation, with schemas for tools and classes."""
    return replace_values(value, _schema)


def _schema(value: Any) -> Any:
    if isinstance(value, BaseTool):
        metadata = value.metadata
        # Not all that a schema says is among the parameters.
        schema = request_identity(metadata.fn_schema) or metadata.get_parameters_dict()
        return ["tool", metadata.get_name(), metadata.description, schema]
    if isinstance(value, type) and issubclass(value, BaseModel):
        return [value.__qualname__, value.model_json_schema()]
    return NOTHING


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
