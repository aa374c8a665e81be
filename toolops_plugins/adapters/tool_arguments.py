"""What stands in a key for an argument that a call does without."""

from __future__ import annotations

__all__ = ["ABSENT", "Absent"]


class Absent:
    """The type of :data:`ABSENT`; one for all frameworks, since their keys have to be equal."""

    def __toolops_key__(self) -> None:
        return None

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = Absent()
"""The default of an argument that has none and need not be given."""
