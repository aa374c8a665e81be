"""The state of one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.entry import Mark

if TYPE_CHECKING:
    from toolops_plugins.calls.plan import Plan
    from toolops_plugins.semantic.lookup import Lookup

__all__ = ["Call"]


class Call:
    """The state of one call, and the data of its event."""

    __slots__ = (
        "args",
        "attempts",
        "began",
        "charges",
        "error",
        "hedged",
        "key",
        "kwargs",
        "large",
        "lookup",
        "marks",
        "near",
        "plan",
        "reason",
        "scope",
        "seconds",
        "spent",
        "store_semantic",
        "tags",
    )

    def __init__(
        self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any], began: float
    ) -> None:
        self.plan = plan
        self.args = args
        self.kwargs = kwargs
        self.began = began
        self.key: bytes | None = None
        self.tags: tuple[str, ...] = ()
        self.attempts = 0
        self.spent = 0.0
        self.seconds = 0.0  # of the last attempt, without any wait before it
        self.charges = 0  # attempts whose price is in `spent` already
        self.hedged = False
        self.reason: str | None = None
        self.error: BaseException | None = None
        self.marks: Sequence[Mark] = ()
        self.lookup: Lookup | None = None  # of the semantic cache
        self.store_semantic = True  # whether the semantic cache stores the answer
        self.large = False  # whether its key is not made yet, since the arguments are large
        self.near = True  # whether the first tier may hold an entry
        self.scope = b""  # who can join its stream: callers on one event loop, or in any thread
