"""Ids that LangChain gives content blocks which have none, and by which nobody knows anything."""

from __future__ import annotations

import re
from typing import Any

from langchain_core.messages import BaseMessage

__all__ = ["is_generated", "without_generated_ids"]

_GENERATED = re.compile(
    r"(?:lc_|(?:lc_)?run-{1,2})[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?:-\d+)?"  # of a UUID
    r"|lc_[a-z]+_[0-9a-f]+"  # the place of a block in a stream
)
_DEPTH = 16


def is_generated(id_: str) -> bool:
    """Return whether LangChain has made an id, or the index of a block, itself."""
    return _GENERATED.fullmatch(id_) is not None


def without_generated_ids(value: Any, depth: int = _DEPTH) -> Any:
    """Return plain data without the generated ids of the messages and content blocks in it.

    Args:
        value: The value; it is left as it is.
        depth: How deep blocks are looked for.
    """
    if type(value) is list and depth:
        return [without_generated_ids(each, depth - 1) for each in value]
    if isinstance(value, BaseMessage):
        id_ = None if is_generated(value.id or "") else value.id
        parts = {"id": id_, "content": without_generated_ids(value.content, depth)}
        is_same = id_ == value.id and parts["content"] == value.content
        return value if is_same else value.model_copy(update=parts)
    if type(value) is not dict or not depth:
        return value
    id_ = value.get("id")
    has_generated = isinstance(id_, str) and "type" in value and is_generated(id_)
    return {
        name: without_generated_ids(each, depth - 1)
        for name, each in value.items()
        if not (has_generated and name == "id")
    }
