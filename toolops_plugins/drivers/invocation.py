"""Attempts in a thread of the pool, for both drivers."""

from __future__ import annotations

from typing import Any

from toolops_plugins.callables.hidden_coroutines import is_awaitable
from toolops_plugins.concurrency.pool import Ticket
from toolops_plugins.drivers.attempt import Attempt

__all__ = ["close_awaitable", "note_abandonment", "run_attempt"]


def run_attempt(attempt: Attempt) -> Any:
    """Make an attempt in a thread of the pool, and leave the bulkhead afterwards."""
    value: Any = None
    try:
        value = attempt.function(*attempt.args, **attempt.kwargs)
    finally:
        attempt.over = True
        hidden = is_awaitable(value)
        if hidden and attempt.abandoned:
            close_awaitable(value)
        # Leave before the caller gets the result: it may want the place at once. An awaitable that
        # a plain function returned may still have to run on the event loop.
        if attempt.leave is not None and (attempt.abandoned or not hidden):
            attempt.leave()
    return value


def note_abandonment(ticket: Ticket, attempt: Attempt) -> None:
    """Mark an attempt whose caller stops waiting: the function never ran, or still runs."""
    if ticket.drop() or ticket.started_at is None:
        attempt.reached = False
    else:
        attempt.queue_seconds = ticket.queue_seconds
        attempt.abandoned = True
        if attempt.over and attempt.leave is not None:
            attempt.leave()


def close_awaitable(awaitable: Any) -> None:
    """Close a coroutine that nobody awaits, so that Python does not warn of it."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
