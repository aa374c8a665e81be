"""The functions that are wrapped and called: they only count their calls.

A hit that runs the function, or a miss that does not, would be measured as something else, so every
contest ends with a check of these counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Body:
    """A function of one argument, ``text``, with a constant result.

    Args:
        kind: "async" for a coroutine function, "sync" for a plain one.
        value: The result.
    """

    def __init__(self, kind: str, value: Any = "done") -> None:
        self.runs = 0

        async def acall(text: Any) -> Any:  # noqa: ARG001 - part of the key
            self.runs += 1
            return value

        def call(text: Any) -> Any:  # noqa: ARG001 - part of the key
            self.runs += 1
            return value

        self.call: Callable[[Any], Any] = acall if kind == "async" else call

    def prove(self, name: str, runs: int) -> None:
        """Raise RuntimeError unless the function ran ``runs`` times."""
        if self.runs != runs:
            raise RuntimeError(f"{name}: the function ran {self.runs} times, not {runs} times")
