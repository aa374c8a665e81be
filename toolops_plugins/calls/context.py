"""The context of a call: its deadline, its background refresh, and the block that forces one."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from toolops_plugins.errors import DeadlineExceeded

if TYPE_CHECKING:
    from toolops_plugins.calls.call import Call
    from toolops_plugins.calls.plan import Shared
    from toolops_plugins.steps import Flow

__all__ = [
    "DEADLINE",
    "FORCED_REFRESH",
    "REFRESH",
    "Deadline",
    "ForcedRefresh",
    "current_deadline",
    "current_forced_refresh",
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


class ForcedRefresh:
    """A block whose calls are made anew, each once.

    Args:
        shared: The parts of the runtime whose calls these are.
        forget: Returns the flow that invalidates the results of keys.
        outer: The enclosing block, of this runtime or another, or None.

    Attributes:
        over: True once the block has been left, which may happen in another context.
        token: Tells it from all other blocks.
        forgotten: Keys whose results from before this block are gone.
    """

    __slots__ = ("forget", "forgotten", "outer", "over", "shared", "token")

    def __init__(
        self, shared: Shared, forget: Callable[[list[bytes]], Flow], outer: ForcedRefresh | None
    ) -> None:
        self.shared = shared
        self.forget = forget
        self.outer = outer
        self.over = False
        self.token = os.urandom(8)
        self.forgotten: set[bytes] = set()


FORCED_REFRESH: ContextVar[ForcedRefresh | None] = ContextVar(
    "toolops_forced_refresh", default=None
)
"""The innermost block of this context, or None; see :func:`current_forced_refresh`."""


def current_forced_refresh(shared: Shared) -> ForcedRefresh | None:
    """Return the innermost block of this context that forces a runtime's calls, or None."""
    block = FORCED_REFRESH.get()
    while block is not None and (block.over or block.shared is not shared):
        block = block.outer
    return block


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
