"""Calls of users' functions, in place or in a thread of the pool, for both drivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolops_plugins.callables.hidden_coroutines import is_awaitable
from toolops_plugins.concurrency.pool import Ticket
from toolops_plugins.steps import Invoke, StopIterationCarrier

__all__ = ["call_function", "close_awaitable", "note_abandonment", "run_invocation"]


def call_function(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a user's function.

    Raises:
        StopIterationCarrier: It raised a StopIteration, which a flow cannot raise as it is.
        Exception: Any other error of the function.
    """
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise StopIterationCarrier(error) from None


def run_invocation(step: Invoke) -> Any:
    """Make the call of a step in a thread of the pool, and leave the bulkhead afterwards."""
    value: Any = None
    try:
        value = call_function(step.function, step.args, step.kwargs)
    finally:
        step.over = True
        hidden = is_awaitable(value)
        if hidden and step.abandoned:
            close_awaitable(value)
        # Leave before the caller gets the result: it may want the place at once. An awaitable that
        # a plain function returned may still have to run on the event loop.
        if step.leave is not None and (step.abandoned or not hidden):
            step.leave()
    return value


def note_abandonment(ticket: Ticket, step: Invoke) -> None:
    """Mark a step whose caller stops waiting: the function never ran, or still runs."""
    if ticket.drop() or ticket.started_at is None:
        step.reached = False
    else:
        step.queue_seconds = ticket.queue_seconds
        step.abandoned = True
        if step.over and step.leave is not None:
            step.leave()


def close_awaitable(awaitable: Any) -> None:
    """Close a coroutine that nobody awaits, so that Python does not warn of it."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
