"""LangGraph's own signals, which are exceptions but no failures.

An interrupt or a command to the parent graph travels as an exception. To retry it, to count it
against a breaker or to answer it from a fallback would break the graph. So it passes through the
policies as a value that is neither stored nor copied, and is raised again behind them.
"""

from __future__ import annotations

import sys

from toolops_plugins.adapters.signals import Signal

__all__ = ["signal_of"]


def signal_of(error: Exception) -> Signal | None:
    """Return the exception made ready to pass through, or None if it is a failure like others."""
    errors = sys.modules.get("langgraph.errors")  # if nobody has imported it, it is none of those
    if errors is None:
        return None
    if isinstance(error, errors.GraphBubbleUp):
        return Signal(error)
    # What a human has answered does not fit what was asked; the graph is to ask again.
    is_invalid_resume = getattr(errors, "is_invalid_resume", None)  # langgraph 1.2 and later
    return Signal(error) if is_invalid_resume is not None and is_invalid_resume(error) else None
