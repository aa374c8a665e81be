"""The state of one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.entry import Mark

if TYPE_CHECKING:
    from toolops_plugins.calls.plan import Plan
    from toolops_plugins.semantic.lookup import Lookup
    from toolops_plugins.telemetry.started_call import StartedCall

__all__ = ["Call"]


class Call:
    """The state of one call, and the data of its event."""

    # Defaults of the class, not set in __init__: most calls change few of them.
    key: bytes | None = None
    tags: tuple[str, ...] = ()
    attempts = 0
    spent = 0.0
    seconds = 0.0
    """The duration of the last attempt, without any wait before it; measured for those who ask."""
    worked = 0.0
    """Seconds of all attempts that have ended; measured where there is a sink."""
    charges = 0
    """Attempts whose price is in ``spent`` already."""
    hedged = False
    reason: str | None = None
    error: str | None = None
    """The name of its error's type. The error itself would refer to this call by its frames."""
    start: StartedCall | None = None
    """Its start, if sinks have been told of it."""
    marks: Sequence[Mark] = ()
    lookup: Lookup | None = None
    """The lookup in the semantic cache."""
    background = False
    """True for a refresh, for which nobody waits."""
    store_semantic = True
    """Whether the semantic cache stores the answer."""
    large = False
    """Whether its key is not made yet, since the arguments are large."""
    near = True
    """Whether the first tier may hold an entry."""
    scope = b""
    """Who can join its flight or its stream: for a stream, callers on one event loop or in threads;
    for a call in a block that forces a refresh, other calls in that block."""
    forced = False
    """Whether it must not be answered by what was stored before its block."""

    def __init__(
        self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any], began: float
    ) -> None:
        self.plan = plan
        self.args = args
        self.kwargs = kwargs
        self.began = began
