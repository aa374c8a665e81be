"""Copies of exceptions, so that each caller can raise an object of its own.

An exception that is raised collects a traceback, a context, and notes, which belong to the caller
that raises it. No code of the exception's class runs for the copy, since its constructor may take
other arguments than it passes on. The object is made by the builtin base class, and then given the
same state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, TypeVar

from toolops_plugins.policy.base import NOTHING

__all__ = ["copy_error", "iter_members"]

E = TypeVar("E", bound=BaseException)

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made at run time
_EXCLUDED = frozenset(
    (
        "args", "__cause__", "__context__", "__dict__", "__suppress_context__", "__traceback__",
        "__weakref__",
    )
)  # fmt: skip
"""Members that are set separately, or not at all."""
_LONGEST_CHAIN = 100


def copy_error(error: E, outside: BaseException | None = None) -> E:
    """Return an exception of the same type, arguments, attributes, notes, cause and context.

    The copy has no traceback. Attributes are shared, except for the list of notes; the exceptions
    of a group are copied too.

    Args:
        error: The exception.
        outside: The exception that was being handled where the work began. It belongs to that
            caller alone, so that contexts end before it, those of causes and of a group's
            exceptions too. Default None.

    Returns:
        The copy; or ``error`` itself, where its type has state that Python cannot reach, and no way
        to copy it.
    """
    return _ErrorCopier(outside).copy(error)


class _ErrorCopier:
    """Copies an exception, together with its causes and contexts that lead to ``outside``."""

    def __init__(self, outside: BaseException | None) -> None:
        self._outside = outside
        self._known: dict[int, BaseException | None] = {}

    def copy(self, error: E) -> E:
        again = self._remake(error)
        if again is None:
            return error
        _set_member(again, "__cause__", self._copy_link(error.__cause__))
        _set_member(again, "__context__", self._copy_link(error.__context__))
        _set_member(again, "__suppress_context__", error.__suppress_context__)
        return again

    def _copy_link(self, link: BaseException | None) -> BaseException | None:
        """Return a cause or context: itself, or a copy that does not lead outside."""
        if link is None or link is self._outside:
            return None
        if not self._leads_outside(link):
            return link
        if id(link) in self._known or len(self._known) == _LONGEST_CHAIN:
            return self._known.get(id(link))
        self._known[id(link)] = None  # for a chain that leads back to itself
        made = self.copy(link)
        if made is link:  # it cannot be copied, and must not lead outside
            self._known[id(link)] = self._copy_link(link.__cause__ or link.__context__)
        else:
            self._known[id(link)] = made.with_traceback(link.__traceback__)
        return self._known[id(link)]

    def _leads_outside(self, error: BaseException) -> bool:
        if self._outside is None:
            return False
        waiting: list[BaseException | None] = [error]
        seen: set[int] = set()
        while waiting and len(seen) < _LONGEST_CHAIN:
            link = waiting.pop()
            if link is self._outside:
                return True
            if link is None or id(link) in seen:
                continue
            seen.add(id(link))
            waiting += [link.__cause__, link.__context__]
            if isinstance(link, BaseExceptionGroup):
                waiting += link.exceptions
        return False

    def _remake(self, error: E) -> E | None:
        # The second way is for classes in C and Rust without a builtin maker, such as pydantic's.
        for make in (self._remake_by_state, copy):
            try:
                again: E = make(error)
                if again is not error and type(again) is type(error):
                    _copy_state(again, error)
                    if _has_same_text(again, error):
                        return again
            except Exception:  # noqa: BLE001, S112 - a class may be written in any way
                continue
        return None

    def _remake_by_state(self, error: E) -> E:
        kind: Any = type(error)
        base = kind
        while base.__flags__ & _HEAP_TYPE:
            base = base.__base__
        args = error.args
        if isinstance(error, BaseExceptionGroup):
            parts = [
                self.copy(each).with_traceback(each.__traceback__) for each in error.exceptions
            ]
            args = (error.message, parts)
        return base.__new__(kind, *args)  # type: ignore[no-any-return]  # kind had to be Any


def _copy_state(again: E, error: E) -> None:
    if not isinstance(error, BaseExceptionGroup):
        _set_member(again, "args", error.args)
    for name, member in _members(type(error)):
        if name in _EXCLUDED:
            continue
        with suppress(AttributeError, TypeError):  # it is unset, or read-only
            value = member.__get__(error)
            # For some members a None that is set differs from no value.
            if _read(member, again) is not value:
                member.__set__(again, value)
    state = error.__dict__
    again.__dict__.update(state)
    notes = state.get("__notes__")
    if isinstance(notes, list):
        _set_member(again, "__notes__", list(notes))


def _set_member(error: BaseException, name: str, value: Any) -> None:
    BaseException.__setattr__(error, name, value)  # the class may define another __setattr__


def iter_members(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield the members of an exception in C code and slots, beyond those of all exceptions."""
    for name, member in _members(type(error)):
        if name not in _EXCLUDED and name != "__class__":
            value = _read(member, error)
            if value is not NOTHING:
                yield name, value


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the members of instances that C code and slots hold."""
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, MemberDescriptorType | GetSetDescriptorType):
                yield name, member


def _read(member: Any, error: BaseException) -> Any:
    try:
        return member.__get__(error)
    except AttributeError:
        return NOTHING


def _has_same_text(again: BaseException, error: BaseException) -> bool:
    try:
        expected = str(error)
    except Exception:  # noqa: BLE001 - without a text there is nothing to compare
        return True
    return str(again) == expected
