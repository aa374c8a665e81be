"""Rules for the answers of models: their tool calls, and the mark of a hit.

There is one table for all frameworks, since each of them passes on the words of the same providers.
Their finish reasons are in ``finish_reasons``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = [
    "HIT",
    "field_of",
    "is_json_object",
    "is_whole_call",
]

HIT: Mapping[str, Any] = {"hit": True}
"""The value under "toolops" in the metadata of an answer from the cache."""


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
        # Line breaks in a text are what models write, and what the frameworks take.
        return isinstance(json.loads(arguments, strict=False), dict)
    except (ValueError, RecursionError):
        return False


def is_whole_call(call: Any) -> bool:
    """Return whether a tool call, in the form of any provider, has a name and whole arguments."""
    is_custom = field_of(call, "type") in ("custom", "custom_tool_call")
    for holder in ("function", "function_call", "functionCall", "toolUse", "custom"):
        inner = field_of(call, holder)
        if inner is not None and not isinstance(inner, str):
            call = inner
            break
    name = field_of(call, "name")
    if not isinstance(name, str) or not name.strip():
        return False
    # The input of a custom tool is any text.
    arguments = ("arguments", "args", "partial_json", *(() if is_custom else ("input",)))
    return all(is_json_object(field_of(call, each)) for each in arguments)
