"""Attributes of spans and metrics, from the start and the event of a call.

Of an event's mappings only numbers and a few known words pass: the semantic cache's decision also
holds a question, and tags may hold arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from toolops_plugins.telemetry import genai_conventions as names
from toolops_plugins.telemetry.events import CallEvent, CallKind, attributes

__all__ = [
    "AT_START",
    "Attributes",
    "attributes_of_call",
    "attributes_of_model",
    "attributes_of_start",
    "error_of",
    "name_span",
]

Attributes: TypeAlias = dict[str, str | int | float | bool]

_DETAILS: Final[Mapping[str, tuple[str, Any]]] = {
    "model": (names.REQUEST_MODEL, str),
    "response_model": (names.RESPONSE_MODEL, str),
    "provider": (names.PROVIDER_NAME, str),
    "agent": (names.AGENT_NAME, str),
    "input_tokens": (names.USAGE_INPUT_TOKENS, int),
    "output_tokens": (names.USAGE_OUTPUT_TOKENS, int),
    "cache_read_tokens": (names.USAGE_CACHE_READ_TOKENS, int),
}
"""Details that the conventions name, with the type of their values."""
AT_START: Final = ("toolops.tool", "toolops.namespace", "toolops.kind")
"""Attributes that a span begins with, for samplers."""
_WITH_ZERO: Final = frozenset({"toolops.latency", "toolops.attempts"})
_WORDS: Final = frozenset({"policy", "verdict"})
"""Words that are no text of a user's, among the details of a semantic decision."""


def name_span(known: Mapping[str, Any]) -> str:
    """Return the name of a span by its attributes: "chat gpt-5", or "chat" without a model."""
    operation = known[names.OPERATION_NAME]
    subject = known.get(names.TOOL_NAME) or known.get(names.REQUEST_MODEL)
    return f"{operation} {subject}" if subject else str(operation)


def attributes_of_start(
    name: str, kind: CallKind, details: Mapping[str, Any] | None, *, stream: bool = False
) -> Attributes:
    """Return the conventions' attributes that are known when a call begins.

    Args:
        name: The tool's name.
        kind: The call's kind.
        details: The details of its start, or None.
        stream: Whether its result is a stream. Default False.
    """
    found = attributes_of_model(details, ("model", "provider", "agent"))
    if kind == "tool":
        found = {key: found[key] for key in (names.AGENT_NAME,) if key in found}
        found[names.OPERATION_NAME] = names.EXECUTE_TOOL
        found[names.TOOL_NAME] = name
        found[names.TOOL_TYPE] = "function"
        return found
    found[names.OPERATION_NAME] = kind
    if stream:
        found[names.REQUEST_STREAM] = True
    return found


def attributes_of_model(
    details: Mapping[str, Any] | None, wanted: Iterable[str] = tuple(_DETAILS)
) -> Attributes:
    """Return details that the conventions name, as attributes.

    Args:
        details: The details of a start or an event, or None.
        wanted: The details to look for. Default: all.
    """
    found: Attributes = {}
    if details:
        for key in wanted:
            attribute, kind = _DETAILS[key]
            value: Any = details.get(key)
            if isinstance(value, kind) and value != "":
                found[attribute] = value
    return found


def attributes_of_call(event: CallEvent) -> Attributes:
    """Return the ``toolops.*`` attributes of an event, but for those that its span began with.

    Sums and durations of 0 are left out, and flags that are not set: each attribute costs a hit one
    or two microseconds in the SDK.
    """
    told = attributes(event._replace(tags=(), semantic=None, details=None))
    found = {
        key: value
        for key, value in told.items()
        if (value or key in _WITH_ZERO) and key not in AT_START
    }
    if event.outcome == "coalesced":
        found["toolops.coalesced"] = True
    for key, value in (event.semantic or {}).items():
        if not isinstance(value, str) or key in _WORDS:
            found[f"toolops.semantic.{key}"] = value
    for key, value in (event.details or {}).items():
        if key not in _DETAILS and not isinstance(value, str):
            found[f"toolops.details.{key}"] = value
    return found


def error_of(event: CallEvent) -> str | None:
    """Return the type of the error with which a call has ended, or None.

    A call whose error was made good, by a stale answer or a fallback, has ended well.
    """
    if event.outcome in ("error", "rejected"):
        return event.error or names.UNKNOWN_ERROR
    return event.error if event.outcome in ("hit", "refresh") else None
