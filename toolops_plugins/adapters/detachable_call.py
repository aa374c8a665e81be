"""Calls of a framework that may go on after their caller has its answer."""

from __future__ import annotations

from toolops_plugins.calls.context import REFRESH

__all__ = ["DetachableCall"]


class DetachableCall:
    """A caller's call of a tool or a model.

    Attributes:
        is_over: Whether the caller has gone.
    """

    __slots__ = ("_refresh", "is_over")

    def __init__(self) -> None:
        self._refresh = REFRESH.get()
        self.is_over = False

    @property
    def is_detached(self) -> bool:
        """True if the caller has gone, or has been given an older result meanwhile."""
        return self.is_over or REFRESH.get() is not self._refresh
