"""Copy context variables back from the thread or task of a call to its caller.

A call in a thread or task of its own sees a copy of its caller's context. The variables that it
sets there are set in the caller's context when it has ended, as if it had run in place. asgiref's
``sync_to_async`` does the same.
"""

from __future__ import annotations

from contextvars import Context

__all__ = ["apply_context"]

_NOTHING = object()


def apply_context(context: Context) -> None:
    """Set in this context all variables of a copy of it that have changed."""
    for variable, value in context.items():
        if variable.get(_NOTHING) is not value:
            variable.set(value)
