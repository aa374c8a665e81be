"""The context of a call: its caller's deadline, and the background refresh it belongs to."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from toolops_plugins.errors import DeadlineExceeded

if TYPE_CHECKING:
    from toolops_plugins.calls.call import Call

__all__ = [
    "DEADLINE",
    "REFRESH",
    "Deadline",
    "current_deadline",
    "deadline_error",
    "needs_thread",
    "reset_variable",
    "seconds_left",
]


class Deadline:
    """The time at which the callers in a context stop waiting, on the runtime's monotonic clock.

    A block can be left in another context than it was entered in (a generator, a fixture). The
    context variable cannot be reset there, so the deadline itself is marked as over.

    Args:
        at: The time.
        outer: The enclosing deadline, or None.
        in_thread: Whether plain functions run in a thread, so that they can be abandoned in time.
    """

    __slots__ = ("at", "in_thread", "outer", "over")

    def __init__(self, at: float, outer: Deadline | None, *, in_thread: bool = True) -> None:
        self.at = at
        self.in_thread = in_thread
        self.outer = outer
        self.over = False


DEADLINE: ContextVar[Deadline | None] = ContextVar("toolops_deadline", default=None)
"""The deadline of this context, or None. It may be over; see :func:`current_deadline`."""
REFRESH: ContextVar[object] = ContextVar("toolops_refresh", default=None)
"""A unique object for each background refresh, or None outside of one."""


def current_deadline() -> Deadline | None:
    """Return the innermost deadline of this context that is not over, or None."""
    deadline = DEADLINE.get()
    while deadline is not None and deadline.over:
        deadline = deadline.outer
    return deadline


def reset_variable(variable: ContextVar[Any], token: Token[Any]) -> None:
    """Reset a context variable, unless the garbage collector ends the flow in another context."""
    with suppress(ValueError):
        variable.reset(token)


def seconds_left(call: Call) -> float | None:
    """Return the seconds until the caller's deadline, or None.

    Raises:
        DeadlineExceeded: It has passed.
    """
    deadline = current_deadline()
    if deadline is None:
        return None
    left = deadline.at - call.plan.shared.clock.monotonic()
    if left <= 0.0:
        raise deadline_error(call, 0.0)
    return left


def needs_thread(call: Call) -> bool:
    """Return whether a plain function runs in a thread, where its caller can abandon it."""
    if call.plan.in_thread is not None:
        return call.plan.in_thread
    deadline = current_deadline()
    return deadline is not None and deadline.in_thread


def deadline_error(call: Call, seconds: float) -> DeadlineExceeded:
    """Return the error of a call whose caller waits no longer."""
    message = f"{call.plan.name} gave no result before its caller's deadline"
    return DeadlineExceeded(message, seconds=seconds)
