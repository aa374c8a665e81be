"""The functions that are wrapped and called: they do nothing but count how often they ran.

A hit that runs the function, or a miss that does not, is measured as something that it is not; so
every contest ends with a look at these counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Body:
    """A function of one argument, ``text``, that returns always the same.

    Args:
        kind: "async" for a coroutine function, "sync" for a plain one.
        value: What it returns.
    """

    def __init__(self, kind: str, value: Any = "done") -> None:
        self.runs = 0

        async def acall(text: Any) -> Any:  # noqa: ARG001 - it makes the key
            self.runs += 1
            return value

        def call(text: Any) -> Any:  # noqa: ARG001 - it makes the key
            self.runs += 1
            return value

        self.call: Callable[[Any], Any] = acall if kind == "async" else call

    def prove(self, name: str, runs: int) -> None:
        """Raise RuntimeError unless it ran so many times."""
        if self.runs != runs:
            raise RuntimeError(f"{name}: the function ran {self.runs} times, not {runs} times")
