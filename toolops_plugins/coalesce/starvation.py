"""Queues of work that waits for a thread, as a caller that holds a thread can see them.

A call on an event loop needs threads as well: for a name lookup, for files, for ``to_thread``. If
those who hold all threads of a pool wait for that call, it never ends. So whoever waits in a thread
looks at the queues of the pool that it sits in, at that of the loop's default executor and at
anyio's and asgiref's, and leaves where they do not move.

The frameworks are known by their attributes and never imported. A pool that nobody knows is known
by its worker: a function near the bottom of this thread's stack which gets its work from a queue.
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
"""Frames at the bottom of a thread's stack among which a pool's worker is."""
_TOP = 4
"""Frames at its top among which the wait for another thread is."""
_WAITS = frozenset(("wait", "join", "_wait_for_tstate_lock", "get", "result", "select", "acquire"))
"""Functions in which a thread waits for another one; the last but one for all that a loop does."""
_MODULES = ("threading.py", "queue.py", "_base.py", "selectors.py", "pool.py", "locks.py")


class Backlog:
    """What one caller has seen of the queues that matter to it. For that caller alone.

    Args:
        loop: The event loop of the work that is waited for; None: it runs in a thread.
    """

    __slots__ = ("_before", "_loop", "looks")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._before: dict[int, Any] = {}
        self.looks = 0
        """How many looks in a row have found that nothing moved."""

    def look(self) -> int:
        """Look at the queues; return how many looks in a row have found that nothing moved."""
        try:
            now = dict(_waiting(self._loop))
        except Exception:  # noqa: BLE001 - what is not ours may be in any state
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


def _waiting(loop: asyncio.AbstractEventLoop | None) -> Iterator[tuple[int, Any]]:
    """Yield each queue in which something waits, with its length or the first that waits."""
    for queue in {id(queue): queue for queue in _queues(loop)}.values():
        size = queue.qsize()
        if size:
            yield id(queue), size
    for limiter in _limiters(loop):
        waiting = getattr(limiter, "_wait_queue", ())
        for first in waiting:
            yield id(limiter), waiting[first]
            break
    for executor in _current_thread_executors():
        size = len(getattr(executor, "_work_items", ()))
        if size:
            yield id(executor), size


def _queues(loop: asyncio.AbstractEventLoop | None) -> Iterator[Any]:
    yield from _own_pool()
    executors: list[Any] = []
    if loop is not None:
        executors.append(getattr(loop, "_default_executor", None))
        if not hasattr(loop, "_default_executor"):  # as uvloop's, which shows nobody its own
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


def _own_pool() -> Iterator[Any]:
    """Yield the queues that the worker of this thread's pool gets its work from."""
    if threading.current_thread() is threading.main_thread():
        return
    frames = list(_stack(sys._getframe()))[-_BOTTOM:]  # noqa: SLF001 - the only way to the stack
    for frame in frames:
        if "get" not in frame.f_code.co_names:
            continue
        values = list(frame.f_locals.values())
        with suppress(AttributeError):
            values += object.__getattribute__(frame.f_locals.get("self"), "__dict__").values()
        # By the type itself: to ask a proxy for its class may load it.
        yield from (value for value in values if issubclass(type(value), Queue | SimpleQueue))


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _limiters(loop: asyncio.AbstractEventLoop | None) -> Iterator[Any]:
    """Yield anyio's limiters of threads: of the work's loop, and of that which owns this thread."""
    anyio = sys.modules.get("anyio.lowlevel")
    if anyio is None:
        return
    variables = getattr(anyio, "_run_vars", {})
    owner = getattr(threading.current_thread(), "loop", None)
    for token in {id(each): each for each in (loop, owner) if each is not None}.values():
        held: Iterable[Any] = ()
        with suppress(TypeError):  # no loop: it cannot be weakly referenced
            held = list((variables.get(token) or {}).values())
        for value in held:
            if hasattr(value, "_wait_queue") and hasattr(value, "total_tokens"):
                yield value


def _current_thread_executors() -> Iterator[Any]:
    """Yield asgiref's executors that run work in this very thread, once it gets back to them."""
    executor = _executor_of_context()
    while executor is not None and getattr(executor, "_work_thread", None) is _this_thread():
        yield executor
        executor = getattr(executor, "_old_executor", None)


def _this_thread() -> threading.Thread:
    return threading.current_thread()


def _executor_of_context() -> Any:
    asgiref = sys.modules.get("asgiref.sync")
    held = None if asgiref is None else getattr(asgiref.AsyncToSync, "executors", None)
    return getattr(held, "current", None)


def holds_thread() -> bool:
    """Return whether a thread waits for this coroutine, and is needed by others, by asgiref."""
    return _executor_of_context() is not None


class ThreadCall:
    """A call of a function in a thread: where work runs that is not on a loop.

    Args:
        above: Which function: 1 is the one that makes this. Default 1.
    """

    __slots__ = ("_frame", "_greenlet", "_ident")

    def __init__(self, above: int = 1) -> None:
        self._ident = threading.get_ident()
        self._frame = sys._getframe(above)  # noqa: SLF001 - the only way to the stack
        greenlet = sys.modules.get("greenlet")
        self._greenlet = None if greenlet is None else greenlet.getcurrent()

    def is_on_stack(self) -> bool:
        """Return whether that call is still on the stack of its thread, or of its greenlet."""
        stacks = [self._top(), getattr(self._greenlet, "gr_frame", None)]
        return any(frame is self._frame for top in stacks for frame in _stack(top))

    def waits_for_thread(self) -> bool:
        """Return whether its thread seems to wait for another one."""
        return any(
            frame.f_code.co_name in _WAITS and frame.f_code.co_filename.endswith(_MODULES)
            for frame in islice(_stack(self._top()), _TOP)
        )

    def _top(self) -> FrameType | None:
        return sys._current_frames().get(self._ident)  # noqa: SLF001 - documented, and the only way
