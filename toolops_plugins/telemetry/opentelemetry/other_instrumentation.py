"""Agree with other instrumentations on who measures a call, so that nothing is counted twice.

A framework's instrumentation may have a span open around a call, and a provider's SDK may be
instrumented below it. The outermost measures: that is the practice among instrumentations, which
tell those below by keys in the context. This module reads these keys and sets them. It imports no
instrumentation, and looks at one only where the application has loaded it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.trace import Span

from toolops_plugins.telemetry import genai_conventions as names
from toolops_plugins.telemetry.events import CallKind

__all__ = [
    "Owner",
    "enclose",
    "find_owner",
    "forget_model",
    "is_framework_instrumented",
    "is_model_instrumented",
    "read_inner",
]

Owner: TypeAlias = Literal["us", "ours", "theirs", "their span"]
"""The party that measures a call.

- ``us``: nobody around it does, so this call does.
- ``ours``: a call of this library around it, which is the same operation.
- ``theirs``: another instrumentation, whose span is not the current one.
- ``their span``: another instrumentation, and the current span is that of the operation.
"""

_Group: TypeAlias = Literal["tool", "inference", "embeddings"]

_GROUPS: Final[Mapping[CallKind, _Group]] = {
    "tool": "tool",
    "chat": "inference",
    "text_completion": "inference",
    "embeddings": "embeddings",
}
_OPERATIONS: Final[Mapping[str, _Group]] = {
    "chat": "inference",
    "generate_content": "inference",
    "text_completion": "inference",
    "embeddings": "embeddings",
}
# OpenInference has a vocabulary of its own, by which Phoenix and others count models.
_OPENINFERENCE: Final[Mapping[str, _Group]] = {"LLM": "inference", "EMBEDDING": "embeddings"}
_DATA: Final[Mapping[_Group, tuple[str, str]]] = {
    "inference": (names.INFERENCE_DATA_KEY, "InferenceData"),
    "embeddings": (names.EMBEDDING_DATA_KEY, "EmbeddingData"),
}
_UTIL: Final = "opentelemetry.util.genai.invocation"
_MEASURED: Final = create_key("toolops-measured")
"""The group of the call of this library that measures, in its context."""
_CLAIM: Final = "toolops.tool"
"""Set on another's span at once: a second call inside of it makes a span of its own."""

_FRAMEWORKS: Final = ("langchain", "llama", "crewai")
_SDKS: Final = ("genai", "openai", "anthropic", "litellm")
"""Words in the names of the modules of instrumentations that measure models."""

_INNER: Final = (
    ("response_model", names.RESPONSE_MODEL),
    ("response_model_name", names.RESPONSE_MODEL),
    ("response_id", "gen_ai.response.id"),
    ("response_finish_reasons", "gen_ai.response.finish_reasons"),
    ("provider_name", names.PROVIDER_NAME),
    ("request_model", names.REQUEST_MODEL),
    ("server_address", "server.address"),
    ("server_port", "server.port"),
    ("usage_input_tokens", names.USAGE_INPUT_TOKENS),
    ("usage_output_tokens", names.USAGE_OUTPUT_TOKENS),
    ("usage_cache_read_input_tokens", names.USAGE_CACHE_READ_TOKENS),
    ("usage_cache_write_input_tokens", names.USAGE_CACHE_WRITE_TOKENS),
)
"""Facts that an instrumented SDK tells whoever measures around it, and their attributes.

Settings, messages and results are left out.
"""


def find_owner(kind: CallKind, name: str, context: Context, span: Span) -> Owner:
    """Return who measures a call that begins.

    Args:
        kind: The call's kind.
        name: The tool's name.
        context: The context that it begins in.
        span: The current span there.
    """
    group = _GROUPS[kind]
    if group == "tool":
        return "their span" if _runs_tool(span, name) else "us"
    if get_value(_MEASURED, context) == group:
        return "ours"
    if _is_model_span(span, group):
        return "theirs" if _CLAIM in _attributes_of(span) else "their span"
    if get_value(_DATA[group][0], context) is not None:
        return "theirs"
    # OpenLLMetry sets it for the time of a model's run, and does not say of which kind.
    return "theirs" if get_value(names.SUPPRESS_KEY, context) else "us"


