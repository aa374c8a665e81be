"""Queues of work that waits for a thread, as seen by a caller that holds a thread.

A call on an event loop needs threads as well: for a name lookup, for files, for ``to_thread``. If
the callers that hold all threads of a pool wait for that call, it never ends. So a caller that
waits in a thread looks at the queues of its own pool, of the loop's default executor, and of
anyio's and asgiref's, and leaves where they do not move.

The frameworks are recognized by their attributes and never imported. An unknown pool is recognized
by its worker: a function near the bottom of this thread's stack that gets its work from a queue.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from queue import Queue, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Slow to import: whoever runs a loop has imported it, and nobody else needs it.
    import asyncio

__all__ = ["Backlog", "ThreadCall", "holds_thread"]

_BOTTOM = 12
"""Frames at the bottom of a thread's stack that may be a pool's worker."""
_TOP = 4
"""Frames at its top that may be a wait for another thread."""
_WAITS = frozenset(("wait", "join", "_wait_for_tstate_lock", "get", "result", "select", "acquire"))
"""Functions in which a thread waits for another one; ``select`` stands for an idle event loop."""
_MODULES = ("threading.py", "queue.py", "_base.py", "selectors.py", "pool.py", "locks.py")


class Backlog:
    """One caller's observations of the queues that it depends on. For that caller alone.

    Args:
        loop: The event loop of the awaited work; None: it runs in a thread.
    """

    __slots__ = ("_before", "_loop", "looks")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._before: dict[int, Any] = {}
        self.looks = 0
        """Looks in a row that have found a queue without motion."""

    def look(self) -> int:
        """Look at the queues; return how many looks in a row have found a queue without motion."""
        try:
            now = dict(_iter_backlogs(self._loop))
        except Exception:  # noqa: BLE001 - the objects of frameworks may be in any state
            now = {}
        self.looks = self.looks + 1 if any(map(self._is_stuck, now.items())) else 0
        self._before = now
        return self.looks

    def _is_stuck(self, item: tuple[int, Any]) -> bool:
        number, now = item
        before = self._before.get(number)
        if isinstance(now, int) and isinstance(before, int):
            return now >= before
        return before is not None and now is before


def _iter_backlogs(loop: asyncio.AbstractEventLoop | None) -> Iterator[tuple[int, Any]]:
    """Yield each non-empty queue, with its length or its first member."""
    for queue in {id(queue): queue for queue in _iter_queues(loop)}.values():
        size = queue.qsize()
        if size:
            yield id(queue), size
    for limiter in _iter_limiters(loop):
        waiting = getattr(limiter, "_wait_queue", ())
        for first in waiting:
            yield id(limiter), waiting[first]
            break
    for executor in _iter_thread_executors():
        size = len(getattr(executor, "_work_items", ()))
        if size:
            yield id(executor), size


def _iter_queues(loop: asyncio.AbstractEventLoop | None) -> Iterator[Any]:
    yield from _iter_pool_queues()
    executors: list[Any] = []
    if loop is not None:
        executors.append(getattr(loop, "_default_executor", None))
        if not hasattr(loop, "_default_executor"):  # such as uvloop's, which hides its own
            futures = sys.modules.get("concurrent.futures.thread")
            yield from list(getattr(futures, "_threads_queues", {}).values())
    asgiref = sys.modules.get("asgiref.sync")
    if asgiref is not None and loop is not None:
        calls = asgiref.SyncToAsync
        executors.append(getattr(calls, "single_thread_executor", None))
        executors += getattr(calls, "context_to_thread_executor", {}).values()
    for executor in executors:
        queue = getattr(executor, "_work_queue", None)
        if hasattr(queue, "qsize"):
            yield queue


def _iter_pool_queues() -> Iterator[Any]:
    """Yield the queues from which the worker of this thread's pool gets its work."""
    if threading.current_thread() is threading.main_thread():
        return
    frames = list(_iter_stack(sys._getframe()))[-_BOTTOM:]  # noqa: SLF001 - the only way to the stack
    for frame in frames:
        if "get" not in frame.f_code.co_names:
            continue
        values = list(frame.f_locals.values())
        with suppress(AttributeError):
            values += object.__getattribute__(frame.f_locals.get("self"), "__dict__").values()
        # By type(), since a proxy may load its object when it is asked for its class.
        yield from (value for value in values if issubclass(type(value), Queue | SimpleQueue))


def _iter_stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _iter_limiters(loop: asyncio.AbstractEventLoop | None) -> Iterator[Any]:
    """Yield anyio's thread limiters: of the work's loop, and of the loop that owns this thread."""
    anyio = sys.modules.get("anyio.lowlevel")
    if anyio is None:
        return
    variables = getattr(anyio, "_run_vars", {})
    owner = getattr(threading.current_thread(), "loop", None)
    for token in {id(each): each for each in (loop, owner) if each is not None}.values():
        held: Iterable[Any] = ()
        with suppress(TypeError):  # it cannot be weakly referenced, and so is no loop
            held = list((variables.get(token) or {}).values())
        for value in held:
            if hasattr(value, "_wait_queue") and hasattr(value, "total_tokens"):
                yield value


def _iter_thread_executors() -> Iterator[Any]:
    """Yield asgiref's executors whose work runs in this very thread, once it returns to them."""
    executor = _asgiref_executor()
    while executor is not None and getattr(executor, "_work_thread", None) is _this_thread():
        yield executor
        executor = getattr(executor, "_old_executor", None)


def _this_thread() -> threading.Thread:
    return threading.current_thread()


def _asgiref_executor() -> Any:
    asgiref = sys.modules.get("asgiref.sync")
    held = None if asgiref is None else getattr(asgiref.AsyncToSync, "executors", None)
    return getattr(held, "current", None)


def holds_thread() -> bool:
    """Return whether this coroutine holds a thread, through asgiref, that others need."""
    return _asgiref_executor() is not None


class ThreadCall:
    """A function's call in a thread, in which work runs that is not on a loop.

    Args:
        above: The function, as a number of frames: 1 is the one that makes this object. Default 1.
    """

    __slots__ = ("_frame", "_greenlet", "_ident")

    def __init__(self, above: int = 1) -> None:
        self._ident = threading.get_ident()
        self._frame = sys._getframe(above)  # noqa: SLF001 - the only way to the stack
        greenlet = sys.modules.get("greenlet")
        self._greenlet = None if greenlet is None else greenlet.getcurrent()

    def is_on_stack(self) -> bool:
        """Return whether the call is still on the stack of its thread, or of its greenlet."""
        stacks = [self._top(), getattr(self._greenlet, "gr_frame", None)]
        return any(frame is self._frame for top in stacks for frame in _iter_stack(top))

    def waits_for_thread(self) -> bool:
        """Return whether its thread seems to wait for another thread."""
        return any(
            frame.f_code.co_name in _WAITS and frame.f_code.co_filename.endswith(_MODULES)
            for frame in islice(_iter_stack(self._top()), _TOP)
        )

    def _top(self) -> FrameType | None:
        return sys._current_frames().get(self._ident)  # noqa: SLF001 - documented, and the only way
