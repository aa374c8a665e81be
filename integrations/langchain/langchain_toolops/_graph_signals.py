"""Recognise LangGraph's own signals: exceptions that are no failures.

An interrupt, or a command to the parent graph, travels as an exception.
"""

from __future__ import annotations

import sys

__all__ = ["is_graph_signal"]


def is_graph_signal(error: BaseException) -> bool:
    """Return whether an exception is one of LangGraph's signals."""
    errors = sys.modules.get("langgraph.errors")
    if errors is None:  # then nobody can have raised one
        return False
    if isinstance(error, errors.GraphBubbleUp):
        return True
    # A human's answer does not fit the question; the graph is to ask again.
    is_invalid_resume = getattr(errors, "is_invalid_resume", None)  # langgraph 1.2 and later
    return is_invalid_resume is not None and bool(is_invalid_resume(error))
