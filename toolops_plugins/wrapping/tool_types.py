"""The types of wrapped functions, for type checkers.

A :class:`Tool` is generic in the whole type of its function, not in its parameters and result, so
that generic and overloaded functions stay generic and overloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from toolops_plugins.policy import Policy, PolicyParts

if TYPE_CHECKING:
    from toolops_plugins.semantic.matches import Explanation

__all__ = ["Decorator", "Tool", "ToolOptions"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])
F_co = TypeVar("F_co", bound=Callable[..., Any], covariant=True)


class Tool(Protocol[F_co]):  # type: ignore[misc]  # a tool is only ever called, never assigned to
    """A wrapped function: it is called as before, and has these attributes.

    Those of a method are bound to its receiver: ``shop.quote.key("ACME")``. Accessed on the class
    they take it as their first argument: ``Shop.quote.key(shop, "ACME")``. Those of a class method
    are bound to the class if the decorator stands above ``@classmethod``; below it they are up to
    Python 3.12 only.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]
    __call__: F_co
    name: str
    policy: Policy

    # A class method, whose first parameter is the class; a method; and a static method, or a tool
    # that is accessed on the class.
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

    def explain(self: Tool[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return why a call would be a hit or a miss now: by itself, and by its meaning.

        The search has the call's own scope: its other arguments, the tool, its version, the tenant
        and the namespace. Nothing is called, counted, learned or stored, and no judge is asked.
        Calls under way, which such a call might join, are not looked at.

        Raises:
            ConfigurationError: The tool stores no results.
            TypeError: The arguments do not fit the function.
        """
        ...

    async def aexplain(
        self: Tool[Callable[P, Any]], *args: P.args, **kwargs: P.kwargs
    ) -> Explanation:
        """As :meth:`explain`, without blocking the event loop."""
        ...


class Decorator(Protocol):
    """Makes a tool of a function."""

    def __call__(self, function: F, /) -> Tool[F]:
        """Return the function under its policy."""
        ...


class ToolOptions(PolicyParts, total=False):
    """The keyword arguments of every decorator; see :meth:`ToolOps.tool`."""

    policy: Policy | None
    name: str | None
    secret: Sequence[str]
    ignore: Sequence[str]
