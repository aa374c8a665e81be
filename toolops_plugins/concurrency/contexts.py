"""Run code in contexts of its own, and copy context variables back to the caller.

A call in a thread or task of its own sees a copy of its caller's context. The variables that it
sets there are set in the caller's context when it has ended, as if it had run in place. asgiref's
``sync_to_async`` does the same.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from typing import Any

__all__ = ["apply_context", "await_steps", "run_steps"]

_NOTHING = object()


def apply_context(context: Context) -> None:
    """Set in this context all variables of a copy of it that have changed."""
    for variable, value in context.items():
        if variable.get(_NOTHING) is not value:
            variable.set(value)


def run_steps(context: Context, steps: Any) -> Generator[Any, Any, Any]:
    """Run each step of a coroutine or generator in a context, which its caller never sees.

    So the context is the same for all of them, and for the clean-up of one that was abandoned,
    which may be closed in any other context.

    Args:
        context: The context. No other code may run in it at the same time.
        steps: The generator; or as in :data:`await_steps`.
    """
    run = context.run
    try:
        item = run(steps.send, None)
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                run(steps.close)
                raise
            except BaseException as error:  # noqa: BLE001 - the coroutine handles it
                item = run(steps.throw, error)
            else:
                item = run(steps.send, sent)
    except StopIteration as end:
        return end.value


await_steps: Callable[[Context, Any], Awaitable[Any]] = types.coroutine(run_steps)
"""As :func:`run_steps`, for a coroutine, or for one item of an asynchronous generator."""
