"""I/O that is written once, for callers in threads and on event loops.

A flow is a generator that yields :class:`Io` steps and is sent their results, as in httpx's auth
flows. It serves work whose time is that of its requests: invalidation, and the semantic cache. The
path of a call itself is plain code (:mod:`toolops_plugins.calls.aio`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol, TypeAlias, TypeVar

from toolops_plugins.errors import (
    CallTimeout,
    ConfigurationError,
    EmbeddingError,
    TierError,
    ToolOpsError,
)

__all__ = [
    "Flow",
    "Gate",
    "Io",
    "as_tier_error",
    "awalk",
    "describe_problem",
    "is_caller_error",
    "tier_problem",
    "trouble_kind",
    "walk",
]

T = TypeVar("T")


def is_caller_error(error: Exception) -> bool:
    """Return whether an error inside the cache belongs to the caller.

    That is the end of the caller's time, or a wrong configuration. Any other error is trouble with
    the cache, which makes a miss.
    """
    if isinstance(error, TierError):
        return False
    return isinstance(error, CallTimeout | ConfigurationError)


def tier_problem(error: Exception) -> str:
    """Return the detail of a notice on a tier: the error's type, or a reason of this library."""
    cause = error.__cause__
    if isinstance(error, TierError) and error.problem:
        return error.problem
    if isinstance(error, ConfigurationError) or (
        isinstance(error, EmbeddingError) and cause is None
    ):
        return str(error)
    # No truth value is asked for: an exception of a user's class may have any.
    return type(error if cause is None else cause).__name__


def describe_problem(error: Exception) -> str:
    """Return this library's own words on an error, or else its type, for explanations."""
    return str(error) if isinstance(error, ToolOpsError) else type(error).__name__


def trouble_kind(error: Exception) -> str:
    """Return the kind of the notice on trouble with a tier or the semantic cache."""
    return error.notice if isinstance(error, TierError) else TierError.notice


def as_tier_error(error: Exception) -> TierError:
    """Return an error of any kind as the TierError that ``invalidate`` and ``clear`` raise."""
    if isinstance(error, TierError):
        return error
    failure = TierError(f"it failed with {type(error).__name__}")
    failure.__cause__ = error
    return failure


class Gate(Protocol):
    """Admits a bounded number of callers at once, threads and tasks alike."""

    def acquire(self, timeout: float | None = None) -> None:
        """Block this thread until there is a place, for at most ``timeout`` seconds."""
        ...

    async def aacquire(self) -> None:
        """Suspend this task until there is a place."""
        ...


class Io:
    """Do I/O: ``sync(*args)`` in a thread, ``await aio(*args)`` on an event loop."""

    __slots__ = ("aio", "args", "sync")

    def __init__(
        self, sync: Callable[..., Any], aio: Callable[..., Awaitable[Any]], *args: Any
    ) -> None:
        self.sync = sync
        self.aio = aio
        self.args = args


Flow: TypeAlias = Generator[Io, Any, Any]


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def walk(flow: Generator[Io, Any, T], io: Callable[..., Any] = _call) -> T:
    """Run a flow in this thread; return its result or raise its error.

    Args:
        flow: The flow.
        io: Calls the function of a step with its arguments. Default: nothing else.
    """
    try:
        step = flow.send(None)
        while True:
            try:
                result = io(step.sync, *step.args)
            except BaseException as error:  # noqa: BLE001 - the flow handles its errors
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value


async def awalk(flow: Generator[Io, Any, T], io: Callable[..., Awaitable[Any]] = _call) -> T:
    """Run a flow on the running event loop; return its result or raise its error.

    Args:
        flow: The flow.
        io: Awaits the coroutine function of a step with its arguments. Default: nothing else.
    """
    try:
        step = flow.send(None)
        while True:
            try:
                result = await io(step.aio, *step.args)
            except BaseException as error:  # noqa: BLE001 - the flow handles its errors
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
