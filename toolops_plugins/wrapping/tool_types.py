"""The types of wrapped functions, for type checkers.

A :class:`Tool` is generic in the whole type of its function, not in parameters and result: so that
generic and overloaded functions stay so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from toolops_plugins.policy import Policy

__all__ = ["Decorator", "Tool"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])
F_co = TypeVar("F_co", bound=Callable[..., Any], covariant=True)


class Tool(Protocol[F_co]):  # type: ignore[misc]  # a tool is only ever called, never assigned to
    """A wrapped function: called as before, with these names added.

    Of a method they are for the receiver that they were reached by: ``shop.quote.key("ACME")``. By
    the class they take it as their first argument: ``Shop.quote.key(shop, "ACME")``. Of a class
    method they know the class where the decorator stands above ``@classmethod``; below it, up to
    Python 3.12 only.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]
    __call__: F_co
    name: str
    policy: Policy

    # A class method, whose first parameter is the type that it is reached by; a method; and what is
    # reached by the class, or is a static method.
    @overload
    def __get__(
        self: Tool[Callable[Concatenate[S, P], R]], instance: object, owner: S, /
    ) -> Tool[Callable[P, R]]: ...
    @overload
    def __get__(
        self: Tool[Callable[Concatenate[S, P], R]], instance: S, owner: type | None = None, /
    ) -> Tool[Callable[P, R]]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> Self: ...

    def key(self: Tool[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of a call, in hexadecimal."""
        ...

    def invalidate(self: Tool[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the result of a call in every tier and every process."""
        ...

    async def ainvalidate(self: Tool[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs) -> None:
        """As :meth:`invalidate`, without blocking the event loop."""
        ...


class Decorator(Protocol):
    """Makes a tool of a function."""

    def __call__(self, function: F, /) -> Tool[F]:
        """Return the function under its policy."""
        ...
