"""Foundations of policies: the absent value, exception filters and a base of frozen values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, dataclass_transform

__all__ = [
    "NOTHING",
    "ExceptionFilter",
    "Nothing",
    "PolicyBase",
    "TagsLike",
    "iter_leaves",
    "matches",
    "policy_class",
]

T = TypeVar("T")


class Nothing:
    """The type of :data:`NOTHING`, which stands for no value and differs from the value None."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"

    def __reduce__(self) -> str:
        return "NOTHING"

    def __bool__(self) -> Literal[False]:
        return False


NOTHING = Nothing()

Exceptions: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
ExceptionFilter: TypeAlias = Exceptions | Callable[[Exception], bool]
"""Exception types, or a predicate over the exception."""
TagsLike: TypeAlias = Sequence[str] | Callable[..., Iterable[str]]
"""Tags, where ``{name}`` stands for the argument of that name; or a callable over the arguments."""


def matches(wanted: ExceptionFilter, error: BaseException, *, every: bool = True) -> bool:
    """Return whether an exception passes a filter; a predicate that raises counts as false.

    Args:
        wanted: Exception types or a predicate.
        error: The exception. A group is judged by its exceptions, unless ``wanted`` names a type of
            groups.
        every: Whether all exceptions of a group must match, or one. Default all.
    """
    if isinstance(error, BaseExceptionGroup):
        types = wanted if isinstance(wanted, tuple) else (wanted,)
        groups = [t for t in types if isinstance(t, type) and issubclass(t, BaseExceptionGroup)]
        if isinstance(error, tuple(groups)):
            return True
        found = (matches(wanted, leaf) for leaf in iter_leaves(error))
        return all(found) if every else any(found)
    if isinstance(wanted, type | tuple):
        return isinstance(error, wanted)
    if not isinstance(error, Exception):
        return False
    try:
        return bool(wanted(error))
    except Exception:  # noqa: BLE001 - a broken predicate must not replace the user's own error
        return False


def iter_leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group and of its inner groups, or a plain exception itself."""
    waiting = [error]
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseExceptionGroup):
            waiting += reversed(found.exceptions)
        else:
            yield found


class PolicyBase:
    """Equality, hash and repr of all policies, written once.

    To generate them for each dataclass took a tenth of the time of importing this package.
    """

    def _fields(self) -> tuple[Any, ...]:
        return tuple(vars(self).values())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({parts})"


@dataclass_transform(frozen_default=True)
def policy_class(kind: type[T]) -> type[T]:
    """Make a frozen dataclass of a class; a decorator."""
    return dataclass(frozen=True, eq=False, repr=False)(kind)
