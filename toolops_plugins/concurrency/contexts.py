"""Context variables that were set where a call really ran.

A call that runs in a thread or a task of its own sees a copy of its caller's context. What it sets
there is set for its caller too once it has ended, as if it had run in place (asgiref's
``sync_to_async`` does the same).
"""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context
from typing import Any

__all__ = ["ContextChanges", "apply_context"]

_NOTHING = object()


class ContextChanges:
    """Context variables that a block of work sets, to be set again where its caller is.

    The block runs ``with`` it, in any thread or task; its caller calls :meth:`apply`.
    """

    __slots__ = ("_before", "_found")

    def __init__(self) -> None:
        self._before: Context | None = None
        self._found: list[tuple[ContextVar[Any], Any]] = []

    def __enter__(self) -> None:
        self._before = copy_context()

    def __exit__(self, *_: object) -> None:
        before = self._before
        if before is not None:
            self._found += (
                (variable, value)
                for variable, value in copy_context().items()
                if before.get(variable, _NOTHING) is not value
            )

    def apply(self) -> None:
        """Set in this context what the block has set so far."""
        for variable, value in self._found:
            variable.set(value)


def apply_context(context: Context) -> None:
    """Set in the caller's context what was set in a copy of it."""
    for variable, value in context.items():
        if variable.get(_NOTHING) is not value:
            variable.set(value)
