"""Context variables that were set where a call really ran.

A call that runs in a thread or a task of its own sees a copy of its caller's context. What it sets
there is set for its caller too once it has ended, as if it had run in place (asgiref's
``sync_to_async`` does the same).
"""

from __future__ import annotations

from contextvars import Context, ContextVar
from typing import Any

__all__ = ["bring_back", "find_changes"]

_NOTHING = object()


def find_changes(before: Context, after: Context) -> list[tuple[ContextVar[Any], Any]]:
    """Return the variables that are not in ``after`` what they were in ``before``."""
    return [
        (variable, value)
        for variable, value in after.items()
        if before.get(variable, _NOTHING) is not value
    ]


def bring_back(context: Context) -> None:
    """Set in the caller's context what was set in a copy of it."""
    for variable, value in context.items():
        if variable.get(_NOTHING) is not value:
            variable.set(value)
