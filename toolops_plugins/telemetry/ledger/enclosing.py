"""Rows of the ledger whose calls are counted in other rows too."""

from __future__ import annotations

from typing import Final

__all__ = ["is_counted_twice"]

_AROUND: Final = (
    "agent:", "chain:", "crew:", "query:", "step:", "synthesizer:", "task:", "workflow:",
)  # fmt: skip
"""Beginnings of the names of rows that stand for what has made other calls, with their time."""
_WITHIN: Final = " (batches)"
"""The end of the names of rows that stand for parts of calls, such as an embedder's batches."""


def is_counted_twice(tool: str) -> bool:
    """Return True for the name of a chain, an agent, a crew or a batch.

    The calls of tools and models in them have rows of their own, so a sum over all rows has them
    twice.
    """
    return tool.startswith(_AROUND) or tool.endswith(_WITHIN)
