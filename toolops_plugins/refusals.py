"""The refusal of a value that no codec takes, with the way to it."""

from __future__ import annotations

from typing import Any

from toolops_plugins.errors import NotEncodableError

__all__ = ["TOO_DEEP", "Refused", "detail_of", "type_name"]

TOO_DEEP = "contains itself, or is nested too deeply"

_LONGEST = 200
_NAME: Any = type.__dict__["__name__"]
_MODEL_PARTS = (".__dict__", ".__pydantic_private__", ".__pydantic_extra__")
"""Steps of the way into a pydantic model that say nothing to its author."""


class Refused(Exception):  # noqa: N818 - inside of the codec only
    """A value without an encoding; gathers the way to it, innermost step first.

    Args:
        reason: Why, for the user's eyes.
        problem: The same without anything of the value or of a user's message, for the log. None:
            there is nothing of the sort in the reason.
    """

    def __init__(self, reason: str, problem: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.problem = problem or reason
        self.steps: list[str] = []

    def error(self) -> NotEncodableError:
        """Return the error that leaves the codec."""
        error = NotEncodableError(f"${_way(self.steps)}: {self.reason}")
        # Keys of dicts that are no names may be anything: addresses, questions, secrets.
        named = [s if s[0] == "." or s[1:-1].isdecimal() else "[...]" for s in self.steps]
        error.place = f"${_way(named)}"
        error.problem = self.problem
        return error


def type_name(kind: type) -> str:
    """Return the module and qualified name of a class; of a built-in one its name."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def detail_of(error: Exception, value: object) -> str:
    """Return what a notice says of a value that the codec refused: the type and its place.

    Args:
        error: What the codec raised.
        value: The value; not even its metaclass is asked, which may raise.
    """
    if not isinstance(error, NotEncodableError):
        return str(_NAME.__get__(type(value)))
    return error.problem if error.place == "$" else f"{error.problem} at {error.place}"


def _way(steps: list[str]) -> str:
    way = "".join(reversed(steps))
    for name in _MODEL_PARTS:
        way = way.replace(name, "")
    return way if len(way) <= _LONGEST else way[:_LONGEST] + "..."
