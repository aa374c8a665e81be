"""The refusal of a value that no codec takes, with the way to it."""

from __future__ import annotations

from typing import Any

from toolops_plugins.errors import NotEncodableError

__all__ = ["READ_ONCE", "TOO_DEEP", "EncodingFailure", "describe_failure", "type_name"]

READ_ONCE = "which can be read once only"
"""The end of the detail of a notice about a generator, a file and the like."""
TOO_DEEP = "a value that contains itself, or is nested too deeply"

_LONGEST = 200
_NAME: Any = type.__dict__["__name__"]
_MODEL_PARTS = (".__dict__", ".__pydantic_private__", ".__pydantic_extra__")
"""Steps of the way into a pydantic model that say nothing to its author."""


class EncodingFailure(Exception):  # noqa: N818 - inside of the codec only
    """A value without an encoding; gathers the way to it, innermost step first.

    Args:
        reason: Why, for the user's eyes.
        problem: The same without anything of the value or of a user's message, for the log. None:
            there is nothing of the sort in the reason.
        read_once: Whether the value can be read once only.
    """

    def __init__(self, reason: str, problem: str | None = None, *, read_once: bool = False) -> None:
        super().__init__(reason)
        self.read_once = read_once
        self.reason = reason
        self.problem = problem or reason
        self.steps: list[str] = []

    def error(self) -> NotEncodableError:
        """Return the error that leaves the codec."""
        error = NotEncodableError(f"${_way(self.steps)}: {self.reason}")
        # Keys of dicts that are no names may be anything: addresses, questions, secrets.
        named = [s if s[0] == "." or s[1:-1].isdecimal() else "[...]" for s in self.steps]
        # The way into a value without an end says nothing.
        error.place = "$" if self.reason == TOO_DEEP else f"${_way(named)}"
        error.problem = self.problem
        error.read_once = self.read_once
        return error


def type_name(kind: type) -> str:
    """Return the module and qualified name of a class; of a built-in one its name."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def describe_failure(error: Exception, value: object) -> str:
    """Return what a notice says of a value that the codec refused: the type and its place.

    Args:
        error: What the codec raised.
        value: The value; not even its metaclass is asked, which may raise.
    """
    if not isinstance(error, NotEncodableError):
        return str(_NAME.__get__(type(value)))
    detail = error.problem if error.place == "$" else f"{error.problem} at {error.place}"
    return f"{detail}, {READ_ONCE}" if error.read_once else detail


def _way(steps: list[str]) -> str:
    way = "".join(reversed(steps))
    for name in _MODEL_PARTS:
        way = way.replace(name, "")
    return way if len(way) <= _LONGEST else way[:_LONGEST] + "..."
