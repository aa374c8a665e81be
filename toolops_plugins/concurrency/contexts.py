"""Copy context variables back from the thread or task of a call to its caller.

A call in a thread or task of its own sees a copy of its caller's context. The variables that it
sets there are set in the caller's context when it has ended, as if it had run in place. asgiref's
``sync_to_async`` does the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any

__all__ = ["ContextChanges", "apply_context"]

_NOTHING = object()


class ContextChanges:
    """Records the context variables that a ``with`` block sets, in any thread or task.

    The caller of the block then sets them in its own context with :meth:`apply`.
    """

    __slots__ = ("_before", "_found")

    _before: Context

    def __init__(self) -> None:
        self._found: Sequence[tuple[ContextVar[Any], Any]] = ()

    def __enter__(self) -> None:
        self._before = copy_context()

    def __exit__(self, *_: object) -> None:
        before = self._before
        for variable, value in copy_context().items():
            if before.get(variable, _NOTHING) is not value:
                self._found = (*self._found, (variable, value))

    def apply(self) -> None:
        """Set the recorded variables in this context."""
        for variable, value in self._found:
            variable.set(value)


def apply_context(context: Context) -> None:
    """Set in this context all variables of a copy of it that have changed."""
    for variable, value in context.items():
        if variable.get(_NOTHING) is not value:
            variable.set(value)
