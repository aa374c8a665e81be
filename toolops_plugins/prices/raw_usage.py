"""Token counts and names of models in the answers of providers' own clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["MODEL_FIELDS", "read_field", "read_usage"]

_INPUT = (
    "input_tokens",
    "prompt_tokens",
    "prompt_token_count",
    "inputTokens",
    "prompt_eval_count",
)
_OUTPUT = (
    "output_tokens",
    "completion_tokens",
    "candidates_token_count",
    "outputTokens",
    "eval_count",
)
_TOTAL = ("total_tokens", "total_token_count", "totalTokens")
MODEL_FIELDS = ("model", "model_name", "model_version", "modelVersion", "modelId")
"""Fields of an answer that name its model."""


def read_usage(told: Any) -> dict[str, Any] | None:
    """Return token counts under the names that prices are computed from; None if none are told.

    Args:
        told: A provider's counts: a mapping or an object.
    """
    tokens = _count(told, _INPUT)
    output = _count(told, _OUTPUT)
    total = _count(told, _TOTAL)
    if not tokens and not output and not total:
        return None  # several integrations write zeros for what their provider does not tell
    usage: dict[str, Any] = {}
    # Anthropic does not count what it has read from its cache, or written to it, as input.
    extra = _count(told, ("cache_read_input_tokens",)) or 0
    written = _count(told, ("cache_creation_input_tokens",)) or 0
    if tokens is not None:
        usage["input_tokens"] = tokens + extra + written
    if output is not None:
        usage["output_tokens"] = output
    summed = usage.get("input_tokens", 0) + (output or 0)
    usage["total_tokens"] = total or summed
    details = read_field(told, "prompt_tokens_details") or read_field(told, "input_tokens_details")
    cached = extra or _count(details, ("cached_tokens",)) or 0
    parts = {"cache_read": cached, "cache_creation": written}
    if any(parts.values()):
        usage["input_token_details"] = {name: count for name, count in parts.items() if count}
    return usage


def _count(told: Any, names: tuple[str, ...]) -> int | None:
    counts = (read_field(told, name) for name in names)
    return next((each for each in counts if type(each) is int and each >= 0), None)


def read_field(thing: Any, name: str) -> Any:
    """Return a field of what is a mapping or an object, or None."""
    if thing is None:
        return None
    if isinstance(thing, Mapping):
        return thing.get(name)
    return getattr(thing, name, None)
