"""What the flow may ask of its driver: plain descriptions of work that do nothing themselves.

A flow is a generator that yields these and is sent their results (as httpx does for its auth
flows), so that the path of a call is written once and walked in a thread or on an event loop.
Steps that contain work hold a *flow function*: called without arguments, it returns a new flow.
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


class StopIterationCarrier(Exception):  # noqa: N818 - a carrier, never seen by users
    """Carries a StopIteration of a user's function, which a generator cannot raise for what it is.

    Args:
        error: What the function raised.
    """

    def __init__(self, error: StopIteration) -> None:
        super().__init__(error)
        self.error = error


def unwrap_error(error: Exception) -> Exception:
    """Return the error as the user's function raised it."""
    return error.error if isinstance(error, StopIterationCarrier) else error


def is_caller_error(error: Exception) -> bool:
    """Return whether an error inside the cache is for the caller to see.

    So is the end of its own time, and a wrong configuration; everything else is trouble with the
    cache, which is a miss.
    """
    if isinstance(error, TierError):
        return False
    return isinstance(error, CallTimeout | ConfigurationError)


def tier_problem(error: Exception) -> str:
    """Return what a notice says of trouble with a tier: its type, and of an embedder the reason."""
    if isinstance(error, EmbeddingError) and error.__cause__ is None:
        return str(error)
    return type(error.__cause__ or error).__name__


def as_tier_error(error: Exception) -> TierError:
    """Return trouble of any kind as what callers of ``invalidate`` and ``clear`` know."""
    if isinstance(error, TierError):
        return error
    failure = TierError(f"it failed with {type(error).__name__}")
    failure.__cause__ = error
    return failure


class Gate(Protocol):
    """What admits a bounded number of callers at once, whether they are threads or tasks."""

    def acquire(self, timeout: float | None = None) -> None:
        """Block this thread until there is a place, for at most ``timeout`` seconds."""
        ...

    async def aacquire(self) -> None:
        """Suspend this task until there is a place."""
        ...


class Io:
    """An operation with two faces: ``sync(*args)`` for threads, ``await aio(*args)`` for loops."""

    __slots__ = ("aio", "args", "sync")

    def __init__(
        self, sync: Callable[..., Any], aio: Callable[..., Awaitable[Any]], *args: Any
    ) -> None:
        self.sync = sync
        self.aio = aio
        self.args = args


class Sleep:
    """Let ``seconds`` pass."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Invoke:
    """Make the user's call once; past ``seconds`` (None: no limit) raise ``AttemptTimeout``.

    ``aio`` tells whether calling ``function`` makes an awaitable; ``in_thread`` whether a plain
    function with a limit moves into a thread, where it can be left, and ``owner`` whose share of
    the threads it needs. ``leave`` is to be called once the function has really ended, and may be
    called more than once.

    The driver notes what became of it: ``reached`` is false where the function never began,
    ``abandoned`` is true where it was left running, so that the driver calls ``leave``, ``over``
    where it has ended in a thread, and ``queue_seconds`` are the seconds that it waited for one.
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
    """Take a place at a gate, waiting in its queue if there is one."""

    __slots__ = ("gate",)

    def __init__(self, gate: Gate) -> None:
        self.gate = gate


class Ask:
    """Call a user's callback, a function or a coroutine function, for its answer."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


class Within:
    """Walk ``work``; past ``seconds`` give it up and raise ``error()``.

    ``in_thread`` tells whether plain functions inside move into a thread, where they can be left.
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
    """Walk ``work`` as the one flight for ``key``, or wait for the flight that is under way.

    The result is an ``FlightResult``: what the flight brought, and whether this caller led it.
    ``in_thread`` tells whether a leader with a limit moves the work into a thread, where it can be
    left, and ``owner`` whose share of the threads that needs.
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
    """Walk ``work``; if it has not ended after ``seconds``, walk it a second time beside the first.

    The first success wins and the other is cancelled; if both fail the first error is raised.
    ``owner`` tells whose share of the threads it needs.
    """

    __slots__ = ("owner", "seconds", "work")

    def __init__(
        self, seconds: float, work: Callable[[], Flow], *, owner: str | None = None
    ) -> None:
        self.seconds = seconds
        self.work = work
        self.owner = owner


class Spawn:
    """Walk ``work`` in the background; its errors are events, not exceptions.

    ``cancelled`` is called if the event loop ends before the work does; ``owner`` tells whose share
    of the threads it needs.
    """

    __slots__ = ("cancelled", "owner", "work")

    def __init__(
        self,
        work: Callable[[], Flow],
        cancelled: Callable[[], None] | None = None,
        *,
        owner: str | None = None,
    ) -> None:
        self.work = work
        self.cancelled = cancelled
        self.owner = owner


Step: TypeAlias = Io | Sleep | Invoke | Enter | Ask | Within | Fly | Race | Spawn
Flow: TypeAlias = Generator[Step, Any, Any]
