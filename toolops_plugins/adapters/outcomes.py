"""How a call of the runtime ended, told to the code that made it."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from toolops_plugins import CallEvent, ToolOps
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["Heard", "listening"]

_SERVED = frozenset(("hit", "stale", "coalesced"))
_here: ContextVar[Heard | None] = ContextVar("toolops_llama_index_heard", default=None)
_listened: weakref.WeakSet[ToolOps] = weakref.WeakSet()
_lock = fork_safe(sys.modules[__name__], threading.Lock())


class Heard:
    """What is heard of one call.

    Args:
        ops: Its runtime.
        name: The name that it is counted by.
    """

    __slots__ = ("event", "name")

    def __init__(self, ops: ToolOps, name: str) -> None:
        self.name = name
        self.event: CallEvent | None = None
        """The event of the call, once it has ended."""
        if ops not in _listened:
            with _lock:
                if ops not in _listened:
                    ops.add_sink(_tell)
                    _listened.add(ops)

    @property
    def served(self) -> CallEvent | None:
        """The call's event, if the answer came from the cache or from another call's flight."""
        event = self.event
        return event if event is not None and event.outcome in _SERVED else None


@contextmanager
def listening(heard: Heard | None) -> Iterator[None]:
    """Hear what ends in this block, which must have no yield in it.

    Args:
        heard: Who hears. None: nobody, since what is called here is another call.
    """
    token = _here.set(heard)
    try:
        yield
    finally:
        _here.reset(token)


def _tell(event: CallEvent) -> None:
    heard = _here.get()
    # A call that this one has made, or a refresh behind it, is another.
    if heard is None or heard.event is not None or event.name != heard.name:
        return
    if event.outcome != "refresh":
        heard.event = event
