"""The state of a semantic cache, which reports the end of trouble once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

__all__ = ["IndexHealth", "Way"]

Way: TypeAlias = Literal["read", "write"]


class IndexHealth:
    """The state of a semantic cache: what failed when it was last used.

    Reads and writes are tracked apart, since an index on a full disk still answers lookups. Safe to
    use from any threads and event loops.

    Args:
        on_recovery: Called when whatever had failed works again.
    """

    def __init__(self, on_recovery: Callable[[], object] = lambda: None) -> None:
        self.on_recovery = on_recovery
        self._failing: set[Way] = set()

    def fail(self, way: Way) -> None:
        """Record a failure, which the caller reports."""
        self._failing.add(way)

    def succeed(self, way: Way) -> None:
        """Record a success, and report the recovery if nothing else is failing."""
        if way in self._failing:
            self._failing.discard(way)
            if not self._failing:
                self.on_recovery()
