"""Wrap plain functions around coroutine functions.

A decorator such as ``def traced(f): @wraps(f) def wrapper(*args): return f(*args)`` makes a plain
function of a coroutine function. A call returns a coroutine at once, so that no policy would see a
failure of the work. But a decorator may also run an event loop of its own, and return a result.
Only a call shows which of the two it is, so the first call decides.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from toolops_plugins.callables.target import Target
from toolops_plugins.errors import ConfigurationError

__all__ = ["is_awaitable", "refusal", "wrap_hidden_coroutine"]

_PLAIN_TYPES = frozenset((str, bytes, int, float, bool, type(None), list, dict, tuple, set))

_FIRST_OUTCOME: ContextVar[tuple[object, list[Callable[[], Any]]] | None] = ContextVar(
    "toolops_made", default=None
)
"""The outcome of the first call, for its first attempt, with the wrapper that it belongs to."""


def is_awaitable(value: object) -> bool:
    """Return whether a value is a coroutine, a future or another awaitable."""
    kind = type(value)
    # A missing attribute is found in three times the time. A metaclass of the user's may raise.
    if type(kind) is type and kind in _PLAIN_TYPES:
        return False
    try:
        return hasattr(kind, "__await__")
    except Exception:  # noqa: BLE001 - a metaclass may raise anything
        return False


def refusal(name: str, value: object) -> ConfigurationError:
    """Close the awaitable that a plain function returned, and return the error of the call.

    Args:
        name: The tool's name.
        value: The awaitable.
    """
    close = getattr(value, "close", None)
    if callable(close):
        close()
    return ConfigurationError(
        "function",
        f"{name} is a plain function that returned a {type(value).__name__}, so that its policies"
        " would see none of the work; make it a coroutine function (async def) that awaits it",
    )


def wrap_hidden_coroutine(
    target: Target, make: Callable[[Target], Callable[..., Any]]
) -> Callable[..., Any]:
    """Return a plain function that is asynchronous if its target proves to be.

    The first call calls the function before the cache and the policies, and uses the outcome as
    the first attempt. A coroutine has not begun to run then; a function that returns a result has
    run, so that its first call bypasses the cache.

    Args:
        target: A plain function around a coroutine function.
        make: Returns the wrapper of a target.
    """
    function = target.function
    mine = object()
    known = ""  # the kind of the function, once its first call has shown it

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
            # If the answer came from the cache or another flight, nobody awaits the coroutine.
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
            except Exception as error:  # noqa: BLE001 - the first attempt raises it again
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
