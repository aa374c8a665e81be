"""A user's message in two: the question, and what else of it reaches the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["parted"]


def parted(content: Sequence[Any], texts: Sequence[str | None]) -> tuple[str, list[Any]]:
    """Return the texts of a message as one, and the rest, by which it is told from others.

    Args:
        content: The blocks of the message.
        texts: For each block the text that it is, or None if it is something else, such as a
            picture; that stays in its place.
    """
    rest = [block if text is None else None for block, text in zip(content, texts, strict=True)]
    said = [text for text in texts if text is not None]
    if len(said) > 1 and any("\n" in text for text in said):
        rest.append([len(text) for text in said])  # where one ends and the next begins
    return "\n".join(said), rest
