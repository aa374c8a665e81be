"""The failure to encode a value, with the path to the part that no codec takes."""

from __future__ import annotations

import re
from typing import Any

from toolops_plugins.errors import NotEncodableError

__all__ = [
    "READ_ONCE",
    "TOO_DEEP",
    "EncodingFailure",
    "describe_failure",
    "looks_like_field",
    "type_name",
]

READ_ONCE = "which can be read once only"
"""The end of a notice's detail about a generator, a file or another value that is read once."""
TOO_DEEP = "a value that contains itself, or is nested too deeply"

_LONGEST = 200
_FIELD = re.compile(r"[a-z_][A-Za-z_]{0,39}")
_NAME: Any = type.__dict__["__name__"]
_MODEL_PARTS = (".__dict__", ".__pydantic_private__", ".__pydantic_extra__")
"""Steps of the path into a pydantic model that say nothing to its author."""


class EncodingFailure(Exception):  # noqa: N818 - never leaves the codec
    """A value without an encoding; gathers the path to it, innermost step first.

    Args:
        reason: The cause, for the user.
        problem: The cause without any part of the value or of a user's message, for the log. None:
            the reason holds no such part.
        read_once: Whether the value can be read once only. Default False.
    """

    def __init__(self, reason: str, problem: str | None = None, *, read_once: bool = False) -> None:
        super().__init__(reason)
        self.read_once = read_once
        self.reason = reason
        self.problem = problem or reason
        self.steps: list[str] = []

    def error(self) -> NotEncodableError:
        """Return the error that leaves the codec."""
        error = NotEncodableError(f"${_path(self.steps)}: {self.reason}")
        # Keys of dicts that do not look like names of fields may be names, addresses or secrets.
        named = [
            s if s[1:-1].isdecimal() or (s[0] == "." and looks_like_field(s[1:])) else "[...]"
            for s in self.steps
        ]
        # The path into an endless value says nothing.
        error.place = "$" if self.reason == TOO_DEEP else f"${_path(named)}"
        error.problem = self.problem
        error.read_once = self.read_once
        return error


def looks_like_field(name: str) -> bool:
    """Return whether a key of a dict looks like the name of a field, rather than like content."""
    return _FIELD.fullmatch(name) is not None


def type_name(kind: type) -> str:
    """Return the module and qualified name of a class; of a built-in one its name."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def describe_failure(error: Exception, value: object) -> str:
    """Return the detail of a notice about a value that the codec refused: its type and its place.

    Args:
        error: The codec's error.
        value: The value. Not even its metaclass is asked, since that may raise.
    """
    if not isinstance(error, NotEncodableError):
        return str(_NAME.__get__(type(value)))
    detail = error.problem if error.place == "$" else f"{error.problem} at {error.place}"
    return f"{detail}, {READ_ONCE}" if error.read_once else detail


def _path(steps: list[str]) -> str:
    path = "".join(reversed(steps))
    for name in _MODEL_PARTS:
        path = path.replace(name, "")
    return path if len(path) <= _LONGEST else path[:_LONGEST] + "..."
