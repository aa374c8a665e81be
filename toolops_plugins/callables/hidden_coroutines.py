"""Put a coroutine function under policies that hides behind a plain function.

A decorator such as ``def traced(f): @wraps(f) def wrapper(*args): return f(*args)`` makes a plain
function of a coroutine function: calling it returns at once, whatever becomes of the work, so that
no policy would ever see a failure. But not all that wraps a coroutine function is of this kind: a
wrapper that runs a loop of its own returns a result. Only a call can tell, so the first one does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from toolops_plugins.callables.target import Target
from toolops_plugins.errors import ConfigurationError

__all__ = ["is_awaitable", "refusal", "wrap_hidden_coroutine"]

_FIRST_OUTCOME: ContextVar[tuple[object, list[Callable[[], Any]]] | None] = ContextVar(
    "toolops_made", default=None
)
"""What a first call has made already, for its first attempt; with the wrapper that it is for."""


def is_awaitable(value: object) -> bool:
    """Return whether a value is a coroutine, a future, or anything else that can be awaited."""
    try:
        return hasattr(type(value), "__await__")
    except Exception:  # noqa: BLE001 - a metaclass may raise anything where it is looked at
        return False


def refusal(name: str, value: object) -> ConfigurationError:
    """Return the error of a plain function that returned an awaitable, which is closed.

    Args:
        name: The tool's name.
        value: What the function returned.
    """
    close = getattr(value, "close", None)
    if callable(close):
        close()
    return ConfigurationError(
        "function",
        f"{name} is a plain function that returned a {type(value).__name__}, so that its policies"
        " would see none of the work: make it a coroutine function (async def), and await there",
    )


def wrap_hidden_coroutine(
    target: Target, make: Callable[[Target], Callable[..., Any]]
) -> Callable[..., Any]:
    """Return a plain function that becomes asynchronous if its target proves to be so.

    Before its first call it cannot know. So that call asks the function before the cache and the
    policies, and what it made is the first attempt. A coroutine has not begun to run by then; where
    a result comes back at once, that call has gone past the cache.

    Args:
        target: A plain function around a coroutine function.
        make: Returns what stands in front of a target under its policies.
    """
    function = target.function
    mine = object()
    known = ""  # what the function has proved to be

    def take_first_outcome() -> Callable[[], Any] | None:
        found = _FIRST_OUTCOME.get()
        return found[1].pop() if found is not None and found[0] is mine and found[1] else None

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        nonlocal known
        made = take_first_outcome()
        if made is not None:
            return made()
        value = function(*args, **kwargs)
        if not is_awaitable(value):
            known = "function"
        return value

    @functools.wraps(function)
    async def acall_target(*args: Any, **kwargs: Any) -> Any:
        made = take_first_outcome()
        value = function(*args, **kwargs) if made is None else made()
        return await value if is_awaitable(value) else value

    aio = make(target._replace(function=acall_target, kind="coroutine", hidden=False))
    sync: Callable[..., Any] | None = None

    async def first(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        box = [lambda: value]
        token = _FIRST_OUTCOME.set((mine, box))
        try:
            return await aio(*args, **kwargs)
        finally:
            _FIRST_OUTCOME.reset(token)
            # Where the answer came from somewhere else, nobody awaits it any more.
            close = getattr(value, "close", None)
            if box and callable(close):
                close()

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal known, sync
        if known == "coroutine":
            return aio(*args, **kwargs)
        box: list[Callable[[], Any]] = []
        if not known:
            try:
                value = function(*target.args, *args, **{**target.kwargs, **kwargs})
            except Exception as error:  # noqa: BLE001 - it is the first attempt's, and raised there
                box.append(functools.partial(_raise, error))
            else:
                if is_awaitable(value):
                    known = "coroutine"
                    return first(value, args, kwargs)
                known = "function"
                box.append(lambda: value)
        sync = sync or make(target._replace(function=plain, hidden=False))
        token = _FIRST_OUTCOME.set((mine, box))
        try:
            return sync(*args, **kwargs)
        finally:
            _FIRST_OUTCOME.reset(token)

    return call


def _raise(error: Exception) -> Any:
    raise error
