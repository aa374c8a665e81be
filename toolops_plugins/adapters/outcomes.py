"""Outcomes of calls: the event of a call of the runtime, for the code that made it."""

from __future__ import annotations

import sys
import threading
import weakref
from contextlib import AbstractContextManager
from contextvars import ContextVar

from toolops_plugins.adapters.context_variables import set_within
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.events import CallEvent

__all__ = ["CallOutcome", "capture_outcome"]

_HITS = frozenset(("hit", "stale", "coalesced"))
_current: ContextVar[CallOutcome | None] = ContextVar("toolops_outcome", default=None)
_runtimes: weakref.WeakSet[ToolOps] = weakref.WeakSet()
_lock = fork_safe(sys.modules[__name__], threading.Lock())


class CallOutcome:
    """The outcome of one call.

    Args:
        ops: Its runtime.
        name: The name under which it is counted.

    Attributes:
        event: The event of the call, once it has ended.
    """

    __slots__ = ("event", "name")

    def __init__(self, ops: ToolOps, name: str) -> None:
        self.name = name
        self.event: CallEvent | None = None
        if ops not in _runtimes:
            with _lock:
                if ops not in _runtimes:
                    ops.add_sink(_note)
                    _runtimes.add(ops)

    @property
    def hit(self) -> CallEvent | None:
        """The call's event, if the answer came from the cache or from another call's flight."""
        event = self.event
        return event if event is not None and event.outcome in _HITS else None


def capture_outcome(outcome: CallOutcome | None) -> AbstractContextManager[None]:
    """Capture the outcome of a call that ends in this block, which must have no yield in it.

    Args:
        outcome: Takes the event. None: the calls in this block are others.
    """
    return set_within(_current, outcome)


def _note(event: CallEvent) -> None:
    outcome = _current.get()
    # A call that this one has made, or a refresh behind it, is another.
    if outcome is None or outcome.event is not None or event.name != outcome.name:
        return
    if event.outcome != "refresh":
        outcome.event = event
