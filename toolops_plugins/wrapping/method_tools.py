"""Tools that are methods: their helpers are bound to the receiver, as the tool itself is.

A plain function in a class would not do: ``shop.quote.invalidate`` would be an attribute of the
function, which does not know ``shop``. Accessed on the class, a tool is still the plain function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["BoundTool", "ClassMethodTool", "MethodTool"]

_HELPERS = frozenset({"aexplain", "ainvalidate", "explain", "invalidate", "key"})
"""Attributes of a tool that take the arguments of a call, and so need the receiver."""


# A partial, since frameworks can look into one, and its call runs in C.
class BoundTool(functools.partial[Any]):
    """A tool bound to its receiver, such as ``shop.quote``; equal to another of the same two."""

    __slots__ = ()

    @property
    def __self__(self) -> Any:
        return self.args[0]

    @property
    def __func__(self) -> Callable[..., Any]:
        return self.func

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # it is the tool's
        return self.func.__doc__

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(functools.partial(self.func, *self.args))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.func, name)
        return functools.partial(found, *self.args) if name in _HELPERS else found

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.func is other.func and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((self.func, id(self.__self__)))

    def __repr__(self) -> str:
        return f"<bound tool {self.func.__qualname__} of {self.__self__!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.func.__name__)


def _bind(function: Callable[..., Any], receiver: Any) -> BoundTool:
    bound = BoundTool(function, receiver)
    # A class whose annotations were read once has an empty dictionary of its own.
    bound.__annotations__ = function.__annotations__
    return bound


# A static method by type, since pydantic and others ignore those in a class.
class MethodTool(staticmethod):  # type: ignore[type-arg]  # its parameters are those of Tool
    """A tool that is a method, as its class holds it.

    Args:
        function: The wrapper of the method.
    """

    __isabstractmethod__ = False

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        vars(self).update(vars(function))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.__func__ if instance is None else _bind(self.__func__, instance)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func__, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return MethodTool, (self.__func__,)


class ClassMethodTool(classmethod):  # type: ignore[type-arg]  # as above
    """A tool that is a class method, as its class holds it.

    Args:
        function: The wrapper of the class method.
    """

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return _bind(self.__func__, type(instance) if owner is None else owner)

    def __reduce__(self) -> tuple[Any, ...]:
        return ClassMethodTool, (self.__func__,)
