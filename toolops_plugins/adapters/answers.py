"""Rules for the answers of models: incomplete ones, and the mark of a hit.

There is one table for all frameworks, since each of them passes on the words of the same providers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = [
    "HIT",
    "field_of",
    "is_cut_off",
    "is_cut_off_reason",
    "is_json_object",
]

HIT: Mapping[str, Any] = {"hit": True}
"""The value under "toolops" in the metadata of an answer from the cache."""
_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason")
_CUT_OFF = frozenset(
    (
        "content_filter",
        "incomplete",
        "length",
        "max_output_tokens",
        "max_tokens",
        "model_length",
        "safety",
    )
)
"""Reasons, in small letters, of answers that did not end by themselves."""
_LISTS = ("candidates", "choices")


def is_cut_off_reason(reason: Any) -> bool:
    """Return whether a finish reason, a text or an enum member, is that of an incomplete answer."""
    # An enum member prints with its class before its name.
    return bool(reason) and str(reason).rpartition(".")[2].lower() in _CUT_OFF


def is_cut_off(holder: Any) -> bool:
    """Return whether metadata of an answer says that it was cut off or withheld.

    Args:
        holder: A mapping, or an object of a provider's package. None: it says nothing.
    """
    if holder is None:
        return False
    if any(is_cut_off_reason(field_of(holder, name)) for name in _REASONS):
        return True
    # The last event of a stream of OpenAI's Responses holds the response.
    for each in (holder, field_of(holder, "response")):
        if each is not None and field_of(each, "status") == "incomplete":
            return True
    for name in _LISTS:
        several = field_of(holder, name)
        if isinstance(several, list) and any(map(is_cut_off, several)):
            return True
    return False


def field_of(holder: Any, name: str) -> Any:
    """Return a field of a mapping or an object, or None where it has none of that name."""
    if isinstance(holder, Mapping):
        return holder.get(name)
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property of a provider's class may raise anything
        return None


def is_json_object(arguments: Any) -> bool:
    """Return whether the arguments of a tool call are complete; only a text can be incomplete."""
    if not isinstance(arguments, str) or not arguments:
        return True
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False
