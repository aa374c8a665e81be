"""One attempt: a call of the user's function that a time limit may abandon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Attempt"]


class Attempt:
    """One call of the user's function; the driver that makes it sets the attributes.

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
        seconds: float | None = None,
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
