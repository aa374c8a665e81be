"""Tell whether a function that is defined takes the place of one that was defined before.

A notebook cell that is run again, a module that is loaded again, and text that is executed again
define the same functions once more, edited or not. What a runtime holds of the first then goes to
the second. Two functions of one name that are there at once are something else.
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
_DEEPEST = 5  # functions that other functions hold


class Definition(NamedTuple):
    """Where and when a function was defined, and what its body is.

    Args:
        place: Module and qualified name.
        code: Its code, without any decorators; None for what is not written in Python.
        execution: Identity of the module's dictionary, and its specification.
        body: Digest of its code and of its decorators'; empty for what is not written in Python.
        of_module: Whether its code is from the file of its module, which therefore exists.
    """

    place: str
    code: types.CodeType | None
    execution: tuple[int, object]
    body: str
    of_module: bool = False

    def replaces(self, other: Definition) -> bool:
        """Return whether this takes the place of ``other``, which was defined before.

        It does if both have one place and were compiled apart. Of two in one file, both may be
        there at once, unless the file was executed again.
        """
        if self.place != other.place or self.code is None or other.code is None:
            return False
        if self.code is other.code:
            return False  # made twice by one function, which may hand out both
        file, line = self.code.co_filename, self.code.co_firstlineno
        # Of a module nobody need look, which would block an event loop.
        exists = self.of_module or os.path.exists(file)  # noqa: PTH110 - slow to import
        if file != other.code.co_filename or not exists:
            return True  # each cell has a name of its own, and text that is executed has none
        if self.execution[0] != other.execution[0] or self.execution[1] is not other.execution[1]:
            return True
        # Two lambdas may stand in one line.
        return line == other.code.co_firstlineno and self.code.co_name != "<lambda>"


def definition_of(function: Any, place: str) -> Definition:
    """Return what is known of a function's definition.

    Args:
        function: The function, decorated or not. Where an adapter made it, its attribute
            ``__toolops_source__`` is the user's function that it stands for.
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
        # Loading a module again gives it another specification, and keeps its dictionary.
        (id(getattr(inner, "__globals__", None)), getattr(module, "__spec__", None)),
        "".join(bodies),
        getattr(code, "co_filename", None) == getattr(module, "__file__", ""),
    )


def uses_of(function: Any) -> str:
    """Return a digest of what a function and its decorators use of their module, or nothing."""
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
    """Return whether two policies ask for the same, whose functions may have been defined twice."""
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
    except Exception:  # noqa: BLE001 - a value of the user's may compare as it likes
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
        except ValueError:  # it is empty yet
            found.append(None)
    return tuple(found)
