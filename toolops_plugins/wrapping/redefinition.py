"""Decide whether a function replaces an earlier definition of the same name.

A notebook cell that runs again, a module that is reloaded, and text that is executed again define
the same functions once more, edited or not. The second definition then takes over the runtime's
state of the first. Two functions of one name that exist at the same time do not.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from toolops_plugins.callables.definitions import code_digest, uses_digest
from toolops_plugins.policy.base import PolicyBase

__all__ = ["Definition", "definition_of", "same_policy", "uses_of"]

_LONGEST_CHAIN = 20  # decorators around one function
_DEEPEST = 5  # levels of functions in other functions


class Definition(NamedTuple):
    """The definition of a function: its place, execution and body.

    Args:
        place: Module and qualified name.
        code: The code without decorators; None for a function that is not written in Python.
        execution: The id of the module's dictionary, and the module's specification.
        body: A digest of its code and its decorators'; empty if it is not written in Python.
        of_module: Whether its code is from the file of its module, which therefore exists.
    """

    place: str
    code: types.CodeType | None
    execution: tuple[int, object]
    body: str
    of_module: bool = False

    def replaces(self, other: Definition) -> bool:
        """Return whether this replaces ``other``, which was defined before.

        It does if both have the same place and were compiled separately. Two in one file may exist
        at the same time, unless the file was executed again.
        """
        if self.place != other.place or self.code is None or other.code is None:
            return False
        if self.code is other.code:
            return False  # one factory made both, and both may be in use
        file, line = self.code.co_filename, self.code.co_firstlineno
        # A module's file exists; to look for it would block an event loop.
        exists = self.of_module or os.path.exists(file)  # noqa: PTH110 - slow to import
        if file != other.code.co_filename or not exists:
            return True  # each cell has a file name of its own, and executed text has no file
        if self.execution[0] != other.execution[0] or self.execution[1] is not other.execution[1]:
            return True
        # Two lambdas may stand in one line.
        return line == other.code.co_firstlineno and self.code.co_name != "<lambda>"


def definition_of(function: Any, place: str) -> Definition:
    """Return the definition of a function.

    Args:
        function: The function, decorated or not. If an adapter made it, its attribute
            ``__toolops_source__`` is the user's function.
        place: Module and qualified name.
    """
    bodies: dict[str, None] = {}
    inner = getattr(function, "__toolops_source__", None)
    if inner is None:
        inner = function
    else:
        place = f"{place} {inner.__module__}.{inner.__qualname__}"
    for _ in range(_LONGEST_CHAIN):
        bodies[code_digest(inner)] = None
        wrapped = getattr(inner, "__wrapped__", None)
        if wrapped is None:
            break
        inner = wrapped
    code = getattr(inner, "__code__", None)
    module = sys.modules.get(getattr(inner, "__module__", None) or "")
    return Definition(
        place,
        code if isinstance(code, types.CodeType) else None,
        # A reload gives a module a new specification, and keeps its dictionary.
        (id(getattr(inner, "__globals__", None)), getattr(module, "__spec__", None)),
        "".join(bodies),
        getattr(code, "co_filename", None) == getattr(module, "__file__", ""),
    )


def uses_of(function: Any) -> str:
    """Return a digest of what a function and its decorators use of their module, or ""."""
    inner = getattr(function, "__toolops_source__", None)
    inner = function if inner is None else inner
    digests = []
    for _ in range(_LONGEST_CHAIN):
        digests.append(uses_digest(inner))
        inner = getattr(inner, "__wrapped__", None)
        if inner is None:
            break
    return "".join(digests)


def same_policy(one: Any, other: Any) -> bool:
    """Return whether two policies are equal, with functions compared by their definition."""
    return _same(one, other, _DEEPEST)


def _same(one: Any, other: Any, depth: int) -> bool:
    if one is other:
        return True
    if type(one) is not type(other) or not depth:
        return False
    if isinstance(one, PolicyBase):
        ours, theirs = vars(one), vars(other)
        return ours.keys() == theirs.keys() and all(
            _same(ours[name], theirs[name], depth) for name in ours
        )
    if isinstance(one, types.FunctionType):
        return _same_function(one, other, depth - 1)
    if isinstance(one, tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(a, b, depth - 1) for a, b in pairs)
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a user's value may raise anything
        return False


def _same_function(one: Any, other: Any, depth: int) -> bool:
    return (
        code_digest(one) == code_digest(other)
        and one.__globals__ is other.__globals__
        and _same(one.__defaults__, other.__defaults__, depth)
        and _same(_pairs(one.__kwdefaults__), _pairs(other.__kwdefaults__), depth)
        and _same(_cells(one), _cells(other), depth)
    )


def _pairs(values: dict[str, Any] | None) -> tuple[Any, ...]:
    return tuple(sorted((values or {}).items(), key=lambda item: item[0]))


def _cells(function: Callable[..., Any]) -> tuple[Any, ...]:
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # it is still empty
            found.append(None)
    return tuple(found)
