"""A notebook cell that makes a tool and wraps it, which is run again: unedited, and edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolops_plugins import Cache, CircuitBreaker, Policy, RateLimit, ToolOps

CELL = """
@tool
def search(query: str) -> str:
    "Search."
    made.append(query)
    return {body!r}
wrapped = wrap(search, policy())
"""


def check_redefinition(
    tool: Callable[[Any], Any],
    wrap: Callable[[Any, ToolOps, Policy], Any],
    ask: Callable[[Any, str], str],
) -> None:
    """Check that a cell can be run again, and that an edited body is asked anew.

    Args:
        tool: Makes a tool of the framework out of a function.
        wrap: Wraps it.
        ask: Asks a wrapped tool.
    """
    with ToolOps(retry_budget=None) as ops:
        rates = iter(["9/h", "9/h", "8/h", "7/h", "7/h"])

        def policy() -> Policy:
            return Policy(
                cache=Cache(ttl=60),
                breaker=CircuitBreaker(on=lambda error: isinstance(error, OSError)),
                rate_limit=RateLimit(next(rates), cost=lambda **_: 1.0),
            )

        names: dict[str, Any] = {
            "__name__": "notebook",
            "tool": tool,
            "wrap": lambda made, policy: wrap(made, ops, policy),
            "policy": policy,
            "made": [],
        }
        asked = []
        for number, body in enumerate(["first", "first", "second", "second", "first"]):
            exec(compile(CELL.format(body=body), f"<ipython-input-{number}>", "exec"), names)
            assert ask(names["wrapped"], "x") == body
            asked.append(len(names["made"]))
        assert asked == [1, 1, 2, 2, 2]
