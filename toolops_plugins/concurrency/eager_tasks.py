"""Tasks whose first step runs at once, inside of the turn of the task that starts them.

A task costs two turns of the loop even if it has nothing to wait for. Python 3.12 has eager tasks
against that, and for Python 3.11 the same is done here, with the functions that asyncio documents
for its extension (``_enter_task``, ``_leave_task``). There the task still takes a step of its own
in the next turn, which nobody waits for if the coroutine has ended.

A module of its own, since asyncio is slow to import and synchronous programs do not need it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar, cast

__all__ = ["EagerTask", "start_eagerly"]

T = TypeVar("T")

_NAME = "toolops"
"""The name of the tasks: asyncio would format a number for each."""

_MOST_ENDED = 1_000
"""Tasks of ended coroutines that may wait for their empty step. Past it the next one begins in a
later turn: calls that have nothing to wait for would otherwise pile them up for ever."""


_NESTED = 8
"""First steps inside of each other, past which the next task begins in a later turn of the loop.
Each adds its frames to the stack."""


class _FirstSteps(threading.local):
    """The first steps of one thread.

    Attributes:
        depth: First steps under way, one inside of the other.
        loop: The loop of the count.
        ended: Tasks of that loop that wait for their empty step.
    """

    depth = 0
    loop = 0
    ended = 0


_steps = _FirstSteps()


class EagerTask(Generic[T]):
    """A task whose first step has run, unless the loop has a task factory.

    Before Python 3.12 a task is not done before its next turn, even if its coroutine has ended.

    Args:
        task: The task.
        end: How the coroutine has ended in its first step: its result or error. None: it has not.

    Attributes:
        task: The task.
    """

    __slots__ = ("_end", "task")

    def __init__(self, task: asyncio.Task[T], end: list[Any] | None) -> None:
        self.task = task
        self._end = end

    def done(self) -> bool:
        """Return whether the coroutine has ended."""
        return self._end is not None or self.task.done()

    def result(self) -> T:
        """Return the coroutine's result or raise its error, once it has ended; for one call."""
        value, error = self.outcome()
        if error is None:
            return cast("T", value)
        try:
            raise error
        finally:
            del error  # it would refer to itself through its traceback

    def outcome(self) -> tuple[T | None, BaseException | None]:
        """Return the coroutine's result and its error, of which one is None; for one call.

        The task refers to the error. A caller that raises it and still refers to the task would
        close a circle, through the traceback; so it deletes its references first.

        Raises:
            CancelledError: The task was cancelled.
        """
        end = self._end
        if end is None:
            error = self.task.exception()
            return (self.task.result(), None) if error is None else (None, error)
        # The task raises an error no more, which would lengthen its traceback.
        return end[0], None if end[1] is None else end.pop()


def start_eagerly(
    coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, context: Context
) -> tuple[asyncio.Task[T], list[Any] | None]:
    """Start a task, whose first step runs now, unless the loop has a task factory.

    Nor does it run now inside of too many other first steps, or on a loop that may be run inside of
    itself (nest_asyncio, Python 3.11).

    Args:
        coroutine: The coroutine.
        loop: The running loop.
        context: The context that it runs in, which no code runs in now.

    Returns:
        What makes an :class:`EagerTask`: the task, and how the coroutine has ended.
    """
    if loop.get_task_factory() is not None or _steps.depth >= _NESTED:
        return loop.create_task(coroutine, context=context), None
    _steps.depth += 1
    try:
        if sys.version_info >= (3, 12):
            # In no variable: the frames of an error in the first step lead to this one.
            return (
                asyncio.Task(coroutine, loop=loop, name=_NAME, context=context, eager_start=True),
                None,
            )
        return _start_before_312(coroutine, loop, context)
    finally:
        _steps.depth -= 1


def _start_before_312(
    coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, context: Context
) -> tuple[asyncio.Task[T], list[Any] | None]:
    if _steps.loop != id(loop):
        _steps.loop, _steps.ended = id(loop), 0
    # nest_asyncio lets a first step run the loop, which would then take the task's next step in the
    # middle of its first: the context refuses that, and the step is lost.
    if _steps.ended >= _MOST_ENDED or getattr(loop, "_nest_patched", False):
        return loop.create_task(coroutine, context=context), None
    adapter = _run_first_step(coroutine)
    task = asyncio.Task(adapter, loop=loop, name=_NAME, context=context)
    caller = asyncio.current_task(loop)
    try:
        if caller is not None:
            asyncio._leave_task(loop, caller)  # noqa: SLF001 - documented in "Extending asyncio"
        asyncio._enter_task(loop, task)  # noqa: SLF001 - as above
        end = context.run(adapter.send, None)
        asyncio._leave_task(loop, task)  # noqa: SLF001 - as above
        if caller is not None:
            asyncio._enter_task(loop, caller)  # noqa: SLF001 - as above
    except BaseException:  # an interrupt between two instructions, since the adapter raises nothing
        if asyncio.current_task(loop) is task:
            asyncio._leave_task(loop, task)  # noqa: SLF001 - as above
        if caller is not None and asyncio.current_task(loop) is None:
            asyncio._enter_task(loop, caller)  # noqa: SLF001 - as above
        raise
    if end is not None:
        _steps.ended += 1
        if end[1] is None and task.cancelling():
            # Cancelled by its own first step: a task that ends before it waits is cancelled, too.
            end[:] = None, asyncio.CancelledError()
    return task, end


@types.coroutine
def _run_first_step(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
    """Run a coroutine's first step, pause until the task takes a step, and then run the rest.

    Yields first how the coroutine has ended, as an :class:`EagerTask` takes it, or None.
    """
    awaited: Any = None
    end: list[Any] | None = None
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        end = [stop.value, None]
    except BaseException as failure:  # noqa: BLE001 - raised by the starter or the task
        end = [None, failure]
    if end is not None:
        # Until the next turn, only the end is kept.
        del coroutine
        try:
            yield end
        except asyncio.CancelledError:
            # It had ended before. An error is for a starter that waits; whoever cancels the task,
            # such as a loop that ends, would only complain of it.
            if len(end) > 1 and end[1] is not None:
                raise
        finally:
            _steps.ended -= 1
        if len(end) > 1 and end[1] is not None:  # the starter has not raised it
            raise end.pop()
        return cast("T", end[0])
    # ``await`` marks the future that it yields, and a task removes the mark when it begins to wait.
    # Others may wait for the same future until then.
    is_future = getattr(awaited, "_asyncio_future_blocking", False)
    if is_future:
        awaited._asyncio_future_blocking = False  # noqa: SLF001 - documented for future-like objects
    paused = True
    while True:
        error: BaseException | None = None
        try:
            yield None if paused else awaited
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as raised:  # noqa: BLE001 - raised in the coroutine
            error = raised
        if paused:
            paused = False
            # A task that is cancelled cancels what it waits for, if that is possible.
            if is_future and isinstance(error, asyncio.CancelledError):
                error = None if awaited.cancel(*error.args[:1]) else error
            if error is None and awaited is not None:
                if is_future:
                    awaited._asyncio_future_blocking = True  # noqa: SLF001 - as above
                continue
        if error is None:
            result: T = yield from coroutine
            return result
        try:
            awaited = coroutine.throw(error)
        except StopIteration as stop:
            late: T = stop.value
            return late