def enclose(kind: CallKind, owner: Owner, context: Context) -> tuple[Context, Any]:
    """Return the context of what happens inside a call, and what an inner SDK reports there.

    Args:
        kind: The call's kind.
        owner: Who measures it.
        context: The context with the call's span.

    Returns:
        The context, and an object that :func:`read_inner` takes.
    """
    group = _GROUPS[kind]
    if group == "tool":
        # A model that runs a tool: models that the tool calls are operations of their own.
        return forget_model(context), None
    context = set_value(_MEASURED, group, context)
    if owner != "us":
        return context, None
    context = set_value(names.SUPPRESS_KEY, True, context)  # noqa: FBT003 - a value
    key, data_type = _DATA[group]
    made = getattr(sys.modules.get(_UTIL), data_type, None)
    data = None if made is None else made()
    return (context if data is None else set_value(key, data, context)), data


def forget_model(context: Context) -> Context:
    """Return a context in which no call of a model is measured by this library any more."""
    if get_value(_MEASURED, context) is None:
        return context
    for key in _MEASURED, names.INFERENCE_DATA_KEY, names.EMBEDDING_DATA_KEY, names.SUPPRESS_KEY:
        context = set_value(key, None, context)
    return context


def is_model_instrumented() -> bool:
    """Return whether the application has instrumented a framework or an SDK that asks models.

    It is for calls that are reported after their end, when nobody can tell any more whether another
    instrumentation had a span open around them.
    """
    return _is_instrumented((*_FRAMEWORKS, *_SDKS))


def is_framework_instrumented() -> bool:
    """Return whether the application has instrumented a framework.

    It is for calls inside of which the framework runs the model or the tool, and so has a span of
    its own for it there.
    """
    return _is_instrumented(_FRAMEWORKS)


def _is_instrumented(words: tuple[str, ...]) -> bool:
    module = sys.modules.get("opentelemetry.instrumentation.instrumentor")
    base = getattr(module, "BaseInstrumentor", None)
    if base is None:
        return False
    for kind in base.__subclasses__():
        # Its constructor would reset the settings of some.
        instance = vars(kind).get("_instance")
        if getattr(instance, "is_instrumented_by_opentelemetry", False) and any(
            word in kind.__module__ for word in words
        ):
            return True
    return False


def read_inner(data: Any) -> dict[str, Any]:
    """Return as attributes what an instrumented SDK has reported to the call around it."""
    found = {}
    for field, attribute in _INNER:
        value = getattr(data, field, None)
        if value is not None:
            found[attribute] = value
    return found


def _runs_tool(span: Span, name: str) -> bool:
    attributes = _attributes_of(span)
    theirs = attributes.get(names.TOOL_NAME)
    return (
        attributes.get(names.OPERATION_NAME) == names.EXECUTE_TOOL
        and _CLAIM not in attributes
        # Functions are named with their module here.
        and isinstance(theirs, str)
        and (theirs == name or name.endswith(f".{theirs}"))
    )


def _is_model_span(span: Span, group: _Group) -> bool:
    attributes = _attributes_of(span)
    operation = attributes.get(names.OPERATION_NAME)
    if isinstance(operation, str) and _OPERATIONS.get(operation) == group:
        return True
    return _OPENINFERENCE.get(str(attributes.get("openinference.span.kind"))) == group


def _attributes_of(span: Span) -> Mapping[str, Any]:
    """Return what can be read of a span: of one that is recorded by the SDK, all."""
    if not span.is_recording():
        return {}
    return getattr(span, "attributes", None) or {}
