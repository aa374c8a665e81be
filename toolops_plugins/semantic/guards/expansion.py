"""Phrases with alternatives, written out."""

from __future__ import annotations

from itertools import product

__all__ = ["expanded"]


def expanded(phrase: str) -> list[str]:
    """Return all that a phrase stands for: ``can/could you - please/- tell me`` stands for four.

    A slash keeps alternatives apart; a hyphen stands for no word.
    """
    if "/" not in phrase:
        return [phrase]
    choices = product(*(word.split("/") for word in phrase.split()))
    return [" ".join(word for word in choice if word != "-") for choice in choices]
