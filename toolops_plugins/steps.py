"""The steps of a flow: plain descriptions of work that a driver does.

A flow is a generator that yields steps and is sent their results, as in httpx's auth flows. So the
path of a call is written once, and runs in a thread or on an event loop. Steps that contain work
hold a *flow function*: called without arguments, it returns a new flow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol, TypeAlias

from toolops_plugins.errors import CallTimeout, ConfigurationError, EmbeddingError, TierError

__all__ = [
    "Ask",
    "Enter",
    "Flow",
    "Fly",
    "Gate",
    "Invoke",
    "Io",
    "Race",
    "Sleep",
    "Spawn",
    "Step",
    "StopIterationCarrier",
    "Within",
    "as_tier_error",
    "is_caller_error",
    "tier_problem",
    "unwrap_error",
]


class StopIterationCarrier(Exception):  # noqa: N818 - users never see it
    """Carries a StopIteration of a user's function through a flow, which cannot raise one itself.

    Args:
        error: The StopIteration.
    """

    def __init__(self, error: StopIteration) -> None:
        super().__init__(error)
        self.error = error


def unwrap_error(error: Exception) -> Exception:
    """Return the error that the user's function raised, without its carrier."""
    return error.error if isinstance(error, StopIterationCarrier) else error


def is_caller_error(error: Exception) -> bool:
    """Return whether an error inside the cache belongs to the caller.

    That is the end of the caller's time, or a wrong configuration. Any other error is trouble with
    the cache, which makes a miss.
    """
    if isinstance(error, TierError):
        return False
    return isinstance(error, CallTimeout | ConfigurationError)


def tier_problem(error: Exception) -> str:
    """Return the detail of a notice on a tier: the error's type, or an embedder's reason."""
    if isinstance(error, EmbeddingError) and error.__cause__ is None:
        return str(error)
    return type(error.__cause__ or error).__name__


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


class Sleep:
    """Sleep for ``seconds``."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Invoke:
    """Call the user's function once.

    The driver sets the attributes.

    Args:
        function: The function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        seconds: Seconds after which ``AttemptTimeout`` is raised. None: no limit.
        aio: Whether the function returns an awaitable.
        in_thread: Whether a plain function with a limit runs in a thread, where it can be
            abandoned. Default True.
        owner: The tool whose share of the threads it uses. None: of no tool.
        leave: Called when the function has really ended, perhaps more than once. None: nothing.

    Attributes:
        reached: False if the function never began.
        abandoned: Whether it still runs in a thread and nobody waits for it.
        over: Whether it has ended in a thread.
        queue_seconds: Seconds that it waited for a thread.
    """

    __slots__ = (
        "abandoned",
        "aio",
        "args",
        "function",
        "in_thread",
        "kwargs",
        "leave",
        "over",
        "owner",
        "queue_seconds",
        "reached",
        "seconds",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seconds: float | None,
        *,
        aio: bool,
        in_thread: bool = True,
        owner: str | None = None,
        leave: Callable[[], None] | None = None,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.seconds = seconds
        self.aio = aio
        self.in_thread = in_thread
        self.owner = owner
        self.leave = leave
        self.reached = True
        self.abandoned = False
        self.over = False
        self.queue_seconds = 0.0


class Enter:
    """Take a place at a gate, after waiting in its queue."""

    __slots__ = ("gate",)

    def __init__(self, gate: Gate) -> None:
        self.gate = gate


class Ask:
    """Call a user's callback, a function or a coroutine function, and return its result."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


class Within:
    """Run ``work``; after ``seconds`` give it up and raise ``error()``.

    With ``in_thread`` plain functions inside run in a thread, where they can be abandoned.
    """

    __slots__ = ("error", "in_thread", "seconds", "work")

    def __init__(
        self,
        seconds: float,
        work: Callable[[], Flow],
        error: Callable[[], Exception],
        *,
        in_thread: bool = True,
    ) -> None:
        self.seconds = seconds
        self.work = work
        self.error = error
        self.in_thread = in_thread


class Fly:
    """Run ``work`` as the one flight for ``key``, or wait for the flight that is under way.

    The result is a ``FlightResult``: the flight's result, and whether this caller led it. With
    ``in_thread`` a leader with a limit runs the work in a thread, where it can be abandoned.
    ``owner`` is the tool whose share of the threads it uses.
    """

    __slots__ = ("in_thread", "key", "owner", "seconds", "work")

    def __init__(
        self,
        key: bytes,
        work: Callable[[], Flow],
        seconds: float | None,
        *,
        in_thread: bool = False,
        owner: str | None = None,
    ) -> None:
        self.key = key
        self.work = work
        self.seconds = seconds
        self.in_thread = in_thread
        self.owner = owner


class Race:
    """Run ``work``; if it has not ended after ``seconds``, run it a second time in parallel.

    The first success wins and the other run is cancelled; if both fail, the first error is raised.
    ``owner`` is the tool whose share of the threads it uses.
    """

    __slots__ = ("owner", "seconds", "work")

    def __init__(
        self, seconds: float, work: Callable[[], Flow], *, owner: str | None = None
    ) -> None:
        self.seconds = seconds
        self.work = work
        self.owner = owner


class Spawn:
    """Run ``work`` in the background; its errors become events, not exceptions.

    ``on_cancel`` is called if the event loop ends before the work does. ``owner`` is the tool whose
    share of the threads it uses.
    """

    __slots__ = ("on_cancel", "owner", "work")

    def __init__(
        self,
        work: Callable[[], Flow],
        on_cancel: Callable[[], None] | None = None,
        *,
        owner: str | None = None,
    ) -> None:
        self.work = work
        self.on_cancel = on_cancel
        self.owner = owner


Step: TypeAlias = Io | Sleep | Invoke | Enter | Ask | Within | Fly | Race | Spawn
Flow: TypeAlias = Generator[Step, Any, Any]
